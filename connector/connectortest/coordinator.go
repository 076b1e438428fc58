// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// stage is where a coordinator stops when it is killed.
type stage string

// The stages of a checkpoint, and of the recovery of the run after it.
const (
	stageWritten   stage = "records were written"
	stageDecided   stage = "Prepare had returned and before wait"
	stagePrepared  stage = "wait had returned and before the checkpoint was durable"
	stageDurable   stage = "the checkpoint was durable and before Commit"
	stageSome      stage = "Commit of the first request and before that of the others"
	stageCommitted stage = "Commit and before its answer was noted"
	stageNoted     stage = "the answer was noted"

	stageRecommitted stage = "the recovery's Commit"
	stageFenced      stage = "the recovery's Fence"
	stageAborted     stage = "the recovery's Abort"
	stageEnd         stage = ""
)

// coordinator is a run: it does with the sink what a pipeline does.
type coordinator struct {
	*world
	state  *notebook
	owner  forebay.Owner
	closer forebay.Target
	target forebay.TwoPhase
	fencer forebay.Fencer
	lanes  []*preparing
	// stale is what was prepared and is in no durable checkpoint yet.
	stale []forebay.Committable
}

// preparing is the writer of a lane.
type preparing struct {
	run    *coordinator
	number int
	writer forebay.Preparer
	// batch is filled again for each Write: a writer that kept a part of it would show other records.
	batch *forebay.Batch
}

// open starts a target, without any recovery.
func (w *world) open(state *notebook) *coordinator {
	w.t.Helper()
	env := forebay.SinkContext{}
	if w.s.Context != nil {
		env = w.s.Context()
	}
	env.Schema, env.Pipeline = w.h.schema(), state.pipeline
	target, err := w.s.Sink.Start(w.t.Context(), env)
	if err != nil {
		w.t.Fatalf("start: %v", err)
	}
	w.left = append(w.left, target.Close)
	two, ok := target.(forebay.TwoPhase)
	if !ok {
		w.t.Fatalf("the target is no TwoPhase")
	}
	c := &coordinator{world: w, state: state, closer: target, target: two}
	c.fencer, _ = target.(forebay.Fencer)
	return c
}

// start is a run from its start to its open lanes.
func (w *world) start(state *notebook, lanes int) *coordinator {
	w.t.Helper()
	c := w.open(state)
	c.recover(stageEnd)
	c.openLanes(lanes)
	return c
}

// recover settles what earlier runs left, in the order in which every run does it.
func (c *coordinator) recover(until stage) {
	c.t.Helper()
	var stored forebay.Owner
	if c.fencer != nil {
		var err error
		if stored, err = c.fencer.Owner(c.t.Context(), c.state.pipeline); err != nil {
			c.t.Fatalf("owner: %v", err)
		}
	}
	c.owner = c.state.take(stored.Epoch)
	c.settle(c.commit(ruleCrash, c.state.pending))
	if until == stageRecommitted {
		return
	}
	c.fence()
	if until == stageFenced {
		return
	}
	c.abort(c.leftovers(c.list()))
	c.state.opened = nil
}

func (c *coordinator) fence() {
	c.t.Helper()
	if c.fencer == nil {
		return
	}
	if err := c.fencer.Fence(c.t.Context(), c.owner, slices.Clone(c.state.held)); err != nil {
		c.t.Fatalf("fence epoch %d: %v", c.owner.Epoch, err)
	}
}

// list is ListOpen, held against what it must not list.
func (c *coordinator) list() []forebay.Committable {
	c.t.Helper()
	listed, err := c.target.ListOpen(c.t.Context(), c.owner)
	if err != nil {
		c.t.Fatalf("list what is open: %v", err)
	}
	for _, l := range listed {
		if g := c.ids[l.ID]; g != nil && g.committed {
			broken(c.t, ruleNotListed, "%q is listed and was committed", l.ID)
		} else if g != nil && g.by.run.owner.Pipeline != c.owner.Pipeline {
			broken(c.t, ruleNotListed, "%q is listed for pipeline %q and belongs to %q",
				l.ID, c.owner.Pipeline, g.by.run.owner.Pipeline)
		} else if g != nil && g.by.run.owner.Epoch > c.owner.Epoch {
			broken(c.t, ruleNotListed, "%q is listed for epoch %d and is of the newer epoch %d",
				l.ID, c.owner.Epoch, g.by.run.owner.Epoch)
		}
	}
	return listed
}

