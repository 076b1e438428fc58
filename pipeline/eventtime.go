// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/transform"
)

// EventTime says where records have their event time, and how far behind each other they may come.
type EventTime struct {
	// Field is an expression on the source's records; empty takes the time that the source gives them.
	Field string `yaml:"field" doc:"an expression with the time; left out: the source's own" example:"time_hour"`
	// Format and Zone say how text and numbers are read: see transform.EventTimeStep.
	Format string `yaml:"format" doc:"unix, unix_ms, unix_us, unix_ns, or a layout as Go writes it" example:"unix_ms"`
	Zone   string `yaml:"zone" doc:"the time zone of text without one" default:"UTC" example:"Europe/Berlin"`
	// OutOfOrder is by how much a record may come after a later one of its split; default 5 s.
	OutOfOrder time.Duration `yaml:"out_of_order" doc:"how far a record may be behind its split" default:"5s" min:"1us"`
	// Idle is after how long without a record a split no longer holds the watermark back; default 1 min.
	Idle time.Duration `yaml:"idle" doc:"a split without records for so long holds nothing back" default:"1m" min:"1ms"`
	// Align pauses splits that are ahead of the slowest one by more; 0 pauses none.
	Align time.Duration `yaml:"align" doc:"pause splits that are further ahead of the slowest" default:"0s"`
}

// Defaults of EventTime.
const (
	outOfOrderDefault = 5 * time.Second
	idleDefault       = time.Minute
)

func (e EventTime) validate() error {
	var problems []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"out_of_order", e.OutOfOrder}, {"idle", e.Idle}, {"align", e.Align}} {
		if d.value < 0 {
			problems = append(problems, fmt.Errorf("event_time.%s %s: must not be negative", d.name, d.value))
		}
	}
	if e.Field == "" && e.Format != "" {
		problems = append(problems, errors.New("event_time.format: it says how field is read, and there is no field"))
	}
	return errors.Join(problems...)
}

func (e EventTime) withDefaults() EventTime {
	if e.OutOfOrder == 0 {
		e.OutOfOrder = outOfOrderDefault
	}
	if e.Idle == 0 {
		e.Idle = idleDefault
	}
	return e
}

// Steps are the transforms that a run makes: those of Transform, behind the one that reads event times.
func (c Config) Steps() []forebay.Transform { return c.steps(nil) }

// steps are the transforms of a lane, the one that reads event times first. seen is told each time.
func (c Config) steps(seen func(micros int64)) []forebay.Transform {
	if c.EventTime == nil || c.EventTime.Field == "" {
		return c.Transform
	}
	first := transform.EventTimeStep{
		Expr: c.EventTime.Field, Format: c.EventTime.Format, Zone: c.EventTime.Zone, Seen: seen,
	}
	return append([]forebay.Transform{first}, c.Transform...)
}

// eventClock is the watermark of a run: the smallest of its splits' that are read, are not idle, and have caught up.
//
// E1: it never goes back.
// E2: a split that is idle, finished or without any times does not hold it back; one that comes back counts once it has
// caught up.
// E3: a record is not late because it is read again, nor because of which lane began first.
//
// Concurrency: safe.
type eventClock struct {
	config EventTime

	mu        sync.Mutex
	splits    map[string]*splitClock
	reading   map[*splitClock]struct{} // opened and not finished: few, also where there are many splits
	top       int64                    // the largest mark of all splits
	watermark int64
}

// splitClock is one split's part in it.
type splitClock struct {
	high    int64     // the latest event time, NoTime before the first
	seen    time.Time // when the last record came
	idle    bool
	behind  bool // it was idle and has not caught up
	untimed bool // it has records, and none of them a time

	// floor is the watermark that was stored with its confirmed position.
	floor int64
	// again says that it was taken back to that position, and is not yet where the watermark was then (catch). fresh is
	// the latest event time since.
	again        bool
	catch, fresh int64
}

func newEventClock(config EventTime) *eventClock {
	return &eventClock{
		config: config.withDefaults(), splits: map[string]*splitClock{}, reading: map[*splitClock]struct{}{},
		top: forebay.NoTime, watermark: forebay.NoTime,
	}
}

// restore begins with what an earlier run knew of a split.
func (c *eventClock) restore(split string, known checkpoint.EventTime) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.splits[split] = &splitClock{high: known.High, idle: known.Idle, behind: known.Idle, floor: known.Floor}
	c.top = max(c.top, c.config.mark(known.High))
	c.watermark = max(c.watermark, known.Watermark)
}

// begin comes after the last restore. The positions of the splits are not of one moment: a lane may have stored its
// own when the watermark was further than at those of others.
func (c *eventClock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.splits {
		if !s.idle {
			c.againLocked(s)
		}
	}
}

