// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"unicode/utf8"
)

// piece is one reference: raw[rawFrom:rawTo] became text[textFrom:textTo].
type piece struct {
	rawFrom, rawTo   int
	textFrom, textTo int
}

// Text is a string that knows where it stands in the file, for expressions: an error at a byte offset of the
// string becomes a place in the file. It takes any scalar as it is written, so `true` and `1` are text too.
// The zero Text is an empty string without a place.
type Text struct { //nolint:recvcheck // reading sets it, all else takes the value
	Value string

	node *node
	path string
}

// UnmarshalConfig takes any scalar.
func (t *Text) UnmarshalConfig(v *Value) Problems {
	if !v.node.scalar() {
		return Problems{v.node.problem(v.path, "expected text, found "+v.node.describe(),
			textCure(v.node, v.path, "write it on one line, in quotes where it holds ': ' or ' #'"))}
	}
	*t = Text{Value: v.node.text, node: v.node, path: v.path}
	return nil
}

// String is the string.
func (t Text) String() string { return t.Value }

// Path is the field that holds the text.
func (t Text) Path() string { return t.path }

// At is the place of the byte at offset. Inside a ${...} it is the place of the reference; behind the end, the
// place after the last character.
func (t Text) At(offset int) Position {
	if t.node == nil {
		return Position{}
	}
	return t.node.src.position(t.node.place(offset))
}

// Problem is about length bytes from offset.
func (t Text) Problem(offset, length int, message string) Problem {
	if t.node == nil {
		return Problem{Path: t.path, Message: message}
	}
	n := t.node
	from, to := n.place(offset), n.place(offset+length)
	width := to.column - from.column
	if to.line != from.line {
		width = utf8.RuneCountInString(n.src.line(from.line)) - from.column + 1
	}
	return Problem{
		Position: n.src.position(from), Width: max(width, 1), Origin: n.src.origin,
		Path: t.path, Message: redactNode(message, n), src: n.src,
	}
}

// place maps a byte offset of n.text to the file.
func (n *node) place(offset int) place {
	offset = min(max(offset, 0), len(n.text))
	return n.rawPlace(n.rawOffset(offset))
}

func (n *node) rawOffset(offset int) int {
	shift := 0
	for _, p := range n.pieces {
		if offset < p.textFrom {
			break
		}
		if offset < p.textTo {
			return p.rawFrom
		}
		shift = p.rawTo - p.textTo
	}
	return min(offset+shift, len(n.raw))
}

// rawPlace walks the file's characters and the scalar's side by side up to the offset.
func (n *node) rawPlace(offset int) place {
	c := cursor{src: n.src, at: n.at, style: n.style}
	switch n.style {
	case styleSingle, styleDouble:
		c.at.column++
	case styleLiteral, styleFolded:
		c.enterBlock()
	case stylePlain:
	}
	c.load()
	for _, r := range n.raw[:offset] {
		c.step(r)
	}
	if offset < len(n.raw) && n.raw[offset] != '\n' && n.raw[offset] != ' ' {
		c.skipBreaks()
	}
	return c.at
}

// cursor is a place in the file while a scalar is walked.
type cursor struct {
	src    *source
	at     place
	style  style
	indent int // of a block scalar's lines
	runes  []rune
	filled int // characters of the line up to its last one that is no white space
}

func (c *cursor) load() {
	c.runes = c.src.characters(c.at.line)
	c.filled = len(c.runes)
	for c.filled > 0 && (c.runes[c.filled-1] == ' ' || c.runes[c.filled-1] == '\t') {
		c.filled--
	}
}

func (c *cursor) atLineEnd() bool { return c.at.column > len(c.runes) }

func (c *cursor) char(ahead int) rune {
	if i := c.at.column - 1 + ahead; i >= 0 && i < len(c.runes) {
		return c.runes[i]
	}
	return 0
}

// enterBlock goes to the first character of a block scalar's first line.
func (c *cursor) enterBlock() {
	for n := c.at.line + 1; n <= len(c.src.lines); n++ {
		line := c.src.line(n)
		if text := strings.TrimLeft(line, " "); text != "" {
			c.indent = len(line) - len(text)
			break
		}
	}
	c.at = place{line: c.at.line + 1, column: c.indent + 1}
}

func (c *cursor) nextLine() bool {
	if c.at.line >= len(c.src.lines) {
		return false
	}
	c.at.line++
	c.load()
	c.at.column = 1
	if c.style == styleLiteral || c.style == styleFolded {
		c.at.column = c.indent + 1
		return true
	}
	for c.char(0) == ' ' || c.char(0) == '\t' {
		c.at.column++
	}
	return true
}

// skipBreaks goes over line ends that the scalar folded away.
func (c *cursor) skipBreaks() {
	for (c.atLineEnd() || c.blankRest() && c.style != styleLiteral) && c.nextLine() {
	}
	for c.style == styleDouble && c.char(0) == '\\' && c.char(1) == 0 && c.nextLine() {
	}
}

// blankRest says that only white space is left on the line, which folding drops.
func (c *cursor) blankRest() bool {
	return c.at.column > c.filled
}

// step passes the characters of the file that became r.
func (c *cursor) step(r rune) {
	if c.style == styleDouble && c.char(0) == '\\' && c.char(1) == 0 {
		c.skipBreaks()
	}
	switch {
	case c.style == styleDouble && c.char(0) == '\\':
		c.at.column += escapeWidth(c.char(1))
	case (r == '\n' || r == ' ') && (c.atLineEnd() || c.style != styleLiteral && c.blankRest()):
		c.nextLine()
	case r == '\n' || r == ' ':
		c.at.column++
	default:
		c.skipBreaks()
		switch {
		case c.style == styleDouble && c.char(0) == '\\':
			c.at.column += escapeWidth(c.char(1))
		case c.style == styleSingle && c.char(0) == '\'':
			c.at.column += 2
		default:
			c.at.column++
		}
	}
}

// escapeWidth is the length of a double-quoted escape that begins with \ and r.
func escapeWidth(r rune) int {
	switch r {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	default:
		return 2
	}
}
