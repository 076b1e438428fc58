// SPDX-License-Identifier: Apache-2.0

// Package server is the tablet server in this process: tables whose rows, change log, de-duplication, progress and
// dead letters stand in one store, so that everything a lane delivers is one atomic, synced batch.
//
// A map of the package:
//
//	server.go     Server: New, Open, Close          catalogue.go  tables: open, create, drop, describe
//	descriptor.go a table and its compatible changes table.go      tablets, ends of logs, writers on disk
//	state.go      what a tablet decides by          state_pipeline.go  what decides about commits (both pure)
//	partition.go  partitions: made once             handle.go     the target and backend of one table, writers
//	delivery.go   requests to one batch of the store judge.go      which rows apply: by version, op, what is there
//	commit.go     Commit                            send.go       Send: a group of requests
//	executor.go   queues, groups, answers           pressure.go   how much may wait
//	partial.go    row errors that are remembered
//	ledger.go     what is durable                   progress.go   State, Fence, Forget
//	deadletter.go dead letters                      rowreader.go  rows of all shapes to cells
//	scan.go       Scan, Count, Get                  log.go        OpenLog, Trim
//	keyspace.go   keys                              control.go    the socket of the state directory
//	stats.go      figures for telemetry
//
// Locks, in the order in which they are taken: the catalogue, a pipeline, tablets in ascending order, then for a
// moment the ledger, the partitions of a table or the maps of the server. The executor's lock is taken alone.
//
// The life of a request: Send puts it into the queue of its tablet; a worker takes what waits in the queues of its
// tablets, locks these in ascending order, decides about every request and applies those that can be as one batch; the
// settler answers when that is synced, while the worker applies the next group. A commit of a lane takes the same locks
// in its caller and waits for the sync there.
//
// Invariants:
//
//	TS1  a commit is applied with its progress and its dead letters, or not at all
//	TS2  no answer rests on an unsynced batch
//	TS3  offsets of a tablet rise in the order of commits, without a gap
//	TS4  a request of a writer applies once, in the order of its sequences
//	TS5  only the owner that fenced last can commit, and its progress only follows what is stored
package server
