// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

// LaneWindow is the number of commits of a lane that may wait for their answer.
const LaneWindow = 3

// LaneConfig is what a Lane needs to know.
type LaneConfig struct {
	Backend forebay.Backend
	Layout  *forebay.Layout
	Owner   forebay.Owner
	// Now gives the current time for the latency of commits.
	Now func() time.Time
}

// Lane gathers what one lane of a pipeline delivers and sends it in transactions: the rows for all tablets,
// the dead letters and the progress together. Commits are answered in the order in which they were cut.
//
// Concurrency: one goroutine, but for Run.
// Limits: LaneWindow commits wait for their answer.
type Lane struct {
	rows      *accumulator
	committer forebay.Committer
	owner     forebay.Owner
	now       func() time.Time

	submitted chan *LaneCommit // to Run; capacity is the window, so that Cut never waits for it
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
}

// NewLane makes the lane's writer. The backend must be a Committer.
func NewLane(config LaneConfig) (*Lane, error) {
	committer, ok := config.Backend.(forebay.Committer)
	if !ok {
		return nil, forebay.Errorf("open lane", forebay.ClassMisconfigured, "the target cannot take a lane's commit")
	}
	rows, err := newAccumulator(config.Backend, config.Layout)
	if err != nil {
		return nil, err
	}
	return &Lane{
		rows: rows, committer: committer, owner: config.Owner, now: config.Now,
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
func (l *Lane) Full() bool { return l.waiting == LaneWindow }

// Cut sends everything since the last one as one transaction with the progress and the dead letters. It
// returns when the target has decided the order; the answer comes through Settled.
func (l *Lane) Cut(ctx context.Context, progress []forebay.SplitProgress, letters []forebay.DeadLetter, tag any) {
	c := &LaneCommit{Tag: tag, Records: l.rows.records, Size: forebay.Bytes(l.rows.size), cut: l.now()}
	c.requests = l.rows.take()
	c.commit = forebay.Commit{Owner: l.owner, Progress: progress, DeadLetters: letters}
	c.commit.Requests = make([]forebay.Request, len(c.requests))
	for i := range c.requests {
		c.commit.Requests[i] = l.rows.request(&c.requests[i])
	}
	fault.Hit(fault.CommitBuilt)
	c.wait = l.committer.Commit(ctx, &c.commit)
	l.waiting++
	l.submitted <- c
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
		if row.Row < 0 || row.Row >= len(c.requests[row.Request].rows) {
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
