// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// What a two-phase sink opened, holds and prepared. The values lie beside the entries:
//
//	0x40 x pipeline id                          opened, noted before it is used
//	0x40 h pipeline id                          held by a durable checkpoint
//	0x40 c pipeline epoch number lane           Pending: a checkpoint from when it is durable until it is committed
//	0x40 c pipeline epoch number lane index     what it commits, each by itself, then what else it moved
//
// There can be tens of thousands of them in one checkpoint, so that each is a small value of its own (sealed.go), and
// only the head of a Pending is JSON.
//
// C5: an id is opened, held or in a Pending from before it is used until it is committed or aborted. Something that is
// held may be opened beside, such as an upload for what its state has in itself so far: the next checkpoint joins both.
const (
	kindOpened  = 'x'
	kindHeld    = 'h'
	kindPending = 'c'
)

// Pending is a checkpoint of a lane that is durable and not known to be committed.
type Pending struct {
	Epoch  uint64
	Lane   int
	Number uint64
	Commit []forebay.Committable

	// splits and moves are what the checkpoint replaced, for Rewind. moves is nil in what SaveCheckpoint returns.
	splits []splitBefore
	moves  []move
}

// splitBefore is the entry that a checkpoint replaced; nil where there was none.
type splitBefore struct {
	Split text   `json:"split"`
	Entry *Entry `json:"entry,omitempty"`
}

// storedPending is the head of a Pending.
type storedPending struct {
	Version int           `json:"version"`
	Epoch   uint64        `json:"epoch"`
	Lane    int           `json:"lane"`
	Number  uint64        `json:"number"`
	Commits int           `json:"commits"`
	Moves   int           `json:"moves"` // the commits are among them
	Splits  []splitBefore `json:"splits_before,omitempty"`
	Written int64         `json:"written"`
}

// Checkpoint is what one lane makes durable together: its positions, and what its sink prepared.
type Checkpoint struct {
	Epoch    uint64
	Lane     int
	Number   uint64
	Entries  []Entry
	Prepared forebay.Prepared
}

func pendingKey(pipeline string, p Pending) []byte {
	k := key(kindPending, pipeline)
	k = binary.BigEndian.AppendUint64(k, p.Epoch)
	k = binary.BigEndian.AppendUint64(k, p.Number)
	return binary.BigEndian.AppendUint32(k, uint32(p.Lane))
}

// moveKey is that of a Pending's move.
func moveKey(pending []byte, index int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(pending), uint32(index))
}

func idKey(kind byte, pipeline, id string) []byte { return append(key(kind, pipeline), id...) }

// Opened notes, durably, that something exists before it is used.
//
// Errors: fenced where a newer run has taken the pipeline's epoch; those of the store.
func (s *Store) Opened(pipeline string, epoch uint64, c forebay.Committable) error {
	if err := s.fencedEpoch(pipeline, epoch); err != nil {
		return err
	}
	if len(c.ID) > splitNameMax {
		return fmt.Errorf("the id %.60q... is longer than %d bytes", c.ID, splitNameMax)
	}
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := setSealed(b, idKey(kindOpened, pipeline, c.ID), c.Data); err != nil {
		return err
	}
	err := s.commit(b, true)
	fault.Hit(fault.OpenedWritten)
	return err
}

// SaveCheckpoint makes a checkpoint durable: the CHECKPOINT record of a two-phase sink. From here on what is in
// Prepared.Commit is committed, by this run or a later one.
//
// Errors: fenced where a newer run has taken the pipeline's epoch; those of the store.
func (s *Store) SaveCheckpoint(pipeline string, c Checkpoint) (Pending, error) {
	p := Pending{Epoch: c.Epoch, Lane: c.Lane, Number: c.Number, Commit: c.Prepared.Commit}
	if err := s.fenced(pipeline, c.Entries); err != nil {
		return p, err
	}
	if err := s.fencedEpoch(pipeline, c.Epoch); err != nil {
		return p, err
	}
	b := s.store.NewBatch(c.sizeHint())
	defer func() { _ = b.Close() }() // only returns memory
	prefix := key(kindEntry, pipeline)
	for _, e := range c.Entries {
		if len(e.Split) > splitNameMax {
			return p, fmt.Errorf("the split name %.60q... is longer than %d bytes", e.Split, splitNameMax)
		}
		k := append(slices.Clip(prefix), e.Split...)
		var before Entry
		found, err := s.get(k, &before)
		if err != nil {
			return p, err
		}
		undo := splitBefore{Split: text(e.Split)}
		if found {
			undo.Entry = &before
		}
		p.splits = append(p.splits, undo)
		if err := set(b, k, e); err != nil {
			return p, err
		}
	}
	moves, err := s.moveHeld(b, pipeline, c.Prepared, p)
	if err != nil {
		return p, err
	}
	if len(p.Commit) > 0 {
		if err := set(b, pendingKey(pipeline, p), p.head(moves)); err != nil {
			return p, err
		}
	}
	fault.Hit(fault.CheckpointBuilt)
	err = s.commit(b, true)
	fault.Hit(fault.CheckpointWritten)
	return p, err
}

