// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

func (h SinkHarness) commitChecks() []Check {
	return []Check{
		{"commits rows and progress together", h.checkCommit},
		{"drops a repeated commit", h.checkCommitRepeat},
		{"refuses a gap in the progress", h.checkCommitGap},
		{"applies nothing of a commit that one split refuses", h.checkCommitHalf},
		{"applies nothing of a commit with a broken request", h.checkCommitBroken},
		{"names the rows it refuses and applies none", h.checkCommitRefusal},
		{"keeps the order of commits in flight", h.checkCommitOrder},
		{"commits lanes at the same time", h.checkCommitLanes},
		{"keeps rows and progress over a restart", h.checkCommitReopen},
		{"settles a lost answer by the same commit", h.checkCommitLostAnswer},
		{"gives up waiting for a commit when the context ends", h.checkCommitCancel},
		{"takes commits without progress", h.checkCommitPlain},
	}
}

// lane is a run's side of a target that holds progress.
type lane struct {
	h       SinkHarness
	target  forebay.Target
	holder  forebay.ProgressHolder
	backend forebay.Backend
	owner   forebay.Owner
}

// owner is the run with that epoch.
func owner(epoch uint64) forebay.Owner {
	return forebay.Owner{Pipeline: pipelineName, Epoch: epoch, Holder: fmt.Sprintf("holder-%d", epoch)}
}

// openRun opens the target and fences it, as a run with that owner does.
func (h SinkHarness) openRun(t T, s System, o forebay.Owner) *lane {
	t.Helper()
	l := h.attach(t, h.start(t, s), o)
	if err := l.holder.Fence(t.Context(), forebay.Fence{Owner: o, Progress: true}); err != nil {
		t.Fatalf("fence epoch %d: %v", o.Epoch, err)
	}
	return l
}

// attach makes the run's side of an open target.
func (h SinkHarness) attach(t T, target forebay.Target, o forebay.Owner) *lane {
	t.Helper()
	l := &lane{h: h, target: target, owner: o}
	sequencer, sequences := target.(forebay.Sequencer)
	holder, holds := target.(forebay.ProgressHolder)
	if !sequences || !holds {
		t.Fatalf("the target is no Sequencer or no ProgressHolder")
	}
	l.holder, l.backend = holder, sequencer.Backend()
	return l
}

// progressAt is the progress of a split as its version-th write stores it.
func progressAt(split string, version uint64, offset int64) forebay.SplitProgress {
	return forebay.SplitProgress{
		Split: split, Version: version, Fingerprint: "fingerprint of " + split,
		Position: forebay.Position{Offset: offset, Detail: fmt.Sprintf("detail %d", offset)},
	}
}

// commit makes a commit of these records.
func (l *lane) commit(t T, progress []forebay.SplitProgress, ids ...int64) *forebay.Commit {
	t.Helper()
	c := &forebay.Commit{Owner: l.owner, Progress: progress}
	if len(ids) > 0 {
		var err error
		if c.Requests, err = requests(l.backend, l.h.batch(ids...)); err != nil {
			t.Fatalf("encode: %v", err)
		}
	}
	return c
}

func one(p forebay.SplitProgress) []forebay.SplitProgress { return []forebay.SplitProgress{p} }

// begin hands a copy of the commit to the target.
func (l *lane) begin(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	clone := *c
	clone.Requests, clone.Progress = cloneRequests(c.Requests), slices.Clone(c.Progress)
	return l.backend.(forebay.Committer).Commit(ctx, &clone)
}

// send commits, waits and compares the code.
func (l *lane) send(t T, what string, c *forebay.Commit, want forebay.Code) forebay.Answer {
	t.Helper()
	a := l.begin(t.Context(), c)(t.Context())
	if a.Code != want {
		t.Errorf("%s: answer %d (%s), want %d", what, a.Code, a.Message, want)
	}
	return a
}

// expectProgress reads what the target holds of the pipeline.
func (l *lane) expectProgress(t T, when string, want ...forebay.SplitProgress) {
	t.Helper()
	state, err := l.holder.State(t.Context(), l.owner.Pipeline)
	if err != nil {
		t.Fatalf("%s: state: %v", when, err)
	}
	if diff := cmp.Diff(sortedProgress(want), sortedProgress(state.Splits)); diff != "" {
		t.Errorf("%s: the target holds other progress (-want +got):\n%s", when, diff)
	}
}

