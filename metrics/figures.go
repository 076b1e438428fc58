// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/forebay-io/forebay/writer"
)

// WriterFigures are what is read of a writer at a scrape.
type WriterFigures struct {
	Stats   writer.Stats
	Limiter writer.LimiterState
}

// Watch reads a writer's figures at each scrape until forget is called. Writers of one table are added up, but
// that the memory of one that others share is given once per table.
//
// Concurrency: read is called from the scrape's goroutine.
func (m *Metrics) Watch(table string, read func() WriterFigures) (forget func()) {
	return m.figures.add(&watched{table: table, read: read})
}

type watched struct {
	table string
	read  func() WriterFigures
}

// figures reads the gauges of writers when it is scraped.
type figures struct {
	gauges  []gauge
	changes *prometheus.Desc

	mu      sync.Mutex
	writers []*watched
	gone    map[string][writer.Reasons]int64 // changes of writers that are watched no more: counters never fall
}

// gauge is one metric of a table, and how the figures of two writers become one.
type gauge struct {
	desc *prometheus.Desc
	of   func(WriterFigures) float64
	join func(a, b float64) float64
}

func sum(a, b float64) float64 { return a + b }

func largest(a, b float64) float64 { return max(a, b) }

func newFigures() *figures {
	f := &figures{gone: map[string][writer.Reasons]int64{}}
	f.changes = prometheus.NewDesc(namespace+"_writer_limit_changes_total", "Changes of the limiter, by reason.",
		[]string{"table", "reason"}, nil)
	add := func(name, help string, join func(a, b float64) float64, of func(WriterFigures) float64) {
		desc := prometheus.NewDesc(namespace+"_writer_"+name, help, []string{"table"}, nil)
		f.gauges = append(f.gauges, gauge{desc: desc, of: of, join: join})
	}
	add("queue_bytes", "Bytes of rows without an outcome, of all writers that share the memory.", largest,
		func(w WriterFigures) float64 { return float64(w.Stats.Used) })
	add("queue_limit_bytes", "Bytes that the memory holds.", largest,
		func(w WriterFigures) float64 { return float64(w.Stats.Limit) })
	add("memory_waiters", "Appends that wait for memory, of all writers that share it.", largest,
		func(w WriterFigures) float64 { return float64(w.Stats.Waiters) })
	add("queue_rows", "Rows without an outcome.", sum, func(w WriterFigures) float64 { return float64(w.Stats.Rows) })
	add("queue_requests", "Requests that wait for their first send.", sum,
		func(w WriterFigures) float64 { return float64(w.Stats.Ready) })
	add("inflight_requests", "Requests that wait for an answer.", sum,
		func(w WriterFigures) float64 { return float64(w.Stats.InFlight) })
	add("retrying_requests", "Requests that will be sent again.", sum,
		func(w WriterFigures) float64 { return float64(w.Stats.Retrying) })
	add("locating_tablets", "Tablets that are being looked up.", sum,
		func(w WriterFigures) float64 { return float64(w.Stats.Locating) })
	add("limit_requests", "Requests that the limiter allows in flight.", sum,
		func(w WriterFigures) float64 { return float64(w.Limiter.Limit) })
	add("limit_max_requests", "Requests that the limiter can come to allow.", sum,
		func(w WriterFigures) float64 { return float64(w.Limiter.Max) })
	add("limiter_latency_seconds", "Latency that the limiter takes for usual; the largest of the table's writers.",
		largest, func(w WriterFigures) float64 { return w.Limiter.Latency.Seconds() })
	add("pace_requests_per_second", "The limiter's pace; 0 where there is none.", sum,
		func(w WriterFigures) float64 { return w.Limiter.Requests })
	add("pace_bytes_per_second", "The limiter's pace in bytes; 0 where there is none.", sum,
		func(w WriterFigures) float64 { return w.Limiter.Bytes })
	return f
}

func (f *figures) add(w *watched) (forget func()) {
	f.mu.Lock()
	f.writers = append(f.writers, w)
	f.mu.Unlock()
	return func() {
		last := w.read().Limiter.Changes
		f.mu.Lock()
		defer f.mu.Unlock()
		before := len(f.writers)
		f.writers = slices.DeleteFunc(f.writers, func(other *watched) bool { return other == w })
		if len(f.writers) < before {
			f.gone[w.table] = added(f.gone[w.table], last)
		}
	}
}

func added(a, b [writer.Reasons]int64) [writer.Reasons]int64 {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// Describe is the collector's part that says what there is.
func (f *figures) Describe(out chan<- *prometheus.Desc) {
	for _, g := range f.gauges {
		out <- g.desc
	}
	out <- f.changes
}

// Collect is the collector's part that reads.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	f.mu.Lock()
	writers, changes := slices.Clone(f.writers), maps.Clone(f.gone)
	f.mu.Unlock()
	slices.SortStableFunc(writers, func(a, b *watched) int { return cmp.Compare(a.table, b.table) })
	for len(writers) > 0 {
		end := slices.IndexFunc(writers, func(w *watched) bool { return w.table != writers[0].table })
		if end < 0 {
			end = len(writers)
		}
		table := writers[0].table
		changes[table] = added(changes[table], f.collect(writers[:end], out))
		writers = writers[end:]
	}
	for _, table := range slices.Sorted(maps.Keys(changes)) {
		for i, count := range changes[table] {
			if reason := writer.Reason(i); reason != writer.ReasonStart {
				out <- prometheus.MustNewConstMetric(f.changes, prometheus.CounterValue, float64(count), table, reason.String())
			}
		}
	}
}

// collect reads the writers of one table, and returns their limiters' changes.
func (f *figures) collect(writers []*watched, out chan<- prometheus.Metric) (changes [writer.Reasons]int64) {
	values := make([]float64, len(f.gauges))
	for n, w := range writers {
		read := w.read()
		for i, g := range f.gauges {
			if n == 0 {
				values[i] = g.of(read)
			} else {
				values[i] = g.join(values[i], g.of(read))
			}
		}
		changes = added(changes, read.Limiter.Changes)
	}
	for i, g := range f.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, values[i], writers[0].table)
	}
	return changes
}
