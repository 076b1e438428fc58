// SPDX-License-Identifier: Apache-2.0

// Package parquet reads and writes Parquet files. It decodes and encodes footers and pages itself: a damaged or hostile
// file must cost an error and nothing else, and no row may cost an object. parquet-go gives the structures of the
// metadata that is written, and their encoding.
//
//	parquet.go  Format, what a pipeline file configures      footer.go       what the end of a file says
//	schema.go   columns of a file and their types            thrift.go       the encoding of footers and page headers
//	blocks.go   row groups as blocks, rows into batches      page.go         pages: sizes, checksums, levels
//	unpack.go   compressions                                 values.go       encodings of values
//	bits.go     packed integers                              convert.go      values into cells
//	write.go    rows into a file, row group by row group     writecolumn.go  values into pages, dictionaries, bounds
//	pack.go     compressions                                 writeschema.go  columns as the footer names them
//
// A row group is a block. Columns are decoded a page at a time into memory that is used again, and handed on as cells
// for a stretch of rows in which no column changes its page. When writing, the pages of a row group are kept packed
// until it is complete, because its columns lie one behind the other.
//
// Invariants:
//
//	PQ1  no file makes reading panic, or hold much more than its pages, of which none is larger than pageMax
//	PQ2  a value comes out exactly as it was stored, or its row is rejected: nothing is rounded or cut
//	PQ3  the row number in the file is the offset of a record, whatever the row groups, pages and batches
package parquet
