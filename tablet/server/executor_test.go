// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// gated is a server whose disk the test holds up.
func gated(t *testing.T) (*Server, *gate) {
	t.Helper()
	g := &gate{}
	return openOn(t, errorfs.Wrap(vfs.NewMem(), g), Config{}), g
}

// inbox collects answers.
type inbox struct {
	mu      sync.Mutex
	order   []string
	answers map[string]forebay.Answer
	came    chan struct{}
}

func newInbox() *inbox {
	return &inbox{answers: map[string]forebay.Answer{}, came: make(chan struct{}, 10_000)}
}

func (b *inbox) done(name string) func(forebay.Answer) {
	return func(a forebay.Answer) {
		b.mu.Lock()
		if _, twice := b.answers[name]; twice {
			panic(name + " is answered twice")
		}
		b.order = append(b.order, name)
		b.answers[name] = a
		b.mu.Unlock()
		b.came <- struct{}{}
	}
}

func (b *inbox) wait(n int) {
	for range n {
		<-b.came
	}
}

func (b *inbox) code(name string) forebay.Code {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers[name].Code
}

// TestQueueRefusesBeyondItsLimits holds up the disk, so that nothing is answered: what does not fit any more is refused
// at once, in the tablet and in all, and is taken again once the disk goes on.
func TestQueueRefusesBeyondItsLimits(t *testing.T) {
	t.Parallel()
	s, g := gated(t)
	spec := logSpec("clicks")
	o := openTable(t, s, spec)
	r := o.one("a", "1,x")
	s.executor.mu.Lock()
	s.executor.limits = queueLimits{all: load{requests: 6, bytes: 1 << 20}, tablet: load{requests: 4, bytes: 1 << 20}}
	s.executor.mu.Unlock()
	box := newInbox()
	g.shut()
	send := func(name string, tablet int) {
		request := r
		request.Tablet = tablet
		s.Send(t.Context(), &request, box.done(name))
	}
	for i := range 5 {
		send(fmt.Sprint("first", i), 0)
	}
	box.wait(1)
	wantCode(t, box.answers["first4"], forebay.CodeOverload)
	if a := box.answers["first4"]; a.RetryAfter <= 0 || a.Pressure != 100 {
		t.Errorf("refused with a delay of %s and pressure %d", a.RetryAfter, a.Pressure)
	}
	for i := range 3 {
		send(fmt.Sprint("second", i), 1)
	}
	box.wait(1)
	wantCode(t, box.answers["second2"], forebay.CodeOverload)
	g.open()
	box.wait(6)
	for _, name := range []string{"first0", "first3", "second0", "second1"} {
		wantCode(t, forebay.Answer{Code: box.code(name)}, forebay.CodeOK)
	}
	if a := box.answers["first0"]; a.Pressure != 100 {
		t.Errorf("the first answer says pressure %d, with a full queue", a.Pressure)
	}
	s.executor.mu.Lock()
	s.executor.disk, s.executor.sampled = 100, time.Now().Add(time.Hour)
	s.executor.mu.Unlock()
	held := s.find("clicks").tablet(3)
	held.mu.Lock()
	send("alone", 3) // one goes through even when the disk is stuck
	send("too many", 2)
	box.wait(1)
	wantCode(t, box.answers["too many"], forebay.CodeOverload)
	if a := box.answers["too many"]; !strings.Contains(a.Message, "disk") {
		t.Errorf("with a slow disk: %q", a.Message)
	}
	held.mu.Unlock()
	box.wait(1)
	if a := box.answers["alone"]; a.Code != forebay.CodeOK || a.Pressure != 100 {
		t.Errorf("alone: %+v", a)
	}
	send("again", 0)
	box.wait(1)
	wantCode(t, forebay.Answer{Code: box.code("again")}, forebay.CodeOK)
	if s.executor.all != (load{}) {
		t.Errorf("%+v is left in the queues", s.executor.all)
	}
}

// TestAnswersOfATabletKeepItsOrder sends from many goroutines, each to its own tablet.
func TestAnswersOfATabletKeepItsOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := logSpec("clicks")
	spec.Tablets = 8
	o := openTable(t, s, spec)
	r := o.one("a", "1,x")
	commits := o.requests("b", "7,commit")
	const each = 300
	var wg sync.WaitGroup
	for tablet := range spec.Tablets {
		wg.Go(func() {
			box := newInbox()
			var want []string
			for i := range each {
				request := r
				request.Tablet = tablet
				if i%3 == 1 {
					request.WriterID, request.Sequence = "w", int64(i/3)
				}
				name := fmt.Sprint(i)
				want = append(want, name)
				s.Send(t.Context(), &request, box.done(name))
			}
			box.wait(each)
			if d := cmp.Diff(want, box.order); d != "" {
				t.Errorf("tablet %d: -called +answered\n%s", tablet, d)
			}
			last := int64(-1)
			for _, name := range box.order {
				if a := box.answers[name]; a.Code != forebay.CodeOK || a.Offset <= last {
					t.Errorf("tablet %d: request %s got %+v after offset %d", tablet, name, a, last)
				} else {
					last = a.Offset
				}
			}
		})
	}
	// Commits take the same tablets.
	for range 4 {
		wg.Go(func() {
			for range 50 {
				wantCode(t, o.handle.Commit(t.Context(), &forebay.Commit{Requests: commits})(t.Context()), forebay.CodeOK)
			}
		})
	}
	wg.Wait()
	diff(t, "rows", count(t, s, "clicks"), int64(8*each+4*50))
}

