// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/stdout"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet/server"
)

// childMark makes this test binary behave as the program.
const childMark = "FOREBAY_EXAMPLE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// past is so long ago that no reading is waited for.
func past() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]Source{
		"plain":       {Count: 3000, First: past()},
		"parallel":    {Meters: 4, Count: 1500, First: past()},
		"without end": {Meters: 3, First: past()},
		"live":        {Meters: 2, Count: 60, Every: time.Millisecond, Live: true, First: time.Now()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source:  func(connectortest.T) forebay.Source { return source },
				Records: source.meters() * int(source.Count),
				Claims: connectortest.SourceClaims{
					Bounded: source.Count > 0, Replayable: true, Blocks: source.Live, Typed: true,
				},
			})
		})
	}
}

// A position is a copy: reading on does not move it, and whoever opens the split there gets exactly what came behind.
func TestPositionsOfACheckpointDoNotMove(t *testing.T) {
	t.Parallel()
	feed, err := Source{Count: 5000, First: past()}.Start(t.Context(), forebay.SourceContext{})
	if err != nil {
		t.Fatal(err)
	}
	splits, err := feed.Splits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	numbers := func(at forebay.Position) (out []int64, positions []forebay.Position) {
		reader, err := feed.Open(t.Context(), splits[0], at)
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		for {
			b.Reset(splits[0], feed.Schema().Len())
			if err := reader.Read(t.Context(), b); errors.Is(err, io.EOF) {
				return out, positions
			} else if err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				out = append(out, b.Row(i).Int("number"))
			}
			positions = append(positions, b.Position())
		}
	}
	all, taken := numbers(forebay.Position{})
	for _, position := range taken {
		rest, _ := numbers(position)
		if len(rest) != len(all)-int(position.Offset) || len(rest) > 0 && rest[0] != position.Offset {
			t.Errorf("from position %s on there are %d readings", position, len(rest))
		}
	}
}

// The time of the first run is what later runs get back, so that their readings are the same.
func TestLaterRunsRememberTheFirst(t *testing.T) {
	t.Parallel()
	first, err := Source{}.Start(t.Context(), forebay.SourceContext{})
	if err != nil {
		t.Fatal(err)
	}
	later, err := Source{First: past()}.Start(t.Context(), forebay.SourceContext{Memory: first.Memory()})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := later.(*feed).start, first.(*feed).start; !got.Equal(want) {
		t.Errorf("a later run begins at %s, the first began at %s", got, want)
	}
}

// noting is a sink that keeps what its context says of each record.
type noting struct {
	mu                      sync.Mutex
	lanes                   int
	processing              time.Time
	records, timed, watered int
	watermark               int64
	wentBack                bool
}

func (n *noting) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{Connector: "noting", Name: "noting"}, nil
}

func (n *noting) Start(context.Context, forebay.SinkContext) (forebay.Target, error) { return n, nil }

func (n *noting) OpenLane(_ context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lanes++
	return &notingLane{noting: n, now: lane.Now, last: forebay.NoTime}, nil
}

func (n *noting) Close() error { return nil }

type notingLane struct {
	*noting
	now  func() time.Time
	last int64
}

func (l *notingLane) Write(_ context.Context, b *forebay.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processing = l.now()
	l.wentBack = l.wentBack || b.Watermark() < l.last
	l.last = b.Watermark()
	l.watermark = max(l.watermark, b.Watermark())
	for i := range b.Len() {
		l.records++
		if b.Record(i).Time == b.Row(i).Cell(2).Int() {
			l.timed++
		}
		if b.Watermark() != forebay.NoTime {
			l.watered++
		}
	}
	return nil
}

func (l *notingLane) Flush(context.Context) error { return nil }

