// SPDX-License-Identifier: Apache-2.0

// Package jsonedit finds the fields of a JSON object by path, and edits it without touching the rest.
//
//	path.go    Path: the names that lead to a field
//	record.go  Record: the fields of one object, and finding them
//	edit.go    Set, Drop, Rename, Keep     write.go  the object after its edits
//	cursor.go  walking an object           value.go  numbers and strings
//
// An object that was read as well-formed is walked once; what is not edited comes out byte for byte, white
// space and spelling included. Objects are taken as well-formed: other bytes are refused or misread, but never
// read outside, and never make anything panic.
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
