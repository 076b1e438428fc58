// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"
	"slices"
)

// Op says what a record does to a table with a key.
type Op uint8

// The ops. A log table takes inserts only; a key table takes an insert and an update as an upsert, unless the request
// applies in part: then an insert wants a new key, and an update and a delete want one that is there.
const (
	OpInsert Op = iota
	OpUpsert
	OpDelete
	// OpUpdate replaces the row with its key.
	OpUpdate
)

// String is the name that output shows.
func (o Op) String() string {
	switch o {
	case OpInsert:
		return "insert"
	case OpUpsert:
		return "upsert"
	case OpDelete:
		return "delete"
	case OpUpdate:
		return "update"
	default:
		return "unknown"
	}
}

// NoTime is the event time of a record that has none.
const NoTime = math.MinInt64

// Limits of a batch: it is full at either. One larger record makes a batch of its own.
const (
	BatchRecordsMax = batchRecordsMax
	BatchBytesMax   = 256 * KiB
)

// Record is one entry of a batch's index. Its bytes lie in the batch's slab.
type Record struct {
	// Offset is the record's place in its split; it rises within a split. B1: with the split and Sub it is the
	// record's identity, so it comes from the input alone: not from batches, lanes or runs.
	Offset int64
	// Time is the event time in microseconds since 1970-01-01T00:00:00Z, or NoTime.
	Time int64

	keyStart, keySize     uint32
	valueStart, valueSize uint32
	row                   uint32

	// Sub numbers the records that one source record became, from 0.
	Sub uint32
	// headers is where the record's headers start in the batch's list, and headerCount how many there are.
	headers     uint32
	headerCount uint16
	// fieldCount is how many fields are noted, from fields on in the batch's list.
	fieldCount uint16
	fields     uint32

	Op Op
	// Late says that the record came behind the watermark.
	Late bool
}

// Header is a name and a value that travel with a record.
type Header struct {
	Name  string
	Value []byte
}

// Field says where a field of a JSON object lies: Start is at the quote before its name, Value at the first byte of its
// value and End behind the last, counted from the first byte of the record. B2: it holds no pointer.
type Field struct {
	Start, Value, End uint32
	// Name is the size of the name as it is written, without its quotes, or EscapedName.
	Name uint32
}

// EscapedName is the size of a name that has escapes, which is found only by reading it.
const EscapedName = math.MaxUint32

// Batch holds records of one split in a byte slab with an index. It is the unit that moves between
// goroutines, and never spans a barrier.
//
// Concurrency: one goroutine at a time.
// Ownership: slices that its methods return are parts of the batch, valid until the next Reset.
// Limits: BatchRecordsMax records or BatchBytesMax bytes, by which the source stops filling it.
type Batch struct {
	slab     []byte
	index    []Record
	cells    []Cell
	headers  []Header
	fields   []Field
	rejects  []Reject
	width    int
	layout   *Layout
	split    Split
	position Position

	watermark int64
}

// NewBatch makes an empty batch for records without typed rows; Reset changes that.
func NewBatch() *Batch { return &Batch{watermark: NoTime} }

// Reset empties the batch for records of the split, with width slots in each typed row (0 for none). Memory
// is kept and used again, but for a slab that one large record grew far beyond the usual.
func (b *Batch) Reset(split Split, width int) {
	if cap(b.slab) > int(8*BatchBytesMax) {
		b.slab = nil
	}
	b.slab, b.index, b.cells, b.fields = b.slab[:0], b.index[:0], b.cells[:0], b.fields[:0]
	clear(b.headers)
	clear(b.rejects)
	b.headers, b.rejects = b.headers[:0], b.rejects[:0]
	b.width, b.layout, b.split, b.position, b.watermark = width, nil, split, Position{}, NoTime
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.index) }

// Size is the number of bytes in the slab.
func (b *Batch) Size() Bytes { return Bytes(len(b.slab)) }

// Full reports whether the batch has reached one of its limits.
func (b *Batch) Full() bool {
	return len(b.index) >= BatchRecordsMax || len(b.slab) >= int(BatchBytesMax)
}

// Split is the split that the records come from.
func (b *Batch) Split() Split { return b.split }

// SetSplit says from which split the records come, for a source whose batches something else filled.
func (b *Batch) SetSplit(s Split) { b.split = s }

// SplitID names the split that the records come from.
func (b *Batch) SplitID() string { return b.split.ID }

