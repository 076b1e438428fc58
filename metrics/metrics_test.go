// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/metrics"
	"github.com/forebay-io/forebay/writer"
)

// used is a registry after everything has happened once.
func used(t *testing.T) (*prometheus.Registry, *metrics.Metrics) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Pipeline("flights")
	p.Read(forebay.ReadEvent{Records: 3, Bytes: 300})
	p.Committed(forebay.CommitEvent{Records: 2, Bytes: 200, Took: 20 * time.Millisecond})
	p.Retried(forebay.RetryEvent{Err: forebay.Errorf("commit", forebay.ClassTransient, "away")})
	p.Rejected(0, []forebay.Reject{{Stage: forebay.StageSink}})
	w := m.Writer()
	w.Sent(writer.SentEvent{Table: "clicks", Bytes: 2000, Attempt: 1})
	w.Sent(writer.SentEvent{Table: "clicks", Bytes: 2000, Attempt: 2})
	w.Answered(writer.AnsweredEvent{Table: "clicks", Attempt: 1, Code: forebay.CodeOverload, Took: time.Millisecond})
	w.Answered(writer.AnsweredEvent{Table: "clicks", Attempt: 2, Code: forebay.CodeDuplicate, Took: time.Millisecond})
	w.Settled(writer.SettledEvent{
		Table: "clicks", Rows: 10, Rejected: 1, Applied: writer.Yes, Duplicate: true, Took: 30 * time.Millisecond,
	})
	w.Moved(writer.MovedEvent{Table: "clicks"})
	w.Waited(writer.WaitedEvent{Took: 1500 * time.Millisecond})
	w.Waited(writer.WaitedEvent{Took: 500 * time.Millisecond, Failed: true})
	m.PartitionCreated("clicks", "2026-11-21")
	m.Server(serverFigures)
	return registry, m
}

// serverFigures are those of a tablet server in the middle of its work.
func serverFigures() metrics.ServerFigures {
	return metrics.ServerFigures{
		Serving: true, Tables: 3, Partitions: 31, PartitionsCreated: 2, QueueRequests: 5, QueueBytes: 4000,
		QueueBytesMax: 64 << 20, Pressure: 40, Disk: 25, Connections: 7, Readers: 1,
		Requests: map[forebay.Code]int64{
			forebay.CodeOK: 90, forebay.CodeDuplicate: 4, forebay.CodeNotFound: 1, forebay.CodeMalformed: 2,
		},
		Commits:    map[forebay.Code]int64{forebay.CodeOK: 10, forebay.CodeDuplicate: 1},
		SyncBounds: []time.Duration{time.Millisecond, 2 * time.Millisecond}, SyncCounts: []uint64{3, 2, 1},
		SyncTotal: 20 * time.Millisecond,
	}
}

// figuresOf are the figures of a writer in the middle of its work.
func figuresOf(inFlight int) metrics.WriterFigures {
	f := metrics.WriterFigures{
		Stats: writer.Stats{InFlight: inFlight, Used: 640, Limit: 1000, Waiters: 4},
		Limiter: writer.LimiterState{
			Limit: 7, Max: 20, Latency: time.Duration(inFlight) * time.Millisecond, Paced: true, Requests: 100, Bytes: 1e6,
		},
	}
	f.Limiter.Changes[writer.ReasonOverload] = 2
	return f
}

