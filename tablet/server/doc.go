// SPDX-License-Identifier: Apache-2.0

// Package server is the tablet server in this process: tables whose rows, change log, de-duplication, progress and
// dead letters stand in one store, so that everything a lane delivers is one atomic, synced batch.
//
// A map of the package:
//
//	server.go     Server: New, Open, Close          catalogue.go  tables: open, create, drop, describe
//	descriptor.go a table and its compatible changes table.go      tablets, ends of logs, writers on disk
//	state.go      what a tablet decides by          state_pipeline.go  what decides about commits (both pure)
//	encoder.go    records to requests               handle.go     the target and backend of one table
//	delivery.go   requests to one batch of the store version.go    the greater version stays
//	commit.go     Commit                            send.go       Send
//	ledger.go     what is durable                   progress.go   State, Fence, Forget
//	deadletter.go dead letters                      rowreader.go  rows of all shapes to cells
//	scan.go       Scan, Count, Get                  log.go        ReadLog, Trim
//	keyspace.go   keys                              control.go    the socket of the state directory
//	writers.go    Append, Upsert
//
// Locks, in the order in which they are taken: the catalogue, a pipeline, tablets in ascending order, then for a
// moment the ledger or the maps of the server.
//
// Invariants:
//
//	TS1  a commit is applied with its progress and its dead letters, or not at all
//	TS2  no answer rests on an unsynced batch
//	TS3  offsets of a tablet rise in the order of commits, without a gap
//	TS4  a request of a writer applies once, in the order of its sequences
//	TS5  only the owner that fenced last can commit, and its progress only follows what is stored
package server
