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

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

func TestSyncSessionReturnsOnceTheTargetHasIt(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{}, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(n int64) string {
			if n == 2 {
				return CodeAlreadyPresent
			}
			return ""
		}
		s.target.before = func(ctx context.Context, _ *forebay.Request) forebay.Answer {
			pause(ctx, 3*time.Millisecond)
			return forebay.Answer{}
		}
		r, err := s.upsert(1)
		if err != nil || r.Applied != Yes || r.Tablet != 1 || r.Number != 0 || r.Elapsed != 3*time.Millisecond {
			t.Errorf("%+v, %v", r, err)
		}
		if got := s.target.requests("t"); !cmp.Equal(got, [][]int64{{1}}) {
			t.Errorf("the target took %v", got)
		}
		r, err = s.upsert(2)
		failed, ok := errors.AsType[*OperationError](err)
		if !ok || r.Err != failed || failed.Code != CodeAlreadyPresent || failed.Applied != No || failed.Number != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if n := s.session.CountPendingErrors(); n != 0 {
			t.Errorf("%d pending errors of answers that were given", n)
		}
		if responses, err := s.session.Flush(t.Context()); len(responses) > 0 || err != nil {
			t.Errorf("flush: %v, %v", responses, err)
		}
	})
}

func TestManualSessionSendsOnlyWhenFlushed(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: ManualFlush, BufferOperations: 10}, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(n int64) string {
			if n%2 == 1 {
				return CodeAlreadyPresent
			}
			return ""
		}
		s.all(0, 10)
		for range 2 {
			_, err := s.upsert(10)
			full, ok := errors.AsType[*BufferError](err)
			if !ok || !errors.Is(err, forebay.ErrBufferFull) || full.Operations != 10 || full.OperationsMax != 10 {
				t.Errorf("operation 11 of 10: %v", err)
			}
			if err.Error() != "MANUAL_FLUSH is enabled but the buffer is too big" {
				t.Errorf("%q", err)
			}
			time.Sleep(50 * time.Hour)
		}
		if got := s.target.requests("t"); len(got) > 0 {
			t.Errorf("sent without a flush: %v", got)
		}
		s.flushesTen(t)
		if got := len(s.target.requests("t")); got != 3 {
			t.Errorf("%d requests for 3 tablets", got)
		}
		if n := s.session.CountPendingErrors(); n != 0 {
			t.Errorf("%d pending errors of answers that were given", n)
		}
		if responses := s.flush(); len(responses) > 0 {
			t.Errorf("a second flush returned %v", responses)
		}
		s.all(10, 20)
	})
}

// flushesTen checks the responses to the upserts of rows 0 to 9, of which the odd ones are refused.
func (s *sessionBench) flushesTen(t *testing.T) {
	t.Helper()
	responses, err := s.session.Flush(t.Context())
	failed, ok := errors.AsType[*OperationsError](err)
	if !ok || len(failed.Errors) != 5 || failed.Operations != 10 || len(responses) != 10 {
		t.Fatalf("%d responses, %v", len(responses), err)
	}
	for i, r := range responses {
		n, text := rowOf(t, s.table, r.Operation)
		if n != int64(i) || text != fmt.Sprint("text of ", i) || r.Number != int64(i) || r.Tablet != i%3 {
			t.Errorf("response %d is about %s, row %d %q in tablet %d", i, r.Operation, n, text, r.Tablet)
		}
		if refused := i%2 == 1; refused != (r.Err != nil) || refused != (r.Applied == No) {
			t.Errorf("response %d: %s, %v", i, r.Applied, r.Err)
		}
	}
}

func TestManualSessionTakesMoreWhileItFlushes(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: ManualFlush, BufferOperations: 2}, func(t *testing.T, s *sessionBench) {
		gate := s.closeGate()
		s.all(0, 2)
		// A flush whose context ends gives its responses to the next one.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if responses, err := s.session.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || len(responses) > 0 {
			t.Errorf("%v, %v", responses, err)
		}
		s.all(2, 4)
		if _, err := s.session.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := s.upsert(9); err == nil || !errors.Is(err, forebay.ErrBufferFull) {
			t.Errorf("a third buffer: %v", err)
		}
		if n := s.session.Pending(); n != 4 {
			t.Errorf("%d pending", n)
		}
		close(gate)
		responses := s.flush()
		for i, r := range responses {
			if r.Number != int64(i) || r.Err != nil {
				t.Errorf("response %d is %s: %v", i, r.Operation, r.Err)
			}
		}
		if len(responses) != 4 {
			t.Errorf("%d responses", len(responses))
		}
	})
}

