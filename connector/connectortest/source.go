// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// SourceHarness is a source with an input that the suite may read as often as it likes.
type SourceHarness struct {
	// Source makes the configuration. All that it makes describe the same input, from its beginning.
	Source func(t T) forebay.Source
	// Context is what a run hands to the source. The suite fills in Memory.
	Context forebay.SourceContext
	Claims  SourceClaims
	// Records and Rejects are how many records the input holds, good ones and such as cannot be read. They
	// count for a bounded source only.
	Records, Rejects int
	// Values, if given, are the values of the good records, split after split.
	Values [][]byte
	// RecordsMax is how many records are read of a source without end; 0 means 5000.
	RecordsMax int
	// Patience is how long a call may take that must return; 0 means PatienceDefault.
	Patience time.Duration
}

// SourceClaims are what a source says of itself, and must keep.
type SourceClaims struct {
	Bounded    bool
	Replayable bool
	Blocks     bool
	Typed      bool
}

// RunSource runs every check that the harness's claims call for.
func RunSource(t *testing.T, h SourceHarness) {
	t.Helper()
	run(t, SourceChecks(h))
}

// SourceChecks lists what RunSource runs.
func SourceChecks(h SourceHarness) []Check {
	checks := []Check{
		{"says what it is", h.checkInfo},
		{"gives every record once and in order", h.checkRecords},
		{"keeps nothing of a batch", h.checkOwnership},
		{"stops when the context ends", h.checkCancel},
		{"closes twice", h.checkClose},
	}
	if h.Claims.Bounded {
		checks = append(checks, Check{"ends with an EOF that repeats", h.checkEOF})
	}
	if h.Claims.Replayable {
		checks = append(
			checks,
			Check{"starts again from the beginning", h.checkBeginning},
			Check{"starts again behind every batch", h.checkRestarts},
			Check{"has the same splits in every run", h.checkStable},
			Check{"reads its splits at the same time", h.checkParallel},
		)
	}
	return checks
}

// opened is a source that was started for one check.
type opened struct {
	feed   forebay.Feed
	splits []forebay.Split
	width  int
}

// start starts the source as a run with that memory does.
func (h SourceHarness) start(t T, memory []byte) opened {
	t.Helper()
	env := h.Context
	env.Memory = memory
	if env.Pipeline == "" {
		env.Pipeline = "conformance"
	}
	if env.Lanes == 0 {
		env.Lanes = 1
	}
	feed, err := h.Source(t).Start(t.Context(), env)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	o := opened{feed: feed}
	if o.splits, err = feed.Splits(t.Context()); err != nil {
		t.Fatalf("splits: %v", err)
	}
	if schema := feed.Schema(); schema != nil {
		o.width = schema.Len()
	}
	return o
}

func (o opened) close(t T) {
	t.Helper()
	if err := o.feed.Close(); err != nil {
		t.Errorf("close the feed: %v", err)
	}
}

func (o opened) open(t T, split forebay.Split, at forebay.Position) forebay.Reader {
	t.Helper()
	reader, err := o.feed.Open(t.Context(), split, at)
	if err != nil {
		t.Fatalf("open split %q at %s: %v", split.ID, at, err)
	}
	return reader
}

// limit is how many records to read of one split.
func (h SourceHarness) limit(splits int) int {
	if h.Claims.Bounded {
		return forebay.Unlimited
	}
	most := h.RecordsMax
	if most == 0 {
		most = 5000
	}
	return max(most/splits, 1)
}

func (h SourceHarness) checkInfo(t T) {
	info, err := h.Source(t).Info()
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	says := SourceClaims{Bounded: info.Bounded, Replayable: info.Replayable, Blocks: info.Blocks, Typed: info.Typed}
	if says != h.Claims {
		t.Errorf("the source says %+v of itself and the harness claims %+v", says, h.Claims)
	}
	if info.Connector == "" {
		t.Errorf("it has no connector name")
	}
	o := h.start(t, nil)
	defer o.close(t)
	seen := map[string]bool{}
	for _, split := range o.splits {
		switch {
		case split.ID == "" || seen[split.ID]:
			t.Errorf("split id %q is empty or given twice", split.ID)
		case split.Fingerprint == "":
			t.Errorf("split %q has no fingerprint", split.ID)
		case split.Unbounded && h.Claims.Bounded:
			t.Errorf("split %q has no end and the source claims one", split.ID)
		}
		seen[split.ID] = true
	}
	if o.feed.Schema() != nil && !info.Typed {
		t.Errorf("it has a schema and does not say that its records are typed")
	}
}

// checkRecords reads everything once.
func (h SourceHarness) checkRecords(t T) {
	o := h.start(t, nil)
	defer o.close(t)
	good, rejected := 0, 0
	for _, split := range o.splits {
		read := h.read(t, o, split, readOptions{limit: h.limit(len(o.splits))})
		for _, it := range read.items {
			if it.Rejected {
				rejected++
				continue
			}
			if good < len(h.Values) && string(h.Values[good]) != it.Value {
				t.Fatalf("record %d (split %q, offset %d) is %q, want %q", good, split.ID, it.Offset, it.Value, h.Values[good])
			}
			good++
		}
	}
	if h.Claims.Bounded && (good != h.Records || rejected != h.Rejects) {
		t.Errorf("%d records and %d rejected ones, want %d and %d", good, rejected, h.Records, h.Rejects)
	}
	if good == 0 {
		t.Errorf("not one record: nothing is tested")
	}
}

// checkOwnership overwrites each batch after use. A source that still points into it then reads nonsense.
func (h SourceHarness) checkOwnership(t T) {
	plain, spoilt := h.readAll(t, readOptions{}), h.readAll(t, readOptions{spoil: true})
	for i := range plain {
		compareItems(t, "after the batches were overwritten, split "+plain[i].split.ID, spoilt[i].items, plain[i].items)
	}
}

// readAll reads all splits of a fresh start, one after the other.
func (h SourceHarness) readAll(t T, options readOptions) []splitRead {
	t.Helper()
	o := h.start(t, nil)
	defer o.close(t)
	options.limit = h.limit(len(o.splits))
	all := make([]splitRead, len(o.splits))
	for i, split := range o.splits {
		all[i] = h.read(t, o, split, options)
	}
	return all
}

func (h SourceHarness) checkEOF(t T) {
	o := h.start(t, nil)
	defer o.close(t)
	for _, split := range o.splits {
		reader := o.open(t, split, forebay.Position{})
		h.read(t, o, split, readOptions{limit: forebay.Unlimited, reader: reader})
		b := forebay.NewBatch()
		for again := range 3 {
			b.Reset(split, o.width)
			err := h.readOnce(t, reader, b)
			if !errors.Is(err, io.EOF) || b.Len() > 0 || len(b.Rejects()) > 0 {
				t.Fatalf("split %q, read %d after the end: %d records, error %v, want io.EOF", split.ID, again+1, b.Len(), err)
			}
		}
		closeReader(t, reader)
	}
}

func (h SourceHarness) checkClose(t T) {
	o := h.start(t, nil)
	for i, split := range o.splits {
		reader := o.open(t, split, forebay.Position{})
		if i%2 == 0 {
			b := forebay.NewBatch()
			b.Reset(split, o.width)
			if err := h.readOnce(t, reader, b); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("read: %v", err)
			}
		}
		for again := range 2 {
			within(t, h.Patience, "close a reader", func() {
				if err := reader.Close(); err != nil {
					t.Errorf("split %q, close %d: %v", split.ID, again+1, err)
				}
			})
		}
	}
	o.close(t)
}
