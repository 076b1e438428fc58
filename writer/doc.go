// SPDX-License-Identifier: Apache-2.0

// Package writer is client write management: it gathers rows for the tablets of a table, sends them in
// requests, and says of each row what became of it. It is the only accumulator of the repository.
//
//	config.go       what a writer is told when it is opened
//	tuning.go       the knobs that change while it runs, profiles, the back-off
//	accumulator.go  stage 4: rows of each tablet in the data of an open request
//	core.go         the state machine: requests from open to settled; no goroutine, clock or I/O
//	queue.go        the requests of one tablet in the core, their numbers, and which tablets an event concerns
//	send.go         what the core sends and when: window, look-ups, deadlines, numbering anew, splitting
//	answer.go       what the core makes of answers: retries, remainders, moves, gaps
//	limiter.go      Limiter: how many requests may be in flight, learned from latency and refusals; pure
//	pacer.go        its pace in requests and bytes per second, where the target refuses above a rate
//	limited.go      the core under its limiter: tablets take turns
//	writer.go       Writer: the core in a shell of goroutines, for programs
//	settle.go       what the shell does with the core's actions; figures and hooks
//	request.go      a request in the shell: rows, pieces, what became of each
//	memory.go       Memory: the bytes that writers share
//	receipt.go      Receipt: the outcome of one appended row
//	hooks.go        Hooks: telemetry
//	typed.go        Typed: rows from Go structs
//	lane.go         Lane: what one lane of a pipeline sends, transaction by transaction; LaneLimiter: what bounds all
//	                lanes that write over a network
//
// testdata shows the state machine at work: begin with 01_happy_path.txt.
//
// Invariants:
//
//	W1  a request's sequence is given once, before its first send, and does not change on a retry
//	W2  only what is known not to be applied may be renumbered; an ambiguous request under a forgotten writer
//	    settles as unknown
//	W3  requests of one tablet are applied in the order in which their first rows were appended; one that was
//	    told as unknown may come late
//	W4  at most the window of requests of a tablet is in flight; nothing new while a request is tried again
//	W5  every receipt settles exactly once
//	W6  the bytes reserved equal those of the rows that are not settled, that the backend still has, or whose
//	    callback runs; they return to zero
package writer