func sortedProgress(list []forebay.SplitProgress) []forebay.SplitProgress {
	sorted := append([]forebay.SplitProgress{}, list...)
	slices.SortFunc(sorted, func(a, b forebay.SplitProgress) int { return strings.Compare(a.Split, b.Split) })
	return sorted
}

func (h SinkHarness) checkCommit(t T) {
	s := h.New(t)
	target := h.start(t, s)
	l := h.attach(t, target, owner(1))
	l.expectProgress(t, "before anything")
	h.close(t, target)
	l = h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	l.send(t, "a first commit", l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	h.expect(t, s, "after a commit", expectation{ids: idRange(0, 20)})
	l.expectProgress(t, "after a commit", progressAt("s", 1, 20))
	both := []forebay.SplitProgress{progressAt("s", 2, 40), progressAt("other", 1, 7)}
	l.send(t, "a commit for two splits", l.commit(t, both, idRange(20, 40)...), forebay.CodeOK)
	finished := progressAt("other", 2, 9)
	finished.Position.Finished = true
	l.send(t, "progress alone", l.commit(t, one(finished)), forebay.CodeOK)
	h.expect(t, s, "after three commits", expectation{ids: idRange(0, 40)})
	l.expectProgress(t, "after three commits", progressAt("s", 2, 40), finished)
	state, err := l.holder.State(t.Context(), pipelineName)
	if err != nil || state.Owner != owner(1) || !state.Used {
		t.Errorf("state names owner %+v, used %v (%v); want %+v and used", state.Owner, state.Used, err, owner(1))
	}
}

func (h SinkHarness) checkCommitRepeat(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	first := l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...)
	l.send(t, "a first commit", first, forebay.CodeOK)
	l.send(t, "the same again", first, forebay.CodeDuplicate)
	l.send(t, "the same once more", first, forebay.CodeDuplicate)
	h.expect(t, s, "after repeats", expectation{ids: idRange(0, 20)})
	other := l.commit(t, one(progressAt("s", 1, 30)), idRange(20, 30)...)
	a := l.begin(t.Context(), other)(t.Context())
	if a.Code != forebay.CodeSequenceGap && (a.Code != forebay.CodeServerError || a.Class != forebay.ClassCorrupt) {
		t.Errorf("other rows under the same version: answer %d (%s), want 425 or class corrupt", a.Code, a.Message)
	}
	h.expect(t, s, "after other rows under the same version", expectation{ids: idRange(0, 20)})
	l.expectProgress(t, "after repeats", progressAt("s", 1, 20))
}

func (h SinkHarness) checkCommitGap(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	l.send(t, "a first commit", l.commit(t, one(progressAt("s", 1, 10)), idRange(0, 10)...), forebay.CodeOK)
	l.send(t, "a second commit", l.commit(t, one(progressAt("s", 2, 20)), idRange(10, 20)...), forebay.CodeOK)
	for what, p := range map[string]forebay.SplitProgress{
		"a version too far":            progressAt("s", 4, 40),
		"an old version":               progressAt("s", 1, 10),
		"the first of a split, as two": progressAt("new", 2, 10),
	} {
		a := l.send(t, what, l.commit(t, one(p), idRange(30, 40)...), forebay.CodeSequenceGap)
		if p.Split == "s" && !cmp.Equal(a.Progress, one(progressAt("s", 2, 20))) {
			t.Errorf("%s: the answer says that %v is stored, want version 2", what, a.Progress)
		}
	}
	h.expect(t, s, "after gaps", expectation{ids: idRange(0, 20)})
	l.expectProgress(t, "after gaps", progressAt("s", 2, 20))
	l.send(t, "the right version", l.commit(t, one(progressAt("s", 3, 30)), idRange(20, 30)...), forebay.CodeOK)
	h.expect(t, s, "after the right version", expectation{ids: idRange(0, 30)})
}

// checkCommitHalf commits for two splits of which one has a gap.
func (h SinkHarness) checkCommitHalf(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	l.send(t, "a first commit", l.commit(t, one(progressAt("a", 1, 10)), idRange(0, 10)...), forebay.CodeOK)
	for _, half := range [][]forebay.SplitProgress{
		{progressAt("a", 2, 20), progressAt("b", 2, 20)},
		{progressAt("b", 2, 20), progressAt("a", 2, 20)},
	} {
		l.send(t, "a commit with one gap", l.commit(t, half, idRange(10, 20)...), forebay.CodeSequenceGap)
		h.expect(t, s, "after a commit with one gap", expectation{ids: idRange(0, 10)})
		l.expectProgress(t, "after a commit with one gap", progressAt("a", 1, 10))
	}
}