// closeGate makes requests wait until the gate is closed.
func (s *sessionBench) closeGate() (gate chan struct{}) {
	gate = make(chan struct{})
	s.target.before = func(ctx context.Context, _ *forebay.Request) forebay.Answer {
		if err := await(ctx, gate); err != nil {
			return forebay.Answer{Code: forebay.CodeTimeout, Message: err.Error()}
		}
		return forebay.Answer{}
	}
	return gate
}

func TestBackgroundSessionFlushesByTime(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: AutoFlushBackground}, func(t *testing.T, s *sessionBench) {
		for round := range 3 {
			s.all(0, 3)
			time.Sleep(SessionFlushIntervalDefault - time.Millisecond)
			synctest.Wait()
			if got := len(s.target.requests("t")); got != 3*round {
				t.Errorf("%d requests before the interval, want %d", got, 3*round)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if got := len(s.target.requests("t")); got != 3*round+3 {
				t.Errorf("%d requests after the interval, want %d", got, 3*round+3)
			}
			if n := s.session.Pending(); n != 0 {
				t.Errorf("%d pending", n)
			}
		}
	})
}

func TestBackgroundSessionSwapsTwoBuffers(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: AutoFlushBackground, BufferOperations: 5}, func(t *testing.T, s *sessionBench) {
		gate := s.closeGate()
		s.all(0, 9) // five are being flushed, and four fill the other
		time.Sleep(5 * time.Second)
		if n := s.session.Pending(); n != 9 {
			t.Errorf("%d pending", n)
		}
		// The interval has passed, and the buffer has room: it is not sent while the other one is.
		s.all(9, 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.table.Upsert(ctx, put(t, s.row, 10, ""))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with both buffers full: %v", err)
		}
		var waits sync.WaitGroup
		waits.Go(func() {
			if _, err := s.upsert(10); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(gate)
		waits.Wait()
		s.flush()
		var rows []int64
		for _, request := range s.target.requests("t") {
			if request[0]%3 == 0 {
				rows = append(rows, request...)
			}
		}
		if !slices.Equal(rows, []int64{0, 3, 6, 9}) {
			t.Errorf("tablet 0 got %v", rows)
		}
	})
}

func TestFlushCoversBothBuffers(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: AutoFlushBackground, BufferOperations: 5}, func(t *testing.T, s *sessionBench) {
		s.target.before = func(ctx context.Context, _ *forebay.Request) forebay.Answer {
			pause(ctx, 10*time.Millisecond)
			return forebay.Answer{}
		}
		s.all(0, 8)
		responses := s.flush()
		if len(responses) != 8 {
			t.Fatalf("%d responses", len(responses))
		}
		for i, r := range responses {
			if n, _ := rowOf(t, s.table, r.Operation); n != int64(i) || r.Applied != Yes {
				t.Errorf("response %d: row %d %s", i, n, r.Applied)
			}
		}
	})
}

func TestPendingErrorsKeepTheNewest(t *testing.T) {
	t.Parallel()
	config := SessionConfig{Mode: AutoFlushBackground, ErrorsMax: 10}
	inSession(t, config, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(int64) string { return CodeAlreadyPresent }
		s.all(0, 150)
		responses := s.flush()
		if len(responses) != 150 || s.session.CountPendingErrors() != 10 {
			t.Fatalf("%d responses, %d pending errors", len(responses), s.session.CountPendingErrors())
		}
		p := s.session.PendingErrors()
		if !p.Overflowed || p.Dropped != 140 || p.First == nil || p.First.Number != 0 || p.First.HasRow() {
			t.Errorf("overflowed %v, dropped %d, first %v", p.Overflowed, p.Dropped, p.First)
		}
		for i, e := range p.Errors {
			if n, _ := rowOf(t, s.table, e.Operation); n != int64(140+i) || e.Number != int64(140+i) {
				t.Errorf("pending error %d is %v, row %d", i, e, n)
			}
		}
		if p := s.session.PendingErrors(); len(p.Errors) > 0 || p.Overflowed || p.Dropped > 0 || p.First != nil {
			t.Errorf("a second time: %+v", p)
		}
		if _, err := s.session.Flush(t.Context()); err != nil {
			t.Errorf("flush after the errors were read: %v", err)
		}
	})
}

