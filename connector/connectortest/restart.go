// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// checkBeginning reads twice from the zero position: in the same run, and in a later one.
func (h SourceHarness) checkBeginning(t T) {
	o := h.start(t, nil)
	defer o.close(t)
	later := h.start(t, o.feed.Memory())
	defer later.close(t)
	for _, split := range o.splits {
		options := readOptions{limit: h.limit(len(o.splits))}
		first := h.read(t, o, split, options)
		again := h.read(t, o, split, options)
		compareItems(t, fmt.Sprintf("split %q, read again", split.ID), again.items, first.items)
		again = h.read(t, later, split, options)
		compareItems(t, fmt.Sprintf("split %q, read in a later run", split.ID), again.items, first.items)
	}
}

// Bounds of checkRestarts: how many items all restarts read on, and how many are read on once those are spent.
const (
	restartItemsMax = 1_000_000
	restartItemsMin = 2 * forebay.BatchRecordsMax
)

// checkRestarts opens each split behind each batch and reads on: exactly the rest must come.
func (h SourceHarness) checkRestarts(t T) {
	o := h.start(t, nil)
	defer o.close(t)
	later := h.start(t, o.feed.Memory())
	defer later.close(t)
	spent := 0
	for _, split := range o.splits {
		limit := h.limit(len(o.splits))
		whole := h.read(t, o, split, readOptions{limit: limit})
		for k, m := range whole.marks {
			rest := whole.items[m.items:]
			options := readOptions{limit: forebay.Unlimited, from: m.position}
			if spent += len(rest); spent > restartItemsMax || split.Unbounded {
				options.limit = min(restartItemsMin, len(rest))
			}
			from := later
			if k%2 == 1 {
				from = o
			}
			read := h.read(t, from, split, options)
			rest = rest[:min(len(rest), options.limit)]
			compareItems(t, fmt.Sprintf("split %q, opened behind batch %d at %s", split.ID, k+1, m.position), read.items, rest)
		}
	}
}

// checkStable starts a later run with the memory of the first.
func (h SourceHarness) checkStable(t T) {
	first := h.start(t, nil)
	memory := first.feed.Memory()
	schema := first.feed.Schema()
	first.close(t)
	again := h.start(t, append([]byte(nil), memory...))
	defer again.close(t)
	if diff := cmp.Diff(first.splits, again.splits); diff != "" {
		t.Errorf("splits of the first and the later run (-first +later):\n%s", diff)
	}
	if !again.feed.Schema().Equal(schema) {
		t.Errorf("schema of the later run is %v, of the first %v", again.feed.Schema(), schema)
	}
	if got := again.feed.Memory(); string(got) != string(memory) {
		t.Errorf("memory of the later run is %q, of the first %q", got, memory)
	}
	splits, err := again.feed.Splits(t.Context())
	if err != nil || !cmp.Equal(splits, again.splits) {
		t.Errorf("asked twice, the splits are %v (%v), then %v", again.splits, err, splits)
	}
}

// checkParallel reads all splits at the same time.
func (h SourceHarness) checkParallel(t T) {
	want := h.readAll(t, readOptions{})
	o := h.start(t, nil)
	defer o.close(t)
	got := make([]splitRead, len(o.splits))
	problems := make([]error, len(o.splits))
	var lanes, ready sync.WaitGroup
	ready.Add(len(o.splits)) // no lane reads before all have opened theirs
	for i, split := range o.splits {
		lanes.Go(func() { got[i], problems[i] = h.readQuietly(t.Context(), o, split, &ready) })
	}
	lanes.Wait()
	for i, split := range o.splits {
		if problems[i] != nil {
			t.Errorf("split %q: %v", split.ID, problems[i])
			continue
		}
		items := got[i].items[:min(len(got[i].items), h.limit(len(o.splits)))]
		compareItems(t, fmt.Sprintf("split %q, read beside the others", split.ID), items, want[i].items)
	}
}

