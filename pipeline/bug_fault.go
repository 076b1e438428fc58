// SPDX-License-Identifier: Apache-2.0

//go:build fault

package pipeline

import (
	"context"
	"fmt"

	"github.com/forebay-io/forebay"
)

// The planted bug fault.BugProgressPerLane: a lane stores its position under its own number, and at the next
// start lane n goes on there in the n-th split.

// laneKeyed is a backend that stores the progress of a lane instead of that of its splits.
type laneKeyed struct {
	forebay.Backend
	run    *run
	number int
}

func (r *run) progressByLane(backend forebay.Backend, number int) forebay.Backend {
	return &laneKeyed{Backend: backend, run: r, number: number}
}

// Commit implements forebay.Committer.
func (k *laneKeyed) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	if len(c.Progress) > 0 {
		state, err := k.run.holder().State(ctx, k.run.config.Name)
		if err != nil {
			return func(context.Context) forebay.Answer { return forebay.Answer{Message: err.Error()} }
		}
		p := c.Progress[len(c.Progress)-1]
		p.Split, p.Version = laneSplit(k.number), 1
		for _, held := range state.Splits {
			if held.Split == p.Split {
				p.Version = held.Version + 1
			}
		}
		c.Progress = []forebay.SplitProgress{p}
	}
	return k.Backend.(forebay.Committer).Commit(ctx, c)
}

func (r *run) splitsOfLanes(ctx context.Context, held []forebay.SplitProgress) ([]forebay.SplitProgress, error) {
	splits, err := r.feed.Splits(ctx)
	if err != nil {
		return nil, err
	}
	// A split whose lane stored nothing begins anew.
	out := make([]forebay.SplitProgress, len(splits))
	for n, split := range splits {
		for _, p := range held {
			if p.Split == laneSplit(n) {
				out[n] = p
			}
		}
		out[n].Split, out[n].Fingerprint = split.ID, split.Fingerprint
	}
	return out, nil
}

func laneSplit(number int) string { return fmt.Sprintf("lane %d", number) }