// TestASinkSeesItsContext holds what a sink is told through a pipeline: processing time, watermark, and the time that
// the source gave each record.
func TestASinkSeesItsContext(t *testing.T) {
	t.Parallel()
	const meters, count, outOfOrder = 2, 5000, 10 * time.Second
	sink := &noting{watermark: forebay.NoTime}
	p, err := pipeline.New(pipeline.Config{
		Name: "readings", State: t.TempDir(), Memory: pipeline.MemoryMin, Lanes: meters,
		Source: Source{Meters: meters, Count: count, First: past()}, Sink: sink,
		EventTime: &pipeline.EventTime{OutOfOrder: outOfOrder},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if summary, err := p.Run(t.Context()); err != nil {
		t.Fatalf("%+v, %v", summary, err)
	}
	if sink.lanes != meters || sink.records != meters*count || sink.timed != sink.records {
		t.Errorf("%d lanes, %d records, %d with the source's time", sink.lanes, sink.records, sink.timed)
	}
	if sink.processing.Before(began) || sink.processing.After(time.Now()) {
		t.Errorf("the processing time is %s", sink.processing)
	}
	last := past().Add((count - 1) * time.Second)
	if got := time.UnixMicro(sink.watermark); sink.watered == 0 || sink.wentBack || got.After(last.Add(-outOfOrder)) {
		t.Errorf("%d records with a watermark, which reached %s, and went back: %v; the last reading is of %s",
			sink.watered, got.UTC(), sink.wentBack, last)
	}
}

// paper is an output that calls stop once it has so many lines.
type paper struct {
	mu    sync.Mutex
	lines []string
	most  int
	stop  func()
}

func (p *paper) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	if p.most > 0 && len(p.lines) >= p.most {
		p.stop()
	}
	return len(text), nil
}

// TestACancelledRunDrainsAndTheNextGoesOn cancels runs until there are no readings left.
func TestACancelledRunDrainsAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	const meters, count = 3, 400
	out := &paper{}
	var stopped atomic.Int64
	state := t.TempDir()
	for run := range 100 {
		ctx, stop := context.WithCancelCause(t.Context())
		out.most, out.stop = len(out.lines)+100, func() { stop(forebay.ErrStopped) }
		p, err := pipeline.New(pipeline.Config{
			Name: "readings", State: state, Memory: pipeline.MemoryMin,
			Source: Source{Meters: meters, Count: count, Every: time.Millisecond, Live: true},
			Sink:   stdout.Sink{Out: out}, Lanes: meters,
			Checkpoint: pipeline.CheckpointConfig{Interval: 20 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		summary, err := p.Run(ctx)
		stop(nil)
		if err != nil {
			t.Fatalf("run %d: %+v, %v", run, summary, err)
		}
		if summary.Status == pipeline.StatusDone {
			break
		}
		stopped.Add(1)
	}
	if stopped.Load() == 0 {
		t.Error("no run was cancelled")
	}
	seen := map[string]int{}
	for _, line := range out.lines {
		var row struct{ Meter, Number int64 }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprint(row.Meter, " ", row.Number)]++
	}
	if len(seen) != meters*count || len(out.lines) != meters*count {
		t.Errorf("%d readings in %d lines, want %d in each", len(seen), len(out.lines), meters*count)
	}
}

// TestEachReadingIsThereOnceThroughKills runs the program into a table, with SIGKILLs at random times, until it has
// come to its end.
func TestEachReadingIsThereOnceThroughKills(t *testing.T) {
	t.Parallel()
	const meters, count, kills = 3, 2000, 4
	state := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	killed := 0
	for try := 0; ; try++ {
		wait := time.Minute
		if try < kills {
			wait = time.Duration(150+random.IntN(250)) * time.Millisecond
		}
		if runFor(t, wait, "-state", state, "-table", "readings", "-meters", fmt.Sprint(meters),
			"-count", fmt.Sprint(count), "-every", "1ms") {
			break
		}
		if killed++; try > kills {
			t.Fatal("it does not come to its end")
		}
	}
	if killed != kills {
		t.Errorf("%d kills came in time, want %d", killed, kills)
	}
	seen := scan(t, state)
	for reading, n := range seen {
		if n != 1 {
			t.Fatalf("reading %s is there %d times", reading, n)
		}
	}
	if len(seen) != meters*count {
		t.Errorf("%d readings are there, want %d", len(seen), meters*count)
	}
}

// runFor runs the program, kills it after that time, and says whether it had ended by then.
func runFor(t *testing.T, wait time.Duration, args ...string) (ended bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], args...)
	child.Env = append(os.Environ(), childMark+"=1")
	var output bytes.Buffer
	child.Stdout, child.Stderr = &output, &output
	err := child.Run()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("%v:\n%s", err, &output)
	}
	return err == nil
}

// scan counts the readings of the table, as "meter number".
func scan(t *testing.T, state string) map[string]int {
	t.Helper()
	opened, err := pipeline.OpenState(t.Context(), pipeline.StateConfig{Dir: state, Memory: pipeline.MemoryMin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	rows, err := opened.Tables().Scan(t.Context(), server.ScanRequest{Table: "readings"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	seen := map[string]int{}
	b := forebay.NewBatch()
	for {
		if err := rows.Next(t.Context(), b); errors.Is(err, io.EOF) {
			return seen
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			row := b.Row(i)
			seen[fmt.Sprint(row.Int("meter"), " ", row.Int("number"))]++
		}
	}
}
