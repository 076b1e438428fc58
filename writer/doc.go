// SPDX-License-Identifier: Apache-2.0

// Package writer is client write management: it gathers rows for the tablets of a table, sends them in
// requests, and says of each row what became of it. It is the only accumulator of the repository.
//
//	accumulator.go  stage 4: rows of each tablet in the data of an open request
//	core.go         the state machine: requests from open to settled; no goroutine, clock or I/O
//	queue.go        the requests of one tablet in the core: window, retries, sequences
//	writer.go       Writer: the core in a shell of goroutines, for programs
//	memory.go       Memory: the bytes that writers share
//	receipt.go      Receipt: the outcome of one appended row
//	typed.go        Typed: rows from Go structs
//	lane.go         Lane: what one lane of a pipeline sends, transaction by transaction
//
// Invariants:
//
//	W1  a request's sequence is given once, before its first send, and does not change on a retry
//	W2  only what is known not to be applied may be renumbered; an ambiguous request under a forgotten writer
//	    settles as unknown
//	W3  requests of one tablet are applied in the order in which their first rows were appended
//	W4  at most the window of requests of a tablet is in flight; one while a request is tried again
//	W5  every receipt settles exactly once
//	W6  the bytes reserved equal those of the rows that are not settled, and return to zero
package writer
