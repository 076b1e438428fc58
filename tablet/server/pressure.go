// SPDX-License-Identifier: Apache-2.0

package server

import (
	"time"

	"github.com/forebay-io/forebay/internal/store"
)

// How much may wait, and how long somebody who finds no room is told to stay away. Nothing here waits, locks or looks
// at a clock.

// The limits of what is accepted and not answered yet.
const (
	queueRequestsMax       = 16_384
	queueBytesMax          = 64 << 20
	queueTabletRequestsMax = 4_096
	queueTabletBytesMax    = 32 << 20
	// requestOverhead is what a waiting request takes beside its data, roughly.
	requestOverhead = 256
)

// From diskEasy on, in percent of where Pebble would stop writes, less and less may wait; at 100 one request at a time
// goes through, which also notices when the disk has caught up.
const diskEasy = 60

// compactionDebtMax is what counts as 100 percent of work put off; Pebble itself has no limit there.
const compactionDebtMax = 16 << 30

// Bounds of the delay that a refused request is told.
const (
	retryAfterMin     = 5 * time.Millisecond
	retryAfterMax     = 2 * time.Second
	retryAfterUnknown = 20 * time.Millisecond // before anything was measured
)

// load is what is accepted and not answered yet.
type load struct {
	requests int
	bytes    int64
}

func (l *load) add(bytes int64)    { l.requests++; l.bytes += bytes }
func (l *load) remove(bytes int64) { l.requests--; l.bytes -= bytes }

// percent is how full a limit is.
func (l *load) percent(limit load) int {
	return int(max(int64(l.requests)*100/int64(limit.requests), l.bytes*100/limit.bytes))
}

// queueLimits bounds the load of the server and that of one tablet.
type queueLimits struct {
	all, tablet load
}

func defaultLimits() queueLimits {
	return queueLimits{
		all:    load{requests: queueRequestsMax, bytes: queueBytesMax},
		tablet: load{requests: queueTabletRequestsMax, bytes: queueTabletBytesMax},
	}
}

// under is the limits while the disk is so busy, in percent.
func (l queueLimits) under(disk int) queueLimits {
	if disk <= diskEasy {
		return l
	}
	left := max(0, 100-disk)
	scale := func(v load) load {
		return load{
			requests: max(1, v.requests*left/(100-diskEasy)),
			bytes:    max(1, v.bytes*int64(left)/(100-diskEasy)),
		}
	}
	return queueLimits{all: scale(l.all), tablet: scale(l.tablet)}
}

// excess is how many bytes have to be answered before so many more are taken; 0 where they are taken now. A request
// that is larger than the limits is taken while nothing else waits.
func (l queueLimits) excess(all, tablet load, bytes int64) int64 {
	if all.requests == 0 {
		return 0
	}
	excess := over(all, l.all, bytes)
	if tablet.requests > 0 {
		excess = max(excess, over(tablet, l.tablet, bytes))
	}
	return excess
}

func over(have, limit load, bytes int64) int64 {
	excess := max(0, have.bytes+bytes-limit.bytes)
	if more := have.requests + 1 - limit.requests; more > 0 {
		excess = max(excess, have.bytes/int64(have.requests)*int64(more), 1)
	}
	return excess
}

// pressure is how full the queues are, from 0 to 100, as answers say it.
func (l queueLimits) pressure(all, tablet load, disk int) int {
	return min(100, max(all.percent(l.all), tablet.percent(l.tablet), disk))
}

// drainRate measures how fast what waits is answered: only the time counts in which something waits.
type drainRate struct {
	bytesPerSecond float64
	bytes          int64 // answered since the last sample
	busy           int64 // microseconds of work since then
	since          int64 // when busy was added up last, in microseconds
}

// drainSample is how much work a sample of the rate takes, in microseconds; drainWeight is the share of the newest one.
const (
	drainSample = 20_000
	drainWeight = 0.3
)

// begin says that something waits again.
func (r *drainRate) begin(now int64) { r.since = now }

// answered says that so many bytes less wait.
func (r *drainRate) answered(now, bytes int64) {
	r.busy += max(0, now-r.since)
	r.since = now
	r.bytes += bytes
	if r.busy < drainSample {
		return
	}
	sample := float64(r.bytes) * 1e6 / float64(r.busy)
	if r.bytesPerSecond == 0 {
		r.bytesPerSecond = sample
	} else {
		r.bytesPerSecond += drainWeight * (sample - r.bytesPerSecond)
	}
	r.bytes, r.busy = 0, 0
}

// retryAfter is how long the excess takes; at least a quarter of what waits, so that those who are refused together do
// not all come back for the first free byte.
func (r *drainRate) retryAfter(excess, waiting int64) time.Duration {
	if r.bytesPerSecond <= 0 {
		return retryAfterUnknown
	}
	seconds := float64(max(excess, waiting/4)) / r.bytesPerSecond
	return max(retryAfterMin, min(retryAfterMax, time.Duration(seconds*float64(time.Second))))
}

// diskPercent is how near Pebble is to stopping writes, from 0 to 100.
func diskPercent(m store.Metrics) int {
	percent := m.CompactionDebt * 100 / compactionDebtMax
	if m.L0SublevelsMax > 0 {
		percent = max(percent, m.L0Sublevels*100/m.L0SublevelsMax)
	}
	if m.MemTableSize > 0 {
		// One takes the writes, and the first ones are smaller. A flush is short against what the queues hold, so full
		// memtables count less than the levels below, which take long to catch up.
		waiting := m.MemTableBytes - m.MemTableSize
		percent = max(percent, waiting*100/(m.MemTableSize*(store.MemTablesMax+1)))
	}
	return int(max(0, min(100, percent)))
}
