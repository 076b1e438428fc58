// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// box is a part that a two-phase sink fills, closes and shows.
type box struct {
	epoch   uint64
	records []origin
	durable int // so many records survive a death
	visible bool
}

// shelf is what survives the death of a process that writes boxes.
type shelf struct {
	owner forebay.Owner
	boxes map[string]*box
}

func newShelf() *shelf { return &shelf{boxes: map[string]*box{}} }

// afterDeath is the shelf as the next process finds it.
func (s *shelf) afterDeath() *shelf {
	left := &shelf{owner: s.owner, boxes: map[string]*box{}}
	for id, b := range s.boxes {
		left.boxes[id] = &box{
			epoch: b.epoch, durable: b.durable, visible: b.visible, records: slices.Clone(b.records[:b.durable]),
		}
	}
	return left
}

func (s *shelf) visible() (all []origin, hidden int) {
	for _, b := range s.boxes {
		if b.visible {
			all = append(all, b.records...)
		} else {
			hidden++
		}
	}
	return all, hidden
}

// boxSink is a two-phase sink in memory. It dies at a given operation: die is called once, and from then on everything
// fails.
type boxSink struct {
	shelf *shelf
	// rolls is after how many checkpoints of a lane a box is closed; it is held until then.
	rolls int
	// answer decides about the n-th request for a commit, from 0; nil commits everything.
	answer func(n int, q *forebay.CommitRequest, commit func()) error
	// slow is how long a commit takes.
	slow time.Duration
	// dieAt is the operation at which the process dies, from 1; 0 is never.
	dieAt int
	die   func()
	// bad says which records are refused for good.
	bad func(origin) bool
	// fail is asked before each write, prepare and wait, and may make it fail.
	fail func(doing string) error
	// noFence leaves out the fence.
	noFence bool

	mu      sync.Mutex
	ops     int
	commits int
	left    *shelf // what the death left
	fences  []forebay.Owner
	opened  []forebay.LaneContext
}

var errDied = &forebay.Error{Op: "work", Class: forebay.ClassMisconfigured, Err: errors.New("the process is dead")}

// op is one operation, before or after which the process may die.
func (s *boxSink) op() error {
	s.mu.Lock()
	s.ops++
	die := s.dieAt > 0 && s.ops == s.dieAt
	dead := s.dieAt > 0 && s.ops >= s.dieAt
	if die {
		if s.die != nil {
			s.die() // nothing moves between what the disk has and what the shelf has
		}
		s.left = s.shelf.afterDeath()
	}
	s.mu.Unlock()
	if dead {
		return errDied
	}
	return nil
}

func (s *boxSink) fails(doing string) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(doing)
}

func (s *boxSink) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{Connector: "boxes", NeedsRows: true, Way: forebay.WayTwoPhase, Name: "boxes"}, nil
}

func (s *boxSink) Start(context.Context, forebay.SinkContext) (forebay.Target, error) {
	if s.noFence {
		return unfenced{&boxTarget{sink: s}}, s.op()
	}
	return &boxTarget{sink: s}, s.op()
}

type boxTarget struct{ sink *boxSink }

// unfenced hides the fence of a target.
type unfenced struct{ twoPhaseTarget }

type twoPhaseTarget interface {
	forebay.Target
	forebay.TwoPhase
}

func (t *boxTarget) Close() error { return nil }

func (t *boxTarget) OpenLane(_ context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	s := t.sink
	if err := s.op(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, lane)
	w := &boxLane{sink: s, lane: lane, number: len(s.opened)}
	for _, c := range lane.Restored {
		b := s.shelf.boxes[c.ID]
		n, err := strconv.Atoi(string(c.Data))
		if err != nil || b == nil || b.visible || len(b.records) < n || !s.noFence && b.epoch != lane.Owner.Epoch {
			return nil, forebay.Errorf("restore", forebay.ClassLost, "box %s is not what it was: %+v, %v", c.ID, b, err)
		}
		b.records, b.durable = b.records[:n:n], n
		w.held = append(w.held, c.ID)
	}
	return w, nil
}

