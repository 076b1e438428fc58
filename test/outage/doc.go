// SPDX-License-Identifier: Apache-2.0

// Package outage proves the writer against real servers over bad networks: the binary serves a directory, a second one
// stands by, a proxy before each does what networks do, and servers are killed over a file system that keeps only what
// was synced.
//
//	cluster.go  two servers of one directory, each behind a proxy; faults, kills and take-overs
//	rows.go     numbered rows, and what a table must hold of them
//
// FOREBAY_KILLS=N sets the length of the campaigns as in package kill.
package outage