// Position is where the source continues after this batch.
func (b *Batch) Position() Position { return b.position }

// SetPosition is called by the source once the batch is filled.
func (b *Batch) SetPosition(p Position) { b.position = p }

// Watermark is the event time up to which the whole pipeline has read, as far as its sources' order tells, in
// microseconds since 1970-01-01T00:00:00Z; NoTime where nothing is known. A record with a smaller time is late.
func (b *Batch) Watermark() int64 { return b.watermark }

// SetWatermark is called by the pipeline before a sink gets the batch.
func (b *Batch) SetWatermark(micros int64) { b.watermark = micros }

// Layout is the schema of the typed rows and where its columns lie; nil while records are bytes only.
func (b *Batch) Layout() *Layout { return b.layout }

// SetLayout declares what the cells of the rows mean, from now on.
func (b *Batch) SetLayout(l *Layout) { b.layout = l }

// Record is the index entry at i. The pointer is valid until the next append.
func (b *Batch) Record(i int) *Record { return &b.index[i] }

// Value is the record's value: its bytes as the source read them, empty where it has none.
func (b *Batch) Value(i int) []byte {
	r := &b.index[i]
	return b.slab[r.valueStart : r.valueStart+r.valueSize : r.valueStart+r.valueSize]
}

// Key is the record's key, empty where it has none.
func (b *Batch) Key(i int) []byte {
	r := &b.index[i]
	return b.slab[r.keyStart : r.keyStart+r.keySize : r.keyStart+r.keySize]
}

// Headers are the record's headers.
func (b *Batch) Headers(i int) []Header {
	r := &b.index[i]
	return b.headers[r.headers : int(r.headers)+int(r.headerCount)]
}

// Slab is the memory that spans point into.
func (b *Batch) Slab() []byte { return b.slab }

// Extend appends n bytes to the slab and returns them to be written to, such as by an io.Reader. Their
// content is undefined until then.
func (b *Batch) Extend(n int) []byte {
	start := len(b.slab)
	if cap(b.slab)-start < n {
		b.grow(n)
	}
	b.slab = b.slab[:start+n]
	return b.slab[start:]
}

// grow makes room for n more bytes. The first growth takes a whole batch at once.
func (b *Batch) grow(n int) {
	need := len(b.slab) + n
	grown := make([]byte, len(b.slab), max(need, 2*cap(b.slab), int(BatchBytesMax)+int(16*KiB)))
	copy(grown, b.slab)
	b.slab = grown
}

// TruncateSlab gives back the slab's bytes from size on. No record may point at them.
func (b *Batch) TruncateSlab(size int) { b.slab = b.slab[:size] }

// AppendBytes copies p to the slab and returns where it starts.
func (b *Batch) AppendBytes(p []byte) (start int) {
	start = len(b.slab)
	if cap(b.slab)-start < len(p) {
		b.grow(len(p))
	}
	b.slab = append(b.slab, p...)
	return start
}

// AppendText copies s to the slab and returns where it starts.
func (b *Batch) AppendText(s string) (start int) {
	start = len(b.slab)
	if cap(b.slab)-start < len(s) {
		b.grow(len(s))
	}
	b.slab = append(b.slab, s...)
	return start
}

// AppendDecimal appends the unscaled value of a decimal to the slab and returns its cell.
func (b *Batch) AppendDecimal(v Int128) Cell {
	var room [decimalSize]byte
	return SpanCell(KindDecimal, b.AppendBytes(v.Append(room[:0])), decimalSize)
}

// Append adds a record whose value is a copy of value, and returns its index.
func (b *Batch) Append(offset int64, value []byte) int {
	start := b.AppendBytes(value)
	return b.AppendSpan(offset, start, len(value))
}

// AppendSpan adds a record whose value already lies in the slab, and returns its index. Its typed row, if
// the batch has any, is all null.
func (b *Batch) AppendSpan(offset int64, start, size int) int {
	i := len(b.index)
	if i == cap(b.index) {
		b.index = slices.Grow(b.index, max(i, 64))
	}
	b.index = b.index[:i+1]
	r := &b.index[i]
	// Whole, the entry would be made elsewhere and copied, which waits for what was stored just before.
	r.Offset, r.Time = offset, NoTime
	r.keyStart, r.keySize, r.valueStart, r.valueSize = 0, 0, uint32(start), uint32(size)
	r.row, r.Sub, r.headers, r.headerCount, r.fieldCount, r.fields = uint32(i), 0, 0, 0, 0, 0
	r.Op, r.Late = OpInsert, false
	if b.width > 0 {
		r.row = b.appendCells()
	}
	return i
}