func TestHooksCount(t *testing.T) {
	registry, m := used(t)
	m.Watch("clicks", func() metrics.WriterFigures { return figuresOf(5) })
	want := `
		# HELP forebay_pipeline_committed_records_total Records in durable commits.
		# TYPE forebay_pipeline_committed_records_total counter
		forebay_pipeline_committed_records_total{pipeline="flights"} 2
		# HELP forebay_pipeline_read_bytes_total Bytes that sources gave.
		# TYPE forebay_pipeline_read_bytes_total counter
		forebay_pipeline_read_bytes_total{pipeline="flights"} 300
		# HELP forebay_pipeline_rejected_records_total Records that can never be accepted, by the stage that refused them.
		# TYPE forebay_pipeline_rejected_records_total counter
		forebay_pipeline_rejected_records_total{pipeline="flights",stage="sink"} 1
		# HELP forebay_pipeline_retries_total Times that a lane was tried again, by class of error.
		# TYPE forebay_pipeline_retries_total counter
		forebay_pipeline_retries_total{class="transient",pipeline="flights"} 1
		# HELP forebay_writer_duplicates_dropped_total Requests that the target had applied before and dropped.
		# TYPE forebay_writer_duplicates_dropped_total counter
		forebay_writer_duplicates_dropped_total{table="clicks"} 1
		# HELP forebay_writer_inflight_requests Requests that wait for an answer.
		# TYPE forebay_writer_inflight_requests gauge
		forebay_writer_inflight_requests{table="clicks"} 5
		# HELP forebay_writer_memory_wait_seconds_total Time that appends waited for memory.
		# TYPE forebay_writer_memory_wait_seconds_total counter
		forebay_writer_memory_wait_seconds_total 2
		# HELP forebay_writer_memory_waiters Appends that wait for memory, of all writers that share it.
		# TYPE forebay_writer_memory_waiters gauge
		forebay_writer_memory_waiters{table="clicks"} 4
		# HELP forebay_writer_requests_total Answers, by code.
		# TYPE forebay_writer_requests_total counter
		forebay_writer_requests_total{code="duplicate",table="clicks"} 1
		forebay_writer_requests_total{code="overload",table="clicks"} 1
		# HELP forebay_writer_retries_total Answers to requests that were sent again.
		# TYPE forebay_writer_retries_total counter
		forebay_writer_retries_total{result="duplicate",table="clicks"} 1
		# HELP forebay_writer_rows_total Rows with an outcome: applied, not applied, unknown.
		# TYPE forebay_writer_rows_total counter
		forebay_writer_rows_total{outcome="applied",table="clicks"} 9
	`
	err := testutil.GatherAndCompare(registry, strings.NewReader(want),
		"forebay_pipeline_committed_records_total", "forebay_pipeline_read_bytes_total",
		"forebay_pipeline_rejected_records_total", "forebay_pipeline_retries_total",
		"forebay_writer_duplicates_dropped_total", "forebay_writer_inflight_requests",
		"forebay_writer_memory_wait_seconds_total", "forebay_writer_memory_waiters", "forebay_writer_requests_total",
		"forebay_writer_retries_total", "forebay_writer_rows_total")
	if err != nil {
		t.Error(err)
	}
	sizes := gathered(t, registry)["forebay_writer_batch_size_bytes"]
	if sizes.count != 1 {
		t.Errorf("%d sizes of requests, want one for two sends of one request", sizes.count)
	}
}

// Two writers of a table are added up, but for the memory that they share; a writer that goes leaves its counts.
func TestFiguresOfTheWritersOfATableAreJoined(t *testing.T) {
	registry, m := used(t)
	m.Watch("clicks", func() metrics.WriterFigures { return figuresOf(5) })
	forget := m.Watch("clicks", func() metrics.WriterFigures { return figuresOf(3) })
	m.Watch("alone", func() metrics.WriterFigures { return figuresOf(1) })
	for range 2 {
		g := gathered(t, registry)
		want := map[string]float64{
			"forebay_writer_inflight_requests{clicks}": 8, "forebay_writer_queue_bytes{clicks}": 640,
			"forebay_writer_limit_requests{clicks}": 14, "forebay_writer_limiter_latency_seconds{clicks}": 0.005,
			"forebay_writer_limit_changes_total{clicks,overload}": 4, "forebay_writer_inflight_requests{alone}": 1,
		}
		for name, value := range want {
			if g[name].value != value {
				t.Errorf("%s is %v, want %v", name, g[name].value, value)
			}
		}
	}
	forget()
	forget()
	g := gathered(t, registry)
	if got := g["forebay_writer_inflight_requests{clicks}"].value; got != 5 {
		t.Errorf("in flight %v after one writer has gone, want 5", got)
	}
	if got := g["forebay_writer_limit_changes_total{clicks,overload}"].value; got != 4 {
		t.Errorf("changes %v after one writer has gone: a counter never falls", got)
	}
}

func TestFiguresOfAServerAreReadAtTheScrape(t *testing.T) {
	registry, _ := used(t)
	g := gathered(t, registry)
	for name, value := range map[string]float64{
		"forebay_server_requests_total{ok,write}": 90, "forebay_server_requests_total{misconfigured,write}": 3,
		"forebay_server_requests_total{commit,duplicate}": 1, "forebay_server_duplicates_dropped_total{}": 5,
		"forebay_server_queue_bytes{}": 4000, "forebay_server_pressure_ratio{}": 0.4,
		"forebay_server_disk_pressure_ratio{}": 0.25, "forebay_server_connections{}": 7, "forebay_server_partitions{}": 31,
		"forebay_server_serving{}": 1,
	} {
		if got, there := g[name]; !there || got.value != value {
			t.Errorf("%s is %v, want %v", name, got.value, value)
		}
	}
	if syncs := g["forebay_server_sync_seconds"]; syncs.count != 6 {
		t.Errorf("%d syncs, want 6", syncs.count)
	}
	alone := prometheus.NewPedanticRegistry()
	if _, err := metrics.New(alone); err != nil {
		t.Fatal(err)
	}
	for name := range gathered(t, alone) {
		if strings.Contains(name, "_server_") {
			t.Errorf("a process without a server has %s", name)
		}
	}
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	registry, _ := used(t)
	if _, err := metrics.New(registry); err == nil {
		t.Error("a second set of metrics in one registry must be refused")
	}
}

