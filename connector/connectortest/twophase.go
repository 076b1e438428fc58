// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/forebay-io/forebay"
)

// twoPhaseChecks has one check for each rule, in an order in which later ones rest on earlier ones: the first that
// fails is the one to look at.
func (h SinkHarness) twoPhaseChecks() []Check {
	var held, fences []Check
	if h.Claims.Holds {
		held = []Check{{title(ruleHeld), h.checkHeld}}
	}
	if h.Claims.Fences {
		fences = []Check{{title(ruleOwner), h.checkOwner}, {title(ruleFenced), h.checkFenced}}
	}
	return slices.Concat([]Check{
		{title(ruleHidden), h.checkHidden},
		{title(ruleAnswers), h.checkAnswers},
		{title(ruleVisible), h.checkVisible},
		{title(ruleEmpty), h.checkEmpty},
		{title(ruleBegin), h.checkBegin},
	}, held, []Check{
		{title(ruleLast), h.checkLast},
		{title(ruleLine), h.checkLine},
		{title(ruleNoted), h.checkNoted},
		{title(ruleNames), h.checkNames},
		{title(ruleRepeat), h.checkRepeat},
		{title(ruleRetry), h.checkRetry},
		{title(ruleAbort), h.checkAbort},
		{title(ruleNotListed), h.checkNotListed},
		{title(ruleSiblings), h.checkSiblings},
		{title(ruleClose), h.checkCloseLane},
	}, fences, []Check{
		{title(ruleListed), h.checkListed},
		{title(ruleLanes), h.checkLanes},
		{title(ruleCrash), h.checkCrash},
	})
}

// checkHidden looks at the system at every step before Commit.
func (h SinkHarness) checkHidden(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 2)
	c.write(idRange(0, 3000))
	w.sees(ruleHidden, "after records were written", nil, nil)
	c.state.checkpoint++
	waits := c.beginAll(true)
	w.sees(ruleHidden, "after Prepare", nil, nil)
	prepared := c.waitAll(waits)
	w.sees(ruleHidden, "after wait", nil, nil)
	c.save(prepared)
	w.kill()
	next := w.open(c.state)
	w.sees(ruleHidden, "after the target was started again", nil, nil)
	next.recover(stageRecommitted)
}

// checkVisible commits several checkpoints of several lanes.
func (h SinkHarness) checkVisible(t T) {
	const each = 300
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 3)
	for n := range int64(4) {
		c.write(idRange(n*each, (n+1)*each))
		c.finishCheckpoint(n == 3)
		all := idRange(0, (n+1)*each)
		if len(c.state.held) == 0 {
			w.sees(ruleVisible, fmt.Sprintf("after checkpoint %d was committed", n+1), all, nil)
		} else {
			w.sees(ruleVisible, fmt.Sprintf("after checkpoint %d was committed", n+1), nil, all)
		}
	}
	w.leavesNothing(ruleVisible, "after everything was committed")
}

// checkEmpty prepares where nothing was written.
func (h SinkHarness) checkEmpty(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 2)
	empty := func(when string) {
		t.Helper()
		for i, p := range c.prepareAll(false) {
			if len(p.Commit)+len(p.Held)+len(p.Dropped) > 0 {
				broken(t, ruleEmpty, "%s, lane %d prepared %v, holds %v and drops %v",
					when, i, idsOf(p.Commit), idsOf(p.Held), p.Dropped)
			}
		}
	}
	empty("before the first record")
	empty("before the first record, again")
	w.leavesNothing(ruleEmpty, "before the first record")
	c.lanes[0].write(idRange(0, 20))
	c.finishCheckpoint(false)
	empty("behind a checkpoint")
	c.lanes[1].write(nil)
	empty("after no record")
	if err := c.target.Commit(t.Context(), nil); err != nil {
		broken(t, ruleEmpty, "Commit of nothing: %v", err)
	}
	if err := c.target.Abort(t.Context(), nil); err != nil {
		broken(t, ruleEmpty, "Abort of nothing: %v", err)
	}
	c.finishCheckpoint(true)
	w.sees(ruleVisible, "after everything was committed", idRange(0, 20), nil)
}

func idsOf(list []forebay.Committable) []string {
	ids := make([]string, len(list))
	for i, k := range list {
		ids[i] = k.ID
	}
	return ids
}

