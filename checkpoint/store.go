// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// Store keeps what pipelines remember in the checkpoint space of a state directory's store. Its values are
// JSON: they are small and rarely written, and a person may have to read them.
//
//	0x40 kind pipeline [split]   kind m: Meta, o: Ownership, e: Entry; x, h and c in pending.go
//
// Concurrency: safe.
type Store struct {
	store *store.Store

	mu     sync.Mutex // one epoch is taken at a time
	epochs map[string]uint64
}

const (
	kindMeta      = 'm'
	kindOwnership = 'o'
	kindEntry     = 'e'
)

// NewStore keeps checkpoints in st.
func NewStore(st *store.Store) *Store { return &Store{store: st, epochs: map[string]uint64{}} }

func key(kind byte, pipeline string) []byte {
	return store.AppendString([]byte{store.SpaceCheckpoint, kind}, pipeline)
}

// splitNameMax bounds a split's id in a key.
const splitNameMax = 1<<16 - 1

// LoadMeta is what the pipeline's positions depend on; known is false for a pipeline without state.
func (s *Store) LoadMeta(pipeline string) (m Meta, known bool, err error) {
	known, err = s.get(key(kindMeta, pipeline), &m)
	if err == nil && known && m.Version != metaVersion {
		err = corrupt("load "+pipeline, fmt.Errorf("state of version %d, this program knows %d", m.Version, metaVersion))
	}
	return m, known, err
}

// SaveMeta stores it durably.
func (s *Store) SaveMeta(pipeline string, m Meta) error {
	m.Version = metaVersion
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := set(b, key(kindMeta, pipeline), m); err != nil {
		return err
	}
	return s.commit(b, true)
}

// LoadOwnership is the newest run of the pipeline here.
func (s *Store) LoadOwnership(pipeline string) (o Ownership, err error) {
	_, err = s.get(key(kindOwnership, pipeline), &o)
	return o, err
}

// TakeEpoch takes the next epoch for the owner's pipeline: one more than the greater of the stored one and the
// target's. C1: it is durable on return.
func (s *Store) TakeEpoch(owner forebay.Owner, target uint64, guarantee string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.nextOwnership(owner, target, guarantee)
	if err != nil {
		return 0, err
	}
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	if err := set(b, key(kindOwnership, owner.Pipeline), o); err != nil {
		return 0, err
	}
	if err := s.commit(b, true); err != nil {
		return 0, err
	}
	s.epochs[owner.Pipeline] = o.Epoch
	return o.Epoch, nil
}

// nextOwnership is what the owner's pipeline becomes when it takes the next epoch.
func (s *Store) nextOwnership(owner forebay.Owner, target uint64, guarantee string) (Ownership, error) {
	stored, err := s.LoadOwnership(owner.Pipeline)
	if err != nil {
		return Ownership{}, err
	}
	known := append(slices.Clone(stored.Known), owner.Holder)
	return Ownership{
		Epoch: max(stored.Epoch, target) + 1, Holder: owner.Holder, Guarantee: guarantee, Started: time.Now().UnixMicro(),
		Known: known[max(0, len(known)-holdersKept):],
	}, nil
}

