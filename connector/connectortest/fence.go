// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"errors"

	"github.com/forebay-io/forebay"
)

func (h SinkHarness) fenceChecks() []Check {
	return []Check{
		{"refuses an older owner", h.checkFenceOlder},
		{"refuses another holder of the same epoch", h.checkFenceHolder},
		{"fences again for the same owner", h.checkFenceAgain},
		{"keeps the fence over a restart", h.checkFenceReopen},
		{"marks progress unused and seeds it again", h.checkFenceSeed},
		{"keeps pipelines apart and forgets one", h.checkForget},
	}
}

// expectFenced tries to commit and to fence as a run that was fenced, and compares that nothing changed.
func (l *lane) expectFenced(t T, when string, next, stored forebay.SplitProgress) {
	t.Helper()
	l.send(t, when+": commit", l.commit(t, one(next), idRange(1000, 1020)...), forebay.CodeFenced)
	l.send(t, when+": progress alone", l.commit(t, one(next)), forebay.CodeFenced)
	l.send(t, when+": rows alone", l.commit(t, nil, idRange(1000, 1020)...), forebay.CodeFenced)
	err := l.holder.Fence(t.Context(), forebay.Fence{Owner: l.owner, Progress: true})
	if !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("%s: fence: %v, want class fenced", when, err)
	}
	l.expectProgress(t, when, stored)
}

