// SPDX-License-Identifier: Apache-2.0

package drop_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/drop"
	"github.com/forebay-io/forebay/connector/generate"
)

// pump writes all splits of a source to a sink, each through a lane of its own, and returns the target. The
// batches pass through change, which may be nil.
func pump(t *testing.T, source forebay.Source, sink forebay.Sink, change func(*forebay.Batch)) *drop.Target {
	t.Helper()
	feed, err := source.Start(t.Context(), forebay.SourceContext{})
	if err != nil {
		t.Fatal(err)
	}
	started, err := sink.Start(t.Context(), forebay.SinkContext{})
	if err != nil {
		t.Fatal(err)
	}
	target := started.(*drop.Target)
	splits, _ := feed.Splits(t.Context())
	b := forebay.NewBatch()
	for k, split := range splits {
		reader, err := feed.Open(t.Context(), split, forebay.Position{})
		if err != nil {
			t.Fatal(err)
		}
		lane, err := target.OpenLane(t.Context(), forebay.LaneContext{Lane: k})
		if err != nil {
			t.Fatal(err)
		}
		for {
			b.Reset(split, 0)
			if err := reader.Read(t.Context(), b); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if change != nil {
				change(b)
			}
			if err := lane.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(lane.Flush(t.Context()), lane.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return target
}

func TestEveryRecordOnceIsVerified(t *testing.T) {
	t.Parallel()
	source := generate.Source{Count: 10_000, Splits: 3, Seed: 5}
	target := pump(t, source, connector.Expect(source, drop.Sink{}), nil)
	if err := target.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if got := target.Sum(); got.Records != 10_000 || got.Bytes != 2_000_000 {
		t.Errorf("sum %s, want 10000 records of 200 bytes", got)
	}
}

func TestWhatIsLostOrRepeatedIsNamed(t *testing.T) {
	t.Parallel()
	source := generate.Source{Count: 3000}
	for name, change := range map[string]func(*forebay.Batch){
		"one is lost": func(b *forebay.Batch) { b.Filter(func(i int) bool { return b.Record(i).Offset != 1500 }) },
		"one is replaced by another": func(b *forebay.Batch) {
			for i := range b.Len() {
				if b.Record(i).Offset == 1500 {
					copy(b.Value(i), b.Value(i-1))
				}
			}
		},
		"one bit changes": func(b *forebay.Batch) { b.Value(0)[15] ^= 1 },
		"one is longer":   func(b *forebay.Batch) { b.Append(3000, make([]byte, 16)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := pump(t, source, connector.Expect(source, drop.Sink{}), change).Verify(t.Context())
			if forebay.ClassOf(err) != forebay.ClassCorrupt || !strings.Contains(err.Error(), "expected 3000 records") {
				t.Errorf("error %v, want class corrupt with both sums", err)
			}
		})
	}
}

func TestWithoutExpectationNothingIsCompared(t *testing.T) {
	t.Parallel()
	if err := pump(t, generate.Source{Count: 10}, drop.Sink{}, nil).Verify(t.Context()); err != nil {
		t.Error(err)
	}
	endless := connector.Expect(generate.Source{}, drop.Sink{})
	if endless.(drop.Sink).Expect != nil {
		t.Error("a source without end has a sum")
	}
}

func TestRestartedLaneCountsOnlyWhatWasFlushed(t *testing.T) {
	t.Parallel()
	var reported []connector.Sum
	sink := drop.Sink{Report: func(s connector.Sum) { reported = append(reported, s) }}
	started, err := sink.Start(t.Context(), forebay.SinkContext{})
	if err != nil {
		t.Fatal(err)
	}
	target := started.(*drop.Target)
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 0)
	b.Append(0, []byte("short"))
	for range 2 { // the first lane gives up, the second flushes
		lane, err := target.OpenLane(t.Context(), forebay.LaneContext{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lane.Write(t.Context(), b), lane.Close(), lane.Close()); err != nil {
			t.Fatal(err)
		}
	}
	lane, _ := target.OpenLane(t.Context(), forebay.LaneContext{})
	if err := errors.Join(lane.Write(t.Context(), b), lane.Flush(t.Context()), lane.Close()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(target.Close(), target.Close()); err != nil {
		t.Fatal(err)
	}
	want := connector.Sum{Records: 1, Bytes: 5, Low: 0x74726f6873}
	if len(reported) != 1 || reported[0] != want {
		t.Errorf("reported %v, want once %v", reported, want)
	}
}

func BenchmarkGenerateToDrop(b *testing.B) {
	source := generate.Source{Count: 1 << 40}
	feed, err := source.Start(b.Context(), forebay.SourceContext{})
	if err != nil {
		b.Fatal(err)
	}
	target, _ := drop.Sink{}.Start(b.Context(), forebay.SinkContext{})
	lane, _ := target.(*drop.Target).OpenLane(b.Context(), forebay.LaneContext{})
	splits, _ := feed.Splits(b.Context())
	reader, _ := feed.Open(b.Context(), splits[0], forebay.Position{})
	batch, records := forebay.NewBatch(), 0
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset(splits[0], 0)
		if err := errors.Join(reader.Read(b.Context(), batch), lane.Write(b.Context(), batch)); err != nil {
			b.Fatal(err)
		}
		records += batch.Len()
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}
