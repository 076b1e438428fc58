// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"unicode/utf8"
)

// Kind is the shape of a value in the file.
type Kind uint8

// The shapes. KindNull is also a key without a value.
const (
	KindNull Kind = iota
	KindBool
	KindInt
	KindFloat
	KindString
	KindList
	KindMapping
)

// style is how a scalar is written.
type style uint8

const (
	stylePlain style = iota
	styleSingle
	styleDouble
	styleLiteral
	styleFolded
)

// source is a text that nodes come from: the file, or one --set.
type source struct {
	file   string
	origin string
	lines  []string
	masks  []mask

	runesOf int // the line that runes holds
	runes   []rune
}

// mask covers characters that must not be shown.
type mask struct {
	line, from, to int
}

// newSource cuts the text at the same line breaks as the YAML library, so that line numbers agree.
func newSource(file, text string) *source {
	s := &source{file: file}
	start := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		end := i
		i += size
		switch r {
		case '\r':
			if strings.HasPrefix(text[i:], "\n") {
				i++
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		s.lines = append(s.lines, text[start:end])
		start = i
	}
	s.lines = append(s.lines, text[start:])
	return s
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// position is a place as people count it. K3: places are of characters, not bytes, and count from 1.
func (s *source) position(at place) Position {
	if s.origin != "" {
		return Position{Line: at.line, Column: at.column}
	}
	return Position{File: s.file, Line: at.line, Column: at.column}
}

// characters is a line as characters; the last one asked for is kept, since a line is asked for many times.
// The caller does not change it.
func (s *source) characters(n int) []rune {
	if s.runesOf != n || s.runes == nil {
		s.runesOf, s.runes = n, []rune(s.line(n))
	}
	return s.runes
}

// place is a line and a column, both from 1.
type place struct {
	line, column int
}

// node is one value of the tree.
type node struct {
	kind  Kind
	text  string // of a scalar, references replaced
	raw   string // of a scalar as the file says it: what errors may show
	style style
	flow  bool // [a, b] or {a: b}
	src   *source
	at    place
	key   *node // its key, nil for list items and the root

	pieces []piece // the references in raw
	whole  bool    // raw is one reference
	secret bool    // text holds something from outside

	removed bool // --set KEY=null: the key is still checked, the value is as if left out
	partial bool // keys may be missing because a part could not be read

	entries []entry
	items   []*node
}

// entry is one key of a mapping. name is the key, or what is left of a dotted one.
type entry struct {
	name  string
	key   *node
	value *node
}

func (n *node) scalar() bool {
	return n.kind != KindList && n.kind != KindMapping
}

// width is how many characters of the first line the node takes.
func (n *node) width() int {
	if !n.scalar() || n.raw == "" && n.style == stylePlain {
		return 1
	}
	switch n.style {
	case styleLiteral, styleFolded:
		return 1
	case stylePlain, styleSingle, styleDouble:
	}
	rest := len(n.src.characters(n.at.line)) - n.at.column + 1
	end := n.place(len(n.text))
	if n.style != stylePlain {
		end.column++
	}
	if end.line != n.at.line {
		return max(rest, 1)
	}
	return max(min(end.column-n.at.column, rest), 1)
}

// problem is about this node.
func (n *node) problem(path, message, cure string) Problem {
	return Problem{
		Position: n.src.position(n.at), Width: n.width(), Origin: n.src.origin,
		Path: path, Message: message, Cure: cure, src: n.src,
	}
}

func (n *node) related(message string) Related {
	return Related{
		Position: n.src.position(n.at), Width: n.width(), Origin: n.src.origin, Message: message, src: n.src,
	}
}

// keyOrSelf is the place for problems about the node as a whole.
func (n *node) keyOrSelf() *node {
	if n.key != nil {
		return n.key
	}
	return n
}

// shown is the scalar as errors may show it: never what a reference stands for, and not too long.
func (n *node) shown() string {
	text := n.raw
	if r := []rune(text); len(r) > 60 {
		text = string(r[:57]) + "..."
	}
	return text
}

// cutKey is the key behind its first segments, for the rest of a dotted key.
func cutKey(key *node, rest string) *node {
	shift := utf8.RuneCountInString(key.raw) - utf8.RuneCountInString(rest)
	if shift <= 0 {
		return key
	}
	out := *key
	out.raw, out.text = rest, rest
	out.at.column += shift
	if key.style != stylePlain {
		out.at.column++
		out.style = stylePlain
	}
	return &out
}

// resolve gives the kind of a plain scalar as YAML 1.2 reads it, with digits grouped by _ allowed.
func resolve(text string) Kind {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return KindNull
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return KindBool
	case ".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN":
		return KindFloat
	}
	return resolveNumber(text)
}

func resolveNumber(text string) Kind {
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 || digits == "" {
		return KindString
	}
	if hex, ok := strings.CutPrefix(digits, "0x"); ok && hex != "" && strings.Trim(hex, "0123456789abcdefABCDEF") == "" {
		return KindInt
	}
	if octal, ok := strings.CutPrefix(digits, "0o"); ok && octal != "" && strings.Trim(octal, "01234567") == "" {
		return KindInt
	}
	if digits[0] >= '0' && digits[0] <= '9' && strings.Trim(digits, "0123456789_") == "" {
		return KindInt
	}
	mantissa, exponent, found := strings.Cut(strings.ToLower(digits), "e")
	if found {
		exponent = strings.TrimPrefix(strings.TrimPrefix(exponent, "-"), "+")
		if exponent == "" || strings.Trim(exponent, "0123456789") != "" {
			return KindString
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return KindString
	}
	return KindFloat
}
