// SPDX-License-Identifier: Apache-2.0

// Package rpc is the network front of a tablet server: gRPC streams and calls, what clients may take of memory and
// connections, who may do what, and how a server hands over to the next one.
//
// A map of the package:
//
//	front.go    Front: New, Serve, Follow, Run      config.go    Config and every limit
//	load.go     what is inside bounds, and how fast it leaves
//	gate.go     what comes in, and what is inside   request.go   requests in the server's words
//	write.go    the Write stream                    outbox.go    its answers
//	commit.go   the Commit stream                   read.go      Scan, Lookup, ReadLog
//	calls.go    the catalogue and progress          cluster.go   who serves, and standbys
//	token.go    tokens and rights                   listener.go  where to listen, TLS, the number of connections
//	stats.go    figures for telemetry
//
// A request is read by the goroutine of its stream, counted by the gate, and handed to the server; the server's
// callback puts the answer into the outbox, from which the stream's call sends it. Nothing here waits for one client on
// behalf of another.
//
// Invariants:
//
//	RP1  requests of one tablet reach the server in the order in which they came on their stream
//	RP2  a request is inside the gate before the server has it, and none enters after the front began to leave
//	RP3  what a client makes the front hold is bounded: requests, bytes and answers, of a stream and of all
//	RP4  every request that entered is answered before its stream ends, unless its client went or time ran out
//	RP5  a request reaches only the table whose id it names
package rpc