func (t *boxTarget) Commit(ctx context.Context, requests []forebay.CommitRequest) error {
	s := t.sink
	if s.slow > 0 {
		timer := time.NewTimer(s.slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for i := range requests {
		if err := s.op(); err != nil {
			return err
		}
		if err := s.commit(&requests[i]); err != nil {
			return err
		}
	}
	return s.op()
}

func (s *boxSink) commit(q *forebay.CommitRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.commits
	s.commits++
	commit := func() {
		b := s.shelf.boxes[q.Committable.ID]
		switch {
		case b == nil:
			q.Outcome, q.Err = forebay.OutcomeLost, errors.New("there is no such box")
		case strconv.Itoa(len(b.records)) != string(q.Committable.Data):
			q.Outcome, q.Err = forebay.OutcomeFatal, fmt.Errorf("the box has %d records", len(b.records))
		case b.visible:
			q.Outcome = forebay.OutcomeAlready
		default:
			b.visible, q.Outcome = true, forebay.OutcomeDone
		}
	}
	if s.answer != nil {
		return s.answer(n, q, commit)
	}
	commit()
	return nil
}

// lose takes a box away for good.
func (s *boxSink) lose(q *forebay.CommitRequest) {
	delete(s.shelf.boxes, q.Committable.ID)
	q.Outcome, q.Err = forebay.OutcomeLost, errors.New("scripted")
}

func (t *boxTarget) Abort(_ context.Context, cs []forebay.Committable) error {
	for _, c := range cs {
		if err := t.sink.op(); err != nil {
			return err
		}
		t.sink.mu.Lock()
		if b := t.sink.shelf.boxes[c.ID]; b != nil && !b.visible {
			delete(t.sink.shelf.boxes, c.ID)
		}
		t.sink.mu.Unlock()
	}
	return nil
}

func (t *boxTarget) ListOpen(_ context.Context, owner forebay.Owner) ([]forebay.Committable, error) {
	s := t.sink
	if err := s.op(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []forebay.Committable
	for id, b := range s.shelf.boxes {
		if !b.visible && b.epoch <= owner.Epoch {
			open = append(open, forebay.Committable{ID: id})
		}
	}
	return open, nil
}

func (t *boxTarget) Owner(context.Context, string) (forebay.Owner, error) {
	if err := t.sink.op(); err != nil {
		return forebay.Owner{}, err
	}
	t.sink.mu.Lock()
	defer t.sink.mu.Unlock()
	return t.sink.shelf.owner, nil
}

func (t *boxTarget) Fence(_ context.Context, owner forebay.Owner, held []forebay.Committable) error {
	s := t.sink
	if err := s.op(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.shelf.owner.Epoch >= owner.Epoch {
		s.mu.Unlock()
		return forebay.Errorf("fence", forebay.ClassFenced, "epoch %d is there", s.shelf.owner.Epoch)
	}
	s.shelf.owner = owner
	s.fences = append(s.fences, owner)
	for _, c := range held {
		if b := s.shelf.boxes[c.ID]; b != nil {
			b.epoch = owner.Epoch
		}
	}
	for id, b := range s.shelf.boxes {
		if !b.visible && b.epoch < owner.Epoch {
			delete(s.shelf.boxes, id) // an older owner cannot show it any more
		}
	}
	s.mu.Unlock()
	return s.op()
}

func (t *boxTarget) Forget(context.Context, string) error { return nil }

// boxLane fills one box at a time.
type boxLane struct {
	sink   *boxSink
	lane   forebay.LaneContext
	held   []string // ids, the last of which is filled
	made   int
	number int // of all lanes that were opened
}

func (w *boxLane) Write(_ context.Context, b *forebay.Batch) error {
	s := w.sink
	if err := errors.Join(s.op(), s.fails("write")); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.held) == 0 && b.Len() > 0 {
		w.made++
		id := fmt.Sprintf("%d-%d-%d-%d", w.lane.Owner.Epoch, w.lane.Lane, w.number, w.made)
		if s.shelf.boxes[id] != nil {
			return forebay.Errorf("write", forebay.ClassCorrupt, "the name %s is used again", id)
		}
		s.shelf.boxes[id] = &box{epoch: w.lane.Owner.Epoch}
		w.held = append(w.held, id)
	}
	refused := &forebay.Error{Op: "write", Class: forebay.ClassRejected}
	for i := range b.Len() {
		o := origin{b.SplitID(), b.Record(i).Offset}
		if s.bad != nil && s.bad(o) {
			refused.Records = append(refused.Records, forebay.RecordError{Index: i, Code: "bad"})
			continue
		}
		last := s.shelf.boxes[w.held[len(w.held)-1]]
		last.records = append(last.records, o)
	}
	if len(refused.Records) > 0 {
		return refused
	}
	return nil
}

func (w *boxLane) Flush(context.Context) error {
	s := w.sink
	if err := s.op(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range w.held {
		b := s.shelf.boxes[id]
		b.durable, b.visible = len(b.records), true
	}
	w.held = nil
	return nil
}

func (w *boxLane) Close() error { return nil }

func (w *boxLane) Prepare(_ context.Context, n uint64, last bool) (
	func(context.Context) (forebay.Prepared, error), error,
) {
	s := w.sink
	if err := errors.Join(s.op(), s.fails("prepare")); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var p forebay.Prepared
	sizes := map[string]int{}
	for _, id := range w.held {
		size := len(s.shelf.boxes[id].records)
		sizes[id] = size
		c := forebay.Committable{ID: id, Data: []byte(strconv.Itoa(size))}
		if last || s.rolls <= 1 || n%uint64(s.rolls) == 0 {
			p.Commit = append(p.Commit, c)
		} else {
			p.Held = append(p.Held, c)
		}
	}
	if len(p.Commit) > 0 {
		w.held = nil
	}
	return func(context.Context) (forebay.Prepared, error) {
		if err := errors.Join(s.op(), s.fails("wait")); err != nil {
			return p, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, size := range sizes {
			if b := s.shelf.boxes[id]; b != nil {
				b.durable = max(b.durable, size)
			}
		}
		return p, nil
	}, nil
}