// sizeHint is about what the checkpoint takes in a batch, so that this need not grow by copies of itself.
func (c Checkpoint) sizeHint() int {
	const (
		one    = 48  // a key and lengths
		before = 120 // what was held
	)
	size := 0
	for i := range c.Prepared.Held {
		size += one + len(c.Prepared.Held[i].ID) + len(c.Prepared.Held[i].Data)
	}
	for i := range c.Prepared.Commit {
		size += 2*one + before + 2*len(c.Prepared.Commit[i].ID) + len(c.Prepared.Commit[i].Data)
	}
	return size
}

// moveHeld writes what is held now and removes what is not. Nothing of it is merely opened any more. Where the
// checkpoint commits something, it also writes what was there before, and returns how many moves that are.
func (s *Store) moveHeld(b *store.Batch, pipeline string, prepared forebay.Prepared, p Pending) (moves int, err error) {
	opened, err := s.openedIDs(pipeline)
	if err != nil {
		return 0, err
	}
	m := mover{store: s, batch: b, pipeline: pipeline, opened: opened}
	if len(p.Commit) > 0 {
		m.pending = pendingKey(pipeline, p)
	}
	for _, c := range prepared.Commit { // the first ones: Change finds them by their index
		if err := errors.Join(m.note(c.ID, &c), b.Delete(m.held)); err != nil {
			return 0, err
		}
	}
	for _, c := range prepared.Held {
		if err := errors.Join(m.note(c.ID, nil), setSealed(b, m.held, c.Data)); err != nil {
			return 0, err
		}
	}
	for _, id := range prepared.Dropped {
		if err := errors.Join(m.note(id, nil), b.Delete(m.held)); err != nil {
			return 0, err
		}
	}
	return m.moves, nil
}

// openedIDs are the ids that are merely opened: mostly none.
func (s *Store) openedIDs(pipeline string) (map[string]struct{}, error) {
	ids := map[string]struct{}{}
	prefix := key(kindOpened, pipeline)
	err := s.each(prefix, func(key, _ []byte) error {
		ids[string(key[len(prefix):])] = struct{}{}
		return nil
	})
	return ids, err
}

// mover writes the moves of one checkpoint.
type mover struct {
	store    *Store
	batch    *store.Batch
	pipeline string
	opened   map[string]struct{}
	pending  []byte // the key of the Pending, nil where none is written
	moves    int
	held     []byte // the key of what was noted last
}

// note writes what is held under an id so far, beside what is committed of it.
func (m *mover) note(id string, commit *forebay.Committable) error {
	m.held = append(append(m.held[:0], key(kindHeld, m.pipeline)...), id...)
	if _, found := m.opened[id]; found {
		if err := m.batch.Delete(idKey(kindOpened, m.pipeline, id)); err != nil {
			return err
		}
	}
	if m.pending == nil {
		return nil
	}
	one := move{ID: id}
	if commit != nil {
		one.Commits, one.Data = true, commit.Data
	}
	var err error
	if one.Before, one.WasHeld, err = m.store.getSealed(m.held); err != nil {
		return err
	}
	m.moves++
	return setSealed(m.batch, moveKey(m.pending, m.moves-1), one.encode())
}