func (h SinkHarness) checkFenceOlder(t T) {
	s := h.New(t)
	older := h.openRun(t, s, owner(3))
	defer h.close(t, older.target)
	older.send(t, "the older run", older.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	newer := h.attach(t, older.target, owner(5))
	if err := newer.holder.Fence(t.Context(), forebay.Fence{Owner: newer.owner, Progress: true}); err != nil {
		t.Fatalf("fence of the newer run: %v", err)
	}
	newer.expectProgress(t, "the newer run, after its fence", progressAt("s", 1, 20))
	older.expectFenced(t, "the older run, fenced", progressAt("s", 2, 40), progressAt("s", 1, 20))
	h.expect(t, s, "after the older run was refused", expectation{ids: idRange(0, 20)})
	newer.send(t, "the newer run", newer.commit(t, one(progressAt("s", 2, 40)), idRange(20, 40)...), forebay.CodeOK)
	older.expectFenced(t, "the older run, after a commit of the newer", progressAt("s", 3, 60), progressAt("s", 2, 40))
	h.expect(t, s, "in the end", expectation{ids: idRange(0, 40)})
	// An owner that never fenced may not write, however great its epoch is.
	never := h.attach(t, older.target, owner(9))
	unfenced := never.commit(t, one(progressAt("s", 3, 60)), idRange(1000, 1020)...)
	never.send(t, "a run that never fenced", unfenced, forebay.CodeFenced)
	h.expect(t, s, "after a run that never fenced", expectation{ids: idRange(0, 40)})
	state, err := newer.holder.State(t.Context(), pipelineName)
	if err != nil || state.Owner != owner(5) {
		t.Errorf("the target names the owner %+v (%v), want %+v", state.Owner, err, owner(5))
	}
}

func (h SinkHarness) checkFenceHolder(t T) {
	s := h.New(t)
	first := h.openRun(t, s, owner(1))
	defer h.close(t, first.target)
	first.send(t, "the first run", first.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	twin := h.attach(t, first.target, forebay.Owner{Pipeline: pipelineName, Epoch: 1, Holder: "another"})
	twin.expectFenced(t, "another holder of the same epoch", progressAt("s", 2, 40), progressAt("s", 1, 20))
	h.expect(t, s, "after another holder was refused", expectation{ids: idRange(0, 20)})
	second := first.commit(t, one(progressAt("s", 2, 40)), idRange(20, 40)...)
	first.send(t, "the first run goes on", second, forebay.CodeOK)
	h.expect(t, s, "after the first run went on", expectation{ids: idRange(0, 40)})
}

func (h SinkHarness) checkFenceAgain(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	l.send(t, "a commit", l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	if err := l.holder.Fence(t.Context(), forebay.Fence{Owner: l.owner, Progress: true}); err != nil {
		t.Errorf("the same owner fences again: %v", err)
	}
	l.expectProgress(t, "after the same fence again", progressAt("s", 1, 20))
	l.send(t, "the next commit", l.commit(t, one(progressAt("s", 2, 40)), idRange(20, 40)...), forebay.CodeOK)
	h.expect(t, s, "in the end", expectation{ids: idRange(0, 40)})
}

func (h SinkHarness) checkFenceReopen(t T) {
	s := h.New(t)
	if s.Reopen == nil {
		return
	}
	older := h.openRun(t, s, owner(1))
	older.send(t, "the older run", older.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	h.openRun(t, s, owner(2))
	s.Reopen(t)
	target := h.start(t, s)
	defer h.close(t, target)
	older = h.attach(t, target, owner(1))
	older.expectFenced(t, "the older run, after a restart", progressAt("s", 2, 40), progressAt("s", 1, 20))
	h.expect(t, s, "after the older run was refused", expectation{ids: idRange(0, 20)})
	newer := h.attach(t, target, owner(2))
	next := newer.commit(t, one(progressAt("s", 2, 40)), idRange(20, 40)...)
	newer.send(t, "the newer run, after a restart", next, forebay.CodeOK)
}

// checkFenceSeed leaves exactly-once and comes back to it.
func (h SinkHarness) checkFenceSeed(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(1))
	defer h.close(t, l.target)
	l.send(t, "a commit", l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	without := h.attach(t, l.target, owner(2))
	if err := without.holder.Fence(t.Context(), forebay.Fence{Owner: without.owner}); err != nil {
		t.Fatalf("fence without progress: %v", err)
	}
	unused, err := without.holder.State(t.Context(), pipelineName)
	if err != nil || unused.Used || unused.Owner != without.owner {
		t.Errorf("after a fence without progress: state %+v (%v), want it unused and owned by %+v",
			unused, err, without.owner)
	}
	back := h.attach(t, l.target, owner(3))
	seed := []forebay.SplitProgress{progressAt("s", 1, 70), progressAt("other", 4, 9)}
	if err := back.holder.Fence(t.Context(), forebay.Fence{Owner: back.owner, Progress: true, Seed: seed}); err != nil {
		t.Fatalf("fence with a seed: %v", err)
	}
	state, err := back.holder.State(t.Context(), pipelineName)
	if err != nil || !state.Used || len(state.Splits) != len(seed) {
		t.Fatalf("after a fence with a seed: state %+v (%v), want two splits, used", state, err)
	}
	// The positions are the seed's; the versions are the target's own, and the next write follows them.
	next := make([]forebay.SplitProgress, len(seed))
	for i, stored := range sortedProgress(state.Splits) {
		want := sortedProgress(seed)[i]
		want.Version = stored.Version
		if stored != want {
			t.Errorf("after a fence with a seed the target holds %+v, want %+v", stored, want)
		}
		next[i] = progressAt(stored.Split, stored.Version+1, 100)
	}
	back.send(t, "a commit behind the seed", back.commit(t, next, idRange(20, 40)...), forebay.CodeOK)
	back.expectProgress(t, "after a commit behind the seed", next...)
}

func (h SinkHarness) checkForget(t T) {
	s := h.New(t)
	l := h.openRun(t, s, owner(4))
	defer h.close(t, l.target)
	other := h.attach(t, l.target, forebay.Owner{Pipeline: pipelineName + "2", Epoch: 1, Holder: "x"})
	if err := other.holder.Fence(t.Context(), forebay.Fence{Owner: other.owner, Progress: true}); err != nil {
		t.Fatalf("fence of another pipeline: %v", err)
	}
	l.send(t, "a commit", l.commit(t, one(progressAt("s", 1, 20)), idRange(0, 20)...), forebay.CodeOK)
	beside := other.commit(t, one(progressAt("s", 1, 30)), idRange(20, 30)...)
	other.send(t, "a commit of another pipeline", beside, forebay.CodeOK)
	l.expectProgress(t, "beside another pipeline", progressAt("s", 1, 20))
	if err := l.holder.Forget(t.Context(), pipelineName); err != nil {
		t.Fatalf("forget: %v", err)
	}
	l.expectProgress(t, "after it was forgotten")
	other.expectProgress(t, "after another one was forgotten", progressAt("s", 1, 30))
	if err := l.holder.Forget(t.Context(), pipelineName); err != nil {
		t.Errorf("forget what is forgotten: %v", err)
	}
}
