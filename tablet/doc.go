// SPDX-License-Identifier: Apache-2.0

// Package tablet is what a tablet server and those who talk to it share.
//
//	table.go    what a server says about a table
//	control.go  Control: the client of the socket in a state directory, and the shapes that travel over it
package tablet
