// SPDX-License-Identifier: Apache-2.0

// Package generate is a source that makes records up: for load, for tests and for trying things out. Every
// record follows from the seed and its index alone, so a run that continues at any position gives what an
// uninterrupted one would have given.
//
//	source.go  Source, its configuration, and what is wrong with it
//	feed.go    splits, and the reader that fills batches
//	value.go   the bytes of a record, and their closed form
//	field.go   the configuration of typed fields
//	column.go  the values of typed fields
//
// Splits: with a count, split k of n holds one of n contiguous stretches of the index; without one, it holds
// the records whose index is k modulo n. The position is the index of the next record.
//
// Values: the first 16 bytes of record i are two little-endian integers, i + a and i*i*i + b modulo 2^64,
// where a and b follow from the seed and are 0 for seed 0. The rest is the template, again and again. So the
// sums over n records have a closed form, T + n*a and T*T + n*b with T = n*(n-1)/2, by which a sink that adds
// up what it gets finds lost and repeated records (Source.Sum).
//
// Fields: with fields, each record is a typed row, and has a value only where a size is given.
//
// Guarantee: replayable.
// Limits: see the fields of Source.
package generate
