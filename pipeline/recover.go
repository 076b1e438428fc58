// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/writer"
)

// recover brings the run to the point where its lanes can start. The order is the guarantee:
//
//	1  compare the settings with those that the stored positions belong to (nothing is touched before)
//	2  start the source, compile the transforms, start the sink (its table is made or changed here)
//	3  store what the source wants to remember, before the first record
//	4  read the target's epoch; take max(store, target) + 1 in the store, durably
//	5  fence the target with that same number (a greater one there by now: stop as fenced); a two-phase target is
//	   taken over, which commits what earlier runs prepared (takeover.go)
//	6  read the progress, and decide where each split continues
//	7  remove the dead letters that the positions have not passed
//
// A crash after 4 leaves a number unused; after 5 the next run takes a greater one.
func (r *run) recover(ctx context.Context) error {
	meta, known, err := r.state.checkpoints.LoadMeta(r.config.Name)
	if err != nil {
		return err
	}
	if known {
		if err := checkpoint.Refuse(r.config.Name, meta.Compare(r.source.Identity, r.sink.Identity)); err != nil {
			return err
		}
	}
	if err := r.start(ctx, meta.Memory); err != nil {
		return err
	}
	if err := r.remember(meta, known); err != nil {
		return err
	}
	splits, err := r.feed.Splits(ctx)
	if err != nil {
		return err
	}
	if target := r.twoPhase(); target != nil {
		if err := r.takeOver(ctx, target); err != nil {
			return &SinkError{err}
		}
	}
	entries, err := r.entries()
	if err != nil {
		return err
	}
	var target *forebay.TargetState
	if r.twoPhase() == nil {
		target, err = r.fence(ctx, entries)
	}
	if err != nil {
		return err
	}
	plan, err := checkpoint.Decide(checkpoint.Question{
		Pipeline: r.config.Name, Splits: splits, Entries: entries, Target: target,
	})
	if err != nil {
		return err
	}
	if err := r.trim(ctx, entries, plan); err != nil {
		return err
	}
	r.deal(plan)
	return nil
}

// entries are the stored positions. A source that cannot go back begins wherever it is now: what an earlier run
// read of it says nothing about this one.
func (r *run) entries() (map[string]checkpoint.Entry, error) {
	if !r.source.Replayable {
		return nil, nil
	}
	return r.state.checkpoints.Load(r.config.Name)
}

// SinkError says that an error came from the sink while a run began, for whoever shows its place in a file.
type SinkError struct{ Err error }

// Error is the sink's own.
func (e *SinkError) Error() string { return e.Err.Error() }

// Unwrap gives the sink's error.
func (e *SinkError) Unwrap() error { return e.Err }

// start starts both ends and fits what lies between.
func (r *run) start(ctx context.Context, memory []byte) (err error) {
	r.feed, err = r.config.Source.Start(ctx, forebay.SourceContext{
		Pipeline: r.config.Name, Memory: memory, NeedsRows: NeedsRows(r.source, r.sink, r.config.Steps()),
		SplitOrderMatters: r.sink.Keyed, Lanes: r.config.Lanes, Tables: r.state.server, Logger: r.logger,
	})
	if err != nil {
		return err
	}
	r.given = forebay.SourceShape(r.source, r.feed.Schema())
	_, r.shape, err = compile(r.config.Steps(), r.given)
	if err != nil {
		return err
	}
	var schema *forebay.Schema
	if r.shape.Layout != nil {
		schema = r.shape.Layout.Schema
	}
	if err := r.fits(schema); err != nil {
		return err
	}
	r.target, err = r.config.Sink.Start(ctx, forebay.SinkContext{
		Pipeline: r.config.Name, Schema: schema, Tables: r.state.server, Logger: r.logger,
	})
	if err != nil {
		return &SinkError{err}
	}
	return r.keepsPromise()
}