// leftovers are what is to be aborted: what was noted or is listed, and is neither held nor pending.
func (c *coordinator) leftovers(listed []forebay.Committable) []forebay.Committable {
	keep := map[string]bool{}
	for _, k := range slices.Concat(c.state.held, c.state.pending) {
		keep[k.ID] = true
	}
	var out []forebay.Committable
	for _, o := range slices.Concat(c.state.opened, listed) {
		if !keep[o.ID] {
			out, keep[o.ID] = append(out, o), true
		}
	}
	return out
}

func (c *coordinator) abort(list []forebay.Committable) {
	c.t.Helper()
	if err := c.target.Abort(c.t.Context(), slices.Clone(list)); err != nil {
		broken(c.t, ruleAbort, "Abort of %d: %v", len(list), err)
	}
}

// openLanes opens the lanes, with what is held dealt out among them.
func (c *coordinator) openLanes(lanes int) {
	c.t.Helper()
	for _, g := range c.ids {
		g.held = g.held && g.by.run.owner.Pipeline != c.owner.Pipeline
	}
	dealt := make([][]forebay.Committable, lanes)
	for i, held := range c.state.held {
		dealt[i%lanes] = append(dealt[i%lanes], held)
	}
	for number := range lanes {
		c.lanes = append(c.lanes, c.openLane(number, dealt[number]))
	}
}

func (c *coordinator) openLane(number int, held []forebay.Committable) *preparing {
	c.t.Helper()
	l := &preparing{run: c, number: number, batch: forebay.NewBatch()}
	w, err := c.target.OpenLane(c.t.Context(), forebay.LaneContext{
		Lane: number, Owner: c.owner, Layout: c.h.layout(), Restored: slices.Clone(held), Now: c.now(), Opened: l.noteOpened,
	})
	if err != nil && len(held) > 0 {
		broken(c.t, ruleHeld, "lane %d does not open with %v: %v", number, idsOf(held), err)
	}
	if err != nil {
		c.t.Fatalf("nothing can be tested without lane %d: %v", number, err)
	}
	c.left = append(c.left, w.Close)
	preparer, ok := w.(forebay.Preparer)
	if !ok {
		c.t.Fatalf("the writer of lane %d is no Preparer", number)
	}
	l.writer = preparer
	for _, k := range held {
		if g := c.ids[k.ID]; g != nil {
			g.by, g.held = l, true
		}
	}
	return l
}

func (w *world) now() func() time.Time {
	if w.s.Now != nil {
		return w.s.Now
	}
	return time.Now
}

// reopenLane is what a run does after a lane failed: it closes the writer and opens another with what was held last.
func (c *coordinator) reopenLane(number int) {
	c.t.Helper()
	old := c.lanes[number]
	if err := old.writer.Close(); err != nil {
		c.t.Errorf("close lane %d: %v", number, err)
	}
	var held []forebay.Committable
	for _, k := range c.state.held {
		if g := c.ids[k.ID]; g != nil && g.by == old {
			held = append(held, k)
		}
	}
	for _, g := range c.ids {
		g.held = g.held && g.by != old
	}
	// What it had prepared for checkpoints that never became durable is given up, while other lanes go on.
	stale := slices.DeleteFunc(slices.Clone(c.stale), func(k forebay.Committable) bool {
		return c.ids[k.ID].by != old || slices.ContainsFunc(held, func(h forebay.Committable) bool { return h.ID == k.ID })
	})
	if len(stale) > 0 {
		c.abort(stale)
	}
	c.lanes[number] = c.openLane(number, held)
}

// noteOpened is LaneContext.Opened.
func (l *preparing) noteOpened(_ context.Context, opened forebay.Committable) error {
	w := l.run.world
	w.mu.Lock()
	defer w.mu.Unlock()
	// What a lane holds may become something that has to be noted when it grows.
	g := w.ids[opened.ID]
	if opened.ID == "" || g != nil && (g.by != l || g.committed || g.prepared && !g.held) {
		broken(w.t, ruleNames, "lane %d opens %q, which was given before or is empty", l.number, opened.ID)
	}
	if !w.h.Claims.Notes {
		broken(w.t, ruleNoted, "Opened is called with %q and the harness claims no Notes", opened.ID)
	}
	if g == nil {
		w.ids[opened.ID] = &given{by: l}
	}
	l.run.state.opened = append(l.run.state.opened, opened)
	return nil
}

