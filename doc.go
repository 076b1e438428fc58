// SPDX-License-Identifier: Apache-2.0

// Package forebay holds what every part of Forebay shares: records in batches, schemas and typed rows,
// positions and progress, the contracts of sources and sinks, and the error classes. It imports the
// standard library only.
//
// A map of the package:
//
//	batch.go      Batch: records in one byte slab with an index; no heap object per record
//	cell.go       Cell: one typed value in 16 bytes      row.go     Row: one record seen through its schema
//	schema.go     Type, Column, Schema, Layout           text.go    cells from and to text
//	rowcodec.go   rows as bytes                          rowbatch.go  the rows of one request as bytes
//	key.go        keys whose bytes sort as their values
//	position.go   Split, Position, Owner, SplitProgress  reject.go  rejected records and dead letters
//	source.go     the source contract                    sink.go    the sink contract
//	capability.go what a sink may offer beyond writing   backend.go what the writer sends requests through
//	error.go      classes, answer codes, Error           hooks.go   callbacks for telemetry
//
// Invariants:
//
//	B1  a record's (split, offset, sub-index) is its identity: it is the same in every run that reads it again
//	B2  cells and index entries hold offsets into the slab, never pointers, so a batch may grow while it is read
//	B3  a key's encoded bytes compare as its values do, column by column
//	B4  decoding never panics and never reads outside its input, whatever the bytes are
package forebay
