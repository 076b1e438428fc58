// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// blocks implements codec.Blocks: a row group is a block.
type blocks struct {
	name    string
	layout  *forebay.Layout
	columns []column
	// cells says where the values of each column go in a row.
	cells  []int
	groups []group
}

// Len implements codec.Blocks.
func (bs *blocks) Len() int { return len(bs.groups) }

// Rows implements codec.Blocks.
func (bs *blocks) Rows(block int) int64 { return bs.groups[block].rows }

// Open implements codec.Blocks.
func (bs *blocks) Open(_ context.Context, in codec.BlockInput, c codec.BlockConfig) (codec.BlockReader, error) {
	g := &bs.groups[c.Block]
	r := &groupReader{layout: bs.layout, config: c, name: bs.name, total: g.rows}
	if c.At != (forebay.Position{}) {
		r.row = c.At.Offset - c.First
	}
	if r.row < 0 || r.row > r.total {
		e := forebay.Errorf("read "+in.Name, forebay.ClassMisconfigured,
			"row group %d has the rows %d to %d, and was read to row %d before: the file has changed", c.Block, c.First,
			c.First+r.total, c.At.Offset)
		e.Code, e.Cure = "file-changed", "bring the earlier content back, or give the pipeline another name to start over"
		return nil, e
	}
	if r.config.MaxRecord <= 0 {
		r.config.MaxRecord = codec.MaxRecordDefault
	}
	where := "row group " + strconv.Itoa(c.Block)
	r.columns = make([]columnReader, len(bs.columns))
	for i := range r.columns {
		h := g.chunks[bs.columns[i].leaf]
		r.columns[i] = columnReader{
			column: bs.columns[i], chunk: h, cell: bs.cells[i], in: in, where: where, unpack: &r.unpack,
			at: h.start(), end: h.start() + h.size, left: g.rows, skip: r.row,
			ahead: int64(min(max(readSum/len(bs.columns), readMin), readMax)),
		}
		err := knownCompression(h.codec)
		if h.elsewhere || h.secret {
			err = errElsewhere
		}
		if err != nil {
			return nil, forebay.Errorf("read "+in.Name+", "+where, forebay.ClassMisconfigured, "column %q: %w",
				bs.columns[i].name, err)
		}
	}
	return r, nil
}

// groupReader implements codec.BlockReader.
type groupReader struct {
	layout  *forebay.Layout
	config  codec.BlockConfig
	name    string
	columns []columnReader
	unpack  unpacker
	// row is the next row of the group, and total how many there are.
	row, total int64

	sizes []int
	large []bool
	fills fills
}

// Read implements codec.BlockReader.
func (r *groupReader) Read(ctx context.Context, b *forebay.Batch) error {
	b.SetLayout(r.layout)
	for r.row < r.total && !b.Full() && !codec.BatchDone(b) {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n := int(min(r.total-r.row, int64(forebay.BatchRecordsMax-b.Len())))
		for i := range r.columns {
			c := &r.columns[i]
			if c.row == c.rows {
				if err := c.next(); err != nil {
					return err
				}
			}
			n = min(n, c.rows-c.row)
		}
		r.fill(b, r.measure(b, n))
	}
	return nil
}

// measure is how many of n rows the batch can take: it is full behind one of them, or has room for all.
func (r *groupReader) measure(b *forebay.Batch, n int) int {
	r.sizes = slices.Grow(r.sizes[:0], n)[:n]
	clear(r.sizes)
	for i := range r.columns {
		r.columns[i].measure(r.sizes)
	}
	r.fills.large = nil
	room := int(forebay.BatchBytesMax - b.Size())
	for i, size := range r.sizes {
		switch {
		case room <= 0:
			return i
		case size > int(r.config.MaxRecord):
			if r.fills.large == nil {
				r.large = append(r.large[:0], make([]bool, n)...)
				r.fills.large = r.large
			}
			r.large[i] = true
		default:
			room -= size
		}
	}
	return n
}

// fill appends n rows. PQ3: the number of a row is its offset.
func (r *groupReader) fill(b *forebay.Batch, n int) {
	f := &r.fills
	f.b, f.base, f.rows, f.faults = b, b.Len(), n, f.faults[:0]
	first := r.config.First + r.row
	for i := range n {
		b.AppendSpan(first+int64(i), 0, 0)
	}
	for i := range r.columns {
		r.columns[i].fill(f)
	}
	r.row += int64(n)
	for i, large := range f.large[:min(n, len(f.large))] {
		if large {
			f.faults = append(f.faults, fault{row: i, code: codec.CodeTooLong, why: "the row is longer than " +
				r.config.MaxRecord.String() + " (max_record); its long values are not kept"})
		}
	}
	if len(f.faults) > 0 {
		r.reject(f)
	}
}

// reject takes the rows with faults out of the batch. PQ2: none of their values is changed to fit.
func (r *groupReader) reject(f *fills) {
	slices.SortStableFunc(f.faults, func(a, b fault) int { return cmp.Compare(a.row, b.row) })
	wrong := make(map[int]bool, len(f.faults))
	for _, fault := range f.faults {
		if wrong[fault.row] {
			continue
		}
		wrong[fault.row] = true
		reason := fault.why
		if fault.column != "" {
			reason = "column " + strconv.Quote(fault.column) + ": " + reason
		}
		i := f.base + fault.row
		row := f.b.Record(i).Offset
		f.b.Reject(forebay.Reject{
			Origin: forebay.Origin{Split: r.config.Split, Offset: row},
			Stage:  forebay.StageSource, Code: fault.code, Reason: reason,
			Place: r.name + ": row " + strconv.FormatInt(row, 10), Value: codec.RowJSON(f.b, i),
		})
	}
	f.b.Filter(func(i int) bool { return i < f.base || !wrong[i-f.base] })
}

// Position implements codec.BlockReader.
func (r *groupReader) Position() forebay.Position {
	return forebay.Position{Offset: r.config.First + r.row, Finished: r.row == r.total}
}

// Close implements codec.BlockReader.
func (r *groupReader) Close() error {
	r.unpack.close()
	r.columns = nil
	return nil
}