// take notes the ids of what a lane prepared.
func (l *preparing) take(p forebay.Prepared) {
	w := l.run.world
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(p.Held) > 0 && !w.h.Claims.Holds {
		broken(w.t, ruleHeld, "lane %d holds %q and the harness claims no Holds", l.number, p.Held[0].ID)
	}
	for _, c := range slices.Concat(p.Commit, p.Held) {
		g := w.ids[c.ID]
		switch {
		case c.ID == "":
			broken(w.t, ruleNames, "lane %d gives something without an id", l.number)
			w.t.Fatalf("nothing more can be tested of it")
		case g == nil:
			g = &given{by: l}
			w.ids[c.ID] = g
		case g.by == l && g.prepared && !g.held:
			broken(w.t, ruleBegin, "lane %d gives %q a second time", l.number, c.ID)
			w.t.Fatalf("nothing more can be tested of it")
		case g.prepared && !g.held, g.by != l, g.committed:
			broken(w.t, ruleNames, "lane %d of epoch %d gives %q, which lane %d of epoch %d gave before",
				l.number, l.run.owner.Epoch, c.ID, g.by.number, g.by.run.owner.Epoch)
			w.t.Fatalf("nothing more can be tested of it")
		}
		g.prepared = true
	}
	l.run.stale = slices.Concat(l.run.stale, p.Commit, p.Held)
	for _, c := range p.Commit {
		w.ids[c.ID].held = false
	}
	for _, c := range p.Held {
		w.ids[c.ID].held = true
	}
	for _, id := range p.Dropped {
		if g := w.ids[id]; g == nil || !g.held {
			broken(w.t, ruleHeld, "lane %d drops %q, which it does not hold", l.number, id)
		} else {
			g.held = false
		}
	}
}

// write hands records to a lane, in batches of a few.
func (l *preparing) write(ids []int64) {
	l.run.t.Helper()
	for part := range slices.Chunk(ids, 7) {
		l.run.h.fill(l.batch, part)
		if err := l.writer.Write(l.run.t.Context(), l.batch); err != nil {
			l.run.t.Fatalf("lane %d: write: %v", l.number, err)
		}
	}
}

// write deals records out among the lanes.
func (c *coordinator) write(ids []int64) {
	c.t.Helper()
	each := (len(ids) + len(c.lanes) - 1) / len(c.lanes)
	n := 0
	for part := range slices.Chunk(ids, each) {
		c.lanes[n].write(part)
		n++
	}
}

type waiting func(context.Context) (forebay.Prepared, error)

// prepare ends a checkpoint in the lane.
func (l *preparing) prepare(number uint64, last bool) waiting {
	l.run.t.Helper()
	wait, err := l.writer.Prepare(l.run.t.Context(), number, last)
	if err != nil || wait == nil {
		l.run.t.Fatalf("lane %d: prepare checkpoint %d: %v", l.number, number, err)
	}
	return wait
}

// prepared waits for what a lane prepares.
func (l *preparing) prepared(wait waiting) forebay.Prepared {
	l.run.t.Helper()
	p, err := wait(l.run.t.Context())
	if err != nil {
		l.run.t.Fatalf("lane %d: wait for what was prepared: %v", l.number, err)
	}
	l.take(p)
	return p
}

// prepareAll ends a checkpoint in all lanes and waits for them.
func (c *coordinator) prepareAll(last bool) []forebay.Prepared {
	c.t.Helper()
	c.state.checkpoint++
	return c.waitAll(c.beginAll(last))
}

func (c *coordinator) beginAll(last bool) []waiting {
	c.t.Helper()
	waits := make([]waiting, len(c.lanes))
	for i, l := range c.lanes {
		waits[i] = l.prepare(c.state.checkpoint, last)
	}
	return waits
}

func (c *coordinator) waitAll(waits []waiting) []forebay.Prepared {
	c.t.Helper()
	out := make([]forebay.Prepared, len(waits))
	for i, l := range c.lanes {
		out[i] = l.prepared(waits[i])
	}
	return out
}

// save makes a checkpoint durable.
func (c *coordinator) save(prepared []forebay.Prepared) {
	c.t.Helper()
	for _, p := range prepared {
		gone := map[string]bool{}
		for _, k := range slices.Concat(p.Commit, p.Held) {
			gone[k.ID] = true
		}
		for _, id := range p.Dropped {
			gone[id] = true
		}
		c.state.held = slices.DeleteFunc(c.state.held, func(k forebay.Committable) bool { return gone[k.ID] })
		c.stale = slices.DeleteFunc(c.stale, func(k forebay.Committable) bool { return gone[k.ID] })
		c.state.held = append(c.state.held, p.Held...)
		c.state.pending = append(c.state.pending, p.Commit...)
	}
}