// checkBegin prepares again and again, and compares that each record is in one piece only.
func (h SinkHarness) checkBegin(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 1)
	l := c.lanes[0]
	var all []forebay.Prepared
	var seen []string
	for n := range int64(4) {
		l.write(idRange(n*50, (n+1)*50))
		for again := range 2 {
			c.state.checkpoint++
			p, err := l.prepare(c.state.checkpoint, n == 3)(t.Context())
			if err != nil {
				t.Fatalf("prepare: %v", err)
			}
			for _, k := range p.Commit {
				if slices.Contains(seen, k.ID) {
					broken(t, ruleBegin, "%q comes from Prepare a second time", k.ID)
					return
				}
				seen = append(seen, k.ID)
			}
			if again > 0 && len(p.Commit) > 0 {
				broken(t, ruleBegin, "a second Prepare, with nothing written behind the first, gives %v", idsOf(p.Commit))
				return
			}
			l.take(p)
			all = append(all, p)
		}
	}
	for _, p := range all {
		c.save([]forebay.Prepared{p})
		c.settle(c.commit(ruleBegin, c.state.pending))
	}
	w.sees(ruleBegin, "after four checkpoints, each prepared twice", idRange(0, 200), nil)
}

// checkLine lets wait run late, while the next records are written.
func (h SinkHarness) checkLine(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 1)
	l := c.lanes[0]
	l.write(idRange(0, 100))
	first := l.prepare(1, false)
	l.write(idRange(100, 200))
	second := l.prepare(2, false)
	var problem error
	var prepared forebay.Prepared
	var group sync.WaitGroup
	group.Go(func() { prepared, problem = first(t.Context()) })
	l.write(idRange(200, 1000))
	group.Wait()
	if problem != nil {
		t.Fatalf("wait for the first checkpoint: %v", problem)
	}
	l.take(prepared)
	c.save([]forebay.Prepared{prepared})
	later, err := second(t.Context())
	if err != nil {
		t.Fatalf("wait for the second checkpoint: %v", err)
	}
	for _, id := range idsOf(later.Commit) {
		if slices.Contains(idsOf(prepared.Commit), id) {
			broken(t, ruleLine, "%q comes from two Prepares, whose waits ran late", id)
			return
		}
	}
	l.take(later)
	w.kill()
	// Only the first checkpoint is durable, and nothing is read again.
	c = w.start(c.state, 1)
	c.finishCheckpoint(true)
	w.sees(ruleLine, "after a run that had prepared records 0-99, and then written on before it waited",
		idRange(0, 100), nil)
}

// checkCloseLane closes lanes between Prepare and Commit, and again.
func (h SinkHarness) checkCloseLane(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 2)
	c.write(idRange(0, 100))
	c.save(c.prepareAll(false))
	c.write(idRange(100, 200))
	c.reopenLane(0)
	c.reopenLane(1)
	// Another checkpoint, of which lane 1 alone fails before it is durable.
	c.write(idRange(100, 200))
	prepared := c.prepareAll(false)
	c.save(prepared[:1])
	c.reopenLane(1)
	c.settle(c.commit(ruleClose, c.state.pending))
	c.write(idRange(200, 300))
	c.save(c.prepareAll(true))
	for _, l := range c.lanes {
		if err := errors.Join(l.writer.Close(), l.writer.Close()); err != nil {
			t.Errorf("close a lane twice: %v", err)
		}
	}
	h.close(t, c.closer)
	w.start(c.state, 1)
	w.sees(ruleClose, "after lanes were closed behind a checkpoint, with 150-199 in no durable one",
		slices.Concat(idRange(0, 150), idRange(200, 300)), nil)
	w.leavesNothing(ruleClose, "after lanes were closed, and another run has committed")
}

