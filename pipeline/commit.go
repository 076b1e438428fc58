// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault"
)

// Stage 6 of 6: commit.
//
// Enters: what the lane delivered since the last commit, with positions and rejected records. Leaves: a
// transaction that the target confirmed, then a note in the checkpoint store.
// Blocks: only when LaneWindow transactions wait for their answer. Runs on: the lane's goroutine; the answers
// are awaited elsewhere (writer.Lane.Run).

// commit takes what was answered, and ends the open transaction when it is due.
func (l *lane) commit(ctx context.Context) error {
	if err := l.takeSettled(ctx, false); err != nil {
		return err
	}
	now := time.Now()
	if !l.due(now) {
		return nil
	}
	return l.cut(ctx, now)
}

// due says whether the open transaction ends now: at its size, or at a tick with something to deliver. Where
// only positions moved, they are written alone at most once a second.
func (l *lane) due(now time.Time) bool {
	records, size := l.out.pending()
	if size+l.open.letterBytes >= forebay.Bytes(l.run.knobs.bytes.Load()) {
		return true
	}
	if now.Before(l.nextTick) {
		return false
	}
	l.nextTick = l.run.tickAfter(now)
	if l.run.prepares() && l.out.full() {
		return false // the interval grows with what the target takes to commit
	}
	if records > 0 || len(l.open.letters) > 0 {
		return true
	}
	return len(l.open.splits) > 0 && now.Sub(l.lastCut) >= positionsAlone
}

// tickAfter is the next tick. All lanes share the ticks, so that their commits share a sync.
func (r *run) tickAfter(now time.Time) time.Time {
	passed, interval := now.Sub(r.started), time.Duration(r.knobs.interval.Load())
	return r.started.Add(passed - passed%interval + interval)
}

// cut ends the open transaction and hands it to the target.
func (l *lane) cut(ctx context.Context, now time.Time) error {
	for l.out.full() {
		if err := l.takeSettled(ctx, true); err != nil {
			return err
		}
	}
	t := l.open
	l.open, l.lastCut = transaction{}, now
	t.progress = make([]forebay.SplitProgress, len(t.splits))
	for i, s := range t.splits {
		s.version++
		s.moved = false
		t.progress[i] = forebay.SplitProgress{
			Split: s.split.ID, Version: s.version, Position: s.position, Fingerprint: s.split.Fingerprint,
		}
	}
	if l.run.clock != nil {
		t.times = make([]checkpoint.EventTime, len(t.splits))
		for i, s := range t.splits {
			t.times[i] = l.run.clock.state(s.split.ID)
		}
	}
	l.health.cut(now)
	return l.out.cut(ctx, &t)
}

// takeSettled confirms the transactions that are answered; with block it waits for the next one.
func (l *lane) takeSettled(ctx context.Context, block bool) error {
	for {
		o := l.out.settled(ctx, block)
		if o == nil {
			if block && l.out.waiting() > 0 {
				return context.Cause(ctx)
			}
			return nil
		}
		if err := l.settle(o); err != nil {
			return err
		}
		block = false
	}
}

// settle confirms one answered transaction.
func (l *lane) settle(o *outcome) error {
	l.health.settled(o.err, l.out.waiting(), time.Now())
	if o.err == nil && len(l.failed) > 0 && !l.run.progressKept() {
		// Its positions lie behind those of one that failed: it is sent again with that one, for nobody keeps them
		// apart. With progress the target refuses it unless it follows.
		l.failed = append(l.failed, o.transaction)
		return nil
	}
	if o.err != nil {
		l.failed = append(l.failed, o.transaction)
		for _, r := range o.refused {
			l.refused[r.Origin] = r
		}
		return o.err
	}
	l.attempts = 0
	if o.duplicate {
		l.run.totals.duplicates.Add(o.transaction.counts.delivered)
	}
	if hook := l.run.config.Hooks.Committed; hook != nil {
		hook(forebay.CommitEvent{
			Lane: l.number, Records: int(o.transaction.counts.delivered), Bytes: o.size, Took: o.took,
		})
	}
	l.run.totals.bytesOut.Add(int64(o.size))
	return l.confirm(o.transaction)
}

// confirm makes a transaction count: the target has it durably.
func (l *lane) confirm(t *transaction) error {
	totals := &l.run.totals
	totals.confirm(t.counts)
	fault.Acked(t.counts.delivered)
	totals.checkpoints.Add(1)
	totals.done.Add(t.advanced)
	l.seen.subtract(t.counts)
	for i, s := range t.splits {
		p := t.progress[i]
		if p.Version <= s.confirmedVersion {
			continue // a later one is confirmed, and this one was looked up
		}
		s.confirmed, s.confirmedVersion = p.Position, p.Version
		if l.run.clock != nil && t.times != nil {
			l.run.clock.confirmed(p.Split, t.times[i])
		}
		l.forgetRefused(p)
		if p.Position.Finished {
			l.delivered(s)
		}
	}
	if l.run.prepares() {
		return nil // the checkpoint has them already
	}
	return l.run.notes.add(l.run.entriesOf(t, l.run.progressKept())) // C2: a note follows the target's answer
}

