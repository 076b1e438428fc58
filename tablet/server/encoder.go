// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/cespare/xxhash/v2"

	"github.com/forebay-io/forebay"
)

// encoder implements forebay.Encoder for one table and one layout.
type encoder struct {
	table    *table
	schemaID uint32
	now      func() int64
	slots    []int
	rows     *forebay.RowEncoder
	place    *forebay.KeyEncoder // of the key, or of distribute_by; nil where rows are placed by their split
	keyed    bool
	version  bool

	// What the last Route found out.
	batch *forebay.Batch
	index int
	op    forebay.Op
	key   []byte

	split       string
	splitTablet int
	splitKnown  bool
}

// newEncoder fits an encoder to a layout, whose columns must be columns of the table.
func (s *Server) newEncoder(t *table, layout *forebay.Layout) (*encoder, error) {
	schemaID, err := s.shape(t, layout.Schema)
	if err != nil {
		return nil, err
	}
	d := t.descriptor.Load()
	e := &encoder{
		table: t, schemaID: schemaID, now: s.now, slots: layout.Slots, keyed: t.keyed, version: d.version != "",
		rows: forebay.NewRowEncoder(layout, d.values(layout.Schema)),
	}
	placed := d.key
	if !t.keyed {
		placed = d.distributeBy
	}
	if len(placed) > 0 {
		if e.place, err = forebay.NewKeyEncoder(layout, d.columns(layout.Schema, placed)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Route implements forebay.Encoder.
func (e *encoder) Route(b *forebay.Batch, i int) (int, error) {
	e.batch, e.index, e.op = b, i, b.Record(i).Op
	if !e.keyed && e.op != forebay.OpInsert {
		return 0, e.reject("op-not-allowed", "the table has no key and takes inserts only, and the record is %s %s",
			article(e.op), e.op)
	}
	if int(b.Size())*len(e.slots) > int(RowBytesMax) {
		if err := e.checkSize(b, i); err != nil {
			return 0, err
		}
	}
	if e.place == nil {
		return e.routeSplit(b.SplitID()), nil
	}
	var err error
	if e.key, err = e.place.Append(e.key[:0], b, i); err != nil {
		return 0, err
	}
	return e.table.tabletOf(e.key), nil
}

// routeSplit is the tablet of all rows of a split. Rows that come from no split go to one tablet for each encoder.
func (e *encoder) routeSplit(split string) int {
	if e.splitKnown && split == e.split {
		return e.splitTablet
	}
	hash := xxhash.Sum64String(split)
	if split == "" {
		hash = uint64(e.table.nextTablet.Add(1) - 1)
	}
	e.split, e.splitKnown = split, true
	e.splitTablet = int(hash % uint64(len(e.table.tablets)))
	return e.splitTablet
}

// checkSize adds up a row whose batch is large enough for the row to be too large.
func (e *encoder) checkSize(b *forebay.Batch, i int) error {
	cells, size := b.Cells(i), 0
	for _, slot := range e.slots {
		size += 10
		if c := cells[slot]; c.Kind().InSlab() {
			_, n := c.Span()
			size += n
		}
	}
	if size > int(RowBytesMax) {
		return e.reject("row-too-large", "the row has about %d bytes; a row may have %s", size, RowBytesMax)
	}
	return nil
}

func (e *encoder) reject(code, format string, args ...any) error {
	err := forebay.Errorf("encode row", forebay.ClassRejected, format, args...)
	err.Code = code
	return err
}

// Append implements forebay.Encoder.
func (e *encoder) Append(data []byte) []byte {
	if !e.keyed {
		return e.rows.AppendSized(data, e.batch, e.index)
	}
	data = forebay.AppendRowKey(data, e.op, e.key)
	if e.op == forebay.OpDelete && !e.version {
		return forebay.AppendSizedRow(data, nil)
	}
	return e.rows.AppendSized(data, e.batch, e.index)
}

// Open implements forebay.Encoder.
func (e *encoder) Open(data []byte) []byte { return forebay.AppendRowBatchHeader(data, e.keyed) }

// Seal implements forebay.Encoder.
func (e *encoder) Seal(data []byte, records int) []byte {
	return forebay.SealRowBatch(data, e.schemaID, records, e.now())
}

func article(op forebay.Op) string {
	if op == forebay.OpUpsert {
		return "an"
	}
	return "a"
}
