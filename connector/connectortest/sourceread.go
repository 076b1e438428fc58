// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// item is one record of a split as the suite remembers it, or one that was rejected.
type item struct {
	Offset   int64
	Sub      uint32
	Rejected bool
	Key      string
	Value    string
	// Row is the typed row, or the code of the reject.
	Row  string
	Op   forebay.Op
	Time int64
}

// mark is a position that a batch ended at, and how many items came before it.
type mark struct {
	items    int
	position forebay.Position
}

// splitRead is what was read of one split.
type splitRead struct {
	split forebay.Split
	items []item
	marks []mark
}

type readOptions struct {
	// limit is how many items to return; reading ends with the batch that reaches it.
	limit int
	from  forebay.Position
	// reader is one that is open, and stays so; nil to open one at from.
	reader forebay.Reader
	// spoil overwrites each batch after use.
	spoil bool
}

// read opens a split, unless it is given a reader, and reads it on and checks what every batch must keep.
func (h SourceHarness) read(t T, o opened, split forebay.Split, options readOptions) splitRead {
	t.Helper()
	reader := options.reader
	if reader == nil {
		reader = o.open(t, split, options.from)
	}
	out := splitRead{split: split}
	last := bound{split: split.ID, position: options.from}
	b := forebay.NewBatch()
	for idle := 0; len(out.items) < options.limit; {
		b.Reset(split, o.width)
		err := h.readOnce(t, reader, b)
		if errors.Is(err, io.EOF) {
			if b.Len() > 0 || len(b.Rejects()) > 0 {
				t.Fatalf("split %q: io.EOF came with %d records", split.ID, b.Len())
			}
			if split.Unbounded {
				t.Fatalf("split %q ended and says that it has no end", split.ID)
			}
			break
		}
		if err != nil {
			t.Fatalf("split %q, read after %d items: %v", split.ID, len(out.items), err)
		}
		items := itemsOf(t, b, o.feed.Schema())
		if len(items) == 0 {
			if idle++; idle > 1000 {
				t.Fatalf("split %q: a thousand empty batches and no end", split.ID)
			}
			continue
		}
		idle = 0
		last = last.check(t, b, items)
		out.items = append(out.items, items...)
		out.marks = append(out.marks, mark{items: len(out.items), position: b.Position()})
		if options.spoil {
			spoil(b)
		}
	}
	if options.reader == nil {
		closeReader(t, reader)
	}
	out.items = out.items[:min(len(out.items), options.limit)]
	for len(out.marks) > 0 && out.marks[len(out.marks)-1].items > len(out.items) {
		out.marks = out.marks[:len(out.marks)-1]
	}
	return out
}

// readOnce is one Read that must return in time.
func (h SourceHarness) readOnce(t T, reader forebay.Reader, b *forebay.Batch) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.patience())
	defer cancel()
	if !h.Claims.Blocks {
		return reader.Read(ctx, b)
	}
	var err error
	within(t, 2*h.patience(), "read", func() { err = reader.Read(ctx, b) })
	return err
}

func (h SourceHarness) patience() time.Duration {
	if h.Patience > 0 {
		return h.Patience
	}
	return PatienceDefault
}

func closeReader(t T, reader forebay.Reader) {
	t.Helper()
	if err := reader.Close(); err != nil {
		t.Errorf("close a reader: %v", err)
	}
}

// itemsOf copies the records and rejects of a batch, merged by offset.
func itemsOf(t T, b *forebay.Batch, schema *forebay.Schema) []item {
	t.Helper()
	items := make([]item, 0, b.Len()+len(b.Rejects()))
	rejects := b.Rejects()
	takeRejects := func(below int64) {
		for len(rejects) > 0 && rejects[0].Offset < below {
			items = append(items, rejectItem(t, b, rejects[0]))
			rejects = rejects[1:]
		}
	}
	for i := range b.Len() {
		r := b.Record(i)
		takeRejects(r.Offset)
		items = append(items, item{
			Offset: r.Offset, Sub: r.Sub, Key: string(b.Key(i)), Value: string(b.Value(i)), Op: r.Op, Time: r.Time,
			Row: rowText(t, b, i, schema),
		})
	}
	takeRejects(math.MaxInt64)
	return items
}

