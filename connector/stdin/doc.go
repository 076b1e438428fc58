// SPDX-License-Identifier: Apache-2.0

// Package stdin is a source that reads the standard input to its end.
//
// It has one split, named stdin; a position is the offset of a byte. What was read cannot be read again, so a
// crash loses what was on its way, and a drain loses nothing.
//
// A read of the standard input cannot be interrupted. So a goroutine of its own reads, one block ahead; it
// ends with the input, or at the first block after the reader was closed.
//
// Guarantee: not replayable.
// Limits: a record may have 16 MiB; a longer one is rejected.
package stdin
