// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay"
)

func owner(epoch uint64, holder string) forebay.Owner {
	return forebay.Owner{Pipeline: "flights", Epoch: epoch, Holder: holder}
}

func progress(split string, version uint64, offset int64) []forebay.SplitProgress {
	return []forebay.SplitProgress{{
		Split: split, Version: version, Position: forebay.Position{Offset: offset, Detail: "line"}, Fingerprint: "file x",
	}}
}

func (o *opened) fence(f forebay.Fence) {
	o.t.Helper()
	if err := o.handle.Fence(o.t.Context(), f); err != nil {
		o.t.Fatal(err)
	}
}

func (o *opened) state() forebay.TargetState {
	o.t.Helper()
	state, err := o.handle.State(o.t.Context(), "flights")
	if err != nil {
		o.t.Fatal(err)
	}
	return state
}

func wantCode(tb testing.TB, a forebay.Answer, code forebay.Code) {
	tb.Helper()
	if a.Code != code {
		tb.Fatalf("answer %d %q, want %d", a.Code, a.Message, code)
	}
}

// TestCommitAppliesProgressWithRowsTS1 walks through the answers that a lane can get.
func TestCommitAppliesProgressWithRowsTS1(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})

	first := forebay.Commit{Owner: me, Progress: progress("a", 1, 10), Requests: o.requests("a", "1,x")}
	second := forebay.Commit{Owner: me, Progress: progress("a", 2, 20), Requests: o.requests("a", "2,x")}
	wantCode(t, o.commit(first), forebay.CodeOK)
	wantCode(t, o.commit(first), forebay.CodeDuplicate)
	other := first
	other.Requests = o.requests("a", "1,other bytes")
	a := o.commit(other)
	wantCode(t, a, forebay.CodeSequenceGap)
	diff(t, "stored progress", a.Progress, progress("a", 1, 10))
	ahead := forebay.Commit{Owner: me, Progress: progress("a", 3, 30), Requests: o.requests("a", "3,x")}
	wantCode(t, o.commit(ahead), forebay.CodeSequenceGap)
	wantCode(t, o.commit(second), forebay.CodeOK)
	wantCode(t, o.commit(first), forebay.CodeSequenceGap)
	wantCode(t, o.commit(ahead), forebay.CodeOK)
	diff(t, "rows", scan(t, s, ScanRequest{Table: "flights"}), []string{"1,x", "2,x", "3,x"})
	diff(t, "state", o.state(), forebay.TargetState{Owner: me, Used: true, Splits: progress("a", 3, 30)})
}

func TestCommitOfOneSplitOutOfOrderRefusesAllSplits(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	c := forebay.Commit{
		Owner: me, Progress: append(progress("a", 1, 10), progress("b", 2, 10)...), Requests: o.requests("a", "1,x"),
	}
	wantCode(t, o.commit(c), forebay.CodeSequenceGap)
	if state := o.state(); len(state.Splits) != 0 {
		t.Errorf("progress was stored: %v", state.Splits)
	}
	diff(t, "count", count(t, s, "flights"), int64(0))
}

// TestOnlyTheNewestOwnerCommitsTS5: two owners with one pipeline name.
func TestOnlyTheNewestOwnerCommitsTS5(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	old, young := owner(1, "old"), owner(2, "young")
	wantCode(t, o.commit(forebay.Commit{Owner: old, Progress: progress("a", 1, 1)}), forebay.CodeFenced)
	o.fence(forebay.Fence{Owner: old, Progress: true})
	o.fence(forebay.Fence{Owner: old, Progress: true})
	wantCode(t, o.commit(forebay.Commit{Owner: old, Progress: progress("a", 1, 1)}), forebay.CodeOK)
	err := o.handle.Fence(t.Context(), forebay.Fence{Owner: owner(1, "young"), Progress: true})
	if !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("an equal epoch of another holder: %v, want fenced", err)
	}
	o.fence(forebay.Fence{Owner: young, Progress: true})
	if err := o.handle.Fence(t.Context(), forebay.Fence{Owner: old, Progress: true}); !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("a smaller epoch: %v, want fenced", err)
	}
	a := o.commit(forebay.Commit{Owner: old, Progress: progress("a", 2, 2), Requests: o.requests("a", "1,x")})
	wantCode(t, a, forebay.CodeFenced)
	wantCode(t, o.commit(forebay.Commit{Owner: old, Requests: o.requests("a", "1,x")}), forebay.CodeFenced)
	wantCode(t, o.commit(forebay.Commit{Owner: young, Progress: progress("a", 2, 2)}), forebay.CodeOK)
	diff(t, "count", count(t, s, "flights"), int64(0))
}

