// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-io/forebay"
)

// shell is a writer in a bubble.
type shell struct {
	t        *testing.T
	backend  *fakeBackend
	writer   *Writer
	receipts []Receipt
}

// inBubble runs a test with a writer; the bubble fails on a goroutine that is left.
func inBubble(t *testing.T, config Config, test func(t *testing.T, s *shell)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shell{t: t, backend: newBackend()}
		var err error
		s.writer, err = New(s.backend, forebay.NewLayout(fakeSchema()), config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.end()
		test(t, s)
	})
}

// end closes the writer and looks that everything settled (W5) and no byte is reserved (W6).
func (s *shell) end() {
	s.t.Helper()
	if err := s.writer.Close(); err != nil {
		s.t.Error(err)
	}
	for i, r := range s.receipts {
		select {
		case <-r.Done():
		default:
			s.t.Errorf("receipt %d of %d is open after Close", i, len(s.receipts))
		}
	}
	if used, waiters := s.writer.memory.Used(); used != 0 || waiters != 0 {
		s.t.Errorf("%d bytes are reserved and %d wait after Close", used, waiters)
	}
	if len(s.backend.torn) > 0 {
		s.t.Errorf("data changed while it was the target's: %v", s.backend.torn)
	}
}

func (s *shell) append(from, to int64) {
	s.t.Helper()
	for n := from; n < to; n++ {
		r, err := s.writer.Append(s.t.Context(), fakeRow(n))
		if err != nil {
			s.t.Fatalf("row %d: %v", n, err)
		}
		s.receipts = append(s.receipts, r)
	}
}

func (s *shell) wants(rows ...int64) {
	s.t.Helper()
	if got := s.backend.rows(); !slices.Equal(got, rows) {
		s.t.Errorf("the target has %v, want %v", got, rows)
	}
}

// results waits for every receipt and counts what became of the rows.
func (s *shell) results() map[Applied]int {
	s.t.Helper()
	out := map[Applied]int{}
	for _, r := range s.receipts {
		result, err := r.Wait(s.t.Context())
		if (err == nil) != (result.Applied == Yes) {
			s.t.Errorf("%s with the error %v", result.Applied, err)
		}
		out[result.Applied]++
	}
	return out
}

// Flush, Shutdown and Close in any order and twice: receipts settle, rows that were flushed are there.
func TestEndsInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ends    string
		applied bool // at least one end waits for the rows
	}{
		{"close", false},
		{"close close", false},
		{"flush", true},
		{"flush flush close", true},
		{"shutdown", true},
		{"shutdown shutdown", true},
		{"shutdown close flush", true},
		{"close flush shutdown", false},
		{"close tune flush", false},
		{"flush shutdown flush close close", true},
	} {
		for _, rows := range []int64{0, 5} {
			t.Run(fmt.Sprintf("%s, %d rows", c.ends, rows), func(t *testing.T) {
				t.Parallel()
				inBubble(t, Config{}, func(t *testing.T, s *shell) {
					released := 0
					s.writer.release = sync.OnceValue(func() error { released++; return nil })
					s.append(0, rows)
					for end := range strings.FieldsSeq(c.ends) {
						var err error
						switch end {
						case "close":
							err = s.writer.Close()
						case "flush":
							err = s.writer.Flush(t.Context())
						case "shutdown":
							err = s.writer.Shutdown(t.Context())
						case "tune":
							err = s.writer.Tune(Tuning{BatchSize: 1})
						}
						if err != nil {
							t.Errorf("%s: %v", end, err)
						}
					}
					if c.applied && len(s.backend.rows()) != int(rows) || !c.applied && len(s.backend.rows()) != 0 {
						t.Errorf("the target has %v", s.backend.rows())
					}
					if strings.Contains(c.ends, "close") || strings.Contains(c.ends, "shutdown") {
						if _, err := s.writer.Append(t.Context(), fakeRow(9)); !errors.Is(err, forebay.ErrClosed) {
							t.Errorf("append after the end: %v", err)
						}
						if released != 1 {
							t.Errorf("released %d times", released)
						}
					}
				})
			})
		}
	}
}

