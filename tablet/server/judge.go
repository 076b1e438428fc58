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

// rowState is what stands under a key; a tombstone has a version and does not exist.
type rowState struct {
	exists  bool
	version version
}

// overlay is what the pieces of one batch wrote to a tablet so far, by key. It is nil where nobody will ask.
type overlay map[string]rowState

// newOverlay is that of the tablet of the first piece: only a later piece of it that is judged asks.
func newOverlay(pieces []*piece) overlay {
	for _, p := range pieces[1:] {
		if p.tablet != pieces[0].tablet {
			return nil
		}
		if p.judge != nil {
			return make(overlay)
		}
	}
	return nil
}

// note adds the rows of a piece that nobody judged.
func (o overlay) note(p *piece) {
	if o == nil {
		return
	}
	data := p.batch.Data()
	for i := range p.rows {
		r := &p.rows[i]
		o[string(data[r.keyStart:r.keyEnd])] = rowState{exists: r.op != forebay.OpDelete}
	}
}

// rowJudge decides which rows of one piece apply: in a request that applies in part by their op and by what is there,
// in a table with a version column by their version.
//
// Concurrency: one goroutine, with the tablet locked.
type rowJudge struct {
	partial   bool
	versioned bool
	rows      *rowReader
	slot      int
	kind      forebay.Kind

	cells []forebay.Cell
	slab  []byte
	value []byte
	keeps map[uint32]bool // deletes that leave a tombstone, by where their row starts
}

func newRowJudge(d *descriptor, partial bool) *rowJudge {
	j := &rowJudge{partial: partial, versioned: d.version != ""}
	if j.versioned {
		j.rows, j.slot = newRowReader(d), d.current.Find(d.version)
		j.kind = d.current.Column(j.slot).Type.Kind
		j.cells, j.keeps = make([]forebay.Cell, d.current.Len()), make(map[uint32]bool)
	}
	return j
}

// judge marks the rows that are refused or ignored, and takes them out of what goes into the log.
func (j *rowJudge) judge(p *piece, from store.Reader, earlier overlay) error {
	data := p.batch.Data()
	var at rowState
	out := 0
	for i := range p.rows {
		r := &p.rows[i]
		key := data[r.keyStart:r.keyEnd]
		if i == 0 || !bytes.Equal(key, data[p.rows[i-1].keyStart:p.rows[i-1].keyEnd]) {
			// An upsert without a version applies whatever is there, which the rows behind it then see as present.
			at = rowState{}
			if j.versioned || r.ignored || r.op != forebay.OpUpsert {
				var err error
				if at, err = j.stored(p.tablet.place, key, from, earlier); err != nil {
					return err
				}
			}
		}
		if r.ignored {
			out++
			continue
		}
		if code := j.refuses(r.op, at.exists); code != "" {
			p.refuse(r.index, code)
			r.ignored = true
			out++
			continue
		}
		next, err := j.following(p, r, at)
		if err != nil {
			return err
		}
		if r.ignored {
			out++
			continue
		}
		at = next
		if earlier != nil {
			earlier[string(key)] = at
		}
	}
	if out > 0 {
		p.keepApplied(out)
	}
	return nil
}

// refuses is the code with which a row is refused; empty where it is not.
func (j *rowJudge) refuses(op forebay.Op, exists bool) string {
	switch {
	case !j.partial:
		return ""
	case op == forebay.OpInsert && exists:
		return codeAlreadyPresent
	case (op == forebay.OpUpdate || op == forebay.OpDelete) && !exists:
		return codeNotFound
	default:
		return ""
	}
}

// following is what stands under the key of a row once the row has applied; it marks a row that is older.
func (j *rowJudge) following(p *piece, r *rowRef, at rowState) (rowState, error) {
	deleted := r.op == forebay.OpDelete
	if !j.versioned {
		return rowState{exists: !deleted}, nil
	}
	v, err := j.of(p.batch.SchemaID(), p.batch.Data()[r.rowStart:r.rowEnd], r.op)
	if err != nil {
		return at, err
	}
	if deleted && !v.present {
		return rowState{version: v}, nil
	}
	if v.compare(at.version) < 0 {
		r.ignored = true
		return at, nil
	}
	j.keeps[r.rowStart] = deleted
	return rowState{exists: !deleted, version: v}, nil
}

// keepsDelete says whether a delete leaves a tombstone.
func (j *rowJudge) keepsDelete(r *rowRef) bool { return j.keeps[r.rowStart] }

// stored is what stands under a key.
func (j *rowJudge) stored(at place, key []byte, from store.Reader, earlier overlay) (rowState, error) {
	if s, found := earlier[string(key)]; found {
		return s, nil
	}
	j.slab = append(appendTabletPrefix(j.slab[:0], store.SpaceRows, at), key...)
	value, err := from.Get(j.value[:0], j.slab)
	if errors.Is(err, store.ErrNotFound) {
		return rowState{}, nil
	}
	if err != nil {
		return rowState{}, err
	}
	j.value = value
	tombstone, schemaID, row, err := cutRowValue(value)
	if err != nil || !j.versioned {
		return rowState{exists: !tombstone}, err
	}
	v, err := j.of(schemaID, row, forebay.OpUpsert)
	return rowState{exists: !tombstone, version: v}, err
}

// of is the version in an encoded row.
func (j *rowJudge) of(schemaID uint32, row []byte, op forebay.Op) (version, error) {
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

// keepApplied makes the row batch for the log anew without the rows that do not apply, which are so many: the log
// holds what was applied, in the order of the request.
func (p *piece) keepApplied(out int) {
	gone := make(map[uint32]bool, out)
	for i := range p.rows {
		if p.rows[i].ignored {
			gone[p.rows[i].index] = true
		}
	}
	if !p.table.keyed {
		for _, r := range p.refused {
			gone[uint32(r.Row)] = true
		}
	}
	kept := forebay.AppendRowBatchHeader(make([]byte, 0, len(p.batch.Data())), p.table.keyed)
	for rows := p.batch.Rows(); rows.Next(); {
		if gone[uint32(rows.Index())] {
			continue
		}
		if p.table.keyed {
			kept = forebay.AppendRowKey(kept, rows.Op(), rows.Key())
		}
		kept = forebay.AppendSizedRow(kept, rows.Row())
	}
	p.records = p.batch.Records() - out
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
