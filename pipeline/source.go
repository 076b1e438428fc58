// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

// Stage 1 of 6: source.
//
// Enters: positions of splits. Leaves: batches of one split each, with the position after them.
// Blocks: on the source, until the lane's next tick. Runs on: the lane's goroutine; a source that may wait
// for data has a goroutine for each split that it reads (runFetcher).

// splitQueue deals the splits out to the lanes. A bounded split goes to the next lane that is free.
//
// Concurrency: safe.
type splitQueue struct {
	mu      sync.Mutex
	waiting []*splitRun
	left    int // splits that are not delivered to their end
	clock   *eventClock
}

// splitRun is one split in this run. It belongs to the lane that took it.
type splitRun struct {
	split    forebay.Split
	reader   forebay.Reader
	fetcher  *fetcher
	position forebay.Position // after what the lane has read
	version  uint64           // of the progress in the last transaction that was cut
	reached  int64            // offset up to which it was read in this run, also before the lane started again
	moved    bool             // position is ahead of the last transaction
	ended    bool             // read to its end

	confirmed        forebay.Position // by the target
	confirmedVersion uint64
}

// begin has the splits that the lanes take first hold the watermark back before any of them is read, and each later one
// from when it is taken: else the lane that is faster would make the records of the others late.
func (q *splitQueue) begin(clock *eventClock, first int) {
	q.clock = clock
	for _, s := range q.waiting[:min(first, len(q.waiting))] {
		clock.open(s.split.ID, time.Now())
	}
}

func (q *splitQueue) take() *splitRun {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	s := q.waiting[0]
	q.waiting = q.waiting[1:]
	if q.clock != nil {
		q.clock.open(s.split.ID, time.Now())
	}
	return s
}

func (q *splitQueue) delivered() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.left--
}

func (q *splitQueue) finished() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.left == 0
}

// intake is a lane's side of the source: the splits that it reads, and the next batch of any of them.
type intake struct {
	run     *run
	splits  []*splitRun // open, or ended and not yet delivered
	next    int         // round robin
	batch   *forebay.Batch
	ready   chan *fetched // from all fetchers of the lane
	backlog []*fetched    // what stopped fetchers had read
	parked  []*fetched    // of splits that wait for slower ones
	timer   *time.Timer
}

// fetched is a batch on its way from a fetcher, or the end of its split.
type fetched struct {
	split *splitRun
	batch *forebay.Batch
	err   error
}

// idleWait is how long a lane waits when no split has anything, before it asks again.
const idleWait = 5 * time.Millisecond

// boundedAtOnce and unboundedAtOnce say how many splits a lane reads in turn: one file after the other, but
// all of its partitions at once.
const boundedAtOnce = 1

// refill opens splits until the lane has as many as it reads at once.
func (in *intake) refill(ctx context.Context) error {
	for {
		open := 0
		for _, s := range in.splits {
			if !s.ended {
				open++
			}
		}
		if open >= in.run.splitsAtOnce() {
			return nil
		}
		s := in.run.queue.take()
		if s == nil {
			return nil
		}
		in.splits = append(in.splits, s)
		if err := in.open(ctx, s); err != nil {
			return err
		}
	}
}

// splitsAtOnce is how many splits a lane reads in turn.
func (r *run) splitsAtOnce() int {
	if r.source.Bounded {
		return boundedAtOnce
	}
	total := int(r.totals.splits.Load())
	return (total + r.lanes - 1) / r.lanes
}

// open continues the split at its position.
func (in *intake) open(ctx context.Context, s *splitRun) error {
	if s.position.Finished {
		s.ended = true
		if in.run.clock != nil {
			in.run.clock.finish(s.split.ID)
		}
		return nil
	}
	reader, err := in.run.feed.Open(ctx, s.split, s.position)
	if err != nil {
		return err
	}
	if in.run.clock != nil {
		in.run.clock.open(s.split.ID, time.Now())
	}
	s.reader, s.ended = reader, false
	if in.run.source.Blocks {
		s.fetcher = startFetcher(ctx, fetchTask{split: s, ready: in.ready, width: in.run.shape.Width})
	}
	fault.Hit(fault.Seeked)
	return nil
}

