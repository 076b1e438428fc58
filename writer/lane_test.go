// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// fakeCommitter takes commits. It looks that their data stays as it was until the answer is given.
type fakeCommitter struct {
	*fakeBackend
	// answer is asked for the n-th commit, once its time has passed.
	answer func(ctx context.Context, n int, c *forebay.Commit) forebay.Answer

	commits int
	order   [][]int64 // rows of each commit, as decided
}

func (b *fakeCommitter) Commit(_ context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	b.mu.Lock()
	n := b.commits
	b.commits++
	var rows []int64
	var before [][]byte
	for i := range c.Requests {
		rows = append(rows, rowsOf(c.Requests[i].Data)...)
		before = append(before, bytes.Clone(c.Requests[i].Data))
	}
	b.order = append(b.order, rows)
	b.mu.Unlock()
	return func(ctx context.Context) forebay.Answer {
		answer := forebay.Answer{Code: forebay.CodeOK}
		if b.answer != nil {
			answer = b.answer(ctx, n, c)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := range c.Requests {
			if !bytes.Equal(before[i], c.Requests[i].Data) {
				b.torn = append(b.torn, fmt.Sprintf("commit %d, request %d: %v", n, i, rowsOf(before[i])))
			}
		}
		return answer
	}
}

// laneWorld is a lane in a bubble, with its Run.
type laneWorld struct {
	t       *testing.T
	backend *fakeCommitter
	lane    *Lane
	batch   *forebay.Batch
	stop    context.CancelFunc
	run     sync.WaitGroup
}

func inLane(t *testing.T, test func(t *testing.T, w *laneWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &laneWorld{t: t, backend: &fakeCommitter{fakeBackend: newBackend()}, batch: forebay.NewBatch()}
		var err error
		w.lane, err = NewLane(LaneConfig{
			Backend: w.backend, Layout: forebay.NewLayout(fakeSchema()), Now: time.Now,
			Owner: forebay.Owner{Pipeline: "p", Epoch: 3, Holder: "h"},
		})
		if err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, w.stop = context.WithCancel(t.Context())
		w.run.Go(func() { w.lane.Run(ctx) })
		test(t, w)
		w.lane.Close()
		w.run.Wait()
		w.stop()
		if len(w.backend.torn) > 0 {
			t.Errorf("data changed while it was the target's: %v", w.backend.torn)
		}
	})
}

// write puts rows of a split into the lane; row n is at offset n.
func (w *laneWorld) write(split string, rows ...int64) []forebay.Reject {
	w.t.Helper()
	w.batch.Reset(forebay.Split{ID: split}, 2)
	w.batch.SetLayout(forebay.NewLayout(fakeSchema()))
	for _, n := range rows {
		i := w.batch.Append(n, fmt.Append(nil, n))
		w.batch.Record(i).Sub = uint32(n % 3)
		w.batch.Cells(i)[0] = forebay.Int64Cell(n)
	}
	return w.lane.Write(w.batch)
}

func (w *laneWorld) cut(tag any) {
	w.t.Helper()
	if err := w.lane.Cut(w.t.Context(), LaneCut{Tag: tag}); err != nil {
		w.t.Error(err)
	}
}

// late answers after a second of fake time, or when its caller gives up.
func late(ctx context.Context, _ int, _ *forebay.Commit) forebay.Answer {
	if pause(ctx, time.Second) {
		return forebay.Answer{Code: forebay.CodeOK}
	}
	return forebay.Answer{Code: forebay.CodeTimeout}
}

// The window may change between two commits; a commit that waits for the limiter is not sent, and what was written
// stays when it gives up.
func TestLaneHeedsItsWindowAndItsLimiter(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		window := 1
		w.lane.window = func() int { return window }
		w.lane.limiter = NewLaneLimiter(2, 3, time.Now)
		w.backend.answer = late
		w.write("a", 1)
		w.cut(nil)
		if !w.lane.Full() {
			t.Error("a window of 1 has room beside a commit")
		}
		window = 2
		if w.lane.Full() {
			t.Error("a window of 2 has no room beside one commit")
		}
		w.write("a", 2, 3)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := w.lane.Cut(ctx, LaneCut{}); err == nil {
			t.Error("a second commit was sent, and the limiter begins with one")
		}
		if records, _ := w.lane.Pending(); records != 2 || w.lane.Waiting() != 1 || len(w.backend.order) != 1 {
			t.Errorf("%d records pending, %d commits waiting, %d sent", records, w.lane.Waiting(), len(w.backend.order))
		}
		w.cut(nil) // once the first is answered, the limiter has room
		for range 2 {
			if c := w.lane.Settled(t.Context(), true); c == nil || c.Answer.Code != forebay.CodeOK {
				t.Errorf("%+v", c)
			}
		}
		if s := w.lane.limiter.State(); s.InFlight != 0 || s.Changes[ReasonRoom] == 0 {
			t.Errorf("%+v", s)
		}
		window = 9
		for range LaneWindow {
			w.cut(nil)
		}
		if !w.lane.Full() {
			t.Error("a lane has room beyond its largest window")
		}
		for w.lane.Settled(t.Context(), true) != nil {
		}
	})
}

