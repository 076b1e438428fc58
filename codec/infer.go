// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"

	"github.com/forebay-io/forebay"
)

// InferenceRows is how many rows the types of columns are learned from.
const InferenceRows = 10_000

// Inference finds the narrowest type that every value of a column has: int64, float64, bool, timestamp, date,
// and string for everything else. Integers must be canonical, without leading zeros, and fit 64 bits, and so
// must the integer part of floats: codes with leading zeros and long numbers stay text. The zero value is
// ready.
type Inference struct {
	excluded [candidates]bool
	seen     bool
	scratch  []byte
}

const (
	candidateInt64 = iota
	candidateFloat64
	candidateBool
	candidateTimestamp
	candidateDate
	candidates
)

// Add takes one value that is not null.
func (n *Inference) Add(text []byte) {
	n.seen = true
	for k := range n.excluded {
		if !n.excluded[k] && !n.fits(k, text) {
			n.excluded[k] = true
		}
	}
}

func (n *Inference) fits(candidate int, text []byte) bool {
	switch candidate {
	case candidateInt64:
		return canonicalInteger(text) && n.parses(forebay.Int64, text)
	case candidateFloat64:
		return plainNumber(text) && (!canonicalInteger(text) || n.parses(forebay.Int64, text)) &&
			n.parses(forebay.Float64, text)
	case candidateBool:
		return n.parses(forebay.Bool, text)
	case candidateTimestamp:
		return zonedInstant(text) && n.parses(forebay.Timestamp, text)
	case candidateDate:
		return n.parses(forebay.Date, text)
	default:
		return false
	}
}

func (n *Inference) parses(t forebay.Type, text []byte) bool {
	_, scratch, err := forebay.ParseCell(n.scratch[:0], t, text)
	n.scratch = scratch
	return err == nil
}

// Type is the type of the column; string if it had nulls only.
func (n *Inference) Type() forebay.Type {
	types := [candidates]forebay.Type{
		forebay.Int64, forebay.Float64, forebay.Bool, forebay.Timestamp, forebay.Date,
	}
	for k, t := range types {
		if n.seen && !n.excluded[k] {
			return t
		}
	}
	return forebay.String
}

// canonicalInteger reports whether printing the integer that text spells gives text again.
func canonicalInteger(text []byte) bool {
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if len(digits) == 0 || digits[0] == '0' && len(text) > 1 {
		return false
	}
	return len(cutDigits(digits)) == 0
}

// plainNumber reports whether text is a number as JSON writes it.
func plainNumber(text []byte) bool {
	rest := bytes.TrimPrefix(text, []byte{'-'})
	after := cutDigits(rest)
	if whole := len(rest) - len(after); whole == 0 || whole > 1 && rest[0] == '0' {
		return false
	}
	rest = after
	if len(rest) > 0 && rest[0] == '.' {
		if after = cutDigits(rest[1:]); len(after) == len(rest)-1 {
			return false
		}
		rest = after
	}
	if len(rest) > 0 && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		return len(rest) > 0 && len(cutDigits(rest)) == 0
	}
	return len(rest) == 0
}

// cutDigits is text behind the digits that it begins with.
func cutDigits(text []byte) []byte {
	for i, c := range text {
		if c < '0' || c > '9' {
			return text[i:]
		}
	}
	return nil
}

// zonedInstant reports whether text could be an RFC 3339 timestamp: with a T and a zone.
func zonedInstant(text []byte) bool {
	if len(text) < len("2006-01-02T15:04:05Z") || text[10] != 'T' {
		return false
	}
	return text[len(text)-1] == 'Z' || len(text) > 6 && text[len(text)-3] == ':' &&
		(text[len(text)-6] == '+' || text[len(text)-6] == '-')
}
