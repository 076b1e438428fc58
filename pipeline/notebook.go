// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
)

// notebook gathers the positions that lanes confirmed and writes them to the checkpoint store. For a target
// that holds progress they are notes, at most one write a second; for any other they are the truth, written
// each time.
//
// Concurrency: safe.
type notebook struct {
	checkpoints *checkpoint.Store
	owner       forebay.Owner

	mu      sync.Mutex
	dirty   map[string]checkpoint.Entry
	written time.Time
}

const noteInterval = time.Second

func newNotebook(checkpoints *checkpoint.Store, owner forebay.Owner) *notebook {
	return &notebook{checkpoints: checkpoints, owner: owner, dirty: map[string]checkpoint.Entry{}}
}

// entriesOf are the positions of a transaction as they are stored. noted says that the target has confirmed them.
func (r *run) entriesOf(t *transaction, noted bool) []checkpoint.Entry {
	now := time.Now().UnixMicro()
	entries := make([]checkpoint.Entry, len(t.progress))
	for i, p := range t.progress {
		entries[i] = checkpoint.Entry{
			Split: p.Split, Epoch: r.owner.Epoch, Number: p.Version, Position: p.Position, Fingerprint: p.Fingerprint,
			Noted: noted, Updated: now,
		}
		if t.times != nil {
			entries[i].Times = &t.times[i]
		}
	}
	return entries
}

// add notes confirmed positions.
func (n *notebook) add(entries []checkpoint.Entry) error {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	noted := true
	for _, e := range entries {
		n.dirty[e.Split] = e
		noted = noted && e.Noted
	}
	if noted && now.Sub(n.written) < noteInterval {
		return nil
	}
	return n.writeLocked(now, false)
}

// flush writes what is left, durably.
func (n *notebook) flush() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writeLocked(time.Now(), true)
}

func (n *notebook) writeLocked(now time.Time, durable bool) error {
	if len(n.dirty) == 0 {
		return nil
	}
	entries := make([]checkpoint.Entry, 0, len(n.dirty))
	for _, e := range n.dirty {
		entries = append(entries, e)
	}
	if err := n.checkpoints.Save(n.owner.Pipeline, entries, durable); err != nil {
		return err
	}
	clear(n.dirty)
	n.written = now
	return nil
}
