// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/forebay-io/forebay"
)

// RowBytesMax bounds one row.
const RowBytesMax = 16 * forebay.MiB

// EncoderConfig describes the requests that an Encoder makes.
type EncoderConfig struct {
	Table TableInfo
	// Layout is that of the records; its columns are columns of the table, those of the key and of distribute_by
	// among them.
	Layout *forebay.Layout
	// SchemaID is the id under which the server knows the layout's columns.
	SchemaID uint32
	// Now is the time in microseconds since 1970-01-01T00:00:00Z.
	Now func() int64
	// Partitions numbers the tablets of the backend. It may be nil where the table has no partitions.
	Partitions *Partitions
	// Next deals encoders without splits out over the tablets of a log table.
	Next func() uint32
}

// Encoder implements forebay.Encoder for a table and a layout.
type Encoder struct {
	tablets  uint64
	schemaID uint32
	now      func() int64
	next     func() uint32
	slots    []int
	rows     *forebay.RowEncoder
	place    *forebay.KeyEncoder // of the key, or of distribute_by; nil where rows are placed by their split
	keyed    bool
	version  bool

	partitioner *Partitioner // nil where the table has no partitions
	partitions  *Partitions
	numbers     map[int64]int // what partitions said, by bucket
	texts       map[string]int
	bucket      int64 // of the last row
	bucketFirst int   // its first tablet
	bucketKnown bool

	// What the last Route found out.
	batch *forebay.Batch
	index int
	op    forebay.Op
	key   []byte

	split       string
	splitTablet int
	splitKnown  bool
}

// NewEncoder makes an encoder.
//
// Errors: misconfigured where a column that rows are placed by is missing or cannot be one.
func NewEncoder(c EncoderConfig) (*Encoder, error) {
	schema := c.Layout.Schema
	e := &Encoder{
		tablets: uint64(c.Table.Tablets), schemaID: c.SchemaID, now: c.Now, next: c.Next, slots: c.Layout.Slots,
		keyed: len(c.Table.Key) > 0, version: c.Table.Version != "",
		rows: forebay.NewRowEncoder(c.Layout, valueColumns(schema, c.Table.Key)),
	}
	if by := c.Table.PartitionBy; by.Column != "" {
		var err error
		if e.partitioner, err = NewPartitioner(by, c.Layout); err != nil {
			return nil, fmt.Errorf("table %q: %w", c.Table.Name, err)
		}
		e.partitions, e.numbers, e.texts = c.Partitions, make(map[int64]int), make(map[string]int)
	}
	placed := c.Table.Key
	if !e.keyed {
		placed = c.Table.DistributeBy
	}
	if len(placed) == 0 {
		return e, nil
	}
	columns := make([]int, len(placed))
	for k, name := range placed {
		if columns[k] = schema.Find(name); columns[k] < 0 {
			return nil, forebay.Errorf("open writer", forebay.ClassMisconfigured,
				"table %q: column %q, which its rows are placed by, is missing here", c.Table.Name, name)
		}
	}
	var err error
	e.place, err = forebay.NewKeyEncoder(c.Layout, columns)
	return e, err
}

// valueColumns are the columns that are not part of the key: what the row bytes hold.
func valueColumns(schema *forebay.Schema, key []string) []int {
	out := make([]int, 0, schema.Len())
	for i, name := range schema.Names() {
		if !slices.Contains(key, name) {
			out = append(out, i)
		}
	}
	return out
}

// TabletOf is the tablet of an encoded key, or of the encoded columns of distribute_by: its xxHash64 modulo the number
// of tablets.
func TabletOf(key []byte, tablets int) int { return int(xxhash.Sum64(key) % uint64(tablets)) }

// Route implements forebay.Encoder.
func (e *Encoder) Route(b *forebay.Batch, i int) (int, error) {
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
	first := 0
	if e.partitioner != nil {
		var err error
		if first, err = e.firstTablet(b, i); err != nil {
			return 0, err
		}
	}
	if e.place == nil {
		return first + e.routeSplit(b.SplitID()), nil
	}
	var err error
	if e.key, err = e.place.Append(e.key[:0], b, i); err != nil {
		return 0, err
	}
	return first + TabletOf(e.key, int(e.tablets)), nil
}

// firstTablet is the number of the first tablet of the row's partition.
func (e *Encoder) firstTablet(b *forebay.Batch, i int) (int, error) {
	bucket, text, err := e.partitioner.bucket(b, i)
	if err != nil {
		return 0, err
	}
	if text != nil {
		first, found := e.texts[string(text)]
		if !found {
			if first, err = e.firstOf(text); err != nil {
				return 0, err
			}
			e.texts[string(text)] = first
		}
		return first, nil
	}
	if e.bucketKnown && bucket == e.bucket {
		return e.bucketFirst, nil
	}
	first, found := e.numbers[bucket]
	if !found {
		if first, err = e.firstOf(e.partitioner.appendBucket(nil, bucket)); err != nil {
			return 0, err
		}
		e.numbers[bucket] = first
	}
	e.bucket, e.bucketFirst, e.bucketKnown = bucket, first, true
	return first, nil
}

func (e *Encoder) firstOf(name []byte) (int, error) {
	n, err := e.partitions.number(name)
	return n * int(e.tablets), err
}

// routeSplit is the tablet of all rows of a split. Rows that come from no split go to one tablet for each encoder.
func (e *Encoder) routeSplit(split string) int {
	if e.splitKnown && split == e.split {
		return e.splitTablet
	}
	hash := xxhash.Sum64String(split)
	if split == "" {
		hash = uint64(e.next())
	}
	e.split, e.splitKnown = split, true
	e.splitTablet = int(hash % e.tablets)
	return e.splitTablet
}

// checkSize adds up a row whose batch is large enough for the row to be too large.
func (e *Encoder) checkSize(b *forebay.Batch, i int) error {
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

func (e *Encoder) reject(code, format string, args ...any) error {
	err := forebay.Errorf("encode row", forebay.ClassRejected, format, args...)
	err.Code = code
	return err
}

// Append implements forebay.Encoder.
func (e *Encoder) Append(data []byte) []byte {
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
func (e *Encoder) Open(data []byte) []byte { return forebay.AppendRowBatchHeader(data, e.keyed) }

// Seal implements forebay.Encoder.
func (e *Encoder) Seal(data []byte, records int) []byte {
	return forebay.SealRowBatch(data, e.schemaID, records, e.now())
}

// Cut implements forebay.Encoder.
func (e *Encoder) Cut(dst, sealed []byte, keep func(row int) bool) []byte {
	batch, err := forebay.OpenRowBatch(sealed)
	if err != nil {
		panic("a request changed while it was sent: " + err.Error())
	}
	dst = forebay.AppendRowBatchHeader(dst, batch.Keyed())
	rows, kept := batch.Rows(), 0
	for rows.Next() {
		if !keep(rows.Index()) {
			continue
		}
		if batch.Keyed() {
			dst = forebay.AppendRowKey(dst, rows.Op(), rows.Key())
		}
		dst = forebay.AppendSizedRow(dst, rows.Row())
		kept++
	}
	if err := rows.Err(); err != nil {
		panic("a request was encoded wrong: " + err.Error())
	}
	return forebay.SealRowBatch(dst, batch.SchemaID(), kept, batch.Time())
}

func article(op forebay.Op) string {
	if op == forebay.OpUpsert || op == forebay.OpUpdate {
		return "an"
	}
	return "a"
}