// checkCommitBroken commits several requests of which one is cut off.
func (h SinkHarness) checkCommitBroken(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	for _, breakFirst := range []bool{true, false} {
		c := l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...)
		more, err := requests(l.backend, h.batch(idRange(20, 40)...))
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		c.Requests = append(c.Requests, more...)
		r := &c.Requests[len(c.Requests)-1]
		if breakFirst {
			r = &c.Requests[0]
		}
		r.Data = r.Data[:len(r.Data)-1]
		a := l.begin(t.Context(), c)(t.Context())
		if a.Code == forebay.CodeOK || a.Code == forebay.CodeDuplicate {
			t.Errorf("a commit with a request that was cut off was answered %d", a.Code)
		}
		h.expect(t, s, "after a broken commit", expectation{})
		l.expectProgress(t, "after a broken commit")
	}
	l.send(t, "a sound commit", l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
}

func (h SinkHarness) checkCommitRefusal(t T) {
	s := h.New(t)
	if s.Spoil == nil {
		return
	}
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	// Rows of several tablets, so that the refused one is not always in the first request.
	for _, refused := range []int{3, 4, 5, 8} {
		l.commitRefused(t, s, refused)
		h.expect(t, s, "after a refused commit", expectation{})
		l.expectProgress(t, "after a refused commit")
	}
	rest := l.commit(t, one(progressAt("s", 1, 10)), 0, 1, 2, 4, 5, 6, 7, 8, 9)
	rest.DeadLetters = []forebay.DeadLetter{{
		Reject: forebay.Reject{
			Origin: forebay.Origin{Split: "s", Offset: 3}, Stage: forebay.StageSink,
			Code: "refused", Reason: "refused by the target",
		},
		Time: 1,
	}}
	l.send(t, "the rest under the same version", rest, forebay.CodeOK)
	h.expect(t, s, "after the rest", expectation{ids: []int64{0, 1, 2, 4, 5, 6, 7, 8, 9}})
	l.expectProgress(t, "after the rest", progressAt("s", 1, 10))
}

// commitRefused commits ten records of which the system refuses one.
func (l *lane) commitRefused(t T, s System, refused int) {
	t.Helper()
	b := l.h.batch(idRange(0, 10)...)
	s.Spoil(b, refused)
	rs, err := requests(l.backend, b)
	if err != nil {
		// The connector finds it before the target does; that is as good.
		if forebay.ClassOf(err) != forebay.ClassRejected {
			t.Errorf("encode a record that is refused: %v, want class rejected", err)
		}
		return
	}
	c := &forebay.Commit{Owner: l.owner, Progress: one(progressAt("s", 1, 10)), Requests: rs}
	a := l.send(t, "a commit with a refused row", c, forebay.CodeRowsRejected)
	if len(a.Rows) != 1 || a.Rows[0].Reason == "" || a.Rows[0].Request >= len(rs) ||
		a.Rows[0].Row >= rs[a.Rows[0].Request].Records || len(rs) == 1 && a.Rows[0].Row != refused {
		t.Errorf("the answer names the rows %+v, want one row, number %d of ten, with a reason", a.Rows, refused)
	}
}

// checkCommitOrder begins several commits before it waits for the first.
func (h SinkHarness) checkCommitOrder(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	waits := make([]func(context.Context) forebay.Answer, 0, 5)
	for k := range uint64(5) {
		from := int64(k) * 20
		c := l.commit(t, one(progressAt("s", k+1, from+20)), idRange(from, from+20)...)
		waits = append(waits, l.begin(t.Context(), c))
	}
	for k, wait := range slices.Backward(waits) {
		if a := wait(t.Context()); a.Code != forebay.CodeOK {
			t.Errorf("commit %d in flight: answer %d (%s)", k+1, a.Code, a.Message)
		}
	}
	h.expect(t, s, "after five commits in flight", expectation{ids: idRange(0, 100)})
	l.expectProgress(t, "after five commits in flight", progressAt("s", 5, 100))
}

