// SPDX-License-Identifier: Apache-2.0

// Command custom-source shows how a source is written: readings of meters, one split for each meter, so that lanes read
// them side by side; with one meter it is a plain source. It prints them:
//
//	go run ./examples/custom-source -meters 3 -every 200ms
//
// Ctrl-C drains it, and the same command goes on where it stopped. With -table NAME they go into a table of the state
// directory, each once. docs/connectors/writing-one.md goes through it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/stdout"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
)

func main() {
	source := Source{}
	flag.IntVar(&source.Meters, "meters", 1, "how many meters there are")
	flag.Int64Var(&source.Count, "count", 0, "how many readings of each meter; 0 for no end")
	flag.DurationVar(&source.Every, "every", time.Second, "time between two readings of a meter")
	state := flag.String("state", "./forebay-data", "state directory")
	name := flag.String("table", "", "write to this table instead of printing")
	flag.BoolVar(&source.Live, "live", true, "wait for each reading until its time has come")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var sink forebay.Sink = stdout.Sink{}
	if *name != "" {
		sink = table.Sink{Name: *name}
	}
	p, err := pipeline.New(pipeline.Config{
		Name: "readings", State: *state, Source: source, Sink: sink, Lanes: source.Meters,
	})
	if err != nil {
		log.Fatal(err)
	}
	summary, err := p.Run(ctx) // the end of ctx drains
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "%s: delivered %d, %s\n", summary.Status, summary.Delivered, summary.Guarantee)
}

// Source gives readings of meters. A reading follows from the meter and its number alone, so that it is the same
// whenever it is read: that makes the source one that can go back.
type Source struct {
	// Meters is how many there are, and so how many lanes can read; 0 means one.
	Meters int
	// Count is how many readings each meter has; 0 for no end.
	Count int64
	// Every is the time between two readings of a meter; 0 means one second.
	Every time.Duration
	// Live waits for each reading until its time has come.
	Live bool
	// First is the time of the first reading; zero for that of the pipeline's first run.
	First time.Time
}

func (s Source) meters() int { return max(s.Meters, 1) }

func (s Source) every() time.Duration {
	if s.Every == 0 {
		return time.Second
	}
	return s.Every
}

// Info describes the source without touching anything.
func (s Source) Info() (forebay.SourceInfo, error) {
	info := forebay.SourceInfo{
		Times:     true,
		Connector: "meters", Bounded: s.Count > 0, Replayable: true, Blocks: s.Live, Typed: true,
		// A run with other settings than these is refused, as its positions would mean something else.
		Identity: []forebay.Setting{{Name: "every", Value: s.every().String()}},
	}
	if s.Meters < 0 || s.Count < 0 || s.every() < time.Microsecond {
		return info, forebay.Errorf("meters", forebay.ClassMisconfigured,
			"meters %d, count %d, every %s: none may be negative, and every is a microsecond or more",
			s.Meters, s.Count, s.every())
	}
	return info, nil
}

// schema is that of the readings.
func schema() *forebay.Schema {
	return forebay.MustSchema(
		forebay.Column{Name: "meter", Type: forebay.Int64},
		forebay.Column{Name: "number", Type: forebay.Int64},
		forebay.Column{Name: "at", Type: forebay.Timestamp},
		forebay.Column{Name: "watts", Type: forebay.Int64},
	)
}

// Start opens the source. What must be the same in every run, and cannot be known beforehand, is in the memory that
// the run before gave.
func (s Source) Start(_ context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	f := &feed{source: s, layout: forebay.NewLayout(schema()), start: s.First}
	switch {
	case env.Memory != nil:
		if err := f.start.UnmarshalText(env.Memory); err != nil {
			return nil, forebay.Errorf("meters", forebay.ClassCorrupt, "the time of the first run reads %q", env.Memory)
		}
	case s.First.IsZero():
		f.start = time.Now().UTC().Truncate(time.Microsecond)
	}
	return f, nil
}

// feed is a started source. It does not change, so that readers share it.
type feed struct {
	source Source
	layout *forebay.Layout
	start  time.Time
}

// Schema is that of the rows.
func (f *feed) Schema() *forebay.Schema { return f.layout.Schema }

// Memory is stored before the first record is delivered.
func (f *feed) Memory() []byte {
	text, _ := f.start.MarshalText() // fails for years above 9999 only
	return text
}

// Splits lists the meters, in the same order and under the same names in every run. What a stored position belongs to
// is in the fingerprint.
func (f *feed) Splits(context.Context) ([]forebay.Split, error) {
	splits := make([]forebay.Split, f.source.meters())
	for meter := range splits {
		splits[meter] = forebay.Split{
			ID:          strconv.Itoa(meter),
			Fingerprint: fmt.Sprintf("meter %d since %s", meter, f.start.Format(time.RFC3339Nano)),
			Size:        f.source.Count,
			Unbounded:   f.source.Count == 0,
		}
	}
	return splits, nil
}

// Open goes on at a position that a reader of the split gave, in this run or an earlier one; the zero one is the
// beginning. A position that is none of the split's is refused: nothing is guessed.
func (f *feed) Open(_ context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	meter, err := strconv.ParseInt(split.ID, 10, 64)
	if err != nil || meter < 0 || meter >= int64(f.source.meters()) {
		return nil, forebay.Errorf("open split", forebay.ClassMisconfigured, "there is no meter %q", split.ID)
	}
	r := &reader{feed: f, meter: meter, next: at.Offset, end: f.source.Count}
	if r.end == 0 {
		r.end = forebay.Unlimited
	}
	if at.Finished {
		r.next = r.end
	}
	if r.next < 0 || r.next > r.end {
		return nil, forebay.Errorf("open split", forebay.ClassLost, "meter %d has no reading %d", meter, at.Offset)
	}
	return r, nil
}

// Close has nothing to close.
func (f *feed) Close() error { return nil }

// reader reads one meter.
type reader struct {
	feed  *feed
	meter int64
	// next is the number of the next reading. It moves as records go into a batch, and the batch takes a copy with it: a
	// position that a checkpoint has taken never moves.
	next, end int64
}

func (r *reader) at(number int64) time.Time {
	return r.feed.start.Add(time.Duration(number) * r.feed.source.every())
}

// Read fills the batch with the readings that there are.
//
// Blocking: where the source is live, until the next reading's time has come or ctx ends. A run is cancelled through
// ctx, and Close comes after the last Read has returned.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if r.next >= r.end {
		return io.EOF
	}
	if r.feed.source.Live {
		if err := r.await(ctx); err != nil {
			return err
		}
	}
	now := time.Now()
	b.SetLayout(r.feed.layout)
	for !b.Full() && r.next < r.end && (!r.feed.source.Live || !r.at(r.next).After(now)) {
		r.append(b)
	}
	b.SetPosition(forebay.Position{Offset: r.next})
	return nil
}

// await waits for the next reading.
func (r *reader) await(ctx context.Context) error {
	timer := time.NewTimer(time.Until(r.at(r.next)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// append adds the next reading: its place in the split, its event time, and its row.
func (r *reader) append(b *forebay.Batch) {
	at := r.at(r.next).UnixMicro()
	i := b.Append(r.next, nil)
	b.Record(i).Time = at
	cells := b.Cells(i)
	cells[0] = forebay.Int64Cell(r.meter)
	cells[1] = forebay.Int64Cell(r.next)
	cells[2] = forebay.TimestampCell(at)
	cells[3] = forebay.Int64Cell(100 + (r.meter*7919+r.next*104_729)%900)
	r.next++
}

// Close has nothing to close.
func (r *reader) Close() error { return nil }
