// SPDX-License-Identifier: Apache-2.0

// Package wire is the protocol between programs and tablet servers: what tablet.proto says, as generated code, with the
// codec that both sides use and the way from the types of forebay to messages and back. docs/formats/wire.md describes
// it for those who write another client.
//
//	tablet.proto  the protocol
//	codec.go      Codec of all calls: rows are handed over, not copied; Lease and Loan say whose they are
//	pool.go       buffers for what is received
//	encode.go     the messages that carry rows, written
//	decode.go     the messages that carry rows, read
//	convert.go    requests, answers, commits, progress and tables as messages
//	status.go     errors as the status of a call
//
// Invariants:
//
//	WP1  the bytes of a message mean to any protobuf decoder what the generated code says, and the other way
//	WP2  decoding never panics, whatever the bytes are
//	WP3  a Lease's released is called once, and not before gRPC has dropped every reference to its rows
package wire
