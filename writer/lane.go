// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

// LaneWindow is the most commits of a lane that may wait for their answer.
const LaneWindow = 3

// LaneConfig is what a Lane needs to know.
type LaneConfig struct {
	Backend forebay.Backend
	Layout  *forebay.Layout
	Owner   forebay.Owner
	// Window says how many commits may wait for their answer now, 1 to LaneWindow; nil is LaneWindow.
	Window func() int
	// Limiter is shared by all lanes that write to a target over a network; nil where the window alone bounds commits.
	Limiter *LaneLimiter
	// Now gives the current time for the latency of commits.
	Now func() time.Time
}

// Lane gathers what one lane of a pipeline delivers and sends it in transactions: the rows for all tablets,
// the dead letters and the progress together. Commits are answered in the order in which they were cut.
//
// Concurrency: one goroutine, but for Run.
// Limits: Window commits wait for their answer.
type Lane struct {
	rows      *accumulator
	committer forebay.Committer
	owner     forebay.Owner
	window    func() int
	limiter   *LaneLimiter
	now       func() time.Time

	submitted chan *LaneCommit // to Run; capacity is the largest window, so that Cut never waits for it
	settled   chan *LaneCommit // from Run; same capacity
	waiting   int
}

// LaneCommit is one transaction of a lane, from its cut to its answer.
type LaneCommit struct {
	// Tag is the caller's.
	Tag any
	// Answer is the target's, once the commit is settled.
	Answer forebay.Answer
	// Refused are the records that the target refused, with CodeRowsRejected; nothing was applied then.
	Refused []forebay.Reject
	// Records and Size are what the commit carries.
	Records int
	Size    forebay.Bytes
	// Took is the time from the cut to the answer.
	Took time.Duration

	commit   forebay.Commit
	requests []openRequest
	wait     func(context.Context) forebay.Answer
	cut      time.Time
	started  time.Time // by the limiter
}

// NewLane makes the lane's writer. The backend must be a Committer.
func NewLane(config LaneConfig) (*Lane, error) {
	committer, ok := config.Backend.(forebay.Committer)
	if !ok {
		return nil, forebay.Errorf("open lane", forebay.ClassMisconfigured, "the target cannot take a lane's commit")
	}
	rows, err := newAccumulator(config.Backend, config.Layout, true)
	if err != nil {
		return nil, err
	}
	if config.Window == nil {
		config.Window = func() int { return LaneWindow }
	}
	return &Lane{
		rows: rows, committer: committer, owner: config.Owner, now: config.Now,
		window: config.Window, limiter: config.Limiter,
		submitted: make(chan *LaneCommit, LaneWindow),
		settled:   make(chan *LaneCommit, LaneWindow),
	}, nil
}

// Run waits for the answers of the lane's commits, in order, until the lane is closed. It is the body of a
// goroutine that the lane's owner starts and waits for.
func (l *Lane) Run(ctx context.Context) {
	for c := range l.submitted {
		c.Answer = c.wait(ctx)
		fault.Hit(fault.CommitAcked)
		if l.limiter != nil {
			l.limiter.finish(int(c.Size), c.started, &c.Answer)
		}
		l.settled <- c
	}
}

// Write encodes the records of the batch. It returns those that can never be rows of the table; the others
// are in.
func (l *Lane) Write(b *forebay.Batch) (rejects []forebay.Reject) {
	rejects = l.rows.add(b)
	fault.Hit(fault.BatchEncoded)
	return rejects
}

// Pending is what was written since the last cut.
func (l *Lane) Pending() (records int, size forebay.Bytes) {
	return l.rows.records, forebay.Bytes(l.rows.size)
}

// Waiting is the number of commits that were cut and not taken back by Settled.
func (l *Lane) Waiting() int { return l.waiting }

// Full reports whether the window is full: Settled must give a commit back before the next Cut.
func (l *Lane) Full() bool { return l.waiting >= min(max(l.window(), 1), LaneWindow) }

// LaneCut is what goes with the rows of a transaction.
type LaneCut struct {
	Progress []forebay.SplitProgress
	Letters  []forebay.DeadLetter
	// Tag is the caller's.
	Tag any
}

// Cut sends everything since the last one as one transaction with the progress and the dead letters. It
// returns when the target has decided the order; the answer comes through Settled.
//
// Errors: the ctx's, before anything was sent; what was written stays pending.
// Blocking: with a Limiter, until that lets the commit start.
func (l *Lane) Cut(ctx context.Context, t LaneCut) error {
	c := &LaneCommit{Tag: t.Tag, Records: l.rows.records, Size: forebay.Bytes(l.rows.size), cut: l.now()}
	if l.limiter != nil {
		var err error
		if c.started, err = l.limiter.start(ctx, int(c.Size)); err != nil {
			return err
		}
	}
	c.requests = l.rows.take()
	c.commit = forebay.Commit{Owner: l.owner, Progress: t.Progress, DeadLetters: t.Letters}
	c.commit.Requests = make([]forebay.Request, len(c.requests))
	for i := range c.requests {
		c.commit.Requests[i] = l.rows.request(&c.requests[i])
	}
	fault.Hit(fault.CommitBuilt)
	c.wait = l.committer.Commit(ctx, &c.commit)
	l.waiting++
	l.submitted <- c
	return nil
}

