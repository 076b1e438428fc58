// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Reader is what a store and a snapshot of it have in common.
type Reader interface {
	// Get appends the value of key to dst; ErrNotFound if there is none.
	Get(dst, key []byte) ([]byte, error)
	// NewIter walks the keys from lower up to, and without, upper in order; nil is no bound.
	NewIter(lower, upper []byte) (*Iter, error)
}

// Get appends the value of key to dst; ErrNotFound if there is none. It sees everything applied, also what is not
// yet on disk.
//
// Errors: ErrNotFound, ErrPoisoned, ErrClosed. Concurrency: safe. Ownership: the result is the caller's.
func (s *Store) Get(dst, key []byte) ([]byte, error) {
	if err := s.acquire(); err != nil {
		return dst, err
	}
	defer s.release()
	return get(s.db, dst, key)
}

func get(from pebble.Reader, dst, key []byte) ([]byte, error) {
	value, closer, err := from.Get(key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			err = ErrNotFound
		}
		return dst, err
	}
	dst = append(dst, value...)
	return dst, closer.Close()
}

// NewIter returns an iterator over the keys from lower up to, and without, upper; nil is no bound. It sees what is
// applied at the call and nothing later. The caller closes it.
//
// Concurrency: the call is safe, the iterator is for one goroutine.
func (s *Store) NewIter(lower, upper []byte) (*Iter, error) {
	return s.newIter(s.db, lower, upper)
}

func (s *Store) newIter(from pebble.Reader, lower, upper []byte) (*Iter, error) {
	if err := s.acquire(); err != nil {
		return nil, err
	}
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		s.release()
		return nil, err
	}
	return &Iter{Iterator: it, store: s}, nil
}

// Iter is a Pebble iterator that its store waits for. Key and value are valid until the next move.
type Iter struct {
	*pebble.Iterator
	store  *Store
	closed bool
}

// Close ends the iterator and says what went wrong on the way. Closing twice is fine.
func (i *Iter) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	defer i.store.release()
	// Giving up the last reference to a set of files takes Pebble's mutex, which may be lost by now.
	if err := i.store.poison.cause(); err != nil {
		return err
	}
	return i.Iterator.Close()
}

// Snapshot is the store at one moment.
type Snapshot struct {
	store  *Store
	pebble *pebble.Snapshot
	closed bool
}

// NewSnapshot returns the store as it is now; the caller closes it.
func (s *Store) NewSnapshot() (*Snapshot, error) {
	if err := s.acquire(); err != nil {
		return nil, err
	}
	return &Snapshot{store: s, pebble: s.db.NewSnapshot()}, nil
}

// Get implements Reader.
func (n *Snapshot) Get(dst, key []byte) ([]byte, error) {
	if err := n.store.acquire(); err != nil {
		return dst, err
	}
	defer n.store.release()
	return get(n.pebble, dst, key)
}

// NewIter implements Reader.
func (n *Snapshot) NewIter(lower, upper []byte) (*Iter, error) {
	return n.store.newIter(n.pebble, lower, upper)
}

// Close lets go of the moment. Closing twice is fine.
func (n *Snapshot) Close() error {
	if n.closed {
		return nil
	}
	n.closed = true
	defer n.store.release()
	if err := n.store.poison.cause(); err != nil {
		return err
	}
	return n.pebble.Close()
}