// A target that does not answer, and then does.
func TestATargetThatIsSilentForAWhile(t *testing.T) {
	t.Parallel()
	silent := func(s *shell) chan struct{} {
		speaks := make(chan struct{})
		s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
			select {
			case <-speaks:
				return s.backend.apply(r)
			case <-ctx.Done():
				return forebay.Answer{Code: forebay.CodeTimeout, Message: "gave up"}
			}
		}
		return speaks
	}
	t.Run("flush gives up, and the rows settle when it speaks", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, s *shell) {
			speaks := silent(s)
			s.append(0, 4)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("a minute is over"))
			defer cancel()
			if err := s.writer.Flush(ctx); err == nil || err.Error() != "a minute is over" {
				t.Errorf("flush: %v", err)
			}
			if _, err := s.receipts[0].Wait(ctx); err == nil || err.Error() != "a minute is over" {
				t.Errorf("wait: %v", err)
			}
			close(speaks)
			if err := s.writer.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			if got := s.results(); got[Yes] != 4 {
				t.Errorf("%v", got)
			}
		})
	})
	t.Run("shutdown gives up: the rows in flight are unknown", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{Tuning: Tuning{BatchSize: 16, MaxInflight: 1}}, func(t *testing.T, s *shell) {
			silent(s)
			s.append(0, 6)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.writer.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shutdown: %v", err)
			}
			// The limiter begins with one request in flight; the others were never sent.
			if got := s.results(); got[Yes] != 0 || got[Unknown] != 1 || got[No] != 5 {
				t.Errorf("%v", got)
			}
		})
	})
	t.Run("close does not wait", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, s *shell) {
			silent(s)
			s.append(0, 4)
			synctest.Wait()
			time.Sleep(time.Second)
			started := time.Now()
			if err := s.writer.Close(); err != nil || time.Since(started) > 0 {
				t.Errorf("%v after %s", err, time.Since(started))
			}
			// The limiter begins with one request in flight: that of one of the two tablets.
			if got := s.results(); got[Unknown] != 2 || got[No] != 2 {
				t.Errorf("%v", got)
			}
		})
	})
	t.Run("no writer id for a while", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, s *shell) {
			s.backend.init = func(context.Context) error {
				if s.backend.inits < 8 {
					return errors.New("unreachable")
				}
				return nil
			}
			s.append(0, 4)
			if err := s.writer.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			s.wants(0, 1, 2, 3)
		})
	})
	t.Run("no writer id ever", func(t *testing.T) {
		t.Parallel()
		inBubble(t, Config{}, func(t *testing.T, s *shell) {
			s.backend.init = func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
			s.append(0, 4)
			time.Sleep(time.Minute)
			if err := s.writer.Close(); err != nil {
				t.Error(err)
			}
			if got := s.results(); got[No] != 4 {
				t.Errorf("%v", got)
			}
		})
	})
}

// Flush waits for what was appended before it, not for what others append meanwhile.
func TestFlushWaitsForWhatCameBeforeItOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{Tuning: Tuning{BatchTimeout: time.Millisecond}}, func(t *testing.T, s *shell) {
		s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
			pause(ctx, 50*time.Millisecond)
			return s.backend.apply(r)
		}
		s.append(0, 4)
		busy, stop := context.WithCancel(t.Context())
		var other sync.WaitGroup
		other.Go(func() {
			for n := int64(100); pause(busy, 5*time.Millisecond); n++ {
				if _, err := s.writer.Append(busy, fakeRow(n)); err != nil {
					t.Error(err)
				}
			}
		})
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.writer.Flush(ctx); err != nil || time.Since(started) > 200*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(started))
		}
		for i, r := range s.receipts {
			select {
			case <-r.Done():
			default:
				t.Errorf("row %d is not settled after Flush", i)
			}
		}
		stop()
		other.Wait()
	})
}

