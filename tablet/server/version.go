// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// Tables with a version column: of two rows with one key the one with the greater version stays, whichever comes
// first; with equal versions the later one does. A row whose version is null is older than every other. A deleted
// row leaves a tombstone with its version, so that an older row that comes late does not bring it back; a delete
// without a version removes the row whatever its version is.

// tombstoneMark begins the value of a deleted row; schema ids begin with 1.
const tombstoneMark = 0

func canVersion(k forebay.Kind) bool {
	switch k {
	case forebay.KindInt32, forebay.KindInt64, forebay.KindDecimal, forebay.KindString, forebay.KindDate,
		forebay.KindTimestamp:
		return true
	default:
		return false
	}
}

// version is the value of a version column in a form that compares.
type version struct {
	present bool
	number  forebay.Int128
	text    []byte
}

func (v version) compare(other version) int {
	switch {
	case v.present != other.present && other.present:
		return -1
	case v.present != other.present:
		return 1
	}
	if c := v.number.Compare(other.number); c != 0 {
		return c
	}
	return bytes.Compare(v.text, other.text)
}

// versionJudge decides which rows of one piece apply.
//
// Concurrency: one goroutine, with the tablet locked.
type versionJudge struct {
	rows *rowReader
	slot int
	kind forebay.Kind

	cells   []forebay.Cell
	slab    []byte
	value   []byte
	written map[string]version // of this piece, by key
	// earlier is what the pieces before this one wrote to the same tablet in the same batch; nil for the first.
	earlier map[string]version
	keeps   map[uint32]bool // deletes that leave a tombstone, by where their row starts
}

func newVersionJudge(d *descriptor) *versionJudge {
	slot := d.current.Find(d.version)
	return &versionJudge{
		rows: newRowReader(d), slot: slot, kind: d.current.Column(slot).Type.Kind,
		cells: make([]forebay.Cell, d.current.Len()), written: make(map[string]version), keeps: make(map[uint32]bool),
	}
}

// seen is what this piece and those before it wrote.
func (j *versionJudge) seen() map[string]version {
	for key, v := range j.earlier {
		if _, found := j.written[key]; !found {
			j.written[key] = v
		}
	}
	return j.written
}

// judge marks the rows that are ignored, and takes them out of what goes into the log.
func (j *versionJudge) judge(p *piece, from store.Reader) error {
	data := p.batch.Data()
	var best version
	ignored := 0
	for i := range p.rows {
		r := &p.rows[i]
		key := data[r.keyStart:r.keyEnd]
		if i == 0 || !bytes.Equal(key, data[p.rows[i-1].keyStart:p.rows[i-1].keyEnd]) {
			var err error
			if best, err = j.stored(p.tablet.place, key, from); err != nil {
				return err
			}
		}
		v, err := j.of(p.batch.SchemaID(), data[r.rowStart:r.rowEnd], r.op)
		if err != nil {
			return err
		}
		if r.op == forebay.OpDelete && !v.present {
			best = v
			j.written[string(key)] = v
			continue
		}
		if v.compare(best) < 0 {
			r.ignored = true
			ignored++
			continue
		}
		best = v
		j.written[string(key)] = v
		j.keeps[r.rowStart] = r.op == forebay.OpDelete
	}
	if ignored > 0 {
		p.keepApplied(ignored)
	}
	return nil
}

// keepsDelete says whether a delete leaves a tombstone.
func (j *versionJudge) keepsDelete(r *rowRef) bool { return j.keeps[r.rowStart] }

// stored is the version of the row, or of the tombstone, that the tablet holds.
func (j *versionJudge) stored(at place, key []byte, from store.Reader) (version, error) {
	if v, found := j.earlier[string(key)]; found {
		return v, nil
	}
	j.slab = append(appendTabletPrefix(j.slab[:0], store.SpaceRows, at), key...)
	value, err := from.Get(j.value[:0], j.slab)
	if errors.Is(err, store.ErrNotFound) {
		return version{}, nil
	}
	if err != nil {
		return version{}, err
	}
	j.value = value
	_, schemaID, row, err := cutRowValue(value)
	if err != nil {
		return version{}, err
	}
	return j.of(schemaID, row, forebay.OpUpsert)
}

// of is the version in an encoded row.
func (j *versionJudge) of(schemaID uint32, row []byte, op forebay.Op) (version, error) {
	if op == forebay.OpDelete && len(row) == 0 {
		return version{}, nil
	}
	j.slab = append(j.slab[:0], row...)
	clear(j.cells)
	var err error
	if j.slab, err = j.rows.decode(schemaID, j.cells, j.slab, span{0, len(row)}); err != nil {
		return version{}, err
	}
	c := j.cells[j.slot]
	switch {
	case c.IsNull():
		return version{}, nil
	case j.kind == forebay.KindString:
		return version{present: true, text: bytes.Clone(c.Bytes(j.slab))}, nil
	case j.kind == forebay.KindDecimal:
		return version{present: true, number: forebay.Int128From(c.Bytes(j.slab))}, nil
	default:
		return version{present: true, number: forebay.Int128Of(c.Int())}, nil
	}
}

// keepApplied makes the row batch for the log anew without the rows that are ignored: the log holds what was
// applied, in the order of the request.
func (p *piece) keepApplied(ignored int) {
	gone := make(map[uint32]bool, ignored)
	for i := range p.rows {
		if p.rows[i].ignored {
			gone[p.rows[i].rowStart] = true
		}
	}
	kept := forebay.AppendRowBatchHeader(make([]byte, 0, len(p.batch.Data())), true)
	for rows := p.batch.Rows(); rows.Next(); {
		if start, _ := rows.Span(); gone[uint32(start)] {
			continue
		}
		kept = forebay.AppendRowKey(kept, rows.Op(), rows.Key())
		kept = forebay.AppendSizedRow(kept, rows.Row())
	}
	p.records = p.batch.Records() - ignored
	p.log = forebay.SealRowBatch(kept, p.batch.SchemaID(), p.records, p.batch.Time())
}

// cutRowValue takes the value of a row apart.
func cutRowValue(value []byte) (tombstone bool, schemaID uint32, row []byte, err error) {
	rest := value
	if len(rest) > 0 && rest[0] == tombstoneMark {
		tombstone, rest = true, rest[1:]
	}
	id, n := binary.Uvarint(rest)
	if n <= 0 || id == 0 || id > schemasMax {
		return false, 0, nil, forebay.Errorf("read row", forebay.ClassCorrupt, "%d bytes begin with no schema id", len(value))
	}
	return tombstone, uint32(id), rest[n:], nil
}
