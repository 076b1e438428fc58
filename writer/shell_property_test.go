// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// faultyBackend is a model target behind a network with faults.
type faultyBackend struct {
	*fakeBackend
	target *modelTarget
	faults map[string]int

	mu       sync.Mutex
	random   *rand.Rand
	problems []string
}

const faultyTablets = 3

// faultyRow is row n as the target sees it.
func faultyRow(n int64) modelRow { return modelRow{n: n, bad: n%17 == 5, large: n%41 == 7} }

func newFaultyBackend(seed uint64, partial bool, faults map[string]int) *faultyBackend {
	b := &faultyBackend{
		fakeBackend: newBackend(), faults: faults, random: rand.New(rand.NewPCG(seed, 0)),
	}
	b.tablets = faultyTablets
	b.target = &modelTarget{
		partial: partial, rowsMax: 3, applied: map[int][]int64{}, known: map[modelKey]*modelWriter{},
		gone: map[string]bool{}, moved: map[int]bool{},
		fault: func(format string, _ ...any) { b.problems = append(b.problems, format) },
		apply: func(int, int64) {},
	}
	return b
}

func (b *faultyBackend) roll(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(n)
}

func (b *faultyBackend) judge(m message, kind string) forebay.Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kind != "" {
		b.faults[kind]++
	}
	return b.target.judge(m, time.Now())
}

func (b *faultyBackend) InTable(tablet int) (int, bool) { return tablet, true }

// Locate mends a move.
func (b *faultyBackend) Locate(ctx context.Context, tablet int, refresh bool) error {
	pause(ctx, time.Duration(b.roll(50))*time.Millisecond)
	if b.roll(8) == 0 {
		return forebay.Errorf("locate", forebay.ClassTransient, "nobody answers")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if refresh {
		b.target.moved[tablet] = false
	}
	return nil
}

func (b *faultyBackend) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	m := message{action: action{tablet: r.Tablet, writerID: r.WriterID, sequence: r.Sequence, expires: r.Expires}}
	for _, n := range rowsOf(r.Data) {
		m.rows = append(m.rows, faultyRow(n))
	}
	b.sending.Go(func() { done(b.deliver(ctx, m)) })
}

func (b *faultyBackend) deliver(ctx context.Context, m message) forebay.Answer {
	timeout := forebay.Answer{Code: forebay.CodeTimeout}
	if !pause(ctx, time.Duration(b.roll(30))*time.Millisecond) {
		return timeout
	}
	switch b.roll(24) {
	case 0, 1:
		b.judge(m, "answer lost")
		return timeout
	case 2:
		b.sending.Go(func() {
			m.copied = true
			pause(context.WithoutCancel(ctx), time.Duration(b.roll(5_000))*time.Millisecond)
			b.judge(m, "request delayed beyond its time-out")
		})
		return timeout
	case 3:
		answer := b.judge(m, "answer delayed")
		if !pause(ctx, time.Duration(b.roll(3_000))*time.Millisecond) {
			return timeout
		}
		return answer
	case 4:
		return forebay.Answer{Code: forebay.CodeOverload, RetryAfter: 200 * time.Millisecond}
	case 5:
		return forebay.Answer{Code: forebay.CodeNotLeader}
	case 6:
		b.judge(m, "request repeated")
	case 7:
		b.mu.Lock()
		b.faults["leader move"]++
		b.target.moved[m.action.tablet] = true
		b.mu.Unlock()
	case 8:
		if b.roll(3) == 0 {
			b.mu.Lock()
			b.faults["restart that forgets the writer"]++
			b.target.forget(m.action.writerID)
			b.mu.Unlock()
		}
	}
	return b.judge(m, "")
}