// Settled gives back the oldest commit that is answered. With block it waits for one until ctx ends; without,
// or when none waits, it returns nil at once.
func (l *Lane) Settled(ctx context.Context, block bool) *LaneCommit {
	if l.waiting == 0 {
		return nil
	}
	if !block {
		select {
		case c := <-l.settled:
			return l.settle(c)
		default:
			return nil
		}
	}
	select {
	case c := <-l.settled:
		return l.settle(c)
	case <-ctx.Done():
		return nil
	}
}

func (l *Lane) settle(c *LaneCommit) *LaneCommit {
	l.waiting--
	c.Took = l.now().Sub(c.cut)
	if c.Answer.Code == forebay.CodeRowsRejected {
		c.Refused = c.refused()
	}
	for i := range c.requests {
		l.rows.recycle(c.requests[i])
	}
	c.requests, c.commit, c.wait = nil, forebay.Commit{}, nil
	return c
}

// refused names the records behind the rows that the target refused. Their bytes are the encoded rows.
func (c *LaneCommit) refused() []forebay.Reject {
	rejects := make([]forebay.Reject, 0, len(c.Answer.Rows))
	for _, row := range c.Answer.Rows {
		if row.Request < 0 || row.Request >= len(c.requests) {
			continue
		}
		if row.Row < 0 || row.Row >= c.requests[row.Request].count {
			continue
		}
		rejects = append(rejects, forebay.Reject{
			Origin: c.requests[row.Request].origin(row.Row),
			Stage:  forebay.StageSink, Code: row.Code, Reason: row.Reason,
		})
	}
	slices.SortFunc(rejects, func(a, b forebay.Reject) int {
		if a.Split != b.Split {
			if a.Split < b.Split {
				return -1
			}
			return 1
		}
		return int(a.Offset - b.Offset)
	})
	return rejects
}

// Drop forgets everything since the last cut.
func (l *Lane) Drop() { l.rows.drop() }

// Close ends Run once every commit is answered. Nothing may be cut afterwards.
func (l *Lane) Close() { close(l.submitted) }

func asError(err error) (*forebay.Error, bool) { return errors.AsType[*forebay.Error](err) }

// LaneLimiter lets the commits of all lanes that write to one target over a network start when its Limiter says so, in
// the order in which they asked. It counts a commit as one request: the most that it grows to is the window of each
// lane.
//
// A target in this process needs none: the latency of its commits is that of a shared sync, which more commits in
// flight do not make longer, and its queue refuses nothing that the windows of the lanes let through.
//
// Concurrency: safe.
type LaneLimiter struct {
	lanes int
	now   func() time.Time

	mu      sync.Mutex
	limiter *Limiter
	queue   []*laneTurn // who waits; the first one asks
}

// laneTurn is a commit that waits to start.
type laneTurn struct {
	size int
	wake chan struct{} // capacity 1: there may be room, or it is the first now
}

// NewLaneLimiter makes the limiter of so many lanes, each with a window of so many commits.
func NewLaneLimiter(lanes, window int, now func() time.Time) *LaneLimiter {
	l := &LaneLimiter{lanes: max(lanes, 1), now: now}
	l.limiter = NewLimiter(l.config(window))
	return l
}

func (l *LaneLimiter) config(window int) LimiterConfig {
	return LimiterConfig{Requests: l.lanes * min(max(window, 1), LaneWindow)}
}

// SetWindow changes the window of each lane.
func (l *LaneLimiter) SetWindow(window int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limiter.SetMax(l.config(window))
	l.wakeLocked()
}

// State is a look at the limiter.
func (l *LaneLimiter) State() LimiterState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limiter.State()
}

// start waits until a commit may start, and counts it from then on.
//
// Errors: the ctx's; the commit is not counted.
func (l *LaneLimiter) start(ctx context.Context, size int) (time.Time, error) {
	turn := &laneTurn{size: size, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	l.queue = append(l.queue, turn)
	l.mu.Unlock()
	var timer *time.Timer
	for {
		now := l.now()
		at, started := l.try(turn, now)
		if started {
			return now, nil
		}
		var due <-chan time.Time
		if !at.IsZero() {
			if timer == nil {
				timer = time.NewTimer(at.Sub(now))
				defer timer.Stop()
			} else {
				timer.Reset(at.Sub(now))
			}
			due = timer.C
		}
		select {
		case <-turn.wake:
		case <-due:
		case <-ctx.Done():
			l.leave(turn)
			return now, context.Cause(ctx)
		}
	}
}

// try starts the commit if it is the first that waits and there is room. If not, at is when to ask again; the zero
// time is when it is woken.
func (l *LaneLimiter) try(turn *laneTurn, now time.Time) (at time.Time, started bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue[0] != turn {
		return time.Time{}, false
	}
	if at, started = l.limiter.Ready(turn.size, now); !started {
		return at, false
	}
	l.limiter.Start(turn.size, now)
	l.queue = slices.Delete(l.queue, 0, 1)
	l.wakeLocked()
	return time.Time{}, true
}

func (l *LaneLimiter) leave(turn *laneTurn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.DeleteFunc(l.queue, func(other *laneTurn) bool { return other == turn })
	l.wakeLocked()
}

// finish counts the answer to a commit.
func (l *LaneLimiter) finish(size int, started time.Time, answer *forebay.Answer) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limiter.Finish(Completion{
		Size: size, Started: started, Signal: SignalOf(*answer), RetryAfter: answer.RetryAfter, Pressure: answer.Pressure,
	}, now)
	l.wakeLocked()
}

// wakeLocked has the first commit that waits ask again.
func (l *LaneLimiter) wakeLocked() {
	if len(l.queue) == 0 {
		return
	}
	select {
	case l.queue[0].wake <- struct{}{}:
	default:
	}
}
