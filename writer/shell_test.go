// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-io/forebay"
)

// rowCharge is what a row of the fake target reserves.
func rowCharge() forebay.Bytes {
	row := fakeRow(0)
	b, _ := row.Batch()
	return b.Size() + forebay.Bytes(10*b.Width()) + rowOverhead
}

// holdBack makes the target answer when the channel is closed.
func (s *shell) holdBack() (speak chan struct{}) {
	speak = make(chan struct{})
	s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
		select {
		case <-speak:
			return s.backend.apply(r)
		case <-ctx.Done():
			return forebay.Answer{Code: forebay.CodeTimeout}
		}
	}
	return speak
}

// An Append that waits for memory ends with its writer, also while the shutdown still waits for answers.
func TestAppendThatWaitsForMemoryEndsWithItsWriter(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"close", "shutdown"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			memory := NewMemory(rowCharge())
			inBubble(t, Config{Memory: memory}, func(t *testing.T, s *shell) {
				speak := s.holdBack()
				s.append(0, 1)
				var all sync.WaitGroup
				all.Go(func() {
					_, err := s.writer.Append(t.Context(), fakeRow(1))
					full, ok := errors.AsType[*MemoryError](err)
					if !ok || !errors.Is(err, forebay.ErrClosed) || full.Waited != time.Second {
						t.Errorf("append: %v", err)
					}
				})
				time.Sleep(time.Second)
				all.Go(func() {
					var err error
					if end == "close" {
						err = s.writer.Close()
					} else {
						err = s.writer.Shutdown(t.Context())
					}
					if err != nil {
						t.Error(err)
					}
				})
				time.Sleep(time.Second)
				close(speak)
				all.Wait()
			})
		})
	}
}

func TestBlockTimeoutBoundsTheWaitForMemory(t *testing.T) {
	t.Parallel()
	var waits []WaitedEvent
	config := Config{
		BufferMemory: rowCharge(), BlockTimeout: 3 * time.Second,
		Hooks: Hooks{Waited: func(e WaitedEvent) { waits = append(waits, e) }},
	}
	inBubble(t, config, func(t *testing.T, s *shell) {
		speak := s.holdBack()
		s.append(0, 1)
		_, err := s.writer.Append(t.Context(), fakeRow(1))
		full, ok := errors.AsType[*MemoryError](err)
		if !ok || !errors.Is(err, forebay.ErrBufferFull) || full.Waited != 3*time.Second || full.Asked != rowCharge() {
			t.Errorf("%v", err)
		}
		close(speak)
		s.append(1, 2)
		if len(waits) < 1 || !waits[0].Failed || waits[0].Took != 3*time.Second {
			t.Errorf("%+v", waits)
		}
	})
}

// Who waits for memory gets what other writers on it hold in open requests, long before those are old.
func TestWritersOnOneMemoryMakeRoomForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := NewMemory(2 * rowCharge())
		var writers []*Writer
		for range 2 {
			w, err := New(newBackend(), forebay.NewLayout(fakeSchema()), Config{
				Memory: memory, Tuning: Tuning{BatchTimeout: time.Hour},
			})
			if err != nil {
				t.Fatal(err)
			}
			writers = append(writers, w)
		}
		started := time.Now()
		for n := range int64(20) {
			if _, err := writers[n%2].Append(t.Context(), fakeRow(n)); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(started); waited > time.Second {
			t.Errorf("twenty rows took %s", waited)
		}
		for _, w := range writers {
			if err := w.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if used, _ := memory.Used(); used != 0 {
			t.Errorf("%d bytes are reserved", used)
		}
	})
}