func TestPendingErrorsOutliveTheirBuffer(t *testing.T) {
	t.Parallel()
	config := SessionConfig{Mode: AutoFlushBackground, BufferOperations: 4}
	inSession(t, config, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(n int64) string {
			if n < 4 {
				return CodeAlreadyPresent
			}
			return ""
		}
		for n := range int64(10) {
			s.all(4*n, 4*n+4)
			synctest.Wait() // the buffer is used again
		}
		for i, e := range s.session.PendingErrors().Errors {
			if n, text := rowOf(t, s.table, e.Operation); n != int64(i) || text != fmt.Sprint("text of ", i) {
				t.Errorf("pending error %d shows row %d, %q", i, n, text)
			}
		}
	})
}

func TestPendingErrorsAreBoundByBytes(t *testing.T) {
	t.Parallel()
	config := SessionConfig{Mode: AutoFlushBackground, ErrorBytesMax: 4 * forebay.KiB}
	inSession(t, config, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(int64) string { return CodeAlreadyPresent }
		for n := range int64(10) {
			if _, err := s.table.Insert(t.Context(), put(t, s.row, n, strings.Repeat("x", 1_000))); err != nil {
				t.Fatal(err)
			}
		}
		s.flush()
		if p := s.session.PendingErrors(); len(p.Errors) != 3 || p.Dropped != 7 || p.Errors[2].Number != 9 {
			t.Errorf("%d errors, %d dropped", len(p.Errors), p.Dropped)
		}
		if _, err := s.table.Insert(t.Context(), put(t, s.row, 10, strings.Repeat("x", 10_000))); err != nil {
			t.Fatal(err)
		}
		s.flush()
		p := s.session.PendingErrors()
		if len(p.Errors) != 1 || p.Errors[0].HasRow() || p.Dropped != 0 {
			t.Errorf("an error whose row has no room: %+v", p)
		}
		if err := p.Errors[0].CopyRow(s.row); err == nil {
			t.Error("a row that was not kept was copied")
		}
	})
}

func TestFlushInTheBackgroundFailsWhileErrorsAreUnread(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: AutoFlushBackground}, func(t *testing.T, s *sessionBench) {
		s.target.refuse = func(n int64) string {
			if n == 1 {
				return CodeNotFound
			}
			return ""
		}
		s.all(0, 3)
		time.Sleep(2 * time.Second) // the background has flushed, and nobody has seen the failure
		synctest.Wait()
		responses, err := s.session.Flush(t.Context())
		failed, ok := errors.AsType[*OperationsError](err)
		if len(responses) != 0 || !ok || len(failed.Errors) != 1 || failed.Errors[0].Code != CodeNotFound {
			t.Errorf("%v, %v", responses, err)
		}
	})
}

func TestEndOfASessionReturnsWhatNobodyHasSeen(t *testing.T) {
	t.Parallel()
	for _, mode := range []FlushMode{ManualFlush, AutoFlushBackground} {
		for _, read := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, read %v", mode, read), func(t *testing.T) {
				t.Parallel()
				inSession(t, SessionConfig{Mode: mode, ErrorsMax: 3}, func(t *testing.T, s *sessionBench) {
					s.target.refuse = func(n int64) string {
						if n%2 == 0 {
							return CodeAlreadyPresent
						}
						return ""
					}
					s.all(0, 10)
					if read {
						s.flush()
						s.session.PendingErrors()
					}
					err := s.session.Shutdown(t.Context())
					failed, ok := errors.AsType[*OperationsError](err)
					if ok == read || ok && len(failed.Errors)+failed.Dropped != 5 {
						t.Errorf("shutdown: %v", err)
					}
					if rows := s.target.tables["t"].rows(); !slices.Equal(rows, []int64{1, 3, 5, 7, 9}) {
						t.Errorf("the target has %v", rows)
					}
					if err := s.session.Shutdown(t.Context()); err != nil {
						t.Errorf("a second shutdown: %v", err)
					}
					_, err = s.upsert(1)
					_, flush := s.session.Flush(t.Context())
					_, table := s.session.Table(t.Context(), "other")
					for _, err := range []error{err, flush, table, s.session.SetMode(AutoFlushSync)} {
						if !errors.Is(err, forebay.ErrClosed) {
							t.Errorf("after the end: %v", err)
						}
					}
				})
			})
		}
	}
}