// appendCells adds one row of nulls and returns its number.
func (b *Batch) appendCells() uint32 {
	start := len(b.cells)
	if cap(b.cells)-start < b.width {
		grown := make([]Cell, start, max(2*cap(b.cells), start+b.width, 64*b.width))
		copy(grown, b.cells)
		b.cells = grown
	}
	b.cells = b.cells[:start+b.width]
	clear(b.cells[start:])
	return uint32(start / b.width)
}

// RemoveLast takes back the record that was appended last, with its row; its slab bytes stay.
func (b *Batch) RemoveLast() {
	last := len(b.index) - 1
	if b.width > 0 {
		b.cells = b.cells[:len(b.cells)-b.width]
	}
	b.index = b.index[:last]
}

// SetKey makes a span of the slab the record's key.
func (b *Batch) SetKey(i, start, size int) {
	b.index[i].keyStart, b.index[i].keySize = uint32(start), uint32(size)
}

// SetValue makes a span of the slab the record's value.
func (b *Batch) SetValue(i, start, size int) {
	r := &b.index[i]
	r.valueStart, r.valueSize, r.fieldCount = uint32(start), uint32(size), 0
}

// FieldRoom is where the fields of the record that was appended last can be appended to, for SetFields: they are then
// not copied.
func (b *Batch) FieldRoom() []Field { return b.fields[len(b.fields):] }

// SetFields notes where the fields of record i lie, so that no later stage has to look for them. The caller vouches
// that its value is one well-formed JSON object, and that these are all its fields in their order. SetValue forgets
// them.
//
// Limits: of an object with more than 65,535 fields nothing is noted.
func (b *Batch) SetFields(i int, fields []Field) {
	r, start := &b.index[i], len(b.fields)
	if r.fieldCount = 0; len(fields) == 0 || len(fields) > math.MaxUint16 {
		return
	}
	r.fields, r.fieldCount = uint32(start), uint16(len(fields))
	if room := b.fields[start:cap(b.fields)]; len(room) > 0 && &room[0] == &fields[0] {
		b.fields = b.fields[:start+len(fields)]
		return
	}
	b.fields = append(b.fields, fields...)
}

// Fields are the fields of record i as SetFields noted them; none where nothing was noted.
func (b *Batch) Fields(i int) []Field {
	r := &b.index[i]
	return b.fields[r.fields : int(r.fields)+int(r.fieldCount)]
}

// AddHeader gives the record that was appended last one more header. The value is kept, not copied.
func (b *Batch) AddHeader(h Header) {
	r := &b.index[len(b.index)-1]
	if r.headerCount == 0 {
		r.headers = uint32(len(b.headers))
	}
	b.headers = append(b.headers, h)
	r.headerCount++
}

// Cells is the typed row of record i: as many cells as the batch has slots. Writing to them changes the row.
func (b *Batch) Cells(i int) []Cell {
	start := int(b.index[i].row) * b.width
	return b.cells[start : start+b.width : start+b.width]
}

// Width is the number of slots in each typed row.
func (b *Batch) Width() int { return b.width }

// Row is record i seen through the batch's layout.
func (b *Batch) Row(i int) Row { return Row{batch: b, record: i} }

// Filter keeps the records for which keep is true, in order, and returns how many were removed.
func (b *Batch) Filter(keep func(i int) bool) (removed int) {
	kept := 0
	for i := range b.index {
		if !keep(i) {
			continue
		}
		if kept != i {
			b.index[kept] = b.index[i]
		}
		kept++
	}
	removed = len(b.index) - kept
	b.index = b.index[:kept]
	return removed
}

// Reject notes a record that can never be accepted. It does not remove it from the batch.
func (b *Batch) Reject(r Reject) { b.rejects = append(b.rejects, r) }

// Rejects are the records of this stretch of the split that were rejected so far.
func (b *Batch) Rejects() []Reject { return b.rejects }

// All ranges over the records in memory, by index and value.
func (b *Batch) All() func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for i := range b.index {
			if !yield(i, b.Value(i)) {
				return
			}
		}
	}
}
