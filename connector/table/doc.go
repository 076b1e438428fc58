// SPDX-License-Identifier: Apache-2.0

// Package table is a sink that writes typed rows to a table of the tablet server: the embedded one of the
// state directory, or one elsewhere. It checks what can be checked before anything is touched; the server
// does the rest.
//
// Guarantee: exactly-once. The server holds the progress in the transaction that applies the rows.
// Limits: names have 1 to 128 of the characters A-Z, a-z, 0-9, '_', '.' and '-', and no '_' in front.
package table
