// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Metrics are the metrics of one process, in the registry that it was made with.
//
// Concurrency: safe.
type Metrics struct {
	pipeline pipelineMetrics
	writer   writerMetrics
	figures  *figures
	server   *serverMetrics
}

type pipelineMetrics struct {
	readRecords, readBytes, committedRecords, committedBytes, rejected, retries *prometheus.CounterVec
	commit                                                                      *prometheus.HistogramVec
}

type writerMetrics struct {
	batch, latency, request                                          *prometheus.HistogramVec
	requests, retries, rows, rejected, duplicates, moves, partitions *prometheus.CounterVec
	waits, waited                                                    *prometheus.CounterVec
}

// New makes the metrics of a process and registers them.
//
// Errors: the registry's, such as for a name that is taken.
func New(registry prometheus.Registerer) (*Metrics, error) {
	r := &registrar{registry: registry}
	m := &Metrics{figures: newFigures(), server: newServerMetrics()}
	m.pipeline = pipelineMetrics{
		readRecords:      r.counter("pipeline_read_records_total", "Records that sources gave.", "pipeline"),
		readBytes:        r.counter("pipeline_read_bytes_total", "Bytes that sources gave.", "pipeline"),
		committedRecords: r.counter("pipeline_committed_records_total", "Records in durable commits.", "pipeline"),
		committedBytes:   r.counter("pipeline_committed_bytes_total", "Bytes in durable commits.", "pipeline"),
		rejected: r.counter("pipeline_rejected_records_total",
			"Records that can never be accepted, by the stage that refused them.", "pipeline", "stage"),
		retries: r.counter("pipeline_retries_total", "Times that a lane was tried again, by class of error.",
			"pipeline", "class"),
		commit: r.histogram("pipeline_commit_seconds", "Time from the cut of a commit to its answer.", timeBuckets(),
			"pipeline"),
	}
	m.writer = writerMetrics{
		batch: r.histogram("writer_batch_size_bytes", "Size of requests, at their first send.", sizeBuckets(), "table"),
		latency: r.histogram("writer_latency_seconds", "Time from a request's first row to its outcome.", timeBuckets(),
			"table"),
		request:  r.histogram("writer_request_seconds", "Time from a send to its answer.", timeBuckets(), "table"),
		requests: r.counter("writer_requests_total", "Answers, by code.", "table", "code"),
		retries:  r.counter("writer_retries_total", "Answers to requests that were sent again.", "table", "result"),
		rows:     r.counter("writer_rows_total", "Rows with an outcome: applied, not applied, unknown.", "table", "outcome"),
		rejected: r.counter("writer_rejected_rows_total", "Rows that can never be accepted.", "table"),
		duplicates: r.counter("writer_duplicates_dropped_total",
			"Requests that the target had applied before and dropped.", "table"),
		moves:      r.counter("writer_moves_total", "Tablets that were looked up again because they moved.", "table"),
		partitions: r.counter("writer_partitions_created_total", "Partitions that rows needed, made now or found.", "table"),
		waits: r.counter("writer_memory_waits_total", "Appends that waited for memory, by result: got, failed.",
			"result"),
		waited: r.counter("writer_memory_wait_seconds_total", "Time that appends waited for memory."),
	}
	r.add(m.figures)
	r.add(m.server)
	return m, errors.Join(r.errs...)
}

// Process makes the metrics of a process in a registry of its own, with those of Go and of the process, and answers
// scrapes of it.
func Process() (*Metrics, http.Handler, error) {
	registry := prometheus.NewRegistry()
	m, err := New(registry)
	err = errors.Join(err, registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
	return m, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), err
}

// registrar makes metrics with our prefix and registers them.
type registrar struct {
	registry prometheus.Registerer
	errs     []error
}

const namespace = "forebay"

func (r *registrar) add(c prometheus.Collector) {
	if err := r.registry.Register(c); err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *registrar) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	r.add(c)
	return c
}

func (r *registrar) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
	r.add(h)
	return h
}

// Pipeline is the hooks of a pipeline.
func (m *Metrics) Pipeline(name string) forebay.Hooks {
	p := &m.pipeline
	readRecords, readBytes := p.readRecords.WithLabelValues(name), p.readBytes.WithLabelValues(name)
	records, bytes := p.committedRecords.WithLabelValues(name), p.committedBytes.WithLabelValues(name)
	commit := p.commit.WithLabelValues(name)
	return forebay.Hooks{
		Read: func(e forebay.ReadEvent) {
			readRecords.Add(float64(e.Records))
			readBytes.Add(float64(e.Bytes))
		},
		Committed: func(e forebay.CommitEvent) {
			records.Add(float64(e.Records))
			bytes.Add(float64(e.Bytes))
			commit.Observe(e.Took.Seconds())
		},
		Retried: func(e forebay.RetryEvent) {
			p.retries.WithLabelValues(name, forebay.ClassOf(e.Err).String()).Inc()
		},
		Rejected: func(_ int, rejects []forebay.Reject) {
			for i := range rejects {
				p.rejected.WithLabelValues(name, stageWord(rejects[i].Stage)).Inc()
			}
		},
	}
}

// Writer is the hooks of writers. The table's name comes with each event.
func (m *Metrics) Writer() writer.Hooks {
	w := &m.writer
	return writer.Hooks{
		Sent: func(e writer.SentEvent) {
			if e.Attempt <= 1 {
				w.batch.WithLabelValues(e.Table).Observe(float64(e.Bytes))
			}
		},
		Answered: func(e writer.AnsweredEvent) {
			code := codeWord(e.Code)
			w.requests.WithLabelValues(e.Table, code).Inc()
			w.request.WithLabelValues(e.Table).Observe(e.Took.Seconds())
			if e.Attempt > 1 {
				w.retries.WithLabelValues(e.Table, code).Inc()
			}
		},
		Settled: func(e writer.SettledEvent) {
			w.rows.WithLabelValues(e.Table, e.Applied.String()).Add(float64(e.Rows - e.Rejected))
			w.latency.WithLabelValues(e.Table).Observe(e.Took.Seconds())
			w.rejected.WithLabelValues(e.Table).Add(float64(e.Rejected))
			if e.Duplicate {
				w.duplicates.WithLabelValues(e.Table).Inc()
			}
		},
		Moved: func(e writer.MovedEvent) { w.moves.WithLabelValues(e.Table).Inc() },
		Waited: func(e writer.WaitedEvent) {
			result := "got"
			if e.Failed {
				result = "failed"
			}
			w.waits.WithLabelValues(result).Inc()
			w.waited.WithLabelValues().Add(e.Took.Seconds())
		},
	}
}

// PartitionCreated counts a partition that rows needed and that was made, or found to be there: it is the hook of that
// name of tablet.Config.
func (m *Metrics) PartitionCreated(table, _ string) { m.writer.partitions.WithLabelValues(table).Inc() }