func TestCloseSaysWhatWasNotSent(t *testing.T) {
	t.Parallel()
	for _, mode := range []FlushMode{ManualFlush, AutoFlushBackground} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			inSession(t, SessionConfig{Mode: mode}, func(t *testing.T, s *sessionBench) {
				s.all(0, 7)
				failed, ok := errors.AsType[*OperationsError](s.session.Close())
				if !ok || len(failed.Errors) != 7 || failed.Errors[3].Applied != No || failed.Errors[3].Number != 3 {
					t.Errorf("%v", failed)
				}
				if err := s.session.Close(); err != nil {
					t.Errorf("a second close: %v", err)
				}
			})
		})
	}
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: AutoFlushBackground}, func(t *testing.T, s *sessionBench) {
		s.closeGate()
		s.all(0, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.session.Shutdown(ctx)
		failed, ok := errors.AsType[*OperationsError](err)
		if !errors.Is(err, context.DeadlineExceeded) || !ok || len(failed.Errors) != 2 {
			t.Errorf("%v", err)
		} else if failed.Errors[0].Applied != Unknown || failed.Errors[0].Code != CodeUnknown {
			t.Errorf("%v", failed.Errors[0])
		}
	})
}

func TestModeChangesOnlyWithNothingPending(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: ManualFlush}, func(t *testing.T, s *sessionBench) {
		s.all(0, 3)
		err := s.session.SetMode(AutoFlushBackground)
		if _, ok := errors.AsType[*PendingError](err); !ok || s.session.Mode() != ManualFlush {
			t.Errorf("%v", err)
		}
		if err := s.session.SetMode(ManualFlush); err != nil {
			t.Errorf("to the mode it has: %v", err)
		}
		s.flush()
		if err := s.session.SetMode(AutoFlushBackground); err != nil {
			t.Error(err)
		}
		s.all(3, 5)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := s.session.SetMode(AutoFlushSync); err != nil {
			t.Error(err)
		}
		s.all(5, 6)
		if rows := s.target.tables["t"].rows(); len(rows) != 6 {
			t.Errorf("the target has %v", rows)
		}
		if err := s.session.SetMode(9); err == nil {
			t.Error("mode 9 was taken")
		}
	})
}

func TestSessionSpansTables(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: ManualFlush}, func(t *testing.T, s *sessionBench) {
		other := s.open("other")
		if again := s.open("other"); again != other {
			t.Error("a table was opened twice")
		}
		row := other.NewRow()
		for n := range int64(6) {
			table := s.table
			if n%2 == 1 {
				table = other
			}
			r := s.row
			if table == other {
				r = row
			}
			if _, err := table.Insert(t.Context(), put(t, r, n, "")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := other.Insert(t.Context(), forebay.NewRow(forebay.MustSchema(
			forebay.Column{Name: "text", Type: forebay.String}, forebay.Column{Name: "n", Type: forebay.Int64})))
		if err == nil || !strings.Contains(err.Error(), `not made for table "other"`) {
			t.Errorf("a row of another table: %v", err)
		}
		for i, r := range s.flush() {
			if want := []string{"t", "other"}[i%2]; r.Table != want || r.Err != nil {
				t.Errorf("response %d: %s, %v", i, r.Table, r.Err)
			}
		}
		if _, err := s.session.Table(t.Context(), "missing"); forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("a missing table: %v", err)
		}
	})
}

func TestSessionOrderWhileARequestIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{OrderTablet, OrderNone} {
		t.Run(fmt.Sprint("order ", order), func(t *testing.T) {
			t.Parallel()
			config := SessionConfig{Mode: AutoFlushBackground, BufferOperations: 1, Order: order}
			inSession(t, config, func(t *testing.T, s *sessionBench) {
				failures := 2
				s.target.before = func(_ context.Context, r *forebay.Request) forebay.Answer {
					if rowsOf(r.Data)[0] == 0 && failures > 0 {
						failures--
						return forebay.Answer{Code: forebay.CodeOverload}
					}
					return forebay.Answer{}
				}
				s.all(0, 1)
				synctest.Wait()
				s.all(3, 4)
				s.flush()
				want := [][]int64{{0}, {3}}
				if order == OrderNone {
					want = [][]int64{{3}, {0}}
				}
				if got := s.target.requests("t"); !cmp.Equal(got, want) {
					t.Errorf("the target took %v, want %v", got, want)
				}
			})
		})
	}
}