// TestAnswersComeSoonAfterTheContextEnds: a request that waits for the disk is answered as unknown, and one that no
// worker took was not applied.
func TestAnswersComeSoonAfterTheContextEnds(t *testing.T) {
	t.Parallel()
	s, g := gated(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	box := newInbox()
	ctx, cancel := context.WithCancel(t.Context())
	g.shut()
	s.Send(ctx, &r, box.done("unsynced"))
	<-g.asked // it is applied, and waits
	// A tablet whose lock is held keeps its worker.
	held := o.handle.table.tablet((r.Tablet + 1) % 4)
	held.mu.Lock()
	stuck, queued := r, r
	stuck.Tablet = int(held.place.tablet)
	queued.Tablet = stuck.Tablet
	s.Send(t.Context(), &stuck, box.done("stuck"))
	for {
		s.executor.mu.Lock()
		taken := len(held.queue.requests) == 0
		s.executor.mu.Unlock()
		if taken {
			break
		}
	}
	s.Send(ctx, &queued, box.done("queued"))
	cancel()
	box.wait(2)
	for name, part := range map[string]string{"unsynced": leftUnsynced, "queued": leftQueued} {
		wantCode(t, box.answers[name], forebay.CodeTimeout)
		diff(t, name, box.answers[name].Message, "its caller left "+part)
	}
	held.mu.Unlock()
	g.open()
	box.wait(1)
	wantCode(t, forebay.Answer{Code: box.code("stuck")}, forebay.CodeOK)
	diff(t, "rows", count(t, s, "clicks"), int64(2))
}

// TestCloseAnswersWhatWasAccepted closes while requests come.
func TestCloseAnswersWhatWasAccepted(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := openOn(t, fs, Config{})
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	box := newInbox()
	var wg sync.WaitGroup
	const senders, each = 4, 500
	for k := range senders {
		wg.Go(func() {
			for i := range each {
				request := r
				request.Tablet = k
				s.Send(t.Context(), &request, box.done(fmt.Sprint(k, " ", i)))
			}
		})
	}
	box.wait(100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	box.wait(senders*each - 100)
	applied := int64(0)
	for name, a := range box.answers {
		switch {
		case a.Code == forebay.CodeOK:
			applied++
		case a.Code == forebay.CodeServerError && a.Class == forebay.ClassTransient:
		default:
			t.Errorf("%s: %+v", name, a)
		}
	}
	diff(t, "rows", count(t, openOn(t, fs, Config{}), "clicks"), applied)
}

func TestHandOverAnswersWhatWasAcceptedAndSendsTheRestOn(t *testing.T) {
	t.Parallel()
	s, g := gated(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	box := newInbox()
	g.shut()
	s.Send(t.Context(), &r, box.done("accepted"))
	<-g.asked
	over := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { over <- s.HandOver(t.Context(), "there:1") })
	for s.successor.Load() == nil {
	}
	s.Send(t.Context(), &r, box.done("late"))
	box.wait(1)
	wantCode(t, box.answers["late"], forebay.CodeNotLeader)
	diff(t, "leader", box.answers["late"].Leader, "there:1")
	wantCode(t, o.commit(forebay.Commit{Requests: o.requests("a", "1,x")}), forebay.CodeNotLeader)
	select {
	case err := <-over:
		t.Errorf("the server handed over before everything was answered: %v", err)
	default:
	}
	g.open()
	wg.Wait()
	if err := <-over; err != nil {
		t.Error(err)
	}
	wantCode(t, forebay.Answer{Code: box.code("accepted")}, forebay.CodeOK)
}

func TestLateRequestIsNotApplied(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	r.Expires = time.UnixMicro(startTime)
	wantCode(t, forebay.Await(t.Context(), s, sequenced(r, "w", 0)), forebay.CodeTimeout)
	r.Expires = time.UnixMicro(startTime + 1)
	wantCode(t, forebay.Await(t.Context(), s, sequenced(r, "w", 0)), forebay.CodeOK)
	diff(t, "rows", count(t, s, "clicks"), int64(1))
}

// TestFullDiskTakesTheSequencesBack: what was refused for space applies later under the same sequences, and a repeat of
// what was applied before stays one.
func TestFullDiskTakesTheSequencesBackTS4(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	free := int64(1 << 40)
	st, err := store.Open(t.Context(), store.Config{Dir: "state", FS: newMem(), FreeSpace: func(string) (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		return free, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), st, Config{Now: func() int64 { return startTime }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	o := openTable(t, s, logSpec("clicks"))
	group := func(sequences ...int64) []forebay.Code {
		var g []*sent
		for _, sequence := range sequences {
			r := sequenced(o.one("a", fmt.Sprintf("%d,x", sequence)), "w", sequence)
			g = append(g, &sent{request: r, tablet: o.handle.table.tablet(r.Tablet)})
		}
		s.applyGroup(g)
		var out []forebay.Code
		for _, q := range g {
			out = append(out, q.answer.Code)
		}
		return out
	}
	diff(t, "codes", group(0, 1), []forebay.Code{200, 200})
	mu.Lock()
	free = 0
	mu.Unlock()
	next := int64(2)
	for {
		// Free space is measured now and then, so the first groups may get through.
		got := group(next, next+1, next, next-1, next+7)
		if got[0] != forebay.CodeOK {
			diff(t, "codes with a full disk", got, []forebay.Code{507, 507, 507, 409, 425})
			break
		}
		next += 2
	}
	mu.Lock()
	free = 1 << 40
	mu.Unlock()
	for {
		if got := group(next, next+1); got[0] != forebay.CodeDiskFull {
			diff(t, "codes with space again", got, []forebay.Code{200, 200})
			break
		}
	}
	diff(t, "rows", count(t, s, "clicks"), next+2)
}

// TestManyRequestsShareABatch: what waits is applied together.
func TestManyRequestsShareABatch(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	r := o.one("a", "1,x")
	tb := o.handle.table.tablet(r.Tablet)
	box := newInbox()
	tb.mu.Lock()
	const requests = 200
	for i := range requests {
		s.Send(t.Context(), &r, box.done(fmt.Sprint(i)))
	}
	before, _ := s.ledger.numbers()
	tb.mu.Unlock()
	box.wait(requests)
	if after, _ := s.ledger.numbers(); after-before > 3 {
		t.Errorf("%d requests became %d batches", requests, after-before)
	}
}

func TestQueueLimitsFollowTheDisk(t *testing.T) {
	t.Parallel()
	l := queueLimits{all: load{requests: 100, bytes: 1000}, tablet: load{requests: 50, bytes: 500}}
	for _, tc := range []struct {
		all, tablet load
		bytes       int64
		disk        int
		want        int64
	}{
		{load{}, load{}, 5000, 100, 0}, // one alone always goes
		{load{1, 100}, load{}, 900, 0, 0},
		{load{1, 100}, load{}, 901, 0, 1},
		{load{1, 100}, load{1, 100}, 401, 0, 1},
		{load{60, 600}, load{50, 200}, 1, 0, 4},
		{load{1, 100}, load{}, 900, diskEasy, 0},
		{load{1, 100}, load{}, 500, 80, 100}, // half of it is left
		{load{1, 100}, load{}, 1, 100, 100},
	} {
		if got := l.under(tc.disk).excess(tc.all, tc.tablet, tc.bytes); got != tc.want {
			t.Errorf("%+v: excess %d", tc, got)
		}
	}
	if got := l.pressure(load{10, 800}, load{40, 100}, 30); got != 80 {
		t.Errorf("pressure %d, want that of the fullest", got)
	}
	for _, tc := range []struct {
		m    store.Metrics
		want int
	}{
		{store.Metrics{}, 0},
		{store.Metrics{L0Sublevels: 9, L0SublevelsMax: 12}, 75},
		{store.Metrics{MemTables: 2, MemTableBytes: 32, MemTableSize: 16}, 33},
		{store.Metrics{MemTables: 3, MemTableBytes: 10, MemTableSize: 16}, 0}, // the first ones are small
		{store.Metrics{CompactionDebt: compactionDebtMax}, 100},
		{store.Metrics{L0Sublevels: 90, L0SublevelsMax: 12}, 100},
	} {
		if got := diskPercent(tc.m); got != tc.want {
			t.Errorf("%+v: %d percent, want %d", tc.m, got, tc.want)
		}
	}
}

// TestDrainRateFindsTheRate: idle time does not count, and the delay is what the excess takes.
func TestDrainRateFindsTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r drainRate
		perSecond := rapid.Int64Range(100_000, 100_000_000).Draw(t, "bytes per second")
		now := int64(startTime)
		for range 200 {
			if rapid.IntRange(0, 4).Draw(t, "idle") == 0 {
				now += rapid.Int64Range(0, 10_000_000).Draw(t, "pause")
			}
			r.begin(now)
			bytes := rapid.Int64Range(1_000, 1_000_000).Draw(t, "bytes")
			now += bytes * 1_000_000 / perSecond
			r.answered(now, bytes)
		}
		if r.bytesPerSecond == 0 {
			t.Skip("too little work for a sample")
		}
		if off := math.Abs(r.bytesPerSecond/float64(perSecond) - 1); off > 0.05 {
			t.Fatalf("%.0f bytes per second, want %d", r.bytesPerSecond, perSecond)
		}
		want := time.Duration(float64(perSecond) / 10 / r.bytesPerSecond * 1e9)
		if got := r.retryAfter(perSecond/10, 0); (got - want).Abs() > time.Millisecond {
			t.Fatalf("a tenth of a second of work: come back after %s, want %s", got, want)
		}
	})
}