func TestLaneAnswersInOrderWithinItsWindow(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		w.backend.answer = func(ctx context.Context, n int, c *forebay.Commit) forebay.Answer {
			pause(ctx, time.Duration(3-n%3)*time.Second) // the first one is the slowest
			return forebay.Answer{Code: forebay.CodeOK}
		}
		if w.lane.Settled(t.Context(), true) != nil {
			t.Error("an answer without a commit")
		}
		for n := range int64(3) {
			if w.lane.Full() {
				t.Errorf("full with %d waiting", w.lane.Waiting())
			}
			w.write("a", 2*n, 2*n+1)
			w.cut(n)
		}
		if !w.lane.Full() || w.lane.Waiting() != LaneWindow {
			t.Errorf("%d wait", w.lane.Waiting())
		}
		if w.lane.Settled(t.Context(), false) != nil {
			t.Error("an answer before its time")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if w.lane.Settled(ctx, true) != nil || ctx.Err() == nil {
			t.Error("an answer before its time")
		}
		for n := range int64(12) {
			c := w.lane.Settled(t.Context(), true)
			if c == nil || c.Tag != any(n) || c.Answer.Code != forebay.CodeOK || c.Took <= 0 {
				t.Fatalf("commit %d: %+v", n, c)
			}
			if n < 9 {
				w.write("a", 100+n)
				w.cut(n + 3)
			}
		}
		if w.lane.Waiting() != 0 {
			t.Errorf("%d wait", w.lane.Waiting())
		}
	})
}

func TestLaneCountsWhatIsPending(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		check := func(records int, size forebay.Bytes) {
			t.Helper()
			if r, s := w.lane.Pending(); r != records || s != size {
				t.Errorf("%d records and %d bytes are pending, want %d and %d", r, s, records, size)
			}
		}
		check(0, 0)
		w.write("a", 0, 1, 2)
		check(3, 2+3*16)
		w.lane.Drop()
		check(0, 0)
		w.write("a", 4)
		check(1, 1+16)
		w.cut(nil)
		check(0, 0)
		c := w.lane.Settled(t.Context(), true)
		if c.Records != 1 || c.Size != 17 {
			t.Errorf("%+v", c)
		}
		if want := [][]int64{{4}}; !cmp.Equal(w.backend.order, want) {
			t.Errorf("the target got %v", w.backend.order)
		}
		w.cut("empty")
		if c := w.lane.Settled(t.Context(), true); c.Records != 0 || c.Tag != "empty" {
			t.Errorf("%+v", c)
		}
	})
}

func TestLaneCommitCarriesEverything(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		var got forebay.Commit
		w.backend.answer = func(_ context.Context, _ int, c *forebay.Commit) forebay.Answer {
			got = *c
			got.Requests = slices.Clone(c.Requests)
			return forebay.Answer{Code: forebay.CodeDuplicate}
		}
		progress := []forebay.SplitProgress{{Split: "a", Version: 4}}
		letters := []forebay.DeadLetter{{Reject: forebay.Reject{Code: "x"}}}
		w.write("a", 1, 2, 3)
		if err := w.lane.Cut(t.Context(), LaneCut{Progress: progress, Letters: letters}); err != nil {
			t.Error(err)
		}
		c := w.lane.Settled(t.Context(), true)
		if c.Answer.Code != forebay.CodeDuplicate || len(c.Refused) != 0 {
			t.Errorf("%+v", c)
		}
		want := forebay.Owner{Pipeline: "p", Epoch: 3, Holder: "h"}
		if got.Owner != want || !cmp.Equal(got.Progress, progress) || !cmp.Equal(got.DeadLetters, letters) {
			t.Errorf("%+v", got)
		}
		if len(got.Requests) != 2 || got.Requests[0].Tablet != 0 || got.Requests[1].Records != 2 ||
			got.Requests[1].Table != "t" {
			t.Errorf("%+v", got.Requests)
		}
		if got.Requests[0].WriterID != "" || got.Requests[0].Sequence != 0 {
			t.Errorf("a request in a commit has the writer %q", got.Requests[0].WriterID)
		}
	})
}

