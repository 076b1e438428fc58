// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"fmt"
	"slices"
)

// interruption is what happens to a run that holds something: at that time, with so many lanes before and after it. It
// says whether the run was killed.
type interruption struct {
	when     string
	from, to int
	do       func(*coordinator) (killed bool)
}

// checkHeld interrupts runs that hold something, with records behind the held end that no checkpoint has.
func (h SinkHarness) checkHeld(t T) {
	for _, c := range []interruption{
		{"after records were written behind it", 2, 2, func(c *coordinator) bool {
			c.write(idRange(20, 400))
			return true
		}},
		{"after records were prepared behind it", 2, 2, func(c *coordinator) bool {
			c.write(idRange(20, 40))
			c.prepareAll(false)
			return true
		}},
		{"after it was finished by a checkpoint that is not durable", 3, 1, func(c *coordinator) bool {
			c.write(idRange(20, 40))
			c.prepareAll(true)
			return true
		}},
		{"with more lanes", 1, 3, func(c *coordinator) bool {
			c.write(idRange(20, 40))
			c.prepareAll(false)
			return true
		}},
		{"with nothing behind it", 2, 2, func(*coordinator) bool { return true }},
		{"when the lane is opened again in the same run", 2, 2, func(c *coordinator) bool {
			c.write(idRange(20, 40))
			c.prepareAll(false)
			c.write(idRange(40, 60))
			c.reopenLane(0)
			c.reopenLane(1)
			return false
		}},
	} {
		h.interruptHeld(t, c)
	}
}

func (h SinkHarness) interruptHeld(t T, i interruption) {
	t.Helper()
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, i.from)
	c.write(idRange(0, 20))
	c.finishCheckpoint(false)
	if len(state.held) == 0 {
		broken(t, ruleHeld, "the harness claims Holds, and behind a checkpoint of 20 records nothing is held")
		t.Fatalf("nothing is tested")
	}
	if i.do(c) {
		w.kill()
		w.start(state, i.to)
		// Another kill, with nothing done in between.
		w.kill()
		c = w.start(state, i.to)
	}
	c.write(idRange(20, 60))
	c.finishCheckpoint(false)
	c.write(idRange(60, 80))
	c.finishCheckpoint(true)
	w.sees(ruleHeld, "held, and resumed "+i.when, idRange(0, 80), nil)
	w.leavesNothing(ruleHeld, "held, and resumed "+i.when)
}

// checkCrash kills runs at every stage of a checkpoint and of the recovery, with lanes becoming fewer and more.
func (h SinkHarness) checkCrash(t T) {
	checkpoint := []stage{
		stageWritten, stageDecided, stagePrepared, stageDurable, stageSome, stageCommitted, stageNoted,
	}
	for n, at := range checkpoint {
		for _, recovery := range []stage{stageEnd, stageRecommitted, stageFenced, stageAborted} {
			h.crash(t, at, recovery, []int{1 + n%3, 1 + (n+1)%3})
		}
	}
}

func (h SinkHarness) crash(t T, at, recovery stage, lanes []int) {
	t.Helper()
	when := fmt.Sprintf("a kill after %s", at)
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, lanes[0])
	c.write(idRange(0, 30))
	c.finishCheckpoint(false)
	c.write(idRange(30, 60))
	durable := c.until(at)
	w.kill()
	if recovery != stageEnd {
		when += fmt.Sprintf(", and another after %s", recovery)
		w.open(state).recover(recovery)
		w.kill()
	}
	c = w.start(state, lanes[1])
	var may []int64
	if durable {
		may = idRange(0, 60)
	} else {
		may = idRange(0, 30)
	}
	must := may
	if len(state.held) > 0 {
		must = nil
	}
	w.sees(ruleCrash, when, must, may)
	if !durable {
		c.write(idRange(30, 60))
	}
	c.write(idRange(60, 90))
	c.finishCheckpoint(true)
	w.sees(ruleCrash, when+", and the records again that no checkpoint had", idRange(0, 90), nil)
	w.leavesNothing(ruleCrash, when+", and a clean end")
}

// until goes through a checkpoint up to a stage, and says whether it is durable.
func (c *coordinator) until(at stage) (durable bool) {
	c.t.Helper()
	if at == stageWritten {
		return false
	}
	c.state.checkpoint++
	waits := c.beginAll(false)
	if at == stageDecided {
		return false
	}
	prepared := c.waitAll(waits)
	if at == stagePrepared {
		return false
	}
	c.save(prepared)
	switch at {
	case stageSome:
		c.commit(ruleVisible, slices.Clone(c.state.pending[:min(1, len(c.state.pending))]))
	case stageCommitted:
		c.commit(ruleVisible, c.state.pending)
	case stageNoted:
		c.settle(c.commit(ruleVisible, c.state.pending))
	default:
	}
	return true
}
