// SPDX-License-Identifier: Apache-2.0

// Package raw reads and writes records as bytes between delimiters, lines unless told otherwise, and looks into none of
// them. Where the delimiter is a line break, a carriage return before it belongs to it. An empty line is a
// record; nothing behind the last delimiter is none.
package raw