// rewound says that the split is read again from its confirmed position.
func (c *eventClock) rewound(split string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.splits[split]; s != nil && !s.behind {
		c.againLocked(s)
	}
}

func (c *eventClock) againLocked(s *splitClock) {
	s.again, s.catch, s.fresh = s.floor < c.watermark, c.watermark, forebay.NoTime
}

// confirmed says that a position of the split is confirmed with which this was known.
func (c *eventClock) confirmed(split string, known checkpoint.EventTime) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.splits[split]; s != nil {
		s.floor = max(s.floor, known.Floor)
	}
}

func (e EventTime) mark(high int64) int64 {
	if high == forebay.NoTime {
		return forebay.NoTime
	}
	return high - e.OutOfOrder.Microseconds()
}

// open says that a lane reads the split from now on, or is about to.
func (c *eventClock) open(split string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.splits[split]
	if s == nil {
		s = &splitClock{high: forebay.NoTime, floor: c.watermark}
		c.splits[split] = s
	}
	c.reading[s] = struct{}{}
	if !s.idle {
		s.seen = now
	}
}

// finish says that nothing of the split comes any more.
func (c *eventClock) finish(split string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reading, c.splits[split])
}

// observe notes that records came, the latest of them at high; NoTime where none has a time.
func (c *eventClock) observe(split string, high int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.splits[split]
	if s == nil {
		return
	}
	s.seen, s.high = now, max(s.high, high)
	s.untimed = s.high == forebay.NoTime
	c.top = max(c.top, c.config.mark(s.high))
	if s.again {
		s.fresh = max(s.fresh, high)
		s.again = c.config.mark(s.fresh) < s.catch
	}
	if s.idle {
		s.idle, s.behind = false, true
	}
	c.advanceLocked(now)
}

// state is what a later run is to know of a split.
func (c *eventClock) state(split string) checkpoint.EventTime {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := checkpoint.EventTime{High: forebay.NoTime, Watermark: c.watermark, Floor: c.watermark}
	if s := c.splits[split]; s != nil {
		known.High, known.Idle = s.high, s.idle
		if s.again {
			known.Floor = min(c.watermark, max(s.floor, c.config.mark(s.fresh)))
		}
	}
	return known
}

// paused says whether the split is too far ahead of the slowest.
func (c *eventClock) paused(split string, now time.Time) bool {
	if c.config.Align == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slowest, counted := c.slowestLocked(now)
	s := c.splits[split]
	if s == nil || !counted || s.high == forebay.NoTime {
		return false
	}
	if slowest == forebay.NoTime {
		return true // one of them has only just begun
	}
	return c.config.mark(s.high) > slowest+c.config.Align.Microseconds()
}

// slowestLocked is the smallest watermark of the splits that count; NoTime where one of them has no time yet.
func (c *eventClock) slowestLocked(now time.Time) (slowest int64, counted bool) {
	slowest = forebay.NoTime
	for s := range c.reading {
		if !s.idle && now.Sub(s.seen) > c.config.Idle {
			s.idle = true
		}
		mark := c.config.mark(s.high)
		if s.behind && mark >= c.watermark {
			s.behind = false
		}
		switch {
		case s.idle || s.behind || s.untimed:
		case !counted:
			slowest, counted = mark, true
		default:
			slowest = min(slowest, mark)
		}
	}
	return slowest, counted
}

// advance is the watermark by now.
func (c *eventClock) advance(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advanceLocked(now)
	return c.watermark
}

func (c *eventClock) advanceLocked(now time.Time) {
	slowest, counted := c.slowestLocked(now)
	if !counted { // all are idle or finished: what they had is complete
		slowest = c.top
	}
	c.watermark = max(c.watermark, slowest) // E1; NoTime is the smallest
}

// judge marks the records that are behind the watermark, and tells the sink where it is. It returns how many are late.
func (c *eventClock) judge(b *forebay.Batch, now time.Time) (late int64) {
	watermark := c.advance(now)
	b.SetWatermark(watermark)
	watermark = c.judgedBy(b.SplitID(), watermark)
	if watermark == forebay.NoTime {
		return 0
	}
	for i := range b.Len() {
		r := b.Record(i)
		if r.Late = r.Time != forebay.NoTime && r.Time < watermark; r.Late {
			late++
		}
	}
	return late
}

// judgedBy is what records of the split are late by: the watermark, or, while they are read again, what it was at their
// position or the split's own by now. E3.
func (c *eventClock) judgedBy(split string, watermark int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.splits[split]; s != nil && s.again {
		return min(watermark, max(s.floor, c.config.mark(s.fresh)))
	}
	return watermark
}

// latest is the latest event time that the source itself gave to records of a batch.
func latest(b *forebay.Batch) int64 {
	high := int64(forebay.NoTime)
	for i := range b.Len() {
		high = max(high, b.Record(i).Time)
	}
	return high
}
