// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"unicode/utf8"
)

// Place is the line and column, both from 1, of the byte at index at of text, which begins a line whose
// number is line. Columns count characters; a byte that is not part of one counts as one.
func Place(text []byte, line int64, at int) (placeLine int64, column int) {
	before := text[:min(at, len(text))]
	line += int64(bytes.Count(before, []byte{'\n'}))
	before = before[bytes.LastIndexByte(before, '\n')+1:]
	return line, 1 + utf8.RuneCount(before)
}
