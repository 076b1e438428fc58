// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// recordSchema is that of every fake record: which split it is of, and its number there.
func recordSchema() *forebay.Schema {
	return forebay.MustSchema(
		forebay.Column{Name: "split", Type: forebay.String}, forebay.Column{Name: "n", Type: forebay.Int64})
}

// origin names a fake record.
type origin struct {
	split string
	n     int64
}

// fakeSource is a source whose record n of a split lies at offset n.
type fakeSource struct {
	splits map[string]int64 // records of each split
	order  []string
	batch  int // records of a batch; 0 means 10

	unbounded   bool
	blocks      bool
	forgetful   bool // cannot go back
	fingerprint string
	path        string
	pause       time.Duration // between two batches of a split that blocks
	gap         int           // every so many reads give an empty batch that says nothing

	// fail is asked before a batch is read, and may make Read fail.
	fail func(split string, offset int64) error
	// broken says which records cannot be read.
	broken func(origin) bool
	// openFail is asked when a split is opened.
	openFail func(split string, at forebay.Position) error

	mu     sync.Mutex
	opened int
	closed int
	feeds  int
	reads  map[string][]int64 // offsets at which a split was opened
}

func newSource(count int64, splits ...string) *fakeSource {
	s := &fakeSource{splits: map[string]int64{}, order: splits, path: "p"}
	for _, id := range splits {
		s.splits[id] = count
	}
	return s
}

func (s *fakeSource) Info() (forebay.SourceInfo, error) {
	return forebay.SourceInfo{
		Connector: "fake", Identity: []forebay.Setting{{Name: "path", Value: s.path}},
		Bounded: !s.unbounded, Replayable: !s.forgetful, Blocks: s.blocks, Typed: true,
	}, nil
}

func (s *fakeSource) Start(context.Context, forebay.SourceContext) (forebay.Feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds++
	return &fakeFeed{source: s}, nil
}

// leaks says what was opened and never closed.
func (s *fakeSource) leaks() (readers, feeds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened - s.closed, s.feeds
}

type fakeFeed struct{ source *fakeSource }

func (f *fakeFeed) Schema() *forebay.Schema { return recordSchema() }
func (f *fakeFeed) Memory() []byte          { return nil }

func (f *fakeFeed) Splits(context.Context) ([]forebay.Split, error) {
	var splits []forebay.Split
	for _, id := range f.source.order {
		splits = append(splits, forebay.Split{
			ID: id, Fingerprint: "fake " + f.source.fingerprint, Size: f.source.splits[id], Unbounded: f.source.unbounded,
		})
	}
	return splits, nil
}

func (f *fakeFeed) Open(_ context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	if f.source.openFail != nil {
		if err := f.source.openFail(split.ID, at); err != nil {
			return nil, err
		}
	}
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	f.source.opened++
	if f.source.reads == nil {
		f.source.reads = map[string][]int64{}
	}
	f.source.reads[split.ID] = append(f.source.reads[split.ID], at.Offset)
	return &fakeReader{source: f.source, split: split.ID, at: at.Offset}, nil
}

func (f *fakeFeed) Close() error {
	f.source.mu.Lock()
	defer f.source.mu.Unlock()
	f.source.feeds--
	return nil
}

type fakeReader struct {
	source *fakeSource
	split  string
	at     int64
	calls  int
	closed bool
}

func (r *fakeReader) Read(ctx context.Context, b *forebay.Batch) error {
	s := r.source
	r.calls++
	if s.gap > 0 && r.calls%s.gap == 0 {
		return nil
	}
	if s.fail != nil {
		if err := s.fail(r.split, r.at); err != nil {
			return err
		}
	}
	if s.blocks {
		if err := wait(ctx, s.pause); err != nil {
			return err
		}
	}
	count := s.splits[r.split]
	if r.at >= count {
		if s.unbounded && s.blocks {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		if s.unbounded {
			b.SetPosition(forebay.Position{Offset: r.at})
			return nil
		}
		return io.EOF
	}
	size := int64(s.batch)
	if size == 0 {
		size = 10
	}
	for range min(size, count-r.at) {
		r.fill(b)
		r.at++
	}
	b.SetPosition(forebay.Position{Offset: r.at})
	return nil
}

func (r *fakeReader) fill(b *forebay.Batch) {
	value := fmt.Sprintf("%s/%d", r.split, r.at)
	if r.source.broken != nil && r.source.broken(origin{r.split, r.at}) {
		b.Reject(forebay.Reject{
			Origin: forebay.Origin{Split: r.split, Offset: r.at}, Stage: forebay.StageSource, Code: "broken",
			Reason: "the record is broken", Place: "fake:" + value, Value: []byte(value),
		})
		return
	}
	i := b.Append(r.at, []byte(value))
	cells := b.Cells(i)
	cells[0] = forebay.SpanCell(forebay.KindString, b.AppendText(r.split), len(r.split))
	cells[1] = forebay.Int64Cell(r.at)
}

func (r *fakeReader) Close() error {
	if !r.closed {
		r.closed = true
		r.source.mu.Lock()
		defer r.source.mu.Unlock()
		r.source.closed++
	}
	return nil
}

// wait is a pause of fake time that ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
