// SPDX-License-Identifier: Apache-2.0

// Package ndjson reads and writes lines that are one JSON object each. Empty lines are passed over. A line that is not
// one JSON object in valid UTF-8 is rejected.
//
//	ndjson.go   Format                     start.go  the fields and types of the first rows
//	decoder.go  records in a window        object.go  one object into the cells of its row
//	encode.go   rows as objects
//
// Without a schema, and where no later stage needs rows, a record is its line, byte for byte, and where its fields lie
// is noted with it; steps find them by path and edit the record in place. With one, the
// top-level fields become cells: numbers for numbers, strings for strings, dates and timestamps, base64
// strings for bytes, numbers or strings for decimals, anything for json. A field that is missing is null, one
// that is there twice rejects the record, as does a number that the type cannot hold exactly as it is spelled
// (1.0 is no integer) and an escape that stands for no character.
package ndjson