func TestSessionIgnoresWhatItIsToldToIgnore(t *testing.T) {
	t.Parallel()
	for _, mode := range []FlushMode{AutoFlushSync, ManualFlush, AutoFlushBackground} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			config := SessionConfig{Mode: mode, IgnoreAllDuplicateRows: true, IgnoreAllNotFoundRows: true}
			inSession(t, config, func(t *testing.T, s *sessionBench) {
				s.target.refuse = func(n int64) string { return []string{CodeAlreadyPresent, CodeNotFound, ""}[n%3] }
				s.all(0, 9)
				responses, err := s.session.Flush(t.Context())
				if err != nil || s.session.CountPendingErrors() != 0 {
					t.Errorf("flush: %v", err)
				}
				for i, r := range responses {
					if r.Err != nil || (r.Applied == Yes) != (i%3 == 2) {
						t.Errorf("response %d: %s, %v", i, r.Applied, r.Err)
					}
				}
				if err := s.session.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSessionTimesOut(t *testing.T) {
	t.Parallel()
	for _, mode := range []FlushMode{AutoFlushSync, ManualFlush, AutoFlushBackground} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			inSession(t, SessionConfig{Mode: mode, Timeout: time.Minute}, func(t *testing.T, s *sessionBench) {
				if err := s.session.SetTimeout(2 * time.Second); err != nil {
					t.Fatal(err)
				}
				s.closeGate()
				started := time.Now()
				r, err := s.upsert(0)
				if mode != AutoFlushSync {
					time.Sleep(500 * time.Millisecond) // before the flush
					var responses []Response
					responses, err = s.session.Flush(t.Context())
					r = responses[0]
				}
				took := time.Since(started)
				failed, ok := errors.AsType[*OperationError](err)
				if !ok || r.Err != failed || failed.Code != CodeTimedOut || failed.Applied != Unknown {
					t.Errorf("%+v, %v", r, err)
				}
				want := 2 * time.Second
				if mode != AutoFlushSync {
					want += 500 * time.Millisecond
				}
				if took != want || r.Elapsed != want {
					t.Errorf("took %s, elapsed %s, want %s", took, r.Elapsed, want)
				}
				if err := s.session.SetTimeout(0); err == nil {
					t.Error("a time-out of 0 was taken")
				}
			})
		})
	}
}

// A time-out that is shortened counts for what comes then, also behind what was given more time.
func TestAShorterTimeoutIsKeptBehindALongerOne(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Timeout: time.Hour}, func(t *testing.T, s *sessionBench) {
		gate := s.closeGate()
		var first sync.WaitGroup
		defer first.Wait()
		defer close(gate)
		first.Go(func() {
			if _, err := s.table.Upsert(t.Context(), put(t, s.table.NewRow(), 0, "")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := s.session.SetTimeout(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{3, 6} { // in the tablet of row 0
			started := time.Now()
			r, err := s.upsert(n)
			if failed, ok := errors.AsType[*OperationError](err); !ok || failed.Code != CodeTimedOut {
				t.Errorf("%+v, %v", r, err)
			}
			if took := time.Since(started); took != 2*time.Second {
				t.Errorf("it took %s", took)
			}
		}
	})
}

func TestSyncApplyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{}, func(t *testing.T, s *sessionBench) {
		gate := s.closeGate()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := s.table.Upsert(ctx, put(t, s.row, 0, ""))
		if !errors.Is(err, context.DeadlineExceeded) || r.Err == nil || r.Err.Code != CodeUnknown {
			t.Errorf("%+v, %v", r, err)
		}
		if used, _ := s.memory.Used(); used == 0 {
			t.Error("its bytes are free while they are in use")
		}
		close(gate)
		synctest.Wait()
		if used, _ := s.memory.Used(); used != 0 {
			t.Errorf("%d bytes are not free", used)
		}
	})
}