// TestWriterProperties runs whole writers over a faulty target in fake time: what receipts and callbacks say agrees
// with the target, for ever; the order per tablet holds; W5: each receipt and each callback comes once, callbacks in
// order; W6: memory returns to zero.
func TestWriterProperties(t *testing.T) {
	faults := map[string]int{}
	inRuns(t, 100, func(rt *rapid.T) {
		config := Config{
			Tuning: Tuning{
				BatchSize:    forebay.Bytes(rapid.IntRange(16, 100).Draw(rt, "batch size")),
				BatchTimeout: 20 * time.Millisecond,
				Retries:      rapid.SampledFrom([]int{NoRetries, 3, forebay.Unlimited}).Draw(rt, "retries"),
			},
			Partial:      rapid.IntRange(0, 3).Draw(rt, "partial") == 0,
			Jitter:       rapid.Bool().Draw(rt, "jitter"),
			BufferMemory: forebay.Bytes(rapid.IntRange(200, 2000).Draw(rt, "memory")),
		}
		if rapid.Bool().Draw(rt, "deadline") {
			config.DeliveryTimeout = 700 * time.Millisecond
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		closed := rapid.IntRange(0, 3).Draw(rt, "closed") == 0
		synctest.Test(t, func(t *testing.T) {
			w := &writerRun{backend: newFaultyBackend(seed, config.Partial, faults), config: config, closed: closed}
			w.run(t)
		})
		if t.Failed() {
			rt.Fatalf("seed %d", seed)
		}
	})
	logFaults(t, faults)
}

// writerRun is one life of a writer.
type writerRun struct {
	backend *faultyBackend
	config  Config
	closed  bool

	mu       sync.Mutex
	rows     map[Receipt]int64
	receipts map[int64]Receipt
	called   map[int][]int64 // by tablet
}

func (r *writerRun) run(t *testing.T) {
	t.Helper()
	r.rows, r.receipts, r.called = map[Receipt]int64{}, map[int64]Receipt{}, map[int][]int64{}
	var told []Outcome
	r.config.Settled = func(o Outcome) { // on one goroutine
		told = append(told, o)
		select {
		case <-o.Receipt(0).Done():
		default:
			t.Error("a callback came before its rows were settled")
		}
	}
	w, err := New(r.backend, forebay.NewLayout(fakeSchema()), r.config)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range int64(faultyTablets) {
		all.Go(func() { r.append(t, w, g) })
	}
	if r.closed {
		time.Sleep(time.Duration(r.backend.roll(1_500)) * time.Millisecond)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if used, waiters := w.memory.Used(); used != 0 || waiters != 0 {
		t.Errorf("W6: %d bytes are reserved and %d wait at the end", used, waiters)
	}
	if s := w.Stats(); s.Rows != 0 || s.Requests != 0 || s.InFlight != 0 {
		t.Errorf("figures at the end: %+v", s)
	}
	r.backend.sending.Wait() // copies that come late
	for _, o := range told {
		for row := range o.Rows() {
			r.called[o.Tablet()] = append(r.called[o.Tablet()], r.rows[o.Receipt(row)])
		}
	}
	r.check(t)
}

// append is one goroutine with a tablet of its own. Some of its calls give up before there is memory.
func (r *writerRun) append(t *testing.T, w *Writer, g int64) {
	t.Helper()
	for i := range int64(60) {
		n := g + i*faultyTablets
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if r.backend.roll(6) == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(r.backend.roll(20))*time.Millisecond)
		}
		receipt, err := w.Append(ctx, fakeRow(n))
		cancel()
		full, refused := errors.AsType[*MemoryError](err)
		switch {
		case err == nil:
			r.mu.Lock()
			r.rows[receipt], r.receipts[n] = n, receipt
			r.mu.Unlock()
		case errors.Is(err, forebay.ErrClosed):
			if !r.closed {
				t.Errorf("row %d: %v", n, err)
			}
			return
		case refused && errors.Is(full, context.DeadlineExceeded):
		default:
			t.Errorf("row %d: %v", n, err)
		}
		if r.backend.roll(10) == 0 {
			pause(t.Context(), time.Duration(r.backend.roll(100))*time.Millisecond)
		}
	}
}

// check compares what was told with what the target has.
func (r *writerRun) check(t *testing.T) {
	t.Helper()
	if len(r.backend.problems) > 0 {
		t.Errorf("the target: %v", r.backend.problems)
	}
	fates := map[int64]Applied{}
	for n, receipt := range r.receipts {
		select {
		case <-receipt.Done():
		default:
			t.Errorf("W5: row %d is never told", n)
			continue
		}
		result, err := receipt.Wait(t.Context())
		fates[n] = result.Applied
		have := r.backend.target.applied[int(n)%faultyTablets]
		at := slices.Index(have, n)
		switch {
		case (err == nil) != (result.Applied == Yes):
			t.Errorf("row %d is %s with the error %v", n, result.Applied, err)
		case result.Applied == Yes && at < 0, result.Applied == No && at >= 0:
			t.Errorf("row %d is said to be %s: %v of %v; %v", n, result.Applied, at, have, err)
		case result.Applied == Yes && result.Offset != NoOffset && result.Offset != int64(at):
			t.Errorf("row %d is said to be at %d and is at %d", n, result.Offset, at)
		}
	}
	for tablet, have := range r.backend.target.applied {
		seen, highest := map[int64]bool{}, int64(-1)
		for _, n := range have {
			if seen[n] || n < highest && fates[n] != Unknown {
				t.Errorf("W3: tablet %d has %v; row %d is %s", tablet, have, n, fates[n])
			}
			seen[n], highest = true, max(highest, n)
		}
	}
	calls := 0
	for tablet, rows := range r.called {
		calls += len(rows)
		if !slices.IsSorted(rows) || len(slices.Compact(slices.Clone(rows))) != len(rows) {
			t.Errorf("W5: tablet %d: callbacks came as %v", tablet, rows)
		}
	}
	if calls != len(r.receipts) {
		t.Errorf("W5: %d callbacks for %d rows", calls, len(r.receipts))
	}
}