// keepsPromise refuses a target that cannot do what its sink says: the guarantee rests on it.
func (r *run) keepsPromise() error {
	_, takesRequests := r.target.(forebay.Sequencer)
	switch {
	case r.plan.Guarantee != GuaranteeExactlyOnce,
		r.progressKept() && takesRequests && r.holder() != nil,
		r.prepares() && r.twoPhase() != nil:
		return nil
	}
	return &forebay.Error{
		Op: "open sink", Class: forebay.ClassMisconfigured, Code: "guarantee-impossible",
		Err: fmt.Errorf("exactly-once needs a target that takes requests and holds progress, or commits what was prepared; "+
			"that of %s does neither",
			r.sink.Name),
		Cure: "write guarantee: at-least-once",
	}
}

func (r *run) fits(schema *forebay.Schema) error {
	if schema == nil && r.sink.NeedsRows {
		return &forebay.Error{
			Op: "plan", Class: forebay.ClassMisconfigured, Code: "no-schema",
			Err:  forebay.Errorf("sink", forebay.ClassMisconfigured, "%s needs rows with columns", r.sink.Name),
			Cure: "give the source a format with a schema",
		}
	}
	if schema == nil || r.sink.Schema == nil {
		return nil
	}
	if err := r.sink.Schema(schema); err != nil {
		return &forebay.Error{Op: "plan", Class: forebay.ClassMisconfigured, Code: "schema-differs", Err: err}
	}
	return nil
}

// remember stores what the positions depend on, durably, before the first record is delivered.
func (r *run) remember(meta checkpoint.Meta, known bool) error {
	now := checkpoint.Meta{
		Source: r.source.Identity, Sink: r.sink.Identity, Memory: r.feed.Memory(), Created: meta.Created,
	}
	if r.shape.Layout != nil {
		now.Schema = r.shape.Layout.Schema.String()
	}
	if !known {
		now.Created = time.Now().UnixMicro()
	} else if meta.Same(now) {
		return nil
	}
	return r.state.checkpoints.SaveMeta(r.config.Name, now)
}

// holder is the target's progress, nil where it cannot hold any.
func (r *run) holder() forebay.ProgressHolder {
	h, _ := r.target.(forebay.ProgressHolder)
	return h
}

// fence makes this run the only owner, and returns what the target holds afterwards; nil for a target that
// holds no progress in this run.
func (r *run) fence(ctx context.Context, entries map[string]checkpoint.Entry) (*forebay.TargetState, error) {
	holder := r.holder()
	var before forebay.TargetState
	var err error
	if holder != nil {
		if before, err = holder.State(ctx, r.config.Name); err != nil {
			return nil, err
		}
	}
	r.owner = newOwner(r.config.Name)
	r.owner.Epoch, err = r.state.checkpoints.TakeEpoch(r.owner, before.Owner.Epoch, string(r.plan.Guarantee))
	if err != nil {
		return nil, err
	}
	fault.Hit(fault.EpochTaken)
	if holder == nil {
		return nil, nil
	}
	kept := r.progressKept()
	fence := forebay.Fence{Owner: r.owner, Progress: kept}
	r.seeded = kept && !before.Used
	switch {
	case kept:
		fence.Seed = checkpoint.Seed(entries, before)
	case before.Used && entries != nil:
		if err := r.adopt(before.Splits, entries); err != nil {
			return nil, err
		}
	}
	if err := holder.Fence(ctx, fence); err != nil {
		return nil, err
	}
	fault.Hit(fault.Fenced)
	if !kept {
		return nil, nil
	}
	state, err := holder.State(ctx, r.config.Name)
	if fault.Bug(fault.BugProgressPerLane) {
		state.Splits, err = r.splitsOfLanes(ctx, state.Splits)
	}
	fault.Hit(fault.ProgressRead)
	return &state, err
}

// newOwner is a run without an epoch yet.
func newOwner(pipeline string) forebay.Owner {
	name := make([]byte, 8)
	_, _ = rand.Read(name) // never fails
	return forebay.Owner{Pipeline: pipeline, Holder: hex.EncodeToString(name)}
}