func TestSessionBoundsBytes(t *testing.T) {
	t.Parallel()
	config := SessionConfig{Mode: ManualFlush, BufferBytes: 10 * forebay.KiB, Memory: NewMemory(32 * forebay.KiB)}
	inSession(t, config, func(t *testing.T, s *sessionBench) {
		large := strings.Repeat("x", 1_500)
		for n := range int64(3) {
			if _, err := s.table.Upsert(t.Context(), put(t, s.row, n, large)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.table.Upsert(t.Context(), put(t, s.row, 3, large))
		full, ok := errors.AsType[*BufferError](err)
		if !ok || full.Operations != 3 || full.Bytes+full.Asked <= full.BytesMax {
			t.Errorf("%+v", full)
		}
		_, err = s.table.Upsert(t.Context(), put(t, s.row, 3, strings.Repeat(large, 4)))
		if _, ok := errors.AsType[*MemoryError](err); !ok || !errors.Is(err, forebay.ErrBufferFull) {
			t.Errorf("an operation above the buffer: %v", err)
		}
		// The memory is shared: what others use is not there for the session.
		if err := s.memory.Reserve(t.Context(), 20*forebay.KiB, false); err != nil {
			t.Fatal(err)
		}
		_, err = s.table.Upsert(t.Context(), put(t, s.row, 3, large))
		if _, ok := errors.AsType[*MemoryError](err); !ok {
			t.Errorf("without memory: %v", err)
		}
		s.memory.Release(20 * forebay.KiB)
		if got := s.target.requests("t"); len(got) > 0 {
			t.Errorf("sent without a flush: %v", got)
		}
	})
}

func TestBackgroundSessionSendsEarlyForMemory(t *testing.T) {
	t.Parallel()
	config := SessionConfig{Mode: AutoFlushBackground, FlushInterval: time.Hour, Memory: NewMemory(8 * forebay.KiB)}
	inSession(t, config, func(t *testing.T, s *sessionBench) {
		started := time.Now()
		s.all(0, 200)
		if took := time.Since(started); took > time.Minute {
			t.Errorf("took %s", took)
		}
		if responses := s.flush(); len(responses) >= 200 {
			t.Errorf("%d responses", len(responses))
		}
		if rows := s.target.tables["t"].rows(); len(rows) != 200 {
			t.Errorf("the target has %d rows", len(rows))
		}
	})
}

func TestSessionWithoutRows(t *testing.T) {
	t.Parallel()
	inSession(t, SessionConfig{Mode: ManualFlush, WithoutRows: true}, func(t *testing.T, s *sessionBench) {
		s.all(0, 3)
		responses := s.flush()
		if len(responses) != 3 || responses[1].HasRow() || responses[1].Number != 1 {
			t.Errorf("%+v", responses)
		}
		if err := responses[1].CopyRow(s.row); err == nil {
			t.Error("a row that was not kept was copied")
		}
	})
}

func TestRowThatCannotBeRoutedIsNotTaken(t *testing.T) {
	t.Parallel()
	for _, mode := range []FlushMode{AutoFlushSync, ManualFlush, AutoFlushBackground} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			inSession(t, SessionConfig{Mode: mode}, func(t *testing.T, s *sessionBench) {
				if _, err := s.upsert(-1); forebay.ClassOf(err) != forebay.ClassRejected {
					t.Errorf("%v", err)
				}
				if used, _ := s.memory.Used(); used != 0 || s.session.Pending() != 0 {
					t.Errorf("%d bytes, %d pending", used, s.session.Pending())
				}
				s.all(0, 1)
				s.flush()
			})
		})
	}
}

func TestCloseEndsWhoWaitsForRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config SessionConfig
	}{
		{"buffers", SessionConfig{Mode: AutoFlushBackground, BufferOperations: 1}},
		{"memory", SessionConfig{Mode: AutoFlushBackground, Memory: NewMemory(forebay.KiB)}},
		{"memory in sync mode", SessionConfig{Memory: NewMemory(forebay.KiB)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.config.Timeout = NoTimeout
			inSession(t, c.config, func(t *testing.T, s *sessionBench) {
				s.closeGate()
				if c.config.Memory != nil {
					if err := s.memory.Reserve(t.Context(), forebay.KiB, false); err != nil {
						t.Fatal(err)
					}
					defer s.memory.Release(forebay.KiB)
				} else {
					s.all(0, 2)
				}
				var waits sync.WaitGroup
				waits.Go(func() {
					if _, err := s.upsert(2); !errors.Is(err, forebay.ErrClosed) {
						t.Errorf("%v", err)
					}
				})
				synctest.Wait()
				if err := s.session.Close(); c.config.Memory != nil && err != nil {
					t.Error(err)
				}
				waits.Wait()
			})
		})
	}
}