// readQuietly reads a split without a T, for goroutines: only the test's own may end it.
// It reads once everyone is ready.
func (h SourceHarness) readQuietly(
	ctx context.Context, o opened, split forebay.Split, ready *sync.WaitGroup,
) (splitRead, error) {
	ctx, cancel := context.WithTimeout(ctx, h.patience())
	defer cancel()
	quiet := &quietT{ctx: ctx}
	out := splitRead{split: split}
	reader, err := o.feed.Open(ctx, split, forebay.Position{})
	ready.Done()
	if err != nil {
		return out, err
	}
	ready.Wait()
	b, limit := forebay.NewBatch(), h.limit(len(o.splits))
	for len(out.items) < limit && quiet.err == nil {
		b.Reset(split, o.width)
		if err := reader.Read(ctx, b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return out, err
		}
		out.items = append(out.items, itemsOf(quiet, b, o.feed.Schema())...)
	}
	return out, errors.Join(quiet.err, reader.Close())
}

// quietT remembers the first problem.
type quietT struct {
	ctx context.Context //nolint:containedctx // it stands in for a testing.T, which has a context
	err error
}

func (q *quietT) Helper()                  {}
func (q *quietT) Context() context.Context { return q.ctx }
func (q *quietT) TempDir() string          { return "" }

func (q *quietT) Errorf(format string, args ...any) {
	q.err = errors.Join(q.err, fmt.Errorf(format, args...))
}

// Fatalf panics, which lanes of the suite let through: it would be a bug of the source that the other checks
// have reported before.
func (q *quietT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// cancelAfter is how long a Read may wait for data before the suite takes it for blocked.
const cancelAfter = 50 * time.Millisecond

// checkCancel ends the context of a Read: before it, and where the source can wait, during it.
func (h SourceHarness) checkCancel(t T) {
	o := h.start(t, nil)
	defer o.close(t)
	if len(o.splits) == 0 {
		return
	}
	split := o.splits[0]
	reader := o.open(t, split, forebay.Position{})
	b := forebay.NewBatch()
	reset := func() { b.Reset(split, o.width) }
	var at forebay.Position
	var before []item
	for range 2 {
		reset()
		if err := h.readOnce(t, reader, b); err != nil {
			break
		}
		before = append(before, itemsOf(t, b, o.feed.Schema())...)
		at = b.Position()
	}
	h.readCancelled(t, reader, b, reset)
	if h.Claims.Blocks {
		h.cancelWaiting(t, reader, b, reset)
	}
	closeReader(t, reader)
	if !h.Claims.Replayable {
		return
	}
	// What was read before the cancelled call counts; nothing of the rest is lost by it.
	whole := h.read(t, o, split, readOptions{limit: len(before) + 1})
	rest := h.read(t, o, split, readOptions{limit: 1, from: at})
	got := append(before, rest.items...)
	common := min(len(got), len(whole.items))
	compareItems(t, "after a cancelled read", got[:common], whole.items[:common])
}

// readCancelled reads with a context that has ended: the context's error, or what is at hand.
func (h SourceHarness) readCancelled(t T, reader forebay.Reader, b *forebay.Batch, reset func()) {
	t.Helper()
	cause := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	within(t, h.Patience, "read with an ended context", func() {
		reset()
		err := reader.Read(ctx, b)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("read with an ended context: %v, want the context's error or its cause", err)
		}
		if err != nil && b.Len() > 0 {
			t.Errorf("read with an ended context: an error, and %d records with it", b.Len())
		}
	})
}

// waitingMax is how long the suite looks for a Read that waits.
const waitingMax = time.Second

// cancelWaiting cancels a Read while it waits for data, if one does.
func (h SourceHarness) cancelWaiting(t T, reader forebay.Reader, b *forebay.Batch, reset func()) {
	t.Helper()
	deadline := time.Now().Add(waitingMax)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(t.Context(), cancelAfter)
		var err error
		within(t, h.Patience, "a read whose context ended", func() {
			reset()
			err = reader.Read(ctx, b)
		})
		cancel()
		if err != nil {
			return
		}
	}
}
