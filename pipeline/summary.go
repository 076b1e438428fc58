// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay"
)

// Status is how a run ended.
type Status string

// How a run ends.
const (
	StatusDone    Status = "done"    // every split was read to its end and delivered
	StatusStopped Status = "stopped" // it was asked to stop and delivered everything that it had read
	StatusFailed  Status = "failed"
)

// Summary is the result of a run. Its counters are of this run, and count what was confirmed.
type Summary struct {
	Pipeline          string    `json:"pipeline"`
	Status            Status    `json:"status"`
	Read              int64     `json:"read"`
	Delivered         int64     `json:"delivered"`
	Filtered          int64     `json:"filtered"`
	Rejected          int64     `json:"rejected"`
	Late              int64     `json:"late,omitempty"`
	DuplicatesDropped int64     `json:"duplicates_dropped"`
	Retries           int64     `json:"retries"`
	Checkpoints       int64     `json:"checkpoints"`
	BytesIn           int64     `json:"bytes_in"`
	BytesOut          int64     `json:"bytes_out"`
	Lanes             int       `json:"lanes"`
	Seconds           float64   `json:"seconds"`
	Guarantee         Guarantee `json:"guarantee"`
	Resumed           bool      `json:"resumed"`
	Error             string    `json:"error"`
	// Left is the number of records that were read and not confirmed when the run ended.
	Left int64 `json:"-"`
}

// Progress is a look at a running pipeline.
type Progress struct {
	Read, Delivered, Filtered, Rejected int64
	BytesIn                             int64
	// Done and Total are in the unit of the splits' sizes; Total is 0 where it is not known.
	Done, Total int64
	Elapsed     time.Duration
	Splits      int
	SplitsDone  int
}

// counts are what happened to a stretch of records.
type counts struct {
	read, delivered, filtered, rejected, bytesIn, late int64
}

func (c *counts) add(o counts) {
	c.read += o.read
	c.delivered += o.delivered
	c.filtered += o.filtered
	c.rejected += o.rejected
	c.bytesIn += o.bytesIn
	c.late += o.late
}

// subtract takes out what was confirmed; only what is counted as seen matters.
func (c *counts) subtract(o counts) {
	c.read -= o.read
	c.rejected -= o.rejected
	c.bytesIn -= o.bytesIn
}

// totals are the counters of a run. Lanes add to them; anyone may read them.
type totals struct {
	read, delivered, filtered, rejected, bytesIn, bytesOut atomic.Int64
	late                                                   atomic.Int64
	duplicates, retries, checkpoints                       atomic.Int64
	seen, seenBytes                                        atomic.Int64 // read so far, confirmed or not
	done, total                                            atomic.Int64
	splits, splitsDone, rejectedSeen                       atomic.Int64
}

func (t *totals) confirm(c counts) {
	t.read.Add(c.read)
	t.delivered.Add(c.delivered)
	t.filtered.Add(c.filtered)
	t.rejected.Add(c.rejected)
	t.bytesIn.Add(c.bytesIn)
	t.late.Add(c.late)
}

// unsee takes back what was seen and will be read again.
func (t *totals) unsee(c counts) {
	t.seen.Add(-c.read)
	t.seenBytes.Add(-c.bytesIn)
	t.rejectedSeen.Add(-c.rejected)
}

// dealt begins the account of splits anew, with what was seen and not confirmed taken back: a run that recovers deals
// out everything that is left.
func (t *totals) dealt() {
	for _, n := range []*atomic.Int64{&t.splits, &t.splitsDone, &t.total, &t.done} {
		n.Store(0)
	}
	t.seen.Store(t.read.Load())
	t.seenBytes.Store(t.bytesIn.Load())
	t.rejectedSeen.Store(t.rejected.Load())
}

func (t *totals) progress(elapsed time.Duration) Progress {
	return Progress{
		Read: t.seen.Load(), Delivered: t.delivered.Load(), Filtered: t.filtered.Load(), Rejected: t.rejected.Load(),
		BytesIn: t.seenBytes.Load(), Done: t.done.Load(), Total: t.total.Load(), Elapsed: elapsed,
		Splits: int(t.splits.Load()), SplitsDone: int(t.splitsDone.Load()),
	}
}

func (r *run) summary(status Status, err error) Summary {
	t := &r.totals
	s := Summary{
		Pipeline: r.config.Name, Status: status, Read: t.read.Load(), Delivered: t.delivered.Load(),
		Filtered: t.filtered.Load(), Rejected: t.rejected.Load(), Late: t.late.Load(), DuplicatesDropped: t.duplicates.Load(),
		Retries: t.retries.Load(), Checkpoints: t.checkpoints.Load(), BytesIn: t.bytesIn.Load(),
		BytesOut: t.bytesOut.Load(), Lanes: r.lanes, Seconds: time.Since(r.started).Seconds(),
		Guarantee: r.plan.Guarantee, Resumed: r.resumed,
	}
	if err != nil {
		s.Error = err.Error()
		s.Left = max(0, t.seen.Load()-s.Read)
	}
	return s
}

// deadLetters gives rejects their time.
func deadLetters(rejects []forebay.Reject, now time.Time) []forebay.DeadLetter {
	letters := make([]forebay.DeadLetter, len(rejects))
	for i, r := range rejects {
		letters[i] = forebay.DeadLetter{Reject: r, Time: now.UnixMicro()}
	}
	return letters
}
