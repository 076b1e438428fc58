// SPDX-License-Identifier: Apache-2.0

// Package connectortest is the conformance suite that every connector runs in its own tests:
//
//	func TestSource(t *testing.T) { connectortest.RunSource(t, connectortest.SourceHarness{...}) }
//	func TestSink(t *testing.T)   { connectortest.RunSink(t, connectortest.SinkHarness{...}) }
//
// A harness makes the connector and the system behind it, and declares what the connector claims. Each claim
// is tested; what is not claimed must not be offered, because the rest of the product would rely on it.
//
//	suite.go    T, Check, and how checks run
//	source.go   SourceHarness, RunSource         sourceread.go    reading a split, with what every batch must keep
//	restart.go  the checks that open a source again, elsewhere or later
//	sink.go     SinkHarness, RunSink             sinkrecord.go    the records that sinks get, and requests of them
//	stored.go   what lies in a table
//	stream.go   checks of sinks that take batches
//	request.go  checks of sinks that take requests
//	commit.go   checks of sinks whose transaction carries the progress; fence.go: who may write
//
// Two-phase sinks are held against numbered rules, by a coordinator that is killed at every point:
//
//	rule.go         the rules, T1 to T21, with what each says and what to do where it is broken
//	world.go        a system, the state directories of the runs on it, and what readers see
//	coordinator.go  a run: recovery, lanes, checkpoints, commits
//	twophase.go     one check for each rule: what lanes write and prepare
//	held.go         what is held, and kills at every stage
//	settle.go       answers, repeats, aborts and lists
//	owner.go        fences
//
// The checks are functions of T, not of testing.T, so that the suite's own tests can watch them fail for
// connectors that are wrong on purpose.
package connectortest