func TestFenceKeepsDropsAndSeedsProgress(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, logSpec("flights"))
	o.fence(forebay.Fence{Owner: owner(1, "a"), Progress: true})
	c := forebay.Commit{Owner: owner(1, "a"), Progress: append(progress("a", 1, 10), progress("b", 1, 10)...)}
	wantCode(t, o.commit(c), forebay.CodeOK)

	o.fence(forebay.Fence{Owner: owner(2, "b"), Progress: false})
	state := o.state()
	if state.Used || len(state.Splits) != 2 {
		t.Errorf("after a run without progress: %+v, want both splits, unused", state)
	}
	c = forebay.Commit{Owner: owner(2, "b"), Progress: progress("a", 2, 11)}
	wantCode(t, o.commit(c), forebay.CodeMalformed)
	wantCode(t, o.commit(forebay.Commit{Owner: owner(2, "b"), Requests: o.requests("a", "1,x")}), forebay.CodeOK)

	seed := append(progress("a", 0, 50), progress("c", 0, 5)...)
	o.fence(forebay.Fence{Owner: owner(3, "c"), Progress: true, Seed: seed})
	want := forebay.TargetState{
		Owner: owner(3, "c"), Used: true, Splits: append(progress("a", 2, 50), progress("c", 1, 5)...),
	}
	diff(t, "state", o.state(), want)

	s = reopen(t, s, fs)
	o = openTable(t, s, logSpec("flights"))
	diff(t, "state of a later process", o.state(), want)
	if err := o.handle.Forget(t.Context(), "flights"); err != nil {
		t.Fatal(err)
	}
	diff(t, "state after forget", o.state(), forebay.TargetState{})
	wantCode(t, o.commit(forebay.Commit{Owner: owner(3, "c"), Progress: progress("a", 3, 51)}), forebay.CodeFenced)
}

// reopen closes a server and opens its directory again on the same file system.
func reopen(tb testing.TB, s *Server, fs vfs.FS) *Server {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return openOn(tb, fs, Config{})
}

func reopenAt(tb testing.TB, s *Server, fs vfs.FS, config Config) *Server {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return openOn(tb, fs, config)
}

