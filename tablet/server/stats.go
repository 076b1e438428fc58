// SPDX-License-Identifier: Apache-2.0

package server

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Stats are the server's figures now, and what it counted since it was opened.
type Stats struct {
	Tables, Partitions int
	PartitionsCreated  int64
	// QueueRequests and QueueBytes are the requests of writers without an answer, QueueBytesMax what they may take.
	QueueRequests             int
	QueueBytes, QueueBytesMax int64
	// Pressure is how full the queues are, and Disk how near the store is to stopping writes, from 0 to 100.
	Pressure, Disk int
	// Syncs are the waits for a sync of the disk.
	Syncs Times
}

// Times counts how long something took.
type Times struct {
	// Bounds are the upper bounds of Counts; the last one of those has none.
	Bounds []time.Duration
	Counts []uint64
	Total  time.Duration
}

// The bounds of times are powers of two, from timeLeast on.
const (
	timeLeast  = 500 * time.Microsecond
	timeBounds = 18
)

// timing counts times.
//
// Concurrency: safe.
type timing struct {
	counts [timeBounds + 1]atomic.Uint64
	total  atomic.Int64
}

func (t *timing) add(took time.Duration) {
	i := 0
	for i < timeBounds && took > timeLeast<<i {
		i++
	}
	t.counts[i].Add(1)
	t.total.Add(int64(took))
}

func (t *timing) times() Times {
	out := Times{Total: time.Duration(t.total.Load())}
	for i := range t.counts {
		out.Counts = append(out.Counts, t.counts[i].Load())
		if i < timeBounds {
			out.Bounds = append(out.Bounds, timeLeast<<i)
		}
	}
	return out
}

// Stats reads the figures. It looks at the disk, so that they are right also while nobody writes.
func (s *Server) Stats() Stats {
	out := Stats{PartitionsCreated: s.partitionsCreated.Load(), Syncs: s.ledger.syncs.times()}
	s.mu.RLock()
	tables := slices.Collect(maps.Values(s.tables))
	s.mu.RUnlock()
	out.Tables = len(tables)
	for _, t := range tables {
		out.Partitions += t.partitionCount()
	}
	out.Disk = diskPercent(s.store.Metrics())
	s.executor.stats(&out)
	return out
}

// stats fills in what the executor knows.
func (x *executor) stats(out *Stats) {
	x.mu.Lock()
	defer x.mu.Unlock()
	limits := x.limits.under(x.disk)
	out.QueueRequests, out.QueueBytes, out.QueueBytesMax = x.all.requests, x.all.bytes, limits.all.bytes
	out.Pressure = x.limits.pressure(x.all, load{}, out.Disk)
}
