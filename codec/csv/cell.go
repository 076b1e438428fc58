// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// way says how the fields of a column become cells.
type way uint8

const (
	// wayAny parses through the root package.
	wayAny way = iota
	wayString
	wayInt64
	wayTimestamp
)

// column is one field of each record, in the order of the input.
type column struct {
	// slot is where its cell lies in a row.
	slot int
	way  way
	kind forebay.Type
	name string
}

// nullSet are the texts that mean null.
type nullSet struct {
	texts []string
	// sizes has bit n set if a text of n bytes is null, bit 63 for all longer ones.
	sizes uint64
	// short are the texts of up to eight bytes, as words.
	short []shortNull
}

type shortNull struct {
	size int
	word uint64
}

func newNullSet(texts []string) nullSet {
	n := nullSet{texts: texts}
	for _, text := range texts {
		n.sizes |= 1 << min(len(text), 63)
		if len(text) <= 8 {
			n.short = append(n.short, shortNull{len(text), swar.LoadUpTo([]byte(text), 0)})
		}
	}
	return n
}

// maybe is false for most sizes that no null text has.
func (n *nullSet) maybe(size int) bool { return n.sizes>>uint(min(size, 63))&1 != 0 }

func (n *nullSet) has(text []byte) bool {
	if len(text) > 8 {
		return slices.Contains(n.texts, string(text))
	}
	w := swar.LoadUpTo(text, 0)
	for _, null := range n.short {
		if null.size == len(text) && null.word == w {
			return true
		}
	}
	return false
}

// wayOf is the fastest way of a type that gives what the root package's parser gives, with these nulls.
func wayOf(t forebay.Type, nulls []string) way {
	if t == forebay.String {
		return wayString
	}
	for _, null := range nulls {
		if _, _, err := forebay.ParseCell(nil, t, []byte(null)); err == nil {
			return wayAny // a value of the type is null: each must be compared
		}
	}
	switch t {
	case forebay.Int64:
		return wayInt64
	case forebay.Timestamp:
		return wayTimestamp
	default:
		return wayAny
	}
}

// parse turns a field into a cell. Quoted text of string columns, which is never null, does not come here. What
// it appends to the slab is the value of a decimal.
func (d *decoder) parse(b *forebay.Batch, col *column, f field) (forebay.Cell, error) {
	text := b.Slab()[f.start:f.end]
	if d.nulls.maybe(len(text)) && d.nulls.has(text) {
		return forebay.Null, nil
	}
	return b.ParseCell(col.kind, f.start, f.end-f.start, d.zone)
}