// fenced refuses entries of a run whose pipeline has a newer owner. The directory belongs to one process, so that
// what was taken here is all that can be newer.
func (s *Store) fenced(pipeline string, entries []Entry) error {
	for _, e := range entries {
		if err := s.fencedEpoch(pipeline, e.Epoch); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) fencedEpoch(pipeline string, epoch uint64) error {
	s.mu.Lock()
	newest := s.epochs[pipeline]
	s.mu.Unlock()
	if epoch < newest {
		return forebay.Errorf("write checkpoint", forebay.ClassFenced, "run %d of %s took over from run %d",
			newest, pipeline, epoch)
	}
	return nil
}

// Load is the entry of each split.
func (s *Store) Load(pipeline string) (map[string]Entry, error) {
	entries := map[string]Entry{}
	prefix := key(kindEntry, pipeline)
	err := s.each(prefix, func(key, value []byte) error {
		var e Entry
		err := json.Unmarshal(value, &e)
		if split := string(key[len(prefix):]); err == nil && e.Split != split {
			err = fmt.Errorf("it is that of %q", e.Split)
		}
		if err != nil {
			return corrupt("load "+pipeline, fmt.Errorf("entry of split %q: %w", key[len(prefix):], err))
		}
		entries[e.Split] = e
		return nil
	})
	return entries, err
}

// Save stores entries together. With durable it returns once they are on disk; without, they are on disk
// with the next sync of the store, which comes within a second where no target has them too, and never before anything
// that was written earlier.
//
// Errors: fenced where a newer run has taken the pipeline's epoch; those of the store.
func (s *Store) Save(pipeline string, entries []Entry, durable bool) error {
	if err := s.fenced(pipeline, entries); err != nil {
		return err
	}
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	prefix := key(kindEntry, pipeline)
	for _, e := range entries {
		if len(e.Split) > splitNameMax {
			return fmt.Errorf("the split name %.60q... is longer than %d bytes", e.Split, splitNameMax)
		}
		if err := set(b, append(slices.Clip(prefix), e.Split...), e); err != nil {
			return err
		}
	}
	fault.Hit(fault.CheckpointBuilt)
	err := s.commit(b, durable)
	fault.Hit(fault.CheckpointWritten)
	if err == nil && !durable && slices.ContainsFunc(entries, func(e Entry) bool { return !e.Noted }) {
		s.store.SyncLater(syncWithin)
	}
	return err
}

// syncWithin is how long positions that only this store has may wait for their fsync.
const syncWithin = time.Second

// Pipelines lists the pipelines that have state here, in order of their names.
func (s *Store) Pipelines() ([]string, error) {
	var names []string
	prefix := []byte{store.SpaceCheckpoint, kindMeta}
	err := s.each(prefix, func(key, _ []byte) error {
		names = append(names, string(key[len(prefix)+2:]))
		return nil
	})
	return names, err
}

// Reset forgets everything about the pipeline. C1: its epoch stays, for it only rises.
func (s *Store) Reset(pipeline string) error {
	b := s.store.NewBatch(0)
	defer func() { _ = b.Close() }() // only returns memory
	errs := []error{b.Delete(key(kindMeta, pipeline))}
	for _, kind := range []byte{kindEntry, kindOpened, kindHeld, kindPending} {
		prefix := key(kind, pipeline)
		errs = append(errs, b.DeleteRange(prefix, store.PrefixEnd(prefix)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.commit(b, true)
}

func (s *Store) commit(b *store.Batch, durable bool) error {
	var err error
	if durable {
		err = s.store.Commit(context.Background(), b, store.SyncNow)
	} else {
		err = s.store.Apply(b)
	}
	return storeError("write checkpoint", err)
}

// storeError gives the store's errors their class.
func storeError(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrPoisoned):
		return &forebay.Error{Op: op, Class: forebay.ClassCorrupt, Code: "store-poisoned", Err: err}
	case errors.Is(err, store.ErrNoSpace):
		return &forebay.Error{Op: op, Class: forebay.ClassTransient, Code: "disk-full", Err: err}
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
}

func (s *Store) get(key []byte, into any) (found bool, err error) {
	value, err := s.store.Get(nil, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, storeError("read checkpoint", err)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return false, corrupt("read checkpoint", fmt.Errorf("value of %q: %w", key, err))
	}
	return true, nil
}

// corrupt is the error for a value that is not what was written.
func corrupt(op string, err error) error {
	return &forebay.Error{
		Op: op, Class: forebay.ClassCorrupt, Code: "checkpoint-corrupt", Err: err,
		Cure: "keep a copy of the state directory; then restore it, or start over with: forebay checkpoint reset",
	}
}

func set(b *store.Batch, key []byte, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Set(key, encoded)
}

func (s *Store) each(prefix []byte, visit func(key, value []byte) error) (err error) {
	it, err := s.store.NewIter(prefix, store.PrefixEnd(prefix))
	if err != nil {
		return storeError("read checkpoint", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		if err := visit(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return storeError("read checkpoint", it.Error())
}
