// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// table is a table of the catalogue while the server runs.
type table struct {
	id    uint32
	name  string
	keyed bool
	// tablets are those of all partitions, in the order in which these were made. Their number grows under
	// Server.catalogueMu and is read without it.
	tablets atomic.Pointer[[]*tabletLog]
	// descriptor changes under Server.catalogueMu and is read without it.
	descriptor atomic.Pointer[descriptor]
	// partitionNames are in the order in which the partitions were made, and partitionIndex finds them. They grow under
	// Server.catalogueMu.
	partitionsMu   sync.RWMutex
	partitionNames []string
	partitionIndex map[string]int
	// nextTablet deals writers without splits out over the tablets of a log table.
	nextTablet atomic.Uint32

	handles int // open targets; guarded by Server.catalogueMu
}

// tabletLog is a tablet, the unit of order: its log has one end.
type tabletLog struct {
	place place
	// synced is the end of what is durable: readers of the log stop there.
	synced atomic.Int64
	// first is the offset below which the log was trimmed.
	first atomic.Int64

	mu            sync.Mutex
	state         tabletState
	loaded        bool // the end of the log is known
	writersLoaded bool
	dropped       bool

	queue tabletQueue // guarded by the executor's lock
}

func newTable(d *descriptor) *table {
	t := &table{id: d.id, name: d.name, keyed: d.keyed(), partitionIndex: make(map[string]int)}
	t.descriptor.Store(d)
	t.tablets.Store(&[]*tabletLog{})
	if d.partitionBy.Column == "" {
		t.grow(d.tablets, false)
	}
	return t
}

// grow adds tablets. Those of a table that is new have nothing to be looked for, since ids are never given again.
func (t *table) grow(count int, fresh bool) {
	all := slices.Clone(t.list())
	for range count {
		tb := &tabletLog{place: place{table: t.id, tablet: uint16(len(all))}}
		tb.loaded, tb.writersLoaded = fresh, fresh
		all = append(all, tb)
	}
	t.tablets.Store(&all)
}

// list is all tablets.
func (t *table) list() []*tabletLog { return *t.tablets.Load() }

// tablet is the tablet with a number; nil where there is none.
func (t *table) tablet(number int) *tabletLog {
	if all := t.list(); number >= 0 && number < len(all) {
		return all[number]
	}
	return nil
}

// placeOf is the tablet of a key, whose encoding is given too; false where its partition does not exist.
func (t *table) placeOf(key forebay.Row, encoded []byte) (at place, found bool, err error) {
	d, first := t.descriptor.Load(), 0
	if d.partitionBy.Column != "" {
		b, i := key.Batch()
		partitioner, err := tablet.NewPartitioner(d.partitionBy, b.Layout())
		if err != nil {
			return place{}, false, err
		}
		name, err := partitioner.Append(nil, b, i)
		if err != nil {
			return place{}, false, refuse(t.name, "%w", err)
		}
		if first, found = t.firstTablet(string(name)); !found {
			return place{}, false, nil
		}
	}
	return t.list()[first+tablet.TabletOf(encoded, d.tablets)].place, true, nil
}

// load is loadLocked for those who only look.
func (t *tabletLog) load(from store.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loadLocked(from)
}

// loadLocked finds both ends of the log. It is called before anything is applied to the tablet by this server,
// so all that it finds is durable.
func (t *tabletLog) loadLocked(from store.Reader) error {
	if t.loaded {
		return nil
	}
	first, end, err := logBounds(from, t.place)
	if err != nil {
		return err
	}
	t.state.end = end
	t.first.Store(first)
	t.synced.Store(end)
	t.loaded = true
	return nil
}

// logBounds is where the log of a tablet begins and ends: two seeks, whatever its length.
func logBounds(from store.Reader, at place) (first, end int64, err error) {
	lower, upper := tabletRange(store.SpaceLog, at)
	it, err := from.NewIter(lower, upper)
	if err != nil {
		return 0, 0, err
	}
	if it.Last() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			end, err = logEntryEnd(it.Key(), value)
		}
		if err == nil && it.First() {
			first = logOffset(it.Key())
		}
	}
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	return first, end, err
}

// logEntryEnd is the offset after the last row of an entry.
func logEntryEnd(key, value []byte) (int64, error) {
	batch, err := forebay.OpenRowBatch(value)
	if err != nil {
		return 0, err
	}
	return logOffset(key) + int64(batch.Records()), nil
}

// loadWritersLocked reads what the tablet remembers of its writers.
func (t *tabletLog) loadWritersLocked(from store.Reader) error {
	if t.writersLoaded {
		return nil
	}
	lower, upper := tabletRange(store.SpaceDedup, t.place)
	it, err := from.NewIter(lower, upper)
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		var w writerState
		if w, err = decodeWriter(value); err == nil {
			t.state.remember(string(it.Key()[tabletPrefixSize:]), w)
		}
	}
	if closeErr := it.Close(); err == nil {
		err = closeErr
	}
	t.writersLoaded = err == nil
	return err
}

const writerRecordVersion = 2

// writerRecordSize is a version byte, next, used, and checksum, offset and refused rows of each remembered request.
const writerRecordSize = 1 + 8 + 8 + rememberedMax*rememberedSize

const rememberedSize = 4 + 8 + 4

func encodeWriter(w *writerState) []byte {
	dst := append(make([]byte, 0, writerRecordSize), writerRecordVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.next))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.used))
	for _, r := range w.last {
		dst = binary.LittleEndian.AppendUint32(dst, r.checksum)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.offset))
		dst = binary.LittleEndian.AppendUint32(dst, r.refused)
	}
	return dst
}

func decodeWriter(data []byte) (writerState, error) {
	var w writerState
	if len(data) != writerRecordSize || data[0] != writerRecordVersion {
		return w, forebay.Errorf("read writer", forebay.ClassCorrupt, "%d bytes are no record of a writer", len(data))
	}
	w.next = int64(binary.LittleEndian.Uint64(data[1:]))
	w.used = int64(binary.LittleEndian.Uint64(data[9:]))
	if w.next < 0 {
		return w, forebay.Errorf("read writer", forebay.ClassCorrupt, "the next sequence is %d", w.next)
	}
	for i := range w.last {
		at := 17 + i*rememberedSize
		w.last[i].checksum = binary.LittleEndian.Uint32(data[at:])
		w.last[i].offset = int64(binary.LittleEndian.Uint64(data[at+4:]))
		w.last[i].refused = binary.LittleEndian.Uint32(data[at+12:])
	}
	return w, nil
}