// Close while others append, flush and tune: nobody panics or hangs, every receipt settles once.
func TestCloseBesideEverythingElse(t *testing.T) {
	t.Parallel()
	for range 200 {
		backend := newBackend()
		w, err := New(backend, forebay.NewLayout(fakeSchema()), Config{
			Tuning: Tuning{BatchSize: 64}, BufferMemory: 2 * forebay.KiB,
		})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var receipts []Receipt
		var all sync.WaitGroup
		for g := range int64(3) {
			all.Go(func() {
				for n := range int64(50) {
					r, err := w.Append(t.Context(), fakeRow(100*g+n))
					if err != nil {
						if !errors.Is(err, forebay.ErrClosed) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					receipts = append(receipts, r)
					mu.Unlock()
				}
			})
		}
		all.Go(func() {
			for range 20 {
				if err := errors.Join(w.Flush(t.Context()), w.Tune(Tuning{BatchSize: 32})); err != nil {
					t.Error(err)
				}
			}
		})
		for range 2 {
			all.Go(func() {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		yes := 0
		for _, r := range receipts {
			if result, _ := r.Wait(t.Context()); result.Applied == Yes {
				yes++
			}
		}
		if used, waiters := w.memory.Used(); used != 0 || waiters != 0 {
			t.Fatalf("%d bytes are reserved, %d wait", used, waiters)
		}
		if got := len(backend.rows()); got < yes {
			t.Fatalf("%d rows are said to be applied, the target has %d", yes, got)
		}
	}
}

// A flush that comes in the middle of Close starts nothing that Close does not wait for.
func TestCloseBesideFlush(t *testing.T) {
	t.Parallel()
	for i := range int64(5_000) {
		w, err := New(newBackend(), forebay.NewLayout(fakeSchema()), Config{WithoutIdempotence: true})
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Append(t.Context(), fakeRow(i))
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := w.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		select {
		case <-r.Done():
		default:
			t.Fatal("the receipt is open")
		}
	}
}

// What the answers say of the rows.
func TestReceiptsTellTheTruth(t *testing.T) {
	t.Parallel()
	refuse := func(a forebay.Answer) func(*shell) {
		return func(s *shell) {
			s.backend.send = func(context.Context, *forebay.Request) forebay.Answer { return a }
		}
	}
	for _, c := range []struct {
		name    string
		plant   func(*shell)
		applied Applied
		class   forebay.Class
	}{
		{"applied", func(*shell) {}, Yes, 0},
		{"a duplicate is applied", refuse(forebay.Answer{Code: forebay.CodeDuplicate}), Yes, 0},
		{"an answer that is none", refuse(forebay.Answer{}), Unknown, forebay.ClassAmbiguous},
		{"a code that nobody knows", refuse(forebay.Answer{Code: 599}), Unknown, forebay.ClassAmbiguous},
		{"time-outs", refuse(forebay.Answer{Code: forebay.CodeTimeout}), Unknown, forebay.ClassAmbiguous},
		{"server errors that applied nothing", refuse(forebay.Answer{
			Code:  forebay.CodeServerError,
			Class: forebay.ClassTransient,
		}), No, forebay.ClassTransient},
		{"not allowed", refuse(forebay.Answer{Code: forebay.CodeForbidden}), No, forebay.ClassMisconfigured},
		{"fenced", refuse(forebay.Answer{Code: forebay.CodeFenced}), No, forebay.ClassFenced},
		{
			"corrupt", refuse(forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassCorrupt}), No,
			forebay.ClassCorrupt,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, Config{}, func(t *testing.T, s *shell) {
				c.plant(s)
				s.append(0, 1)
				result, err := s.receipts[0].Wait(t.Context())
				if result.Applied != c.applied || (err == nil) != (c.applied == Yes) {
					t.Errorf("%s: %v", result.Applied, err)
				}
				if err != nil && forebay.ClassOf(err) != c.class {
					t.Errorf("class %s: %v", forebay.ClassOf(err), err)
				}
				if err != nil && !strings.Contains(err.Error(), "t/0") {
					t.Errorf("%q does not name the tablet", err)
				}
			})
		})
	}
}

// Of a request with refused rows nothing is applied: they are rejected, and the others are sent without them.
func TestARefusedRowDoesNotRejectItsNeighbours(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("partial=%v", partial), func(t *testing.T) {
			t.Parallel()
			inBubble(t, Config{Partial: partial}, func(t *testing.T, s *shell) {
				s.backend.send = func(_ context.Context, r *forebay.Request) forebay.Answer {
					if r.Sequence != 0 || r.Partial != partial {
						t.Errorf("sequence %d, partial %v", r.Sequence, r.Partial)
					}
					return s.backend.applyGood(r, func(n int64) bool { return n != 4 && n != 6 })
				}
				s.append(0, 10)
				if err := s.writer.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.wants(0, 1, 2, 3, 5, 7, 8, 9)
				for n, r := range s.receipts {
					result, err := r.Wait(t.Context())
					e, _ := errors.AsType[*forebay.Error](err)
					switch {
					case n == 4 || n == 6:
						if result.Applied != No || e == nil || e.Class != forebay.ClassRejected || e.Code != "too-long" {
							t.Errorf("the refused row %d: %s, %v", n, result.Applied, err)
						}
					case result.Applied != Yes || err != nil:
						t.Errorf("row %d: %s, %v", n, result.Applied, err)
					case s.backend.applied[n%2][result.Offset] != int64(n):
						t.Errorf("row %d is said to be at %d of %v", n, result.Offset, s.backend.applied[n%2])
					}
				}
			})
		})
	}
}

func TestARowWithoutTabletLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{}, func(t *testing.T, s *shell) {
		s.append(0, 2)
		used, _ := s.writer.memory.Used()
		if _, err := s.writer.Append(t.Context(), fakeRow(-1)); forebay.ClassOf(err) != forebay.ClassRejected {
			t.Errorf("%v", err)
		}
		if now, _ := s.writer.memory.Used(); now != used {
			t.Errorf("%d bytes were reserved and %d are", used, now)
		}
	})
}

// Rows wait for memory in the order in which they came; a caller who leaves gives his place and his bytes back.
func TestAppendWaitsForMemoryOnly(t *testing.T) {
	t.Parallel()
	row := fakeRow(0)
	b, _ := row.Batch()
	charge := b.Size() + forebay.Bytes(10*b.Width()) + rowOverhead
	inBubble(t, Config{BufferMemory: 2 * charge, Tuning: Tuning{BatchTimeout: time.Hour}}, func(t *testing.T, s *shell) {
		speaks := make(chan struct{})
		s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
			select {
			case <-speaks:
			case <-ctx.Done():
			}
			return s.backend.apply(r)
		}
		s.append(0, 2)
		var order []int64
		var mu sync.Mutex
		var all sync.WaitGroup
		cancelled, leave := context.WithCancel(t.Context())
		for _, n := range []int64{2, 3, 4} {
			ctx := t.Context()
			if n == 3 {
				ctx = cancelled
			}
			all.Go(func() {
				r, err := s.writer.Append(ctx, fakeRow(n))
				mu.Lock()
				defer mu.Unlock()
				full, ok := errors.AsType[*MemoryError](err)
				switch {
				case n == 3:
					if !ok || !errors.Is(err, context.Canceled) || full.Asked != charge || full.Used != 2*charge {
						t.Errorf("the one who left: %v", err)
					}
				case err != nil:
					t.Error(err)
				default:
					order = append(order, n)
					s.receipts = append(s.receipts, r)
				}
			})
			synctest.Wait()
		}
		if _, waiters := s.writer.memory.Used(); waiters != 3 || len(order) != 0 {
			t.Errorf("%d wait, %v came in", waiters, order)
		}
		leave()
		synctest.Wait()
		close(speaks)
		all.Wait()
		if slices.Sort(order); !slices.Equal(order, []int64{2, 4}) {
			t.Errorf("%v came in", order)
		}
		if err := s.writer.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		s.wants(0, 1, 2, 4)
	})
}