// Change replaces what a pending checkpoint commits, durably, after a target asked for a change.
func (s *Store) Change(pipeline string, p Pending) error {
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	pending := pendingKey(pipeline, p)
	for i, c := range p.Commit {
		k := moveKey(pending, i)
		value, found, err := s.getSealed(k)
		if err != nil {
			return err
		}
		one, err := decodeMove(value)
		if err == nil && (!found || !one.Commits || one.ID != c.ID) {
			err = fmt.Errorf("its part %d is not that of %s", i, c.ID)
		}
		if err != nil {
			return corrupt("change "+pipeline, fmt.Errorf("a checkpoint that is not committed: %w", err))
		}
		if bytes.Equal(one.Data, c.Data) {
			continue
		}
		one.Data = c.Data
		if err := setSealed(b, k, one.encode()); err != nil {
			return err
		}
	}
	return s.commit(b, true)
}

// Committed notes, durably, that the checkpoint is committed: the COMMITTED record. It is synced, for once it is
// answered a reader may take away what was committed, and then nobody could tell.
func (s *Store) Committed(pipeline string, p Pending) error {
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := removePending(b, pendingKey(pipeline, p)); err != nil {
		return err
	}
	err := s.commit(b, true)
	fault.Hit(fault.CommittedWritten)
	return err
}

// Forget removes what is opened or held under the ids, once it is aborted or published.
func (s *Store) Forget(pipeline string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	for _, id := range ids {
		err := errors.Join(b.Delete(idKey(kindOpened, pipeline, id)), b.Delete(idKey(kindHeld, pipeline, id)))
		if err != nil {
			return err
		}
	}
	return s.commit(b, true)
}

// ForgetOpened removes the notes of what was opened, once it is aborted; what is held stays.
func (s *Store) ForgetOpened(pipeline string) error {
	prefix := key(kindOpened, pipeline)
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := b.DeleteRange(prefix, store.PrefixEnd(prefix)); err != nil {
		return err
	}
	return s.commit(b, true)
}

// Open is what was opened and what is held, neither of it committed, each by id.
func (s *Store) Open(pipeline string) (opened, held []forebay.Committable, err error) {
	if opened, err = s.committables(kindOpened, pipeline); err != nil {
		return nil, nil, err
	}
	held, err = s.committables(kindHeld, pipeline)
	return opened, held, err
}

// Held is what is held under these ids.
//
// Errors: corrupt where one of them is not.
func (s *Store) Held(pipeline string, ids []string) ([]forebay.Committable, error) {
	held := make([]forebay.Committable, 0, len(ids))
	for _, id := range ids {
		data, found, err := s.getSealed(idKey(kindHeld, pipeline, id))
		if err == nil && !found {
			err = corrupt("load "+pipeline, fmt.Errorf("what a sink holds of %s is gone", id))
		}
		if err != nil {
			return nil, err
		}
		held = append(held, forebay.Committable{ID: id, Data: data})
	}
	return held, nil
}

func (s *Store) committables(kind byte, pipeline string) (all []forebay.Committable, err error) {
	prefix := key(kind, pipeline)
	err = s.each(prefix, func(key, value []byte) error {
		id := string(key[len(prefix):])
		data, err := unseal(key, value)
		if err != nil {
			return corrupt("load "+pipeline, fmt.Errorf("what a sink holds of %s: %w", id, err))
		}
		all = append(all, forebay.Committable{ID: id, Data: bytes.Clone(data)})
		return nil
	})
	return all, err
}

// Pendings are the checkpoints that are not known to be committed, in the order in which they must be.
func (s *Store) Pendings(pipeline string) ([]Pending, error) {
	r := pendingReader{prefix: len(key(kindPending, pipeline))}
	err := s.each(key(kindPending, pipeline), func(key, value []byte) error {
		if err := r.read(key, value); err != nil {
			return corrupt("load "+pipeline, fmt.Errorf("a checkpoint that is not committed: %w", err))
		}
		return nil
	})
	if err == nil {
		if err = r.complete(); err != nil {
			err = corrupt("load "+pipeline, fmt.Errorf("a checkpoint that is not committed: %w", err))
		}
	}
	slices.SortStableFunc(r.all, func(a, b Pending) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Lane, b.Lane))
	})
	return r.all, err
}

// pendingReader puts Pendings together from their keys, in the order of these.
type pendingReader struct {
	prefix int // what comes before the epoch
	all    []Pending
	head   []byte // the key of the last one
	counts storedPending
}

// headSize is what pendingKey has behind the pipeline.
const headSize = 8 + 8 + 4

