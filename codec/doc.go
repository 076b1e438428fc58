// SPDX-License-Identifier: Apache-2.0

// Package codec turns bytes into records, one folder per format. It opens nothing: sources hand it their
// bytes.
//
//	codec.go   Format, what a source configures; Decoding, the format started; Decoder, one reader's share
//	stream.go  Stream fills batches from an io.Reader through a Decoder: blocks, carried tails, positions
//	block.go   Blocks, for formats whose inputs are read anywhere, by an index, and not from their beginning
//	encode.go  Writable, a format in which records can be written
//	schema.go  Schema as a configuration gives it, and as a state remembers it
//	infer.go   the types of columns from the first rows
//	place.go   lines and columns for people
//
// Invariants:
//
//	F1  a position is always on a record boundary; reading on from it gives the records that would have come
//	F2  which records come, and which are rejected, depends on the input's bytes alone, not on blocks or batches
//	F3  of two ranges of one input, each record belongs to the one in which it starts
//	F4  no input makes a decoder panic, or hold much more than the longest record allowed
package codec