func TestFailWhenFullDoesNotWait(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{BufferMemory: 200, FailWhenFull: true, Tuning: Tuning{BatchTimeout: time.Hour}},
		func(t *testing.T, s *shell) {
			s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
				pause(ctx, time.Second)
				return s.backend.apply(r)
			}
			n := int64(0)
			for ; ; n++ {
				_, err := s.writer.Append(t.Context(), fakeRow(n))
				if err != nil {
					if !errors.Is(err, forebay.ErrBufferFull) || n == 0 {
						t.Fatalf("row %d: %v", n, err)
					}
					break
				}
			}
			// What is there was sent before its time, one request after the other, so that there is room soon.
			time.Sleep(3 * time.Second)
			if used, _ := s.writer.memory.Used(); used != 0 || len(s.backend.rows()) != int(n) {
				t.Errorf("%d bytes are reserved, the target has %v", used, s.backend.rows())
			}
			s.append(n, n+1)
		})
}

func TestTuneTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{Tuning: Tuning{BatchTimeout: time.Hour}}, func(t *testing.T, s *shell) {
		s.append(0, 2)
		if err := s.writer.Tune(Tuning{MaxInflight: 6}); forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("6 in flight with idempotence: %v", err)
		}
		time.Sleep(time.Minute)
		s.wants()
		if err := s.writer.Tune(Tuning{BatchTimeout: 2 * time.Minute}); err != nil {
			t.Error(err)
		}
		time.Sleep(59 * time.Second)
		s.wants()
		time.Sleep(2 * time.Second)
		s.wants(0, 1)
		if err := s.writer.Tune(Tuning{BatchTimeout: time.Hour, BatchSize: 32}); err != nil {
			t.Error(err)
		}
		s.append(2, 5) // the second row of tablet 0 fills its request
		synctest.Wait()
		s.wants(0, 1, 2, 4)
	})
}

// Rows of one tablet arrive in the order of Append, each once, whatever is answered on the way (W1 to W4).
func TestOrderSurvivesRetries(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{Tuning: Tuning{BatchSize: 40, Retries: 50}}, func(t *testing.T, s *shell) {
		target := newSequences()
		calls := 0
		s.backend.send = func(ctx context.Context, r *forebay.Request) forebay.Answer {
			s.backend.mu.Lock()
			calls++
			n := calls
			s.backend.mu.Unlock()
			pause(ctx, time.Duration(n%7)*time.Millisecond)
			switch {
			case n%5 == 0:
				return forebay.Answer{Code: forebay.CodeTimeout}
			case n%7 == 0:
				return forebay.Answer{Code: forebay.CodeOverload, RetryAfter: time.Second}
			}
			answer := target.judge(r)
			if answer.Code == forebay.CodeOK {
				answer = s.backend.apply(r)
			}
			if n%11 == 0 {
				return forebay.Answer{Code: forebay.CodeTimeout}
			}
			return answer
		}
		s.append(0, 300)
		if err := s.writer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.results(); got[Yes] != 300 {
			t.Errorf("%v", got)
		}
		for tablet, rows := range s.backend.applied {
			if len(rows) != 150 || !slices.IsSorted(rows) {
				t.Errorf("tablet %d has %d rows: %v", tablet, len(rows), rows)
			}
		}
	})
}

// sequences is the de-duplication of a target.
type sequences struct {
	mu   sync.Mutex
	next map[int]int64
}

func newSequences() *sequences { return &sequences{next: map[int]int64{}} }

func (q *sequences) judge(r *forebay.Request) forebay.Answer {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch next := q.next[r.Tablet]; {
	case r.Sequence < next:
		return forebay.Answer{Code: forebay.CodeDuplicate}
	case r.Sequence > next:
		return forebay.Answer{Code: forebay.CodeSequenceGap}
	}
	q.next[r.Tablet]++
	return forebay.Answer{Code: forebay.CodeOK}
}