func (r *pendingReader) read(key, value []byte) error {
	switch len(key) - r.prefix {
	case headSize:
		if err := r.complete(); err != nil {
			return err
		}
		var s storedPending
		if err := json.Unmarshal(value, &s); err != nil {
			return err
		}
		if s.Version != pendingVersion {
			return fmt.Errorf("version %d, this program knows %d", s.Version, pendingVersion)
		}
		r.head, r.counts = bytes.Clone(key), s
		r.all = append(r.all, Pending{Epoch: s.Epoch, Lane: s.Lane, Number: s.Number, splits: s.Splits})
		return nil
	case headSize + 4:
		data, err := unseal(key, value)
		if err != nil {
			return err
		}
		one, err := decodeMove(bytes.Clone(data))
		if err != nil {
			return err
		}
		if r.head == nil || !bytes.Equal(key, moveKey(r.head, len(r.all[len(r.all)-1].moves))) {
			return errors.New("a part of it belongs to none")
		}
		p := &r.all[len(r.all)-1]
		if one.Commits {
			p.Commit = append(p.Commit, forebay.Committable{ID: one.ID, Data: one.Data})
		}
		p.moves = append(p.moves, one)
		return nil
	default:
		return fmt.Errorf("the key %q is none of this program's", key)
	}
}

// complete says whether the last one has all its parts.
func (r *pendingReader) complete() error {
	if r.head == nil {
		return nil
	}
	p := r.all[len(r.all)-1]
	if len(p.Commit) != r.counts.Commits || len(p.moves) != r.counts.Moves {
		return fmt.Errorf("%d of %d parts are there, and %d of %d commits", len(p.moves), r.counts.Moves,
			len(p.Commit), r.counts.Commits)
	}
	return nil
}

// Rewind undoes the checkpoint and those that its lane made after it, all of which the target definitely does not
// have: positions and holdings are again what they were before it. It takes a new epoch for the owner in the same
// write, so that nothing of the run that made them is taken any more.
func (s *Store) Rewind(owner forebay.Owner, first Pending, guarantee string) (epoch uint64, err error) {
	pendings, err := s.Pendings(owner.Pipeline)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }()              // only returns memory
	for _, p := range slices.Backward(pendings) { // the oldest one's values are written last
		if p.Epoch != first.Epoch || p.Lane != first.Lane || p.Number < first.Number {
			continue
		}
		if err := p.undo(b, owner.Pipeline); err != nil {
			return 0, err
		}
	}
	o, err := s.nextOwnership(owner, owner.Epoch, guarantee)
	if err != nil {
		return 0, err
	}
	if err := set(b, key(kindOwnership, owner.Pipeline), o); err != nil {
		return 0, err
	}
	if err := s.commit(b, true); err != nil {
		return 0, err
	}
	s.epochs[owner.Pipeline] = o.Epoch
	return o.Epoch, nil
}

// undo writes what was there before the checkpoint. What it would have committed becomes opened again: the next run
// aborts it.
func (p Pending) undo(b *store.Batch, pipeline string) error {
	for _, before := range p.splits {
		k := append(key(kindEntry, pipeline), before.Split...)
		if before.Entry == nil {
			if err := b.Delete(k); err != nil {
				return err
			}
			continue
		}
		if err := set(b, k, *before.Entry); err != nil {
			return err
		}
	}
	for _, one := range p.moves {
		if one.Commits {
			if err := setSealed(b, idKey(kindOpened, pipeline, one.ID), one.Data); err != nil {
				return err
			}
		}
		k := idKey(kindHeld, pipeline, one.ID)
		if !one.WasHeld {
			if err := b.Delete(k); err != nil {
				return err
			}
			continue
		}
		if err := setSealed(b, k, one.Before); err != nil {
			return err
		}
	}
	return removePending(b, pendingKey(pipeline, p))
}

// removePending removes the head and the moves.
func removePending(b *store.Batch, pending []byte) error {
	return b.DeleteRange(pending, store.PrefixEnd(pending))
}

// pendingVersion is the version of a Pending's stored form.
const pendingVersion = 2

func (p Pending) head(moves int) storedPending {
	return storedPending{
		Version: pendingVersion, Epoch: p.Epoch, Lane: p.Lane, Number: p.Number, Commits: len(p.Commit), Moves: moves,
		Splits: p.splits, Written: time.Now().UnixMicro(),
	}
}
