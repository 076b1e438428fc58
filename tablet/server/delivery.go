// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// Limits of what is written at once.
const (
	// deliveryBytesMax bounds everything that one commit or request holds.
	deliveryBytesMax = forebay.GiB
	// entryOverhead is what an entry takes in a store batch beside key and value, at most.
	entryOverhead = 16
)

// delivery is the requests that are applied together.
type delivery struct {
	pieces []*piece
	bytes  int
	memory []piece // what pieces point at, used again
	// locked are the tablets whose locks are held.
	locked []*tabletLog
	// undo takes back what was noted of writers; newest last.
	undo []writerUndo
}

// piece is one request on its way into its tablet.
type piece struct {
	request int
	table   *table
	tablet  *tabletLog
	batch   forebay.RowBatch
	// rows are those of a key table, by key and then in the order of the request.
	rows []rowRef
	// log is the row batch for the log, and records the number of its rows; base is where it goes.
	log     []byte
	records int
	base    int64
	// judge decides about each row; nil where all apply.
	judge *rowJudge
	// refused are the rows that a request which applies in part leaves out.
	refused []forebay.RowError
	// sent is the request of the executor that this piece is; nil in a commit.
	sent *sent
	// record is what the tablet remembers of the writer after this request, and forgotten the writers that made room.
	record    writerState
	forgotten []goneWriter
	// wasRefused says that the request whose place this one takes in the memory had refused rows.
	wasRefused bool
}

// rowRef is one row of a key table in the data of its request.
type rowRef struct {
	prefix           uint64 // the first bytes of the key, so that most comparisons need no more
	keyStart, keyEnd uint32
	rowStart, rowEnd uint32
	index            uint32 // of the row in the request
	op               forebay.Op
	ignored          bool // it is refused, or a greater version is there
}

// spares keeps the memory of deliveries that have ended.
type spares struct {
	mu   sync.Mutex
	free []*delivery
}

// sparesMax is how many deliveries wait for their next use: one for each of a few lanes.
const sparesMax = 8