// read returns the next batch and its split. Without one it returns nil: at the deadline, when a drain
// begins, or when no split is left.
func (in *intake) read(ctx context.Context, deadline time.Time) (*splitRun, *forebay.Batch, error) {
	if in.run.source.Blocks {
		return in.await(ctx, deadline)
	}
	for range in.splits {
		s := in.splits[in.next%len(in.splits)]
		in.next++
		if s.ended || in.run.draining() && !s.behind() || in.paused(s) {
			continue
		}
		in.batch.Reset(s.split, in.run.shape.Width)
		err := s.reader.Read(ctx, in.batch)
		switch {
		case errors.Is(err, io.EOF):
			return s, nil, in.end(s)
		case err != nil:
			return s, nil, err
		case in.batch.Len() > 0 || len(in.batch.Rejects()) > 0 || moved(in.batch, s.position):
			return s, in.batch, nil
		}
	}
	return nil, nil, in.idle(ctx, deadline)
}

// parks reports whether what came of the split has to wait: it is paused, or something of it waits already.
func (in *intake) parks(s *splitRun) bool {
	return in.paused(s) || slices.ContainsFunc(in.parked, func(f *fetched) bool { return f.split == s })
}

// paused reports whether the split waits for slower ones. A drain waits for nobody.
func (in *intake) paused(s *splitRun) bool {
	return in.run.clock != nil && !in.run.draining() && in.run.clock.paused(s.split.ID, time.Now())
}

// moved reports whether an empty batch says that the position moved. The zero position says nothing: a reader
// with nothing at hand need not set any.
func moved(b *forebay.Batch, from forebay.Position) bool {
	return b.Position() != forebay.Position{} && b.Position() != from
}

// behind reports whether the lane has not yet read again what it had read before it started again: a drain
// delivers that too.
func (s *splitRun) behind() bool { return !s.ended && s.position.Offset < s.reached }

func (in *intake) behind() bool { return slices.ContainsFunc(in.splits, (*splitRun).behind) }

// end closes the reader of a split that was read to its end.
func (in *intake) end(s *splitRun) error {
	s.ended, s.moved, s.position.Finished = true, true, true
	if in.run.clock != nil {
		in.run.clock.finish(s.split.ID)
	}
	fault.Hit(fault.SplitFinished)
	return in.closeSplit(s)
}

func (in *intake) closeSplit(s *splitRun) error {
	if s.fetcher != nil {
		in.backlog = append(in.backlog, s.fetcher.stop(in.ready)...)
		s.fetcher = nil
	}
	if s.reader == nil {
		return nil
	}
	err := s.reader.Close()
	s.reader = nil
	return err
}