// The rows that the target refuses are named by the records behind them, across splits and requests; what it
// names and was not sent is not believed.
func TestLaneNamesRefusedRecords(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		w.backend.answer = func(_ context.Context, n int, c *forebay.Commit) forebay.Answer {
			if n > 0 {
				return forebay.Answer{Code: forebay.CodeOK}
			}
			answer := forebay.Answer{Code: forebay.CodeRowsRejected}
			for _, at := range [][2]int{{1, 3}, {0, 0}, {1, 0}, {0, 2}, {2, 0}, {0, 99}, {-1, 0}, {0, -1}} {
				answer.Rows = append(answer.Rows, forebay.RowError{Request: at[0], Row: at[1], Code: "bad", Reason: "it is bad"})
			}
			return answer
		}
		// Tablet 0 gets a/0 a/2 b/4 a/6, tablet 1 gets a/1 b/5 b/7 a/9.
		w.write("a", 0, 1, 2)
		w.write("b", 4, 5, 7)
		w.write("a", 6, 9)
		w.cut(nil)
		c := w.lane.Settled(t.Context(), true)
		origin := func(split string, n int64) forebay.Reject {
			return forebay.Reject{
				Origin: forebay.Origin{Split: split, Offset: n, Sub: uint32(n % 3)}, Stage: forebay.StageSink, Code: "bad",
				Reason: "it is bad",
			}
		}
		want := []forebay.Reject{origin("a", 0), origin("a", 1), origin("a", 9), origin("b", 4)}
		if diff := cmp.Diff(want, c.Refused); diff != "" {
			t.Error(diff)
		}
		w.write("c", 1)
		w.cut(nil)
		if c := w.lane.Settled(t.Context(), true); len(c.Refused) != 0 {
			t.Errorf("%+v", c.Refused)
		}
	})
}

func TestLaneGivesBackWhatTheEncoderRefuses(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		rejects := w.write("a", 1, -6, 2, -7)
		if len(rejects) != 2 || rejects[0].Offset != -6 || rejects[0].Split != "a" || rejects[0].Code != "no-tablet" ||
			rejects[0].Stage != forebay.StageSink || string(rejects[1].Value) != "-7" {
			t.Errorf("%+v", rejects)
		}
		w.batch.Reset(forebay.Split{ID: "other"}, 2) // the value is a copy
		w.batch.AppendBytes([]byte("xxxxxxxxxxxxxx"))
		if string(rejects[0].Value) != "-6" {
			t.Errorf("the value became %q", rejects[0].Value)
		}
		w.cut(nil)
		w.lane.Settled(t.Context(), true)
		if want := [][]int64{{2, 1}}; !cmp.Equal(w.backend.order, want) {
			t.Errorf("the target got %v", w.backend.order)
		}
	})
}

// Buffers are used again only once the target has answered: with a full window and random sizes each row arrives
// as it was written.
func TestLaneNeverSharesABuffer(t *testing.T) {
	t.Parallel()
	inLane(t, func(t *testing.T, w *laneWorld) {
		w.backend.tablets = 2
		w.backend.answer = func(ctx context.Context, n int, c *forebay.Commit) forebay.Answer {
			pause(ctx, time.Duration(n*7%5)*time.Millisecond)
			if n%6 == 5 {
				return forebay.Answer{Code: forebay.CodeServerError}
			}
			return forebay.Answer{Code: forebay.CodeOK}
		}
		next, dropped := int64(0), map[int64]bool{}
		var want [][]int64
		for i := range 200 {
			rows := make([]int64, i*13%40)
			for k := range rows {
				rows[k] = next
				next++
			}
			w.write("a", rows...)
			if i%11 == 3 {
				w.lane.Drop()
				for _, n := range rows {
					dropped[n] = true
				}
				continue
			}
			for w.lane.Full() {
				w.lane.Settled(t.Context(), true)
			}
			even := func(n int64) bool { return n%2 == 0 }
			want = append(want, slices.Concat(filter(rows, even), filter(rows, func(n int64) bool { return !even(n) })))
			w.cut(i)
		}
		for w.lane.Waiting() > 0 {
			w.lane.Settled(t.Context(), true)
		}
		for i := range want {
			if !slices.Equal(w.backend.order[i], want[i]) {
				t.Fatalf("commit %d has %v, want %v", i, w.backend.order[i], want[i])
			}
		}
		if free, kept := len(w.lane.rows.free), w.lane.rows.kept; free == 0 || kept > keptMax {
			t.Errorf("%d buffers with %d bytes wait for their next use", free, kept)
		}
	})
}

func filter(rows []int64, keep func(int64) bool) (out []int64) {
	for _, n := range rows {
		if keep(n) {
			out = append(out, n)
		}
	}
	return out
}

// The context of Run ends while commits wait: each is answered, Close returns, and none hangs.
func TestLaneEndsWithCommitsWaiting(t *testing.T) {
	t.Parallel()
	for _, taken := range []int{0, 1, 3} {
		inLane(t, func(t *testing.T, w *laneWorld) {
			w.backend.answer = late
			for n := range int64(LaneWindow) {
				w.write("a", n)
				w.cut(n)
			}
			pause(t.Context(), 500*time.Millisecond)
			w.stop()
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			for range taken {
				if c := w.lane.Settled(t.Context(), true); c == nil || c.Answer.Code != forebay.CodeTimeout {
					t.Errorf("%+v", c)
				}
			}
			synctest.Wait()
			for w.lane.Settled(ended, false) != nil {
			}
			if w.lane.Waiting() != 0 {
				t.Errorf("%d wait", w.lane.Waiting())
			}
		})
	}
}

func TestLaneNeedsACommitter(t *testing.T) {
	t.Parallel()
	_, err := NewLane(LaneConfig{Backend: newBackend(), Layout: forebay.NewLayout(fakeSchema())})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("%v", err)
	}
}
