// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

func TestStatsCountWhatTheServerDid(t *testing.T) {
	t.Parallel()
	s := open(t)
	days := openTable(t, s, daySpec("days"))
	openTable(t, s, logSpec("plain"))
	for _, a := range days.send("1,2026-11-21T13:00:00Z", "2,2026-11-22T01:00:00Z", "3,2026-11-21T23:59:59Z") {
		wantCode(t, a, forebay.CodeOK)
	}
	stats := s.Stats()
	if stats.Tables != 2 || stats.Partitions != 2 || stats.PartitionsCreated != 2 {
		t.Errorf("%+v, want 2 tables, and 2 partitions that were made", stats)
	}
	if stats.QueueRequests != 0 || stats.QueueBytes != 0 || stats.QueueBytesMax != queueBytesMax ||
		stats.Pressure > diskEasy {
		t.Errorf("an idle server: %+v", stats)
	}
	waits := uint64(0)
	for _, n := range stats.Syncs.Counts {
		waits += n
	}
	if waits == 0 || stats.Syncs.Total <= 0 {
		t.Errorf("answers waited for no sync: %+v", stats.Syncs)
	}
}

func TestTimesAreCountedBelowTheirBounds(t *testing.T) {
	t.Parallel()
	var timed timing
	for _, took := range []time.Duration{0, 500 * time.Microsecond, 501 * time.Microsecond, time.Second, time.Hour} {
		timed.add(took)
	}
	times := timed.times()
	got := map[time.Duration]uint64{}
	for i, n := range times.Counts {
		bound := time.Duration(0) // none
		if i < len(times.Bounds) {
			bound = times.Bounds[i]
		}
		if n > 0 {
			got[bound] = n
		}
	}
	diff(t, "counts", got, map[time.Duration]uint64{
		500 * time.Microsecond: 2, time.Millisecond: 1, 1024 * time.Millisecond: 1, 0: 1,
	})
	diff(t, "total", times.Total, time.Hour+time.Second+1001*time.Microsecond)
}

// The figures can be read at any time: while writers write, and of a server that was closed.
func TestStatsCanBeReadAtAnyTime(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Create(t.Context(), logSpec("t")); err != nil {
		t.Fatal(err)
	}
	w, err := s.Append(t.Context(), "t", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(logSpec("t").Schema)
	for n := range int64(2000) {
		if _, err := w.Append(t.Context(), fill(t, row, n, "x")); err != nil {
			t.Fatal(err)
		}
		if n%100 == 0 {
			if stats := s.Stats(); stats.QueueRequests < 0 || stats.QueueBytes < 0 {
				t.Errorf("%+v", stats)
			}
		}
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if stats := s.Stats(); stats.Tables != 1 {
		t.Errorf("after the end: %+v", stats)
	}
}
