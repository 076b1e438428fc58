// SPDX-License-Identifier: Apache-2.0

// Package avro reads Avro object container files.
//
//	avro.go    Format, what a pipeline file configures     schema.go  the writer's schema as columns
//	header.go  what a file begins with                     record.go  records into rows
//	blocks.go  data blocks, and positions among them       json.go    nested values as JSON
//	unpack.go  compressions
//
// A file is one split: its data blocks are found only one behind the other. A position names the data block that it
// lies in, so reading goes on there without reading what is before it.
//
// Invariants:
//
//	AV1  no file makes reading panic, or hold much more than one of its data blocks, which is no larger than blockMax
//	AV2  a value comes out exactly as it was stored, or its record is rejected
//	AV3  the number of a record in the file is its offset
package avro