// idle waits a little: nothing is at hand.
func (in *intake) idle(ctx context.Context, deadline time.Time) error {
	if len(in.splits) == 0 {
		return nil
	}
	in.timer.Reset(max(0, min(idleWait, time.Until(deadline))))
	select {
	case <-in.timer.C:
	case <-in.run.drainBegins():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// await waits for a fetcher.
func (in *intake) await(ctx context.Context, deadline time.Time) (*splitRun, *forebay.Batch, error) {
	if len(in.backlog) > 0 {
		f := in.backlog[0]
		in.backlog = in.backlog[1:]
		return in.accept(f)
	}
	if i := slices.IndexFunc(in.parked, func(f *fetched) bool { return !in.paused(f.split) }); i >= 0 {
		f := in.parked[i]
		in.parked = slices.Delete(in.parked, i, i+1)
		return in.accept(f)
	}
	wait := max(0, time.Until(deadline))
	if len(in.parked) > 0 {
		wait = min(wait, idleWait) // the slower ones may be another lane's
	}
	in.timer.Reset(wait)
	select {
	case f := <-in.ready:
		if in.parks(f.split) {
			in.parked = append(in.parked, f) // its fetcher has no batch left soon
			return nil, nil, nil
		}
		return in.accept(f)
	case <-in.timer.C:
	case <-in.run.drainBegins():
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	return nil, nil, nil
}

func (in *intake) accept(f *fetched) (*splitRun, *forebay.Batch, error) {
	in.release()
	switch {
	case errors.Is(f.err, io.EOF):
		return f.split, nil, in.end(f.split)
	case f.err != nil:
		return f.split, nil, f.err
	}
	in.batch = f.batch
	return f.split, f.batch, nil
}

// stopFetchers ends the fetchers and keeps what they had read, for a drain. One whose split is behind goes on
// until it is not.
func (in *intake) stopFetchers() {
	in.backlog, in.parked = append(in.parked, in.backlog...), nil
	for _, s := range in.splits {
		if s.fetcher == nil || s.behind() {
			continue
		}
		in.backlog = append(in.backlog, s.fetcher.stop(in.ready)...)
		s.fetcher = nil
	}
}

// release gives the batch that the lane has worked through back to its fetcher.
func (in *intake) release() {
	b := in.batch
	if b == nil {
		return
	}
	in.batch = nil
	id := b.SplitID() // once it is given back it is the fetcher's
	for _, s := range in.splits {
		if s.fetcher == nil || s.split.ID != id {
			continue
		}
		select {
		case s.fetcher.free <- b:
		default:
		}
		return
	}
}

// exhausted reports whether nothing is left to read for this lane.
func (in *intake) exhausted() bool {
	for _, s := range in.splits {
		if !s.ended {
			return false
		}
	}
	return len(in.backlog)+len(in.parked) == 0
}

// settled forgets the splits that are delivered to their end.
func (in *intake) settled(s *splitRun) {
	for i, other := range in.splits {
		if other == s {
			in.splits = append(in.splits[:i], in.splits[i+1:]...)
			return
		}
	}
}

func (in *intake) close() error {
	var errs []error
	for _, s := range in.splits {
		errs = append(errs, in.closeSplit(s))
	}
	return errors.Join(errs...)
}

// fetcher reads a split that may wait for data, on a goroutine of its own.
type fetcher struct {
	free   chan *forebay.Batch
	cancel context.CancelFunc
	exited chan struct{}
}

// fetchDepth is the number of batches of a split between its fetcher and the lane.
const fetchDepth = 2

type fetchTask struct {
	split *splitRun
	ready chan<- *fetched
	width int
}

func startFetcher(ctx context.Context, task fetchTask) *fetcher {
	ctx, cancel := context.WithCancel(ctx)
	f := &fetcher{free: make(chan *forebay.Batch, fetchDepth), cancel: cancel, exited: make(chan struct{})}
	for range fetchDepth {
		f.free <- forebay.NewBatch()
	}
	f.runDetached(ctx, task)
	return f
}

// runDetached starts the fetcher's goroutine; stop waits for it.
func (f *fetcher) runDetached(ctx context.Context, task fetchTask) {
	reader := task.split.reader
	go func() {
		defer close(f.exited)
		for f.fetch(ctx, reader, task) {
		}
	}()
}

// fetch reads one batch and hands it over. Once ctx has ended it goes on until the reader has given what it
// held, so that a drain loses nothing of a source that cannot go back.
func (f *fetcher) fetch(ctx context.Context, reader forebay.Reader, task fetchTask) (more bool) {
	var b *forebay.Batch
	select {
	case b = <-f.free:
	case <-ctx.Done():
		b = forebay.NewBatch()
	}
	b.Reset(task.split.split, task.width)
	err := reader.Read(ctx, b)
	switch {
	case err != nil && ctx.Err() != nil && !errors.Is(err, io.EOF):
		return false
	case err == nil && b.Len() == 0 && len(b.Rejects()) == 0:
		select {
		case f.free <- b:
		default:
		}
		return ctx.Err() == nil
	}
	task.ready <- &fetched{split: task.split, batch: b, err: err}
	return err == nil
}

// stop ends the fetcher, waits for it, and returns what it had read and nobody took.
func (f *fetcher) stop(ready <-chan *fetched) []*fetched {
	f.cancel()
	var left []*fetched
	for {
		select {
		case b := <-ready:
			left = append(left, b)
		case <-f.exited:
			for {
				select {
				case b := <-ready:
					left = append(left, b)
				default:
					return left
				}
			}
		}
	}
}