func TestDuplicateIsKnownAfterRestart(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, logSpec("flights"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	c := forebay.Commit{Owner: me, Progress: progress("a", 1, 10), Requests: o.requests("a", "1,x")}
	wantCode(t, o.commit(c), forebay.CodeOK)
	s = reopen(t, s, fs)
	o = openTable(t, s, logSpec("flights"))
	wantCode(t, o.commit(c), forebay.CodeDuplicate)
	c = forebay.Commit{Owner: me, Progress: progress("a", 2, 10), Requests: o.requests("a", "2,x")}
	wantCode(t, o.commit(c), forebay.CodeOK)
	diff(t, "rows", scan(t, s, ScanRequest{Table: "flights"}), []string{"1,x", "2,x"})
}

func TestCommitsOfOneLaneMayBeInFlightTogether(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	var waits []func(context.Context) forebay.Answer
	for i := range 10 {
		waits = append(waits, o.handle.Commit(t.Context(), &forebay.Commit{
			Owner: me, Progress: progress("a", uint64(i+1), int64(i)), Requests: o.requests("a", fmt.Sprint(i)+",x"),
		}))
	}
	for i, wait := range slices.Backward(waits) {
		a := wait(t.Context())
		wantCode(t, a, forebay.CodeOK)
		if a.Offset != int64(i) {
			t.Errorf("commit %d went to offset %d", i, a.Offset)
		}
	}
}

func TestMalformedCommitsApplyNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	keyed := openTable(t, s, keySpec("users"))
	good := func() forebay.Request { return o.one("a", "1,x") }
	change := func(f func(r *forebay.Request)) forebay.Commit {
		r := good()
		f(&r)
		return forebay.Commit{Requests: []forebay.Request{good(), r}}
	}
	for name, c := range map[string]struct {
		commit forebay.Commit
		code   forebay.Code
	}{
		"unknown table":  {change(func(r *forebay.Request) { r.Table = "nobody" }), forebay.CodeNotFound},
		"unknown tablet": {change(func(r *forebay.Request) { r.Tablet = 4 }), forebay.CodeMalformed},
		"torn data":      {change(func(r *forebay.Request) { r.Data = r.Data[:len(r.Data)-1] }), forebay.CodeMalformed},
		"flipped bit":    {change(func(r *forebay.Request) { r.Data[len(r.Data)-1] ^= 1 }), forebay.CodeMalformed},
		"wrong count":    {change(func(r *forebay.Request) { r.Records = 2 }), forebay.CodeMalformed},
		"keyed rows":     {change(func(r *forebay.Request) { r.Data = keyed.one("a", "1,x").Data }), forebay.CodeMalformed},
		"unknown schema": {change(func(r *forebay.Request) { forebay.SealRowBatch(r.Data, 9, 1, 0) }), forebay.CodeMalformed},
		"no epoch":       {forebay.Commit{Owner: owner(0, ""), Progress: progress("a", 1, 1)}, forebay.CodeMalformed},
	} {
		wantCode(t, o.commit(c.commit), c.code)
		if n := count(t, s, "flights"); n != 0 {
			t.Fatalf("%s: %d rows were applied", name, n)
		}
	}
}

