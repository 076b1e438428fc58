// SPDX-License-Identifier: Apache-2.0

// Package pipeline runs a source into a sink: source, transform, async, batch, sink, commit, in lanes. It
// decides the guarantee and owns the goroutines of a run.
//
//	run.go        Pipeline, Run: one run from its opening to its summary
//	recover.go    the order in which a run takes over from the one before it
//	lane.go       the lane's loop: the life of a record, stage by stage
//	source.go     stage 1: splits, readers, fetchers
//	transform.go  stage 2: compiled steps
//	output.go     stages 4 and 5 as a lane sees them; they are writer/ for targets that take requests
//	commit.go     stage 6: transactions, their answers, starting again
//	notebook.go   confirmed positions on their way to the checkpoint store
//	guarantee.go  what the chain can give, and why
//	state.go      the state directory
//	config.go     Config      summary.go  Summary, Progress, counters
//
// Invariants:
//
//	P1  a batch never spans a barrier: a transaction ends between two batches
//	P2  a transaction's progress covers exactly the records that are in it, delivered, filtered or rejected
//	P3  positions confirmed by the target are the only ones that a lane starts again from
//	P4  a fenced run stops at once and touches nothing that is not its own
//	P5  counters of the summary count what was confirmed
package pipeline