func (h SinkHarness) checkCommitLanes(t T) {
	const lanes, commits, each = 4, 10, 10
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	all := make([][]*forebay.Commit, lanes)
	want := make([]forebay.SplitProgress, lanes)
	for k := range all {
		for n := range commits {
			from := int64((k*commits + n) * each)
			want[k] = progressAt(fmt.Sprint("split ", k), uint64(n+1), from+each)
			all[k] = append(all[k], l.commit(t, one(want[k]), idRange(from, from+each)...))
		}
	}
	codes := make([]forebay.Answer, lanes)
	var group sync.WaitGroup
	for k := range all {
		group.Go(func() {
			for _, c := range all[k] {
				if codes[k] = l.begin(t.Context(), c)(t.Context()); codes[k].Code != forebay.CodeOK {
					return
				}
			}
		})
	}
	group.Wait()
	for k, a := range codes {
		if a.Code != forebay.CodeOK {
			t.Errorf("lane %d: answer %d (%s)", k, a.Code, a.Message)
		}
	}
	h.expect(t, s, "after four lanes committed", expectation{ids: idRange(0, lanes*commits*each), unordered: true})
	l.expectProgress(t, "after four lanes committed", want...)
}

func (h SinkHarness) checkCommitReopen(t T) {
	s := h.New(t)
	if s.Reopen == nil {
		return
	}
	l := h.openRun(t, s, owner(1))
	first := l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...)
	l.send(t, "a first commit", first, forebay.CodeOK)
	for k := uint64(2); k <= 4; k++ {
		s.Reopen(t)
		target := h.start(t, s)
		l = h.attach(t, target, owner(k-1))
		h.expect(t, s, "after a restart", expectation{ids: idRange(0, int64(k-1)*20)})
		l.expectProgress(t, "after a restart", progressAt("s", k-1, int64(k-1)*20))
		if k == 2 {
			l.send(t, "the same commit after a restart", first, forebay.CodeDuplicate)
		}
		h.close(t, target)
		l = h.openRun(t, s, owner(k))
		l.expectProgress(t, "after a restart and a fence", progressAt("s", k-1, int64(k-1)*20))
		next := l.commit(t, one(progressAt("s", k, int64(k)*20)), idRange(int64(k-1)*20, int64(k)*20)...)
		l.send(t, "the next commit", next, forebay.CodeOK)
	}
	h.expect(t, s, "in the end", expectation{ids: idRange(0, 80)})
	h.close(t, l.target)
}

func (h SinkHarness) checkCommitLostAnswer(t T) {
	s := h.New(t)
	if s.LoseAnswer == nil {
		return
	}
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	c := l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...)
	s.LoseAnswer()
	a := l.begin(t.Context(), c)(t.Context())
	if a.Code == forebay.CodeOK || forebay.ClassOf(a.Err("commit")) != forebay.ClassAmbiguous {
		t.Errorf("a lost answer came back as %d (%s), want class ambiguous", a.Code, a.Message)
	}
	l.expectProgress(t, "after a lost answer", progressAt("s", 1, 20))
	l.send(t, "the same again", c, forebay.CodeDuplicate)
	h.expect(t, s, "after the repeat", expectation{ids: idRange(0, 20)})
}

func (h SinkHarness) checkCommitCancel(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	c := l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...)
	release := func() {}
	if s.Stall != nil {
		release = s.Stall()
	}
	ctx, cancel := context.WithTimeout(t.Context(), cancelAfter)
	if s.Stall == nil {
		cancel()
	}
	defer cancel()
	var a forebay.Answer
	within(t, h.Patience, "a commit whose context ended", func() { a = l.begin(ctx, c)(ctx) })
	release()
	expectGivenUp(t, "a commit", a)
	// However it ended, the same commit makes it once.
	if a := l.begin(t.Context(), c)(t.Context()); a.Code != forebay.CodeOK && a.Code != forebay.CodeDuplicate {
		t.Errorf("the repeat of a commit that was given up: answer %d (%s)", a.Code, a.Message)
	}
	h.expect(t, s, "after the repeat", expectation{ids: idRange(0, 20)})
	l.expectProgress(t, "after the repeat", progressAt("s", 1, 20))
}

// checkCommitPlain commits as a lane does that runs without exactly-once.
func (h SinkHarness) checkCommitPlain(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	l := h.attach(t, target, owner(1))
	if err := l.holder.Fence(t.Context(), forebay.Fence{Owner: l.owner}); err != nil {
		t.Fatalf("fence without progress: %v", err)
	}
	l.send(t, "a commit without progress", l.commit(t, nil, idRange(0, 20)...), forebay.CodeOK)
	l.send(t, "another one", l.commit(t, nil, idRange(20, 40)...), forebay.CodeOK)
	h.expect(t, s, "after commits without progress", expectation{ids: idRange(0, 40)})
	if state, err := l.holder.State(t.Context(), pipelineName); err != nil || state.Used {
		t.Errorf("after commits without progress the target says that its progress is used (%v)", err)
	}
}
