// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command run measures forebay's tablet server with its Go client beside real Kudu and real Fluss with their own Java
// clients, side by side: rows per CPU-second of client and server together. It is started in the root of the
// repository and runs on Linux. bench/peers/README.md says what each side is set to.
//
//	main.go     the command line            job.go     which sides meet, and the goals
//	side.go     how each side is started    process.go one process: start, CPU time, end
//	client.go   commands to a client        round.go   one turn of a side, and what it took
//	report.go   the text
//
// All servers and clients of a job are started once and stay; the sides then take turns, each with a table of its own,
// for some rounds that are not counted and warm what warms up, and for those that are. Ratios are taken within a round.
package main
