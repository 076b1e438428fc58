// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/forebay-io/forebay"
)

// ServerFigures are what is read of a tablet server at a scrape. Everything that counts does so from the start of the
// process.
type ServerFigures struct {
	// Serving is false in a standby.
	Serving                   bool
	Tables, Partitions        int
	PartitionsCreated         int64
	QueueRequests             int
	QueueBytes, QueueBytesMax int64
	Pressure, Disk            int // percent
	Connections, Readers      int
	Requests, Commits         map[forebay.Code]int64
	SyncBounds                []time.Duration
	SyncCounts                []uint64 // one more than there are bounds
	SyncTotal                 time.Duration
}

// Server reads the figures of the process's tablet server at each scrape.
//
// Concurrency: read is called from the scrape's goroutine.
func (m *Metrics) Server(read func() ServerFigures) { m.server.read.Store(&read) }

// serverMetrics reads a tablet server when it is scraped.
type serverMetrics struct {
	read     atomic.Pointer[func() ServerFigures]
	gauges   []serverGauge
	requests *prometheus.Desc
	syncs    *prometheus.Desc
}

type serverGauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(ServerFigures) float64
}

func newServerMetrics() *serverMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_server_"+name, help, labels, nil)
	}
	s := &serverMetrics{
		requests: desc("requests_total", "Answers of the server, by kind of request and code.", "kind", "code"),
		syncs:    desc("sync_seconds", "Time that answers waited for a sync of the disk."),
	}
	add := func(kind prometheus.ValueType, name, help string, of func(ServerFigures) float64) {
		s.gauges = append(s.gauges, serverGauge{desc: desc(name, help), kind: kind, of: of})
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	add(gauge, "serving", "1 where the process serves the tables, 0 in a standby.",
		func(f ServerFigures) float64 {
			if f.Serving {
				return 1
			}
			return 0
		})
	add(gauge, "tables", "Tables.", func(f ServerFigures) float64 { return float64(f.Tables) })
	add(gauge, "partitions", "Partitions of all tables.", func(f ServerFigures) float64 { return float64(f.Partitions) })
	add(counter, "partitions_created_total", "Partitions that were created.",
		func(f ServerFigures) float64 { return float64(f.PartitionsCreated) })
	add(counter, "duplicates_dropped_total", "Requests and commits that were applied before and dropped.",
		func(f ServerFigures) float64 {
			return float64(f.Requests[forebay.CodeDuplicate] + f.Commits[forebay.CodeDuplicate])
		})
	add(gauge, "queue_requests", "Requests without an answer.",
		func(f ServerFigures) float64 { return float64(f.QueueRequests) })
	add(gauge, "queue_bytes", "Bytes of requests without an answer.",
		func(f ServerFigures) float64 { return float64(f.QueueBytes) })
	add(gauge, "queue_limit_bytes", "Bytes that the queues take now; less while the disk does not keep up.",
		func(f ServerFigures) float64 { return float64(f.QueueBytesMax) })
	add(gauge, "pressure_ratio", "How full the server is, from 0 to 1, as its answers say it.",
		func(f ServerFigures) float64 { return float64(f.Pressure) / 100 })
	add(gauge, "disk_pressure_ratio", "How near the store is to stopping writes, from 0 to 1.",
		func(f ServerFigures) float64 { return float64(f.Disk) / 100 })
	add(gauge, "connections", "Open connections.", func(f ServerFigures) float64 { return float64(f.Connections) })
	add(gauge, "readers", "Scans and readers of logs.", func(f ServerFigures) float64 { return float64(f.Readers) })
	return s
}

// Describe is the collector's part that says what there is.
func (s *serverMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range s.gauges {
		out <- g.desc
	}
	out <- s.requests
	out <- s.syncs
}

// Collect is the collector's part that reads. A process without a server has none of these.
func (s *serverMetrics) Collect(out chan<- prometheus.Metric) {
	read := s.read.Load()
	if read == nil {
		return
	}
	f := (*read)()
	for _, g := range s.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.of(f))
	}
	s.answers(out, "write", f.Requests)
	s.answers(out, "commit", f.Commits)
	if len(f.SyncBounds) == 0 {
		return // a standby: buckets that come later than their count would look like waits beyond the last bound
	}
	buckets, count := make(map[float64]uint64, len(f.SyncBounds)), uint64(0)
	for i, n := range f.SyncCounts {
		count += n
		if i < len(f.SyncBounds) {
			buckets[f.SyncBounds[i].Seconds()] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(s.syncs, count, f.SyncTotal.Seconds(), buckets)
}

// answers are the counts by the words of codes, of which several may share one.
func (s *serverMetrics) answers(out chan<- prometheus.Metric, kind string, counts map[forebay.Code]int64) {
	words := map[string]int64{"ok": 0}
	for code, n := range counts {
		words[codeWord(code)] += n
	}
	for word, n := range words {
		out <- prometheus.MustNewConstMetric(s.requests, prometheus.CounterValue, float64(n), kind, word)
	}
}