// forgetRefused lets go of the refused records that the position has passed.
func (l *lane) forgetRefused(p forebay.SplitProgress) {
	for o := range l.refused {
		if o.Split == p.Split && (p.Position.Finished || o.Offset < p.Position.Offset) {
			delete(l.refused, o)
		}
	}
}

// delivered lets go of a split that is confirmed to its end.
func (l *lane) delivered(s *splitRun) {
	l.intake.settled(s)
	l.run.queue.delivered()
	l.run.totals.splitsDone.Add(1)
}

// finish ends the open transaction and waits until everything is confirmed.
func (l *lane) finish(ctx context.Context) error {
	if records, _ := l.out.pending(); records > 0 || len(l.open.splits) > 0 || len(l.open.letters) > 0 || l.out.holds() {
		l.open.last = true
		if err := l.cut(ctx, time.Now()); err != nil {
			return err
		}
	}
	for l.out.waiting() > 0 {
		if err := l.takeSettled(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// restart brings the lane back to its last confirmed positions. Outcomes that are not known are looked up in
// the target, never guessed: a transaction whose progress is there was applied.
func (l *lane) restart(ctx context.Context, cause error) error {
	refusedOnly := forebay.ClassOf(cause) == forebay.ClassRejected
	for l.out.waiting() > 0 {
		o := l.out.settled(ctx, true)
		if o == nil {
			return context.Cause(ctx)
		}
		// One that failed in passing is kept in l.failed, like the first; any other must not be lost behind that.
		if err := l.settle(o); err != nil && !l.passes(err) {
			return err
		}
	}
	l.open = transaction{}
	if err := l.intake.close(); err != nil {
		return err
	}
	l.intake.backlog, l.intake.parked = nil, nil
	if !refusedOnly {
		if err := l.backoff(ctx, cause); err != nil {
			return err
		}
	}
	if err := l.out.reset(ctx); err != nil {
		return err
	}
	if l.run.progressKept() {
		if err := l.lookUp(ctx); err != nil {
			return err
		}
	}
	l.failed = nil
	return l.rewind(ctx)
}

// lookUp reads from the target how far the lane's splits were delivered, and confirms the transactions whose
// answer was lost.
func (l *lane) lookUp(ctx context.Context) error {
	state, err := l.run.holder().State(ctx, l.run.config.Name)
	if err != nil {
		return err
	}
	if state.Owner.Epoch != l.run.owner.Epoch || state.Owner.Holder != l.run.owner.Holder {
		return forebay.Errorf("look up progress", forebay.ClassFenced, "run %d of %s took over",
			state.Owner.Epoch, state.Owner.Pipeline)
	}
	held := make(map[string]forebay.SplitProgress, len(state.Splits))
	for _, p := range state.Splits {
		held[p.Split] = p
	}
	failed := l.failed
	l.failed = nil // each counts once, also where a note cannot be written
	var errs []error
	for _, t := range failed {
		if len(t.progress) > 0 && held[t.progress[0].Split].Version >= t.progress[0].Version {
			errs = append(errs, l.confirm(t))
		}
	}
	// P3: what the target holds decides alone, also where it is more or less than was ever answered.
	for _, s := range l.intake.splits {
		errs = append(errs, l.follow(s, held))
	}
	return errors.Join(errs...)
}

// follow makes what the target holds of a split its confirmed position.
func (l *lane) follow(s *splitRun, held map[string]forebay.SplitProgress) error {
	p, found := held[s.split.ID]
	switch {
	case !found && s.confirmedVersion == 0:
		return nil // nothing of it was written yet
	case !found:
		return checkpoint.Missing(l.run.config.Name, s.split.ID, s.confirmed)
	case p.Version < s.confirmedVersion:
		l.run.logger.Warn("the target holds less than it had confirmed; going back to what it holds",
			"split", s.split.ID, "position", p.Position.String())
	}
	s.confirmed, s.confirmedVersion = p.Position, p.Version
	return nil
}

// rewind opens the lane's splits again at their confirmed positions.
func (l *lane) rewind(ctx context.Context) error {
	l.run.totals.unsee(l.seen) // they are read again
	l.seen = counts{}
	for _, s := range l.intake.splits {
		s.position, s.version, s.moved, s.ended = s.confirmed, s.confirmedVersion, false, false
		if l.run.clock != nil {
			l.run.clock.rewound(s.split.ID)
		}
		if err := l.intake.open(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