// checkNames makes a sink give as many ids as it can: T6 is held against each in take and noteOpened.
func (h SinkHarness) checkNames(t T) {
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	from := int64(0)
	some := func(c *coordinator, last bool) []forebay.Prepared {
		t.Helper()
		c.write(idRange(from, from+20))
		from += 20
		return c.prepareAll(last)
	}
	c := w.start(state, 2)
	c.save(some(c, false))
	c.save(some(c, false))
	c.settle(c.commit(ruleNames, c.state.pending))
	c.reopenLane(0)
	c.save(some(c, true))
	c.settle(c.commit(ruleNames, c.state.pending))
	some(c, true) // is prepared, and no checkpoint has it
	w.kill()
	c = w.start(state, 3)
	c.save(some(c, true))
	c.settle(c.commit(ruleNames, c.state.pending))
	w.kill()
	// The state directory is lost, and the pipeline begins anew beside what it has published.
	c = w.start(newNotebook(pipelineName, "b"), 2)
	c.save(some(c, true))
	c.settle(c.commit(ruleNames, c.state.pending))
	gone := idRange(60, 80)
	all := slices.DeleteFunc(idRange(0, from), func(id int64) bool { return slices.Contains(gone, id) })
	w.sees(ruleNames, "after four runs, of which the last had lost the state", all, nil)
}

// checkLast ends runs that hold something.
func (h SinkHarness) checkLast(t T) {
	w := h.world(t)
	defer w.end()
	state := newNotebook(pipelineName, "a")
	c := w.start(state, 2)
	c.write(idRange(0, 20))
	c.finishCheckpoint(true)
	w.sees(ruleLast, "after the last checkpoint of a run", idRange(0, 20), nil)
	c = w.start(state, 2)
	c.write(idRange(20, 40))
	c.finishCheckpoint(false)
	w.kill()
	c = w.start(state, 1)
	c.finishCheckpoint(true)
	w.sees(ruleLast, "after the last checkpoint of a run that wrote nothing", idRange(0, 40), nil)
	w.leavesNothing(ruleLast, "after the last checkpoint of a run")
}

// checkNoted lets the note fail.
func (h SinkHarness) checkNoted(t T) {
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), 1)
	c.write(idRange(0, 20))
	c.finishCheckpoint(true)
	if !h.Claims.Notes {
		return
	}
	refused := errors.New("the note was refused")
	calls := 0
	writer, err := c.target.OpenLane(t.Context(), forebay.LaneContext{
		Lane: 1, Owner: c.owner, Layout: h.layout(), Now: c.now(),
		Opened: func(context.Context, forebay.Committable) error { calls++; return refused },
	})
	if err == nil {
		err = writer.Write(t.Context(), h.batch(idRange(100, 120)...))
		if err == nil {
			var wait waiting
			if wait, err = writer.(forebay.Preparer).Prepare(t.Context(), 9, true); err == nil {
				_, err = wait(t.Context())
			}
		}
		_ = writer.Close()
	}
	if calls == 0 || err == nil {
		broken(t, ruleNoted, "Opened was called %d times and failed, and open, write, prepare and wait say %v", calls, err)
	}
	w.leavesNothing(ruleNoted, "after a note failed and the lane was closed")
}

// checkLanes runs lanes side by side, with their waits.
func (h SinkHarness) checkLanes(t T) {
	const lanes, rounds, each = 4, 3, 200
	w := h.world(t)
	defer w.end()
	c := w.start(newNotebook(pipelineName, "a"), lanes)
	prepared := make([][rounds]forebay.Prepared, lanes)
	problems := make([]error, lanes)
	var group sync.WaitGroup
	for i, l := range c.lanes {
		group.Go(func() { prepared[i], problems[i] = l.rounds(int64(i)*rounds*each, each) })
	}
	group.Wait()
	if err := errors.Join(problems...); err != nil {
		broken(t, ruleLanes, "four lanes at the same time: %v", err)
		return
	}
	for n := range rounds {
		for i, l := range c.lanes {
			l.take(prepared[i][n])
			c.save([]forebay.Prepared{prepared[i][n]})
		}
		c.settle(c.commit(ruleLanes, c.state.pending))
	}
	c.finishCheckpoint(true)
	w.sees(ruleLanes, "after four lanes at the same time", idRange(0, lanes*rounds*each), nil)
}

// rounds are three checkpoints of a lane, each waited for while the next is written.
func (l *preparing) rounds(from, each int64) (out [3]forebay.Prepared, problem error) {
	ctx, h := l.run.t.Context(), l.run.h
	for n := range out {
		if err := l.writer.Write(ctx, h.batch(idRange(from, from+each)...)); err != nil {
			return out, err
		}
		from += each
		wait, err := l.writer.Prepare(ctx, uint64(n+1), false)
		if err != nil {
			return out, err
		}
		if out[n], err = wait(ctx); err != nil {
			return out, err
		}
	}
	return out, nil
}