func (s *spares) take(requests int) *delivery {
	s.mu.Lock()
	var d *delivery
	if n := len(s.free); n > 0 {
		d, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if d == nil {
		d = &delivery{}
	}
	if cap(d.memory) < requests {
		d.memory = make([]piece, 0, requests)
	}
	return d
}

// give takes the delivery back. What it points at belongs to the caller of the request.
func (s *spares) give(d *delivery) {
	clear(d.pieces)
	clear(d.locked)
	clear(d.undo)
	d.pieces, d.locked, d.undo, d.bytes = d.pieces[:0], d.locked[:0], d.undo[:0], 0
	for i := range d.memory {
		d.memory[i] = piece{rows: d.memory[i].rows[:0]}
	}
	d.memory = d.memory[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < sparesMax {
		s.free = append(s.free, d)
	}
}

// add checks a request and makes a piece of it. It takes no lock; the request's rows are read here, before any is.
func (s *Server) add(d *delivery, r *forebay.Request, index int) (refusal *forebay.Answer) {
	t := s.find(r.Table)
	if t == nil {
		_, err := s.lookup(r.Table)
		return &forebay.Answer{Code: forebay.CodeNotFound, Message: err.Error()}
	}
	if r.TableID != 0 && r.TableID != t.id {
		return &forebay.Answer{
			Code: forebay.CodeNotFound, Message: fmt.Sprintf("table %q was made again and is another one", r.Table),
		}
	}
	at := t.tablet(r.Tablet)
	if at == nil {
		return refusal400("table %q has %d tablets and the request is for tablet %d", r.Table, len(t.list()), r.Tablet)
	}
	batch, err := forebay.OpenRowBatch(r.Data)
	if err != nil {
		return refusal400("%v", err)
	}
	desc := t.descriptor.Load()
	switch {
	case batch.Keyed() != t.keyed:
		return refusal400("table %q and the request do not agree about having a key", r.Table)
	case batch.SchemaID() < 1 || int(batch.SchemaID()) > len(desc.schemas):
		return refusal400("table %q has no schema %d", r.Table, batch.SchemaID())
	case batch.Records() != r.Records:
		return refusal400("the request says %d rows and its data %d", r.Records, batch.Records())
	case r.Partial && r.Records > partialRowsMax:
		return &forebay.Answer{
			Code: forebay.CodeTooLarge, Message: fmt.Sprintf("%d rows: a request that applies in part has at most %d, so that "+
				"every row error is remembered", r.Records, partialRowsMax),
		}
	}
	d.memory = d.memory[:len(d.memory)+1]
	p := &d.memory[len(d.memory)-1]
	p.request, p.table, p.tablet, p.batch = index, t, at, batch
	p.log, p.records = r.Data, batch.Records()
	if refusal := p.read(r.Partial); refusal != nil {
		return refusal
	}
	if t.keyed && (desc.version != "" || r.Partial) {
		p.judge = newRowJudge(desc, r.Partial)
	}
	d.pieces = append(d.pieces, p)
	d.bytes += len(r.Data) + tabletPrefixSize + entryOverhead
	if t.keyed {
		d.bytes += len(r.Data) + len(p.rows)*(tabletPrefixSize+entryOverhead)
	}
	if d.bytes > int(deliveryBytesMax) {
		return &forebay.Answer{
			Code: forebay.CodeTooLarge, Message: "the requests hold more than " + deliveryBytesMax.String(),
		}
	}
	return nil
}

// read walks the rows once: the sizes must fit, and the rows of a key table are noted and put in order. The store
// takes rows in order with less work than the sorting costs.
func (p *piece) read(partial bool) (refusal *forebay.Answer) {
	rows := p.batch.Rows()
	for rows.Next() {
		start, size := rows.Span()
		if size > int(RowBytesMax) {
			p.refuse(uint32(rows.Index()), codeRowTooLarge)
		}
		if !p.table.keyed {
			continue
		}
		key := rows.Key()
		if len(key) == 0 {
			return refusal400("row %d of request %d has an empty key", rows.Index(), p.request)
		}
		// The key ends where the size of the row begins.
		keyEnd := start - uvarintSize(size)
		if keyEnd < len(key) || &p.batch.Data()[keyEnd-len(key)] != &key[0] {
			return refusal400("row %d of request %d writes its size with more bytes than it needs", rows.Index(), p.request)
		}
		p.rows = append(p.rows, rowRef{
			prefix: keyPrefix(key), keyStart: uint32(keyEnd - len(key)), keyEnd: uint32(keyEnd),
			rowStart: uint32(start), rowEnd: uint32(start + size), index: uint32(rows.Index()), op: rows.Op(),
			ignored: size > int(RowBytesMax),
		})
	}
	if err := rows.Err(); err != nil {
		return refusal400("%v", err)
	}
	switch {
	case len(p.refused) > 0 && !partial:
		return &forebay.Answer{
			Code: forebay.CodeRowsRejected, Message: "some rows can never be accepted; nothing was applied", Rows: p.refused,
		}
	case len(p.refused) > 0 && !p.table.keyed:
		p.keepApplied(len(p.refused))
	}
	p.sortRows()
	return nil
}

// sortRows puts the rows in the order of their keys, and those of one key in the order of the request.
func (p *piece) sortRows() {
	data := p.batch.Data()
	slices.SortFunc(p.rows, func(a, b rowRef) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		if c := bytes.Compare(data[a.keyStart:a.keyEnd], data[b.keyStart:b.keyEnd]); c != 0 {
			return c
		}
		return cmp.Compare(a.rowStart, b.rowStart)
	})
}

func keyPrefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var padded [8]byte
	copy(padded[:], key)
	return binary.BigEndian.Uint64(padded[:])
}

func uvarintSize(v int) int {
	size := 1
	for ; v >= 0x80; v >>= 7 {
		size++
	}
	return size
}

// lockTablets takes the locks of all tablets in ascending order.
func (d *delivery) lockTablets() {
	slices.SortStableFunc(d.pieces, func(a, b *piece) int { return a.tablet.place.compare(b.tablet.place) })
	for i, p := range d.pieces {
		if i > 0 && d.pieces[i-1].tablet == p.tablet {
			continue
		}
		p.tablet.mu.Lock()
		d.locked = append(d.locked, p.tablet)
	}
}

// lock takes the locks of all tablets and finds the ends of their logs.
func (d *delivery) lock(from store.Reader) (refusal *forebay.Answer) {
	d.lockTablets()
	for _, p := range d.pieces {
		if refusal := p.ready(from); refusal != nil {
			d.unlock()
			return refusal
		}
	}
	return nil
}

// ready finds the end of the log of the piece's tablet, which is locked.
func (p *piece) ready(from store.Reader) (refusal *forebay.Answer) {
	if p.tablet.dropped {
		return &forebay.Answer{Code: forebay.CodeNotFound, Message: "table " + p.table.name + " was dropped"}
	}
	if err := p.tablet.loadLocked(from); err != nil {
		a := errorAnswer(err)
		return &a
	}
	return nil
}

func (d *delivery) unlock() {
	for _, t := range d.locked {
		t.mu.Unlock()
	}
	clear(d.locked)
	d.locked = d.locked[:0]
}