// adopt makes the progress that the target holds the stored positions, durably, before a run without
// exactly-once marks it unused: notes may be behind it.
func (r *run) adopt(held []forebay.SplitProgress, entries map[string]checkpoint.Entry) error {
	changed := make([]checkpoint.Entry, 0, len(held))
	for _, p := range held {
		entries[p.Split] = checkpoint.Entry{
			Split: p.Split, Epoch: r.owner.Epoch, Number: p.Version, Position: p.Position, Fingerprint: p.Fingerprint,
			Noted: true, Updated: time.Now().UnixMicro(),
		}
		changed = append(changed, entries[p.Split])
	}
	return r.state.checkpoints.Save(r.config.Name, changed, true)
}

// trim removes the dead letters that the positions have not passed: their records are read again and may be
// accepted this time. Where the letters were part of the transactions that made the positions there can be none,
// and what a source that cannot go back rejected is never read again.
func (r *run) trim(ctx context.Context, entries map[string]checkpoint.Entry, plan []checkpoint.Resume) error {
	if r.progressKept() && !r.seeded || !r.source.Replayable || fault.Bug(fault.BugLettersKept) {
		return nil
	}
	from := make(map[string]forebay.Position, len(entries))
	for split, e := range entries {
		from[split] = e.Position // also of splits that the source no longer has
	}
	for _, p := range plan {
		from[p.Split.ID] = p.Position
	}
	removed, err := r.state.server.TrimDeadLetters(ctx, r.config.Name, from)
	if removed > 0 {
		r.logger.Info("dead letters above the recovered positions removed", "count", removed)
	}
	return err
}

// deal makes the queue of splits that are left.
func (r *run) deal(plan []checkpoint.Resume) {
	r.queue = &splitQueue{}
	r.totals.dealt()
	if r.config.EventTime != nil {
		r.clock = newEventClock(*r.config.EventTime)
	}
	for _, p := range plan {
		if r.clock != nil && p.Times != nil {
			r.clock.restore(p.Split.ID, *p.Times)
		}
		r.totals.splits.Add(1)
		r.totals.total.Add(p.Split.Size)
		if p.Rewound {
			r.logger.Warn("the target holds less than it had confirmed; going back to what it holds",
				"split", p.Split.ID, "position", p.Position.String())
		}
		r.resumed = r.resumed || p.Position != forebay.Position{}
		if p.Position.Finished {
			r.totals.splitsDone.Add(1)
			r.totals.done.Add(p.Split.Size)
			continue
		}
		r.totals.done.Add(p.Position.Offset)
		r.queue.left++
		r.queue.waiting = append(r.queue.waiting, &splitRun{
			split: p.Split, position: p.Position, version: p.Version,
			confirmed: p.Position, confirmedVersion: p.Version,
		})
	}
	r.lanes = laneCount(r.config.Lanes, r.queue.left)
	if r.clock != nil {
		r.clock.begin()
		r.queue.begin(r.clock, r.lanes*r.splitsAtOnce())
	}
	r.knob()
}

// knob sets what may change while the run delivers, and gives lanes that write over a network one limiter.
func (r *run) knob() {
	var to forebay.BackendInfo
	if s, ok := r.target.(forebay.Sequencer); ok {
		to = s.Backend().Tablets()
	}
	r.knobs.window.Store(int64(r.window()))
	if to.Network {
		r.limiter = writer.NewLaneLimiter(r.lanes, r.window(), time.Now)
	}
	size := r.config.commitBytes(r.lanes, to.Keyed)
	r.knobs.bytes.Store(int64(size))
	r.knobs.bytesMax.Store(int64(max(size, r.config.commitBytesMax(r.lanes, to.Keyed))))
	interval := r.config.Checkpoint.Interval
	if interval == 0 {
		interval = defaultInterval(r.sink)
	}
	r.knobs.interval.Store(int64(interval)) // the last: who sees it may tune
}
