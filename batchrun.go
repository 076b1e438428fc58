// SPDX-License-Identifier: Apache-2.0

package forebay

// Run is a stretch of records of one size, as a source makes that knows many records at once.
type Run struct {
	// Offset is that of the first record, and Stride what each next one adds; 0 means 1.
	Offset, Stride int64
	// Size is the number of bytes of each value.
	Size  int
	Count int
}

// AppendRun adds the records of a run at once and returns their values as one stretch of the slab, to be
// written to. Its content is undefined until then. Their typed rows, if the batch has any, are all null.
func (b *Batch) AppendRun(r Run) []byte {
	values := b.Extend(r.Size * r.Count)
	start, first := len(b.slab)-len(values), len(b.index)
	row := uint32(first)
	if b.width > 0 && r.Count > 0 {
		row = b.appendRows(r.Count)
	}
	stride := r.Stride
	if stride == 0 {
		stride = 1
	}
	if need := first + r.Count; need > cap(b.index) {
		grown := make([]Record, first, max(need, 2*cap(b.index)))
		copy(grown, b.index)
		b.index = grown
	}
	b.index = b.index[:first+r.Count]
	offset, at := r.Offset, uint32(start)
	entries := b.index[first:]
	clear(entries) // and then field by field: a whole entry would be built aside and copied
	for i := range entries {
		e := &entries[i]
		e.Offset, e.Time = offset, NoTime
		e.valueStart, e.valueSize, e.row = at, uint32(r.Size), row+uint32(i)
		offset += stride
		at += uint32(r.Size)
	}
	return values
}

// CellRun is the typed rows of count records from i on, one after the other, for records that one AppendRun
// added. Writing to them changes the rows.
func (b *Batch) CellRun(i, count int) []Cell {
	start := int(b.index[i].row) * b.width
	return b.cells[start : start+count*b.width : start+count*b.width]
}

// appendRows adds rows of nulls and returns the number of the first.
func (b *Batch) appendRows(count int) uint32 {
	start, need := len(b.cells), count*b.width
	if cap(b.cells)-start < need {
		grown := make([]Cell, start, max(2*cap(b.cells), start+need))
		copy(grown, b.cells)
		b.cells = grown
	}
	b.cells = b.cells[:start+need]
	clear(b.cells[start:])
	return uint32(start / b.width)
}
