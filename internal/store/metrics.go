// SPDX-License-Identifier: Apache-2.0

package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// MemTablesMax is how many full memtables make writes wait.
const MemTablesMax = memTablesMax

// Metrics is what the store counted since it was opened, and how Pebble stands. Sizes are bytes.
type Metrics struct {
	LogSyncs     int64 // fsyncs of the write-ahead log
	OtherSyncs   int64 // fsyncs of everything else: tables, manifest, directory
	SyncGroups   int64 // groups of callers that shared one sync
	LogBytes     int64 // written to the write-ahead log
	WrittenBytes int64 // written to any file

	MemTables       int64
	MemTableBytes   int64
	MemTableSize    int64 // of one; writes wait when MemTablesMax of that size are full
	L0Files         int64
	L0Sublevels     int64
	L0SublevelsMax  int64 // writes wait at so many
	CompactionDebt  int64
	Compactions     int64
	Flushes         int64
	DiskBytes       int64
	BlockCacheBytes int64
}

// Metrics returns the counters. Those of Pebble are zero in a poisoned or closed store.
func (s *Store) Metrics() Metrics {
	m := Metrics{
		LogSyncs:     s.disk.walSyncs.Load(),
		OtherSyncs:   s.disk.otherSyncs.Load(),
		SyncGroups:   s.groups.Load(),
		LogBytes:     s.disk.walBytes.Load(),
		WrittenBytes: s.disk.writtenBytes.Load(),
	}
	if s.acquire() != nil {
		return m
	}
	defer s.release()
	counted := make(chan *pebble.Metrics, 1)
	var counting sync.WaitGroup
	counting.Go(func() { s.runMetrics(counted) })
	var p *pebble.Metrics
	select {
	case p = <-counted:
		counting.Wait()
	case <-s.poison.done:
		return m // ST3: Pebble's mutex may be lost
	}
	m.MemTables, m.MemTableSize = p.MemTable.Count, s.memTableSize
	m.MemTableBytes = int64(p.MemTable.Size)
	m.L0Files = p.Levels[0].TablesCount
	m.L0Sublevels, m.L0SublevelsMax = int64(p.Levels[0].Sublevels), l0SublevelsMax
	m.CompactionDebt = int64(p.Compact.EstimatedDebt)
	m.Compactions = p.Compact.Count
	m.Flushes = p.Flush.Count
	m.DiskBytes = int64(p.DiskSpaceUsage())
	m.BlockCacheBytes = p.BlockCache.Size
	return m
}

// runMetrics asks Pebble, for a caller that stops waiting when the store is poisoned.
func (s *Store) runMetrics(counted chan<- *pebble.Metrics) {
	defer s.recoverPebble()
	counted <- s.db.Metrics()
}
