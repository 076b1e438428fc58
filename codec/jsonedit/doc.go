// SPDX-License-Identifier: Apache-2.0

// Package jsonedit finds the fields of a JSON object by path, and edits it without touching the rest.
//
//	path.go    Path: the names that lead to a field
//	record.go  Record: the fields of one object, and finding them
//	edit.go    Set, Drop, Rename, Keep     write.go  the object after its edits
//	value.go   numbers and strings
//
// Where the fields lie is what the decoder has noted with the record; where nothing is noted, such as of an object in a
// field, a walk finds them, which refuses what is not well-formed. What is not edited comes out byte for byte, white
// space and spelling included.
//
// A name that is there twice: the last one counts, for reading and for edits. An edit through a name leaves one
// field of that name, so that its result reads the same everywhere; names that no edit goes through stay as
// often as they were.
//
// Invariants:
//
//	J1  what no edit goes through comes out byte for byte, in its order.
//	J2  nothing is allocated for a record once the buffers have grown.
//	J3  no input makes anything panic or read outside it.
package jsonedit
