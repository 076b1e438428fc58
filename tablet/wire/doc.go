// SPDX-License-Identifier: Apache-2.0

// Package wire is the protocol between programs and tablet servers: what tablet.proto says, as generated code.
package wire