// applyLocked puts everything into one batch of the store, with what extra adds, and applies it. TS3: the tablets
// are locked, so offsets rise in the order in which batches are applied.
func (s *Server) applyLocked(d *delivery, extra func(b *store.Batch) error) (batch uint64, err error) {
	if err := s.decideLocked(d); err != nil {
		return 0, err
	}
	if len(d.pieces) == 0 && extra == nil {
		return 0, nil
	}
	b := s.store.NewBatch(d.bytes + 4<<10)
	defer closeQuietly(b)
	var key []byte
	for _, p := range d.pieces {
		if key, err = p.put(b, key); err != nil {
			return 0, err
		}
		if p.sent != nil && p.sent.request.WriterID != "" {
			if key, err = p.putWriter(b, key); err != nil {
				return 0, err
			}
		}
	}
	if extra != nil {
		if err := extra(b); err != nil {
			return 0, err
		}
	}
	fault.Hit(fault.CommitBuilt)
	if err := s.store.Apply(b); err != nil {
		return 0, err
	}
	for _, p := range d.pieces {
		p.tablet.state.end = p.base + int64(p.records)
	}
	return s.ledger.note(d.pieces), nil
}

// decideLocked settles which requests and which of their rows apply, and at which offset each piece goes into the log.
// A request that does not apply is answered and taken out of the pieces.
func (s *Server) decideLocked(d *delivery) error {
	pieces, kept := d.pieces, d.pieces[:0]
	var at *tabletLog
	var end int64
	var written overlay
	for i, p := range pieces {
		if p.tablet != at {
			at, end, written = p.tablet, p.tablet.state.end, newOverlay(pieces[i:])
		}
		if p.sent != nil && !s.admitLocked(kept, p) {
			continue
		}
		if p.judge == nil {
			written.note(p)
		} else if err := p.judge.judge(p, s.store, written); err != nil {
			return err
		}
		slices.SortFunc(p.refused, func(a, b forebay.RowError) int { return cmp.Compare(a.Row, b.Row) })
		p.base = end
		end += int64(p.records)
		if p.sent != nil {
			d.noteLocked(p, s.now())
		}
		kept = append(kept, p)
	}
	clear(pieces[len(kept):])
	d.pieces = kept
	return nil
}

// put adds the rows and the log entry of a piece; key is memory to build keys in.
func (p *piece) put(b *store.Batch, key []byte) ([]byte, error) {
	data := p.batch.Data()
	key = appendTabletPrefix(key[:0], store.SpaceRows, p.tablet.place)
	var schema [binary.MaxVarintLen32]byte
	schemaSize := binary.PutUvarint(schema[:], uint64(p.batch.SchemaID()))
	for i := range p.rows {
		r := &p.rows[i]
		rowKey := data[r.keyStart:r.keyEnd]
		if r.ignored || p.overwritten(i, rowKey, data) {
			continue
		}
		tombstone := r.op == forebay.OpDelete && p.judge != nil && p.judge.keepsDelete(r)
		if r.op == forebay.OpDelete && !tombstone {
			key = append(key[:tabletPrefixSize], rowKey...)
			if err := b.Delete(key); err != nil {
				return key, err
			}
			continue
		}
		mark := 0
		if tombstone {
			mark = 1
		}
		op := b.SetDeferred(tabletPrefixSize+len(rowKey), mark+schemaSize+int(r.rowEnd-r.rowStart))
		copy(op.Key, key[:tabletPrefixSize])
		copy(op.Key[tabletPrefixSize:], rowKey)
		if tombstone {
			op.Value[0] = tombstoneMark
		}
		copy(op.Value[mark:], schema[:schemaSize])
		copy(op.Value[mark+schemaSize:], data[r.rowStart:r.rowEnd])
		if err := op.Finish(); err != nil {
			return key, err
		}
	}
	if p.records == 0 {
		return key, nil
	}
	key = appendLogKey(key[:0], p.tablet.place, p.base)
	return key, b.Set(key, p.log)
}

// overwritten says whether a later row of this piece that applies has the same key.
func (p *piece) overwritten(i int, key, data []byte) bool {
	for j := i + 1; j < len(p.rows); j++ {
		next := &p.rows[j]
		if next.prefix != p.rows[i].prefix || !bytes.Equal(key, data[next.keyStart:next.keyEnd]) {
			return false
		}
		if !next.ignored {
			return true
		}
	}
	return false
}

func refusal400(format string, args ...any) *forebay.Answer {
	return &forebay.Answer{Code: forebay.CodeMalformed, Message: fmt.Sprintf(format, args...)}
}