// M1: a code, class or stage that nobody knows gets a word that exists.
func TestLabelsAreWordsOfClosedLists(t *testing.T) {
	registry, m := used(t)
	w := m.Writer()
	for code := range forebay.Code(700) {
		w.Answered(writer.AnsweredEvent{Table: "clicks", Attempt: 2, Code: code})
	}
	p := m.Pipeline("flights")
	for i := range 100 {
		p.Rejected(0, []forebay.Reject{{Stage: forebay.Stage(fmt.Sprint("stage-", i))}})
	}
	counts := map[string]int{}
	for name := range gathered(t, registry) {
		family, _, _ := strings.Cut(name, "{")
		counts[family]++
	}
	if counts["forebay_writer_requests_total"] > 20 || counts["forebay_pipeline_rejected_records_total"] > 4 {
		t.Errorf("series: %v", counts)
	}
}

var documented = regexp.MustCompile("(?m)^\\| `(forebay_[a-z_]+)` \\| ([a-z]+) \\|")

func TestTheTableOfMetricsIsThatOfTheRegistry(t *testing.T) {
	registry, m := used(t)
	m.Watch("clicks", func() metrics.WriterFigures { return figuresOf(5) })
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	said, there := map[string]string{}, map[string]string{}
	for _, match := range documented.FindAllStringSubmatch(string(text), -1) {
		said[match[1]] = match[2]
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		there[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	if diff := cmp.Diff(there, said); diff != "" {
		t.Errorf("docs/metrics.md (+) and the registry (-):\n%s", diff)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("names against the conventions: %v %v", problems, err)
	}
}

var (
	metricName = regexp.MustCompile(`forebay_[a-z_]+`)
	labelName  = regexp.MustCompile(`by \(([a-z, ]+)\)`)
	labels     = map[string]bool{
		"pipeline": true, "table": true, "code": true, "result": true, "reason": true, "stage": true, "class": true,
		"outcome": true, "le": true, "kind": true,
	}
)

// Every query of the dashboard names metrics and labels that exist, and every metric is shown.
func TestTheDashboardShowsWhatExists(t *testing.T) {
	registry, m := used(t)
	m.Watch("clicks", func() metrics.WriterFigures { return figuresOf(5) })
	there := map[string]bool{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		there[f.GetName()] = false
	}
	text, err := os.ReadFile("../docs/grafana/forebay.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	check := func(where, query string) {
		names := metricName.FindAllString(query, -1)
		if len(names) == 0 {
			t.Errorf("%s: %s names no metric", where, query)
		}
		for _, name := range names {
			if _, known := there[name]; !known {
				name = strings.TrimSuffix(name, "_bucket")
			}
			if _, known := there[name]; !known {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			there[name] = true
		}
		for _, match := range labelName.FindAllStringSubmatch(query, -1) {
			for label := range strings.SplitSeq(match[1], ", ") {
				if !labels[label] {
					t.Errorf("%s: there is no label %s", where, label)
				}
			}
		}
	}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			check("variable", v.Definition)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !there[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// sample is one series: its value, or the number of its measurements.
type sample struct {
	value float64
	count uint64
}

// gathered are the series by name and the values of their labels, those of histograms by name alone.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]sample {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]sample{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			slices.SortFunc(values, func(a, b string) int { // the table first
				if a == "clicks" || a == "alone" {
					return -1
				}
				return strings.Compare(a, b)
			})
			name := f.GetName() + "{" + strings.Join(values, ",") + "}"
			switch {
			case m.GetHistogram() != nil:
				out[f.GetName()] = sample{count: m.GetHistogram().GetSampleCount()}
			case m.GetCounter() != nil:
				out[name] = sample{value: m.GetCounter().GetValue()}
			default:
				out[name] = sample{value: m.GetGauge().GetValue()}
			}
		}
	}
	return out
}
