// SPDX-License-Identifier: Apache-2.0

// Package kill kills the real binary and audits what it left: the proof that each record arrives exactly once,
// whatever is killed when.
//
//	campaign.go   a pipeline, its state directory, and the kills that it gets: random, named, SIGTERM
//	pacing.go     how long the source takes, so that the kills spread over it
//	process.go    one run of the binary, watched through its trace
//	stage.go      which stage of a record's life each kill hit
//	binary.go     the binary, built with the tag fault; what it prints
//	ledger.go     the input, read by encoding/csv and encoding/json and by nothing of the product
//	audit.go      the input against the table: lost, repeated, out of order, left over
//	output.go     parts of files and objects, read by zcat, pyarrow and sort, against lines that are to be there
//	letters.go    rejected records against the dead letters
//
// A random kill counts only if the process had delivered something since its start and had not finished. The
// source is paced such that a run without faults lasts at least 100 ms for each planned kill. A campaign prints
// its seed, pace, length and how many kills hit which stage; in a full one a stage without a kill is a failure.
//
//	FOREBAY_KILLS=200       random kills of each campaign: 20 (the default) is the short length, 200 the full one
//	FOREBAY_KILL_SEED=N     draws the same kills again
//	FOREBAY_KILL_BINARY=F   uses this binary instead of building one
package kill
