// SPDX-License-Identifier: Apache-2.0

// Package file reads files as a source, once: what is there when the pipeline first sees a file is read to
// its end, and what is added later is not. As a sink it writes parts of files into buckets, exactly once.
//
//	sink.go      Sink, what a pipeline file configures        part/      how parts are written and published
//	file.go      Source, what a pipeline file configures      path.go    files, folders and patterns
//	feed.go      splits, ranges and what a state remembers    reader.go  one split, from a position
//	compress.go  gzip and zstd                                errors.go  what stops a pipeline, by name
//	place.go     where files lie: here, or in a bucket       container.go  files with blocks, such as Parquet
//
// Guarantee: positions are byte offsets of records in the uncompressed file, so reading can go on anywhere,
// also after a crash. Inside a compressed file that means reading it again up to there. In files with blocks they are
// numbers of rows.
//
// A file is one split, or several ranges on a fixed grid where the format can find records from any byte and
// the order within the file does not matter to the target. The grid and the beginning of each file are
// remembered: a file that changed since is refused. Of files with blocks, each block is a split where the order does
// not matter.
package file
