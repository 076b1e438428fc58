// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"fmt"
	"slices"

	"github.com/forebay-io/forebay"
)

// checkAnswers asks for what is there, what was committed and what is gone, in one call.
func (h SinkHarness) checkAnswers(t T) {
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 3)
	c.write(idRange(0, 30))
	c.save(c.prepareAll(true))
	c.write(idRange(30, 60))
	second := c.prepareAll(true)
	w.kill()
	list := slices.Clone(state.pending)
	c = w.open(state)
	for i, r := range c.ask(list) {
		if r.Outcome == forebay.OutcomeLost || r.Outcome == forebay.OutcomeFatal {
			broken(t, ruleCrash, "request %d of %d, prepared by a run that was killed, is answered with outcome %d: %v",
				i+1, len(list), r.Outcome, r.Err)
			return
		}
	}
	// The recovery aborts the second checkpoint. A request for a part of it comes among those for the first.
	c.settle(idsOf(list))
	c.recover(stageEnd)
	if len(second[0].Commit) == 0 || len(list) == 0 {
		t.Fatalf("nothing was prepared: nothing is tested")
	}
	gone := second[0].Commit[0]
	for _, r := range c.ask(slices.Insert(list, 1, gone)) {
		committed := r.Outcome == forebay.OutcomeDone || r.Outcome == forebay.OutcomeAlready
		if r.Committable.ID == gone.ID && committed && w.countVisible(idRange(30, 60)) == 0 {
			broken(t, ruleAnswers, "the commit of %q, which was aborted, is answered with outcome %d", gone.ID, r.Outcome)
		}
	}
}

// checkRepeat commits the same again: at once, behind later ones, and in a later run.
func (h SinkHarness) checkRepeat(t T) {
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 2)
	c.write(idRange(0, 40))
	c.save(c.prepareAll(true))
	first := slices.Clone(state.pending)
	c.commit(ruleVisible, first)
	w.sees(ruleRepeat, "after a commit", idRange(0, 40), nil)
	c.commit(ruleRepeat, first)
	c.commit(ruleRepeat, first[:min(1, len(first))])
	w.sees(ruleRepeat, "after the same commit again", idRange(0, 40), nil)
	c.write(idRange(40, 80))
	c.save(c.prepareAll(true))
	c.commit(ruleRepeat, state.pending)
	w.sees(ruleRepeat, "after the same commit again, with later ones", idRange(0, 80), nil)
	for again := range 2 {
		w.kill()
		c = w.open(state)
		c.recover(stageRecommitted)
		state.pending = slices.Clone(first)
		w.sees(ruleRepeat, fmt.Sprintf("after later run %d had committed the same again", again+1), idRange(0, 80), nil)
	}
}

// checkRetry loses the answer of a commit, and follows what the sink then asks for.
func (h SinkHarness) checkRetry(t T) {
	w := h.world(t)
	defer w.end()
	if w.s.LoseAnswer == nil {
		return
	}
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 2)
	for n := range int64(3) {
		c.write(idRange(n*40, (n+1)*40))
		c.save(c.prepareAll(true))
		w.s.LoseAnswer()
		switch n {
		case 0:
			c.settle(c.commit(ruleRetry, state.pending))
		default:
			// The run is killed after one attempt, with what it had noted by then.
			for _, r := range c.askOnce(state.pending) {
				if r.Outcome == forebay.OutcomeRetry {
					c.changed(r)
				}
			}
			w.kill()
			c = w.start(state, 2)
		}
		w.sees(ruleRetry, "after an answer of Commit was lost and it was tried again", idRange(0, (n+1)*40), nil)
	}
}

// askOnce calls Commit once, and returns nothing where it fails.
func (c *coordinator) askOnce(list []forebay.Committable) []forebay.CommitRequest {
	requests := make([]forebay.CommitRequest, len(list))
	for i, k := range list {
		requests[i].Committable = k
	}
	if err := c.target.Commit(c.t.Context(), requests); err != nil {
		return nil
	}
	return requests
}

// checkAbort gives up what a killed run had prepared, again and again, and then asks for its commit.
func (h SinkHarness) checkAbort(t T) {
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 2)
	c.write(idRange(0, 40))
	var list []forebay.Committable
	for _, p := range c.prepareAll(true) {
		list = append(list, p.Commit...)
	}
	c.write(idRange(40, 80))
	w.kill()
	c = w.open(state)
	c.recover(stageFenced)
	c.abort(list)
	c.abort(list)
	c.abort(c.leftovers(c.list()))
	w.leavesNothing(ruleAbort, "after Abort of everything that was noted or listed")
	if left := c.list(); len(left) > 0 {
		broken(t, ruleAbort, "after Abort of everything that was noted or listed, %v are still listed", idsOf(left))
	}
	for _, r := range c.askOnce(list) {
		if r.Outcome == forebay.OutcomeDone || r.Outcome == forebay.OutcomeAlready {
			broken(t, ruleAbort, "the commit of %q, which was aborted, is answered with outcome %d", r.Committable.ID, r.Outcome)
		}
	}
	w.sees(ruleAbort, "after a commit of what was aborted", nil, nil)
	c.openLanes(2)
	c.write(idRange(0, 80))
	c.finishCheckpoint(true)
	w.sees(ruleAbort, "after an abort, and the same records again", idRange(0, 80), nil)
}