func rejectItem(t T, b *forebay.Batch, r forebay.Reject) item {
	t.Helper()
	if r.Split != b.Split().ID || r.Code == "" || r.Reason == "" {
		t.Errorf("a reject lacks its split, code or reason: %+v", r)
	}
	return item{Offset: r.Offset, Sub: r.Sub, Rejected: true, Value: string(r.Value), Row: r.Code + " " + r.Place}
}

// rowText is the typed row as text, and checks its cells.
func rowText(t T, b *forebay.Batch, i int, schema *forebay.Schema) string {
	t.Helper()
	if schema == nil {
		return ""
	}
	if b.Layout() == nil || !b.Layout().Schema.Equal(schema) {
		t.Fatalf("a batch has not the layout of the feed's schema %s", schema)
	}
	var text []byte
	row := b.Row(i)
	for k := range schema.Len() {
		cell, column := row.Cell(k), schema.Column(k)
		text = append(text, '|')
		if cell.IsNull() {
			text = append(text, "null"...)
			continue
		}
		if cell.Kind() != column.Type.Kind {
			t.Fatalf("offset %d: column %q is a %s and the cell a %s", b.Record(i).Offset, column.Name, column.Type, cell.Kind())
		}
		if cell.Kind() == forebay.KindString && !utf8.Valid(cell.Bytes(b.Slab())) {
			t.Errorf("offset %d: column %q is not valid UTF-8", b.Record(i).Offset, column.Name)
		}
		text = forebay.AppendCell(text, column.Type, cell, b.Slab())
	}
	return string(text)
}

// bound is how far a split was read.
type bound struct {
	split    string
	position forebay.Position
	offset   int64
	sub      uint32
	any      bool
}

// check checks what a batch must keep, and moves the bound behind it.
func (l bound) check(t T, b *forebay.Batch, items []item) bound {
	t.Helper()
	if b.Split().ID != l.split {
		t.Fatalf("a batch of split %q came back as one of %q", l.split, b.Split().ID)
	}
	if b.Len() > forebay.BatchRecordsMax {
		t.Errorf("a batch has %d records, more than %d", b.Len(), forebay.BatchRecordsMax)
	}
	size := 0
	for i := range b.Len() - 1 {
		size += len(b.Value(i)) + len(b.Key(i))
	}
	if size >= int(forebay.BatchBytesMax) {
		t.Errorf("a batch of %d records goes on after it was full: %d bytes before the last record", b.Len(), size)
	}
	for _, it := range items {
		if l.any && (it.Offset < l.offset || it.Offset == l.offset && it.Sub <= l.sub) {
			t.Fatalf("split %q: offset %d.%d comes after %d.%d", l.split, it.Offset, it.Sub, l.offset, l.sub)
		}
		if it.Offset < l.position.Offset {
			t.Fatalf("split %q: offset %d comes after position %s", l.split, it.Offset, l.position)
		}
		l.offset, l.sub, l.any = it.Offset, it.Sub, true
	}
	if position := b.Position(); !position.Finished && position.Offset <= l.offset {
		t.Fatalf("split %q: position %s does not pass offset %d, which came with it", l.split, position, l.offset)
	}
	l.position = b.Position()
	return l
}

// spoil overwrites everything that the batch holds.
func spoil(b *forebay.Batch) {
	for i := range b.Slab() {
		b.Slab()[i] = 0xa5
	}
	for i := range b.Len() {
		for k := range b.Cells(i) {
			b.Cells(i)[k] = forebay.Null
		}
	}
}

// compareItems fails where two readings differ, and names the first difference.
func compareItems(t T, what string, got, want []item) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: item %d of %d differs (-want +got):\n%s", what, i, len(want), cmp.Diff(want[i], got[i]))
		}
	}
	switch {
	case len(got) < len(want):
		t.Fatalf("%s: %d items are missing, the first is %s", what, len(want)-len(got), want[len(got)])
	case len(got) > len(want):
		t.Fatalf("%s: %d items too many, the first is %s", what, len(got)-len(want), got[len(want)])
	}
}

func (it item) String() string {
	kind := "record"
	if it.Rejected {
		kind = "reject"
	}
	return fmt.Sprintf("%s at %d.%d %q%s", kind, it.Offset, it.Sub, it.Value, it.Row)
}