// attemptsMax is how often Commit may ask to be tried again.
const attemptsMax = 20

// commit asks for these, again while the answer is to try again, and returns the ids that are committed. Answers that
// must not come break the rule.
func (c *coordinator) commit(rule string, list []forebay.Committable) []string {
	c.t.Helper()
	var done []string
	open := slices.Clone(list)
	for attempt := 0; len(open) > 0; attempt++ {
		if attempt == attemptsMax {
			broken(c.t, ruleRetry, "after %d attempts %d of %d requests are still to be tried again",
				attempt, len(open), len(list))
			c.t.Fatalf("nothing more can be tested of these")
		}
		requests := c.ask(open)
		open = nil
		for _, r := range requests {
			switch r.Outcome {
			case forebay.OutcomeDone, forebay.OutcomeAlready:
				done = append(done, r.Committable.ID)
				c.ids[r.Committable.ID].committed = true
			case forebay.OutcomeRetry:
				open = append(open, c.changed(r))
			default:
				broken(c.t, rule, "the commit of %q is answered with outcome %d: %v", r.Committable.ID, r.Outcome, r.Err)
				c.t.Fatalf("nothing more can be tested of these")
			}
		}
	}
	return done
}

// changed is what the next attempt of a request is made with, noted in the state before.
func (c *coordinator) changed(r forebay.CommitRequest) forebay.Committable {
	if r.Changed == nil {
		return r.Committable
	}
	for i, p := range c.state.pending {
		if p.ID == r.Committable.ID {
			c.state.pending[i] = *r.Changed
		}
	}
	if c.ids[r.Changed.ID] == nil {
		g := *c.ids[r.Committable.ID]
		c.ids[r.Changed.ID] = &g
	}
	return *r.Changed
}

// ask calls Commit once, or again after an error, and holds that every request is answered in its place.
func (c *coordinator) ask(list []forebay.Committable) []forebay.CommitRequest {
	c.t.Helper()
	var err error
	for range attemptsMax {
		requests := make([]forebay.CommitRequest, len(list))
		for i, k := range list {
			requests[i].Committable = forebay.Committable{ID: k.ID, Data: slices.Clone(k.Data)}
		}
		if err = c.target.Commit(c.t.Context(), requests); errors.Is(err, forebay.ErrFenced) {
			break
		} else if err != nil {
			continue
		}
		for i, r := range requests {
			switch {
			case r.Committable.ID != list[i].ID:
				broken(c.t, ruleAnswers, "request %d of %d was for %q and came back for %q",
					i+1, len(list), list[i].ID, r.Committable.ID)
				c.t.Fatalf("nothing more can be tested of these")
			case r.Outcome == forebay.OutcomeMissing:
				broken(c.t, ruleAnswers, "request %d of %d, for %q, has no answer", i+1, len(list), list[i].ID)
				c.t.Fatalf("nothing more can be tested of these")
			case (r.Outcome == forebay.OutcomeLost || r.Outcome == forebay.OutcomeFatal) && r.Err == nil:
				broken(c.t, ruleAnswers, "request %d of %d is answered with outcome %d and no reason", i+1, len(list), r.Outcome)
			}
		}
		return requests
	}
	broken(c.t, ruleAnswers, "Commit of %d requests fails for ever: %v", len(list), err)
	c.t.Fatalf("nothing more can be tested of these")
	return nil
}

// settle notes that these are committed.
func (c *coordinator) settle(ids []string) {
	drop := func(k forebay.Committable) bool { return slices.Contains(ids, k.ID) }
	c.state.pending = slices.DeleteFunc(c.state.pending, drop)
	c.state.opened = slices.DeleteFunc(c.state.opened, drop)
}

// finishCheckpoint is a whole checkpoint of all lanes.
func (c *coordinator) finishCheckpoint(last bool) {
	c.t.Helper()
	c.save(c.prepareAll(last))
	c.settle(c.commit(ruleVisible, c.state.pending))
	if last && len(c.state.held) > 0 {
		broken(c.t, ruleLast, "%q is held", c.state.held[0].ID)
		c.t.Fatalf("nothing more can be tested of it")
	}
}