// While requests are in flight, who waits for memory waits for their answers: requests that are closed before their
// time would be small, and many.
func TestAFullMemoryDoesNotMakeSmallRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		b.tablets = 1
		b.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
			pause(ctx, 10*time.Millisecond)
			return b.apply(r)
		}
		const rows, perRequest = 40, 4
		w, err := New(b, forebay.NewLayout(fakeSchema()), Config{
			BufferMemory: 6 * rowCharge(), Tuning: Tuning{BatchSize: perRequest * 16, BatchTimeout: time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(rows) {
			if _, err := w.Append(t.Context(), fakeRow(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if len(b.requests) != rows/perRequest {
			t.Errorf("%d requests for %d rows: %v", len(b.requests), rows, b.requests)
		}
	})
}

// A request that the pace holds back leaves when the pace says so, also where nothing else happens in the meantime.
func TestAPaceThatHoldsARequestBackIsKeptToTheMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		const perSecond, requests = 10, 200
		var second time.Time
		taken := 0
		b.send = func(_ context.Context, r *forebay.Request) forebay.Answer {
			if now := time.Now(); now.Sub(second) >= time.Second {
				second, taken = now, 0
			}
			if taken++; taken > perSecond {
				return forebay.Answer{Code: forebay.CodeOverload, RetryAfter: time.Second - time.Since(second)}
			}
			return b.apply(r)
		}
		w, err := New(b, forebay.NewLayout(fakeSchema()), Config{
			Tuning: Tuning{BatchSize: 2 * 16, BatchTimeout: time.Hour, Retries: forebay.Unlimited},
		})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		for n := range int64(requests) {
			if _, err := w.Append(t.Context(), fakeRow(4*n)); err != nil { // it opens a request
				t.Fatal(err)
			}
			receipt, err := w.Append(t.Context(), fakeRow(4*n+2)) // it closes the request
			if err != nil {
				t.Fatal(err)
			}
			if _, err := receipt.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took > 2*requests/perSecond*time.Second {
			t.Errorf("it took %s, and the target takes so many in %d s", took, requests/perSecond)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A request that expires in flight is told as unknown at once; its bytes are the backend's until the answer comes.
func TestWhatExpiresInFlightIsUnknownAndKeepsItsBytes(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{DeliveryTimeout: 2 * time.Second}, func(t *testing.T, s *shell) {
		s.warm()
		speak := s.holdBack()
		s.append(0, 2)
		time.Sleep(time.Second)
		s.append(2, 4) // behind it, and in flight as well
		time.Sleep(1001 * time.Millisecond)
		for n, r := range s.receipts[:2] {
			result, err := r.Wait(t.Context())
			if result.Applied != Unknown || forebay.ClassOf(err) != forebay.ClassAmbiguous {
				t.Errorf("row %d: %s, %v", n, result.Applied, err)
			}
		}
		if used, _ := s.writer.memory.Used(); used != 4*rowCharge() {
			t.Errorf("%d bytes are reserved", used)
		}
		close(speak)
		if err := s.writer.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if used, _ := s.writer.memory.Used(); used != 0 {
			t.Errorf("%d bytes are reserved after the answer", used)
		}
		s.wants(0, 1, 2, 3)
	})
}

// Every attempt carries the deadline of its rows: the target must not apply a copy that comes later.
func TestEveryAttemptSaysWhenItExpires(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{DeliveryTimeout: 3 * time.Second}, func(t *testing.T, s *shell) {
		var left []time.Duration
		s.backend.send = func(_ context.Context, r *forebay.Request) forebay.Answer {
			left = append(left, time.Until(r.Expires))
			if len(left) < 3 {
				return forebay.Answer{Code: forebay.CodeTimeout}
			}
			return s.backend.apply(r)
		}
		s.append(0, 1)
		if err := s.writer.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		want := []time.Duration{3000 * time.Millisecond, 2900 * time.Millisecond, 2700 * time.Millisecond}
		if !slices.Equal(left, want) {
			t.Errorf("the attempts had %s left, want %s", left, want)
		}
	})
}

// What never left is not applied at its deadline.
func TestWhatExpiresBeforeItIsSentIsNotApplied(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{DeliveryTimeout: time.Second}, func(t *testing.T, s *shell) {
		s.backend.init = func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
		s.append(0, 2)
		time.Sleep(1001 * time.Millisecond)
		for n, r := range s.receipts {
			result, err := r.Wait(t.Context())
			if result.Applied != No || forebay.ClassOf(err) != forebay.ClassTransient {
				t.Errorf("row %d: %s, %v", n, result.Applied, err)
			}
		}
	})
}

// A target that takes three rows at most gets every request in pieces; each receipt says where its row is.
func TestRequestsThatAreTooLargeArriveInPieces(t *testing.T) {
	t.Parallel()
	var sent, settled atomic.Int64
	hooks := Hooks{Sent: func(SentEvent) { sent.Add(1) }, Settled: func(SettledEvent) { settled.Add(1) }}
	inBubble(t, Config{Hooks: hooks, Tuning: Tuning{MaxInflight: 1}}, func(t *testing.T, s *shell) {
		s.backend.send = func(_ context.Context, r *forebay.Request) forebay.Answer {
			if r.Records > 3 || slices.Contains(rowsOf(r.Data), 14) {
				return forebay.Answer{Code: forebay.CodeTooLarge, Message: "too large"}
			}
			return s.backend.apply(r)
		}
		s.append(0, 22)
		if err := s.writer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int64{0, 2, 4, 6, 8, 10, 12, 16, 18, 20}; !slices.Equal(s.backend.applied[0], want) {
			t.Errorf("the target has %v", s.backend.applied[0])
		}
		for n, r := range s.receipts {
			result, err := r.Wait(t.Context())
			if n == 14 {
				e, _ := errors.AsType[*forebay.Error](err)
				if e == nil || e.Class != forebay.ClassRejected || e.Code != "too-large" {
					t.Errorf("the row that is too large: %v", err)
				}
			} else if err != nil || s.backend.applied[n%2][result.Offset] != int64(n) {
				t.Errorf("row %d is said to be at %d: %v", n, result.Offset, err)
			}
		}
		if stats := s.writer.Stats(); stats.Sends != sent.Load() || settled.Load() < 5 || stats.Rows != 0 {
			t.Errorf("%d sent, %d settled, %+v", sent.Load(), settled.Load(), stats)
		}
	})
}

// movingBackend has to look its tablets up.
type movingBackend struct {
	*fakeBackend
	locate func(ctx context.Context, tablet int, refresh bool) error
}

func (b *movingBackend) InTable(tablet int) (int, bool) { return tablet, true }

func (b *movingBackend) Locate(ctx context.Context, tablet int, refresh bool) error {
	return b.locate(ctx, tablet, refresh)
}

// A tablet that moves costs its rows no back-off and its caller no error; one look-up runs at a time.
func TestATabletThatMovesIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		looks, running, leader := 0, 0, 1
		backend := &movingBackend{fakeBackend: newBackend()}
		backend.tablets = 1
		backend.locate = func(ctx context.Context, _ int, refresh bool) error {
			mu.Lock()
			looks++
			running++
			if running > 1 || refresh != (looks > 1) {
				t.Errorf("look-up %d, refresh %v, %d at a time", looks, refresh, running)
			}
			mu.Unlock()
			pause(ctx, 10*time.Millisecond)
			mu.Lock()
			running--
			leader = 1
			mu.Unlock()
			return nil
		}
		backend.send = func(_ context.Context, r *forebay.Request) forebay.Answer {
			mu.Lock()
			here := leader == 1
			mu.Unlock()
			if !here {
				return forebay.Answer{Code: forebay.CodeNotLeader}
			}
			return backend.apply(r)
		}
		var moves atomic.Int64
		w, err := New(backend, forebay.NewLayout(fakeSchema()), Config{
			Tuning: Tuning{BatchSize: 16, Retries: NoRetries, MaxInflight: 1},
			Hooks:  Hooks{Moved: func(MovedEvent) { moves.Add(1) }},
		})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		for n := range int64(30) {
			if n == 15 {
				if err := w.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				leader = 2
				mu.Unlock()
			}
			if _, err := w.Append(t.Context(), fakeRow(n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if len(backend.rows()) != 30 || !slices.IsSorted(backend.applied[0]) {
			t.Errorf("the target has %v", backend.applied[0])
		}
		if took := time.Since(started); looks != 2 || moves.Load() != 1 || took != 20*time.Millisecond {
			t.Errorf("%d look-ups, %d moves, %s", looks, moves.Load(), took)
		}
	})
}

func TestATabletThatCannotBeIsAnErrorOfItsRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backend := &movingBackend{fakeBackend: newBackend()}
		backend.locate = func(context.Context, int, bool) error {
			e := forebay.Errorf("locate", forebay.ClassMisconfigured, "the table has 1000 partitions")
			e.Code = "too-many-partitions"
			return e
		}
		w, err := New(backend, forebay.NewLayout(fakeSchema()), Config{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Append(t.Context(), fakeRow(1))
		if err != nil {
			t.Fatal(err)
		}
		result, err := r.Wait(t.Context())
		if e, _ := errors.AsType[*forebay.Error](err); result.Applied != No || e == nil || e.Code != "too-many-partitions" ||
			e.Class != forebay.ClassMisconfigured || e.Tablet != "t/1" {
			t.Errorf("%s: %v", result.Applied, err)
		}
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// With acks 0 nobody knows, and that is no error.
func TestAcksNoneTellsThatTheRowWasHandedOver(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{Acks: forebay.AcksNone, WithoutIdempotence: true}, func(t *testing.T, s *shell) {
		r, err := s.writer.Append(t.Context(), fakeRow(1))
		if err != nil {
			t.Fatal(err)
		}
		if result, err := r.Wait(t.Context()); result.Applied != Unknown || err != nil {
			t.Errorf("%s, %v", result.Applied, err)
		}
	})
}

func TestAdjustBatchSizeChangesNothingElse(t *testing.T) {
	t.Parallel()
	profile, ok := Profile("latency")
	if _, other := Profile("fast"); !ok || other {
		t.Fatal("profiles")
	}
	inBubble(t, Config{Tuning: profile}, func(t *testing.T, s *shell) {
		if err := s.writer.AdjustBatchSize(2 * forebay.GiB); forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%v", err)
		}
		if err := s.writer.AdjustBatchSize(16); err != nil {
			t.Error(err)
		}
		want := Tuning{BatchSize: 16, BatchTimeout: 50 * time.Millisecond, Retries: 3, MaxInflight: 5}
		if got := s.writer.Stats().Tuning; got != want {
			t.Errorf("%+v", got)
		}
		s.append(0, 2)
		synctest.Wait()
		s.wants(0, 1)
	})
}