// checkSiblings aborts one of many: beside it lie those of other lanes, of other checkpoints and of another pipeline.
func (h SinkHarness) checkSiblings(t T) {
	w := h.world(t)
	defer w.end()
	state, beside := newNotebook(pipelineName, "a"), newNotebook(pipelineName+"2", "a")
	other := w.start(beside, 2)
	other.write(idRange(1000, 1040))
	other.save(other.prepareAll(true))
	c := w.start(state, 3)
	c.write(idRange(0, 30))
	c.save(c.prepareAll(true))
	c.write(idRange(30, 60))
	second := c.prepareAll(true)
	w.kill()
	c = w.open(state)
	c.abort(second[1].Commit)
	c.settle(c.commit(ruleSiblings, state.pending))
	w.sees(ruleSiblings, "after Abort of one lane's later piece", idRange(0, 30), nil)
	c.commit(ruleSiblings, slices.Concat(second[0].Commit, second[2].Commit))
	w.sees(ruleSiblings, "after Abort of one of three lanes", slices.Concat(idRange(0, 40), idRange(50, 60)), nil)
	c.recover(stageAborted)
	c.abort(second[1].Commit)
	other = w.open(beside)
	other.settle(other.commit(ruleSiblings, beside.pending))
	w.sees(ruleSiblings, "after another pipeline has aborted",
		slices.Concat(idRange(0, 40), idRange(50, 60), idRange(1000, 1040)), nil)
}

// checkListed kills a run that had open, held and prepared what no checkpoint has, and the next one before it aborts.
func (h SinkHarness) checkListed(t T) {
	for _, crashes := range []bool{true, false} {
		for _, lost := range []bool{true, false} {
			h.findOpen(t, crashes, lost)
		}
	}
}

// findOpen looks for what a run left: of a system that lost what was not synced, or not; with the state, or without.
func (h SinkHarness) findOpen(t T, crashes, lost bool) {
	t.Helper()
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 3)
	c.write(idRange(0, 30))
	left := c.prepareAll(false)
	c.write(idRange(30, 60))
	left = append(left, c.prepareAll(true)...)
	c.write(idRange(60, 3000))
	if crashes {
		w.kill()
	}
	if lost && !h.Claims.Notes {
		state = newNotebook(pipelineName, "b")
	}
	w.open(state).recover(stageFenced)
	if crashes {
		w.kill()
	}
	c = w.open(state)
	c.recover(stageFenced)
	found := c.leftovers(c.list())
	c.abort(found)
	// What is not found may be gone, as a fence can remove it. Then nobody can commit it.
	known := idsOf(found)
	var unknown []forebay.Committable
	for _, p := range left {
		for _, k := range slices.Concat(p.Commit, p.Held) {
			if !slices.Contains(known, k.ID) {
				unknown = append(unknown, k)
			}
		}
	}
	for _, r := range c.askOnce(unknown) {
		if r.Outcome == forebay.OutcomeDone || r.Outcome == forebay.OutcomeAlready {
			broken(t, ruleListed, "%q was prepared by epoch %d, epoch %d finds %v, and it can still be committed",
				r.Committable.ID, w.ids[r.Committable.ID].by.run.owner.Epoch, c.owner.Epoch, known)
		}
	}
	w.leavesNothing(ruleListed, "after everything that was noted or listed was aborted")
	w.sees(ruleListed, "after everything that was noted or listed was aborted", nil, nil)
}

// checkNotListed lists beside another pipeline and a newer owner. What must not be listed is held against the list by
// the coordinator.
func (h SinkHarness) checkNotListed(t T) {
	w := h.world(t)
	defer w.end()
	state, beside := newNotebook(pipelineName, "a"), newNotebook(pipelineName+"2", "a")
	c, other := w.start(state, 2), w.start(beside, 2)
	c.write(idRange(0, 20))
	c.finishCheckpoint(true)
	other.write(idRange(1000, 1020))
	other.save(other.prepareAll(true))
	other.write(idRange(1020, 1040))
	c.list()
	// A newer run of the first pipeline, while the older one still is there.
	newer := w.start(state, 2)
	newer.write(idRange(20, 40))
	newer.save(newer.prepareAll(true))
	newer.write(idRange(40, 60))
	if listed, err := c.target.ListOpen(t.Context(), c.owner); err == nil {
		for _, l := range listed {
			if g := w.ids[l.ID]; g != nil && g.by.run == newer {
				broken(t, ruleNotListed, "%q is listed for epoch %d and is of epoch %d", l.ID, c.owner.Epoch, newer.owner.Epoch)
			}
		}
		// An older run that does not know yet what happened gives up what it found.
		_ = c.target.Abort(t.Context(), listed)
	}
	newer.settle(newer.commit(ruleNotListed, newer.state.pending))
	newer.finishCheckpoint(true)
	other.settle(other.commit(ruleNotListed, other.state.pending))
	other.finishCheckpoint(true)
	w.sees(ruleNotListed, "after three runs", slices.Concat(idRange(0, 60), idRange(1000, 1040)), nil)
}