// TestOffsetsRiseWithoutGapTS3 reads the log of a tablet while lanes write to it.
func TestOffsetsRiseWithoutGapTS3(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := keySpec("users")
	spec.Tablets = 1
	const lanes, commits, rows = 3, 20, 5
	tables := make([]*opened, lanes)
	for lane := range tables {
		tables[lane] = openTable(t, s, spec)
	}
	var wg sync.WaitGroup
	for lane, o := range tables {
		wg.Go(func() {
			for c := range commits {
				var texts []string
				for r := range rows {
					texts = append(texts, fmt.Sprintf("%d,%d-%d-%d", r, lane, c, r))
				}
				if a := o.commit(forebay.Commit{Requests: o.requests("a", texts...)}); a.Code != forebay.CodeOK {
					t.Errorf("commit: %+v", a)
				}
			}
		})
	}
	r, err := s.ReadLog("users", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	next := [lanes]int{}
	for want := int64(0); want < lanes*commits*rows; {
		if err := r.Next(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if b.Record(i).Offset != want {
				t.Fatalf("offset %d, want %d", b.Record(i).Offset, want)
			}
			var lane, c, row int
			if _, err := fmt.Sscanf(b.Row(i).Text("text"), "%d-%d-%d", &lane, &c, &row); err != nil {
				t.Fatal(err)
			}
			if next[lane] != c*rows+row {
				t.Fatalf("lane %d: row %d of commit %d is out of order", lane, row, c)
			}
			next[lane]++
			want++
		}
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestScanDuringCommitsSeesWholeCommits(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, keySpec("users"))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for c := range 50 {
			var texts []string
			for key := range 20 {
				texts = append(texts, fmt.Sprintf("%d,%d", key, c))
			}
			if a := o.commit(forebay.Commit{Requests: o.requests("a", texts...)}); a.Code != forebay.CodeOK {
				t.Errorf("commit: %+v", a)
			}
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		rows := scan(t, s, ScanRequest{Table: "users", Select: []string{"text"}})
		if len(rows) != 0 && len(rows) != 20 || len(slices.Compact(rows)) > 1 {
			t.Fatalf("a scan saw parts of a commit: %q", rows)
		}
	}
	wg.Wait()
}

func TestDeadLettersComeWithTheCommitAndAreTrimmed(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, logSpec("flights"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	letter := func(split string, offset int64, value string) forebay.DeadLetter {
		return forebay.DeadLetter{Time: startTime, Reject: forebay.Reject{
			Origin: forebay.Origin{Split: split, Offset: offset}, Stage: forebay.StageSource, Code: "wrong-type",
			Reason: "no number", Place: "x.csv:1", Value: []byte(value),
		}}
	}
	refused := forebay.Commit{
		Owner: owner(1, "other"), Progress: progress("a", 1, 10), DeadLetters: []forebay.DeadLetter{letter("a", 1, "bad")},
	}
	wantCode(t, o.commit(refused), forebay.CodeFenced)
	c := forebay.Commit{
		Owner: me, Progress: progress("a", 1, 10), Requests: o.requests("a", "1,x"),
		DeadLetters: []forebay.DeadLetter{letter("a", 1, "bad"), letter("a", 7, "worse")},
	}
	wantCode(t, o.commit(c), forebay.CodeOK)
	wantCode(t, o.commit(c), forebay.CodeDuplicate)
	more := []forebay.DeadLetter{letter("a", 12, "late"), letter("b", 0, "unlisted"), letter("c", 3, "finished")}
	for range 2 {
		if err := s.AppendDeadLetters(t.Context(), "flights", more); err != nil {
			t.Fatal(err)
		}
	}
	values := func() []string {
		return scan(t, s, ScanRequest{Table: DeadLetterTable("flights"), Select: []string{"split", "offset", "code"}})
	}
	diff(t, "letters", values(), []string{
		"a,1,wrong-type", "a,7,wrong-type", "a,12,wrong-type", "b,0,wrong-type", "c,3,wrong-type",
	})
	removed, err := s.TrimDeadLetters(t.Context(), "flights", map[string]forebay.Position{
		"a": {Offset: 7}, "c": {Finished: true},
	})
	if err != nil || removed != 3 {
		t.Errorf("trim removed %d, %v; want 3", removed, err)
	}
	diff(t, "letters left", values(), []string{"a,1,wrong-type", "c,3,wrong-type"})
	s = reopen(t, s, fs)
	diff(t, "letters of a later process", count(t, s, DeadLetterTable("flights")), int64(2))
}

func TestVersionColumnKeepsTheGreatest(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := keySpec("users")
	spec.Schema = forebay.MustSchema(append(spec.Schema.Columns(), forebay.Column{Name: "v", Type: forebay.Int64})...)
	spec.Version = "v"
	spec.Tablets = 1
	o := openTable(t, s, spec)
	rows := func() []string { return scan(t, s, ScanRequest{Table: "users"}) }
	o.write("a", "1,a,5", "2,b,3", "1,old,4", "2,newer,9", "2,equal,9", "3,null,")
	diff(t, "within one commit", rows(), []string{"1,a,5", "2,equal,9", "3,null,"})
	o.write("a", "1,older,4", "2,same,9", "3,first,1")
	diff(t, "over commits", rows(), []string{"1,a,5", "2,same,9", "3,first,1"})
	o.write("a", "-1,,6", "-2,,8", "-3,,")
	diff(t, "deletes", rows(), []string{"2,same,9"})
	diff(t, "count", count(t, s, "users"), int64(1))
	o.write("a", "1,late,5", "3,back,1")
	diff(t, "a late row after a delete", rows(), []string{"2,same,9", "3,back,1"})
	both := forebay.Commit{Requests: []forebay.Request{o.one("a", "1,x,20"), o.one("a", "1,y,19")}}
	wantCode(t, o.commit(both), forebay.CodeOK)
	diff(t, "two requests in one commit", rows(), []string{"1,x,20", "2,same,9", "3,back,1"})

	r, err := s.ReadLog("users", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	end := o.handle.table.list()[0].synced.Load()
	var changes []string
	b := forebay.NewBatch()
	for r.Offset() < end {
		if err := r.Next(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			changes = append(changes, rowText(b, i))
		}
	}
	diff(t, "change log", changes, []string{
		"1,a,5", "2,b,3", "2,newer,9", "2,equal,9", "3,null,", "2,same,9", "3,first,1", "-1,,6", "-3,,", "3,back,1", "1,x,20",
	})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
