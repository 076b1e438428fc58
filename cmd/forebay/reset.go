// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
)

type checkpointReset struct {
	Pipeline string   `arg:"" help:"The pipeline's file, so that the target forgets it too, or its name."`
	Set      []string `help:"${set}" sep:"none" placeholder:"PATH=VALUE"`
	State    string   `help:"State directory instead of the file's (./forebay-data for a name)." placeholder:"DIR"`
	Yes      bool     `help:"Do it."`
}

// Run starts a pipeline over. With its file the target is opened and forgets it too; a name does not say what the
// target is.
func (c *checkpointReset) Run(ctx context.Context, a *app) error {
	name, dir := c.Pipeline, cmp.Or(c.State, stateDefault)
	var forget forgetting
	if !pipeline.ValidName(c.Pipeline) {
		p, err := c.load(ctx, a)
		if err != nil {
			return err
		}
		defer p.Close() //nolint:errcheck // what was opened was only read
		name, dir = p.Config.Name, p.Config.State
		forget = func(ctx context.Context, before pipelineState) error { return forgetIn(ctx, p, before) }
	}
	return a.with(ctx, dir, func(s *access) error {
		p, err := s.checkpoints.show(ctx, name)
		if err != nil {
			return err
		}
		where, left := "here and in the target", ""
		if forget == nil && p.outside() {
			where = "here"
			left = "; what the target itself holds of it stays until the next run, or give the pipeline's file instead of its " +
				"name"
		}
		if !c.Yes {
			return wrong("say so with --yes", "this forgets the positions of pipeline %q in %d splits, %s, so that its next "+
				"run reads everything again; the rows in the target stay%s", name, len(p.Splits), where, left)
		}
		if err := s.checkpoints.reset(ctx, name, forget); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "pipeline %s starts over; the rows that it has delivered stay in the target%s\n", name, left)
		return nil
	}, "checkpoint", "reset")
}

// load reads the file, and the source's columns where the sink cannot be opened without.
func (c *checkpointReset) load(ctx context.Context, a *app) (*config.Pipeline, error) {
	p, problems, err := a.load(c.Pipeline, fileFlags{Set: c.Set, State: c.State})
	if err != nil {
		return nil, &exitError{exitWrong, err}
	}
	if len(problems) == 0 && opened(p) && needsRows(p) {
		_, problems = p.Plan(ctx, config.PlanOptions{ReadInput: replayable(p)})
	}
	if len(problems) > 0 {
		problems.Sort()
		return nil, &exitError{exitWrong, errors.Join(&fileError{c.Pipeline, problems}, p.Close())}
	}
	if opened(p) && needsRows(p) && p.Schema() == nil {
		return nil, wrong("reset it by its name", "the target cannot be opened, because it needs the columns of the source, "+
			"and those are known in a run only")
	}
	return p, nil
}

// opened says whether the target is outside of the state directory, whose tables forget by themselves.
func opened(p *config.Pipeline) bool {
	t, is := p.Config.Sink.(table.Sink)
	return !is || t.Address != ""
}

func needsRows(p *config.Pipeline) bool {
	info, err := p.Config.Sink.Info()
	return err == nil && info.NeedsRows
}

// outside says whether a target that is not in the state directory may hold something of the pipeline: its sink has
// more settings than the connector's name, and there are positions that no table here has.
func (p pipelineState) outside() bool {
	return len(p.Sink) > 1 && slices.ContainsFunc(p.Splits, func(s splitState) bool { return !s.Target })
}

// forgetting removes what a target outside of the state directory holds of a pipeline.
type forgetting func(ctx context.Context, before pipelineState) error

// forgetIn opens the sink and has the target forget the pipeline: its owner, and what is open, held or prepared.
func forgetIn(ctx context.Context, p *config.Pipeline, before pipelineState) (err error) {
	if !opened(p) {
		return nil
	}
	target, err := p.Config.Sink.Start(ctx, forebay.SinkContext{
		Pipeline: before.Pipeline, Schema: p.Schema(), Logger: discard(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if fencer, can := target.(forebay.Fencer); can {
		owner, err := fencer.Owner(ctx, before.Pipeline)
		if err != nil {
			return err
		}
		if owner.Epoch > 0 && !slices.Contains(before.Holders, owner.Holder) {
			return wrong("reset it in that state directory, or by its name to forget only what this one knows",
				"the target belongs to run %d of pipeline %q of another state directory (holder %s)", owner.Epoch,
				before.Pipeline, owner.Holder)
		}
	}
	if f, can := target.(interface {
		Forget(ctx context.Context, pipeline string) error
	}); can {
		return f.Forget(ctx, before.Pipeline)
	}
	return nil
}
