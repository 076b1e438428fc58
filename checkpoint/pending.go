// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
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
//	0x40 x pipeline id                    opened, noted before it is used
//	0x40 h pipeline id                    held by a durable checkpoint
//	0x40 c pipeline epoch number lane     Pending: a checkpoint from when it is durable until it is committed
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

	// before is what the checkpoint replaced, for Rewind.
	splits []splitBefore
	held   []heldBefore
}

// splitBefore is the entry that a checkpoint replaced; nil where there was none.
type splitBefore struct {
	Split text   `json:"split"`
	Entry *Entry `json:"entry,omitempty"`
}

// heldBefore is what was held when a checkpoint replaced or removed it; nil where nothing was.
type heldBefore struct {
	ID   text               `json:"id"`
	Held *storedCommittable `json:"held,omitempty"`
}

// storedCommittable is a Committable as it is stored.
type storedCommittable struct {
	ID   text   `json:"id"`
	Data []byte `json:"data,omitempty"`
}

type storedPending struct {
	Version int                 `json:"version"`
	Epoch   uint64              `json:"epoch"`
	Lane    int                 `json:"lane"`
	Number  uint64              `json:"number"`
	Commit  []storedCommittable `json:"commit"`
	Splits  []splitBefore       `json:"splits_before,omitempty"`
	Held    []heldBefore        `json:"held_before,omitempty"`
	Written int64               `json:"written"`
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
	if err := set(b, idKey(kindOpened, pipeline, c.ID), storedOf(c)); err != nil {
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
	b := s.store.NewBatch(0)
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
	if err := s.moveHeld(b, pipeline, c.Prepared, &p); err != nil {
		return p, err
	}
	if len(p.Commit) > 0 {
		if err := set(b, pendingKey(pipeline, p), p.stored()); err != nil {
			return p, err
		}
	}
	fault.Hit(fault.CheckpointBuilt)
	err := s.commit(b, true)
	fault.Hit(fault.CheckpointWritten)
	return p, err
}

// moveHeld writes what is held now and removes what is not, and notes in p what was there before. Nothing of it is
// merely opened any more.
func (s *Store) moveHeld(b *store.Batch, pipeline string, prepared forebay.Prepared, p *Pending) error {
	note := func(id string) error {
		before := heldBefore{ID: text(id)}
		var stored storedCommittable
		found, err := s.get(idKey(kindHeld, pipeline, id), &stored)
		if found {
			before.Held = &stored
		}
		p.held = append(p.held, before)
		return errors.Join(err, b.Delete(idKey(kindOpened, pipeline, id)))
	}
	for _, c := range prepared.Held {
		if err := errors.Join(note(c.ID), set(b, idKey(kindHeld, pipeline, c.ID), storedOf(c))); err != nil {
			return err
		}
	}
	gone := slices.Clone(prepared.Dropped)
	for _, c := range prepared.Commit {
		gone = append(gone, c.ID)
	}
	for _, id := range gone {
		if err := errors.Join(note(id), b.Delete(idKey(kindHeld, pipeline, id))); err != nil {
			return err
		}
	}
	return nil
}

// Change replaces what a pending checkpoint commits, durably, after a target asked for a change.
func (s *Store) Change(pipeline string, p Pending) error {
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := set(b, pendingKey(pipeline, p), p.stored()); err != nil {
		return err
	}
	return s.commit(b, true)
}

// Committed notes, durably, that the checkpoint is committed: the COMMITTED record. It is synced, for once it is
// answered a reader may take away what was committed, and then nobody could tell.
func (s *Store) Committed(pipeline string, p Pending) error {
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := b.Delete(pendingKey(pipeline, p)); err != nil {
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

func (s *Store) committables(kind byte, pipeline string) (all []forebay.Committable, err error) {
	err = s.each(key(kind, pipeline), func(_, value []byte) error {
		var c storedCommittable
		if err := json.Unmarshal(value, &c); err != nil {
			return corrupt("load "+pipeline, fmt.Errorf("what a sink holds: %w", err))
		}
		all = append(all, c.committable())
		return nil
	})
	return all, err
}

// Pendings are the checkpoints that are not known to be committed, in the order in which they must be.
func (s *Store) Pendings(pipeline string) ([]Pending, error) {
	var all []Pending
	err := s.each(key(kindPending, pipeline), func(_, value []byte) error {
		var p storedPending
		err := json.Unmarshal(value, &p)
		if err == nil && p.Version != pendingVersion {
			err = fmt.Errorf("version %d, this program knows %d", p.Version, pendingVersion)
		}
		if err != nil {
			return corrupt("load "+pipeline, fmt.Errorf("a checkpoint that is not committed: %w", err))
		}
		all = append(all, p.pending())
		return nil
	})
	slices.SortStableFunc(all, func(a, b Pending) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Lane, b.Lane))
	})
	return all, err
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
	for _, c := range p.Commit {
		if err := set(b, idKey(kindOpened, pipeline, c.ID), storedOf(c)); err != nil {
			return err
		}
	}
	for _, before := range p.held {
		k := idKey(kindHeld, pipeline, string(before.ID))
		if before.Held == nil {
			if err := b.Delete(k); err != nil {
				return err
			}
			continue
		}
		if err := set(b, k, *before.Held); err != nil {
			return err
		}
	}
	return b.Delete(pendingKey(pipeline, p))
}

// pendingVersion is the version of Pending's stored form.
const pendingVersion = 1

func (p Pending) stored() storedPending {
	s := storedPending{
		Version: pendingVersion, Epoch: p.Epoch, Lane: p.Lane, Number: p.Number, Splits: p.splits, Held: p.held,
		Written: time.Now().UnixMicro(),
	}
	for _, c := range p.Commit {
		s.Commit = append(s.Commit, storedOf(c))
	}
	return s
}

func (s storedPending) pending() Pending {
	p := Pending{Epoch: s.Epoch, Lane: s.Lane, Number: s.Number, splits: s.Splits, held: s.Held}
	for _, c := range s.Commit {
		p.Commit = append(p.Commit, c.committable())
	}
	return p
}

func storedOf(c forebay.Committable) storedCommittable {
	return storedCommittable{ID: text(c.ID), Data: c.Data}
}

func (s storedCommittable) committable() forebay.Committable {
	return forebay.Committable{ID: string(s.ID), Data: s.Data}
}
