// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"sort"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// ledger is what a table is to hold: 16 bytes for each row of the input, and what was found of it.
//
// A row is known by the hash of its columns. Two different rows with one hash, of which there is one pair in
// billions of rows, would hide each other.
type ledger struct {
	columns []string
	common  bool // columns that the first input does not have are not compared
	key     []string
	version string
	ordered bool // a log table keeps the order of a split

	row, keys rowHasher
	versionAt int
	split     uint32
	ordinal   uint32
	entries   []ledgerEntry
	keyed     []keyedEntry
	taken     []uint32 // by the index of the first entry with a hash: how many of them the table had
	last      map[place]uint32
	tablets   map[string]uint32

	filtered, rejected int64
	found              finding
}

// ledgerEntry is one expected row.
type ledgerEntry struct {
	hash           uint64
	split, ordinal uint32
}

// keyedEntry is a row of a table with a key, of which only the last one stays.
type keyedEntry struct {
	key, row uint64
	version  int64
}

// place is a split within a tablet: rows keep their order there.
type place struct{ tablet, split uint32 }

func newLedger(info tablet.TableInfo, key []string) (*ledger, error) {
	l := &ledger{
		columns: info.Schema.Names(), key: key, version: info.Version, ordered: len(info.Key) == 0,
		last: map[place]uint32{}, tablets: map[string]uint32{},
	}
	if l.version != "" {
		switch kind := info.Schema.Column(info.Schema.Find(l.version)).Type.Kind; kind {
		case forebay.KindInt32, forebay.KindInt64, forebay.KindDate, forebay.KindTimestamp:
		default:
			return nil, wrong("", "a table whose version is a %s cannot be audited", kind)
		}
	}
	l.row.seed, l.keys.seed = maphash.MakeSeed(), maphash.MakeSeed()
	return l, nil
}

// begin starts another split, whose rows have the layout.
func (l *ledger) begin(layout *forebay.Layout) {
	if l.common && l.split == 0 {
		l.columns = slices.DeleteFunc(l.columns, func(name string) bool { return layout.Schema.Find(name) < 0 })
	}
	l.row, l.keys = l.row.of(layout, l.columns), l.keys.of(layout, l.key)
	l.versionAt = -1
	if i := layout.Schema.Find(l.version); i >= 0 {
		l.versionAt = layout.Slots[i]
	}
	l.split++
	l.ordinal = 0
}

// expect adds a row of the input.
func (l *ledger) expect(b *forebay.Batch, i int) {
	hash := l.row.hash(b, i)
	if len(l.key) == 0 {
		l.entries = append(l.entries, ledgerEntry{hash, l.split, l.ordinal})
		l.ordinal++
		return
	}
	e := keyedEntry{key: l.keys.hash(b, i), row: hash}
	if l.versionAt >= 0 {
		e.version = b.Cells(i)[l.versionAt].Int()
	}
	l.keyed = append(l.keyed, e)
}

// close ends the input.
func (l *ledger) close() {
	l.found.filtered, l.found.rejected = l.filtered, l.rejected
	l.found.read = int64(len(l.entries)+len(l.keyed)) + l.filtered + l.rejected
	slices.SortStableFunc(l.keyed, func(a, b keyedEntry) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.version, b.version))
	})
	for i, e := range l.keyed {
		if i+1 < len(l.keyed) && l.keyed[i+1].key == e.key {
			l.found.replaced++
			continue
		}
		l.entries = append(l.entries, ledgerEntry{hash: e.row})
	}
	l.keyed = nil
	slices.SortFunc(l.entries, func(a, b ledgerEntry) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.split, b.split), cmp.Compare(a.ordinal, b.ordinal))
	})
	l.taken = make([]uint32, len(l.entries))
	l.found.expected = int64(len(l.entries))
}

// compare looks for every row of the table in the ledger.
func (l *ledger) compare(ctx context.Context, rows tablet.Rows) error {
	l.row = l.row.of(rows.Layout(), l.columns)
	b := forebay.NewBatch()
	for {
		switch err := rows.Next(ctx, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		at, known := l.tablets[b.SplitID()]
		if !known {
			at = uint32(len(l.tablets))
			l.tablets[b.SplitID()] = at
		}
		for i := range b.Len() {
			l.meet(l.row.hash(b, i), at)
		}
	}
}

// meet finds a row of the table.
func (l *ledger) meet(hash uint64, tablet uint32) {
	l.found.inTable++
	first := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].hash >= hash })
	same := l.group(first, hash)
	switch {
	case same == 0:
		l.found.unexpected++
		return
	case int(l.taken[first]) == same:
		l.found.repeated++
		return
	}
	l.taken[first]++
	if !l.ordered || same > 1 || len(l.key) > 0 {
		return // of equal rows none can be told to be the earlier one
	}
	e := l.entries[first]
	at := place{tablet, e.split}
	if before, met := l.last[at]; met && e.ordinal < before {
		l.found.reordered++
	}
	l.last[at] = e.ordinal
}

// group is how many entries from first on have the hash.
func (l *ledger) group(first int, hash uint64) int {
	n := 0
	for first+n < len(l.entries) && l.entries[first+n].hash == hash {
		n++
	}
	return n
}

// result counts what is missing.
func (l *ledger) result() finding {
	f := l.found
	f.lost = f.expected
	for _, n := range l.taken {
		f.lost -= int64(n)
	}
	return f
}
