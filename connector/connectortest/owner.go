// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"errors"
	"slices"

	"github.com/forebay-io/forebay"
)

// checkFenced wakes older runs at each stage after a newer one has fenced the target.
func (h SinkHarness) checkFenced(t T) {
	for _, lost := range []bool{false, true} {
		h.wakeOlder(t, lost)
	}
}

// wakeOlder lets a run sleep between Prepare and Commit while another takes over: one with the same state, or one
// whose state was lost, so that it knows nothing of what the older one made durable.
func (h SinkHarness) wakeOlder(t T, lost bool) {
	t.Helper()
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	older := w.start(state, 2)
	older.write(idRange(0, 20))
	older.finishCheckpoint(true)
	older.write(idRange(20, 40))
	older.save(older.prepareAll(true))
	asleep := *state
	asleep.pending, asleep.held = slices.Clone(state.pending), slices.Clone(state.held)
	older.state = &asleep
	older.write(idRange(40, 60))

	committed := idRange(0, 40)
	if lost {
		state, committed = newNotebook(pipelineName, "b"), idRange(0, 20)
	}
	newer := w.start(state, 2)
	w.sees(ruleFenced, "after a newer run has fenced", committed, nil)
	older.wake()
	w.sees(ruleFenced, "after the older run woke up and committed, wrote and prepared", committed, nil)
	newer.write(idRange(int64(len(committed)), 60))
	prepared := newer.prepareAll(true)
	older.wake()
	for _, l := range older.lanes {
		_ = l.writer.Close()
	}
	newer.save(prepared)
	newer.settle(newer.commit(ruleFenced, newer.state.pending))
	w.sees(ruleFenced, "after both have committed", idRange(0, 60), nil)
	older.wake()
	_ = older.closer.Close()
	w.sees(ruleFenced, "after the older run has committed once more and closed", idRange(0, 60), nil)
}

// wake does what a run does that does not know yet that it was fenced. Every call may fail.
func (c *coordinator) wake() {
	ctx := c.t.Context()
	c.askOnce(c.state.pending)
	var list []forebay.Committable
	for _, l := range c.lanes {
		if err := l.writer.Write(ctx, c.h.batch(idRange(900, 920)...)); err != nil {
			continue
		}
		wait, err := l.writer.Prepare(ctx, c.state.checkpoint+1, true)
		if err != nil {
			continue
		}
		if p, err := wait(ctx); err == nil {
			list = append(list, p.Commit...)
		}
	}
	c.askOnce(list)
	// What a run does on a definite abort.
	_ = c.target.Abort(ctx, slices.Clone(list))
	if listed, err := c.target.ListOpen(ctx, c.owner); err == nil {
		_ = c.target.Abort(ctx, listed)
	}
}

// checkOwner compares what fences are taken, and what the target says of them.
func (h SinkHarness) checkOwner(t T) {
	w := h.world(t)
	defer w.end()
	c := w.open(newNotebook(pipelineName, "a"))
	twin := owner(3)
	twin.Holder = "another"
	c.names("before any fence", forebay.Owner{Pipeline: pipelineName})
	c.fences("a first fence", owner(1), true)
	c.names("after a first fence", owner(1))
	c.fences("the same fence again", owner(1), true)
	c.fences("a fence of a greater epoch", owner(3), true)
	c.fences("a fence of a smaller epoch", owner(2), false)
	c.fences("a fence of another holder with the same epoch", twin, false)
	c.names("after fences that were refused", owner(3))
	w.kill()
	c = w.open(c.state)
	c.names("after a restart", owner(3))
	c.fences("a fence of a smaller epoch, after a restart", owner(2), false)
	c.fences("a fence of the same owner, after a restart", owner(3), true)
	// Another pipeline, whose name begins as that of the first.
	beside := forebay.Owner{Pipeline: pipelineName + "2", Epoch: 1, Holder: "x"}
	other := w.open(newNotebook(beside.Pipeline, "x"))
	other.names("before any fence of its own", forebay.Owner{Pipeline: beside.Pipeline})
	other.fences("a fence of another pipeline", beside, true)
	c.names("beside another pipeline", owner(3))
	c.forgets()
	other.names("after another one was forgotten", beside)
}

// names compares the owner that the target names.
func (c *coordinator) names(when string, want forebay.Owner) {
	c.t.Helper()
	got, err := c.fencer.Owner(c.t.Context(), want.Pipeline)
	if err != nil {
		c.t.Fatalf("%s: owner: %v", when, err)
	}
	if want.Epoch == 0 {
		got.Pipeline, got.Holder = want.Pipeline, ""
	}
	if got != want {
		broken(c.t, ruleOwner, "%s the target names the owner %+v, want %+v", when, got, want)
	}
}

// fences tries a fence that passes, or is refused.
func (c *coordinator) fences(when string, o forebay.Owner, passes bool) {
	c.t.Helper()
	err := c.fencer.Fence(c.t.Context(), o, nil)
	if passes && err != nil {
		broken(c.t, ruleOwner, "%s: %v", when, err)
	} else if !passes && !errors.Is(err, forebay.ErrFenced) {
		broken(c.t, ruleOwner, "%s answers %v, want class fenced", when, err)
	}
}

// forgets publishes, prepares, and has the pipeline forgotten.
func (c *coordinator) forgets() {
	c.t.Helper()
	w := c.world
	c.state.epoch = 3
	c = w.start(c.state, 2)
	c.write(idRange(0, 20))
	c.finishCheckpoint(true)
	c.write(idRange(20, 40))
	c.prepareAll(true)
	c = w.open(c.state)
	for range 2 {
		if err := c.fencer.Forget(c.t.Context(), pipelineName); err != nil {
			broken(c.t, ruleOwner, "Forget: %v", err)
		}
	}
	c.names("after it was forgotten", forebay.Owner{Pipeline: pipelineName})
	w.sees(ruleOwner, "after the pipeline was forgotten", idRange(0, 20), nil)
	w.leavesNothing(ruleOwner, "after the pipeline was forgotten")
}
