// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault"
)

// twoPhase is the target as a two-phase one; nil where it is none.
func (r *run) twoPhase() forebay.TwoPhase {
	t, _ := r.target.(forebay.TwoPhase)
	return t
}

// prepares says whether the lanes of this run prepare and commit.
func (r *run) prepares() bool {
	return r.plan.Way == forebay.WayTwoPhase && r.plan.Guarantee == GuaranteeExactlyOnce
}

// takeOver makes this run the only one that publishes in a two-phase target, and ends what earlier runs left there. It
// does so at every guarantee: what was prepared belongs to positions that are stored. The order is the guarantee:
//
//	1  read the target's owner; take max(store, target) + 1 in the store, durably
//	2  commit, ascending, every checkpoint that is not durably COMMITTED
//	3  fence the target with that number
//	4  abort what is open and neither held nor committed
//
// A definitely lost checkpoint is undone between 2 and 3, and 2 starts again under a new number.
func (r *run) takeOver(ctx context.Context, target forebay.TwoPhase) error {
	if err := r.takeTargetEpoch(ctx, target); err != nil {
		return err
	}
	if err := r.replayCommits(ctx, target); err != nil {
		return err
	}
	fault.Hit(fault.CommitsReplayed)
	left, err := r.leftovers()
	if err != nil {
		return err
	}
	r.held = left.held
	if fencer, can := target.(forebay.Fencer); can {
		if err := fencer.Fence(ctx, r.owner, r.held); err != nil {
			return err
		}
	}
	fault.Hit(fault.Fenced)
	return r.sweep(ctx, target, left)
}

// leftovers are what the state knows of a target's unfinished things.
type leftovers struct {
	held   []forebay.Committable // a checkpoint counts on them
	opened []forebay.Committable // noted before use, and never prepared
}

func (r *run) leftovers() (left leftovers, err error) {
	left.opened, left.held, err = r.state.checkpoints.Open(r.config.Name)
	return left, err
}

// sweep aborts everything that is open in the target and not held. No lane is running, and nothing is pending.
func (r *run) sweep(ctx context.Context, target forebay.TwoPhase, left leftovers) error {
	known := map[string]bool{}
	for _, c := range slices.Concat(left.held, left.opened) {
		known[c.ID] = true
	}
	open, err := target.ListOpen(ctx, r.owner)
	if err != nil {
		return err
	}
	stale := slices.Clone(left.opened)
	for _, c := range open {
		if !known[c.ID] {
			stale = append(stale, c)
		}
	}
	if len(stale) > 0 {
		if err := target.Abort(ctx, stale); err != nil {
			return err
		}
		r.logger.Info("what was open and never committed is removed from the target", "count", len(stale))
	}
	fault.Hit(fault.LeftoversAborted)
	return r.state.checkpoints.ForgetOpened(r.config.Name)
}

// tidyUp removes what attempts that failed have left in a two-phase target, at the end of a run that delivered.
func (r *run) tidyUp(ctx context.Context) error {
	target := r.twoPhase()
	if target == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.config.Shutdown.Timeout)
	defer cancel()
	left, err := r.leftovers()
	if err != nil {
		return err
	}
	return r.sweep(ctx, target, left)
}

// takeTargetEpoch takes the next epoch, unless the target belongs to another state directory.
func (r *run) takeTargetEpoch(ctx context.Context, target forebay.TwoPhase) error {
	var before forebay.Owner
	if fencer, can := target.(forebay.Fencer); can {
		var err error
		if before, err = fencer.Owner(ctx, r.config.Name); err != nil {
			return err
		}
	}
	stored, err := r.state.checkpoints.LoadOwnership(r.config.Name)
	if err != nil {
		return err
	}
	if before.Epoch > 0 && !slices.Contains(stored.Known, before.Holder) && !r.config.TakeOver {
		return &forebay.Error{
			Op: "open sink", Class: forebay.ClassMisconfigured, Code: "target-owned",
			Err: fmt.Errorf("%s belongs to run %d of pipeline %q of another state directory (holder %s)",
				r.sink.Name, before.Epoch, r.config.Name, before.Holder),
			Cure: "use that state directory, give the pipeline another name, or take it over for good with --take-over, which " +
				"goes on from what this directory knows: a new one begins again, beside what is published",
		}
	}
	r.owner = newOwner(r.config.Name)
	r.owner.Epoch, err = r.state.checkpoints.TakeEpoch(r.owner, before.Epoch, string(r.plan.Guarantee))
	fault.Hit(fault.EpochTaken)
	return err
}

// replayCommits commits what earlier runs made durable.
func (r *run) replayCommits(ctx context.Context, target forebay.TwoPhase) error {
	for {
		pendings, err := r.state.checkpoints.Pendings(r.config.Name)
		if err != nil {
			return err
		}
		lost, err := r.replayEach(ctx, target, pendings)
		if err != nil || lost == nil {
			return err
		}
		if err := r.rewind(lost); err != nil {
			return err
		}
	}
}

func (r *run) replayEach(ctx context.Context, target forebay.TwoPhase, pendings []checkpoint.Pending) (
	*lostCheckpointError, error,
) {
	for _, p := range pendings {
		err := r.commitPending(ctx, target, p)
		if lost, is := isLost(err); is {
			return lost, nil
		}
		if err != nil {
			return nil, err
		}
		r.logger.Info("committed what an earlier run had prepared", "epoch", p.Epoch, "lane", p.Lane,
			"checkpoint", p.Number, "parts", len(p.Commit))
	}
	return nil, nil
}

// rewind goes back to before a checkpoint that the target definitely does not have, under a new epoch.
func (r *run) rewind(lost *lostCheckpointError) error {
	epoch, err := r.state.checkpoints.Rewind(r.owner, lost.pending, string(r.plan.Guarantee))
	if err != nil {
		return err
	}
	r.owner.Epoch = epoch
	r.totals.retries.Add(1)
	r.logger.Warn("the target lost a whole checkpoint; going back to before it", "lane", lost.pending.Lane,
		"checkpoint", lost.pending.Number, "cause", lost.cause)
	return nil
}

// restoredOf are the holdings that lane number of this run goes on with.
func (r *run) restoredOf(number int) (mine []forebay.Committable) {
	for i, c := range r.held {
		if i%r.lanes == number {
			mine = append(mine, c)
		}
	}
	return mine
}

// laneContext is what a streaming sink is told about one of the lanes.
func (r *run) laneContext(number int, layout *forebay.Layout) forebay.LaneContext {
	return forebay.LaneContext{
		Lane: number, Owner: r.owner, Layout: layout, Memory: r.config.Memory / 4 / forebay.Bytes(r.lanes),
		Restored: r.restoredOf(number), Now: time.Now,
		Opened: func(_ context.Context, c forebay.Committable) error {
			return r.state.checkpoints.Opened(r.config.Name, r.owner.Epoch, c)
		},
	}
}
