// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/server"
)

type checkpointCommand struct {
	Ls    checkpointLs    `cmd:"" help:"List the pipelines that have state."`
	Show  checkpointShow  `cmd:"" help:"Show where a pipeline is in each split."`
	Reset checkpointReset `cmd:"" help:"Forget where a pipeline is, so that it starts over."`
}

// pipelineState is what a state directory holds of a pipeline.
type pipelineState struct {
	Pipeline  string            `json:"pipeline"`
	Epoch     uint64            `json:"epoch"`
	Guarantee string            `json:"guarantee"`
	Started   int64             `json:"started"`
	Updated   int64             `json:"updated"`
	Schema    string            `json:"schema,omitempty"`
	Source    []forebay.Setting `json:"source,omitempty"`
	Sink      []forebay.Setting `json:"sink,omitempty"`
	Memory    []byte            `json:"memory,omitempty"`
	Splits    []splitState      `json:"splits,omitempty"`
}

// splitState is where a pipeline is in a split.
type splitState struct {
	Split    string `json:"split"`
	Offset   int64  `json:"offset"`
	Finished bool   `json:"finished"`
	Version  uint64 `json:"version"`
	// Target says that the position is the target's, which decides alone.
	Target bool `json:"target"`
}

func (s splitState) position() string {
	if s.Finished {
		return "finished"
	}
	return fmt.Sprint(s.Offset)
}

// checkpoints is what pipelines remember, in this process or another one.
type checkpoints interface {
	list(ctx context.Context) ([]pipelineState, error)
	show(ctx context.Context, name string) (pipelineState, error)
	reset(ctx context.Context, name string) error
}

// localCheckpoints are those of a directory that this process has opened.
type localCheckpoints struct {
	state   *pipeline.State
	running map[string]bool
}

func (c *localCheckpoints) list(ctx context.Context) ([]pipelineState, error) {
	names, err := c.state.Checkpoints().Pipelines()
	if err != nil {
		return nil, err
	}
	out := make([]pipelineState, 0, len(names))
	for _, name := range names {
		s, err := c.show(ctx, name)
		if err != nil {
			return nil, err
		}
		s.Memory, s.Splits = nil, nil
		out = append(out, s)
	}
	return out, nil
}

func (c *localCheckpoints) show(ctx context.Context, name string) (pipelineState, error) {
	held := c.state.Checkpoints()
	meta, known, err := held.LoadMeta(name)
	if err != nil {
		return pipelineState{}, err
	}
	if !known {
		return pipelineState{}, c.unknown(name)
	}
	owner, err := held.LoadOwnership(name)
	if err != nil {
		return pipelineState{}, err
	}
	entries, err := held.Load(name)
	if err != nil {
		return pipelineState{}, err
	}
	target, err := c.state.Tables().State(ctx, name)
	if err != nil {
		return pipelineState{}, err
	}
	out := pipelineState{
		Pipeline: name, Epoch: owner.Epoch, Guarantee: owner.Guarantee, Started: owner.Started,
		Updated: max(owner.Started, meta.Created), Schema: meta.Schema, Source: meta.Source, Sink: meta.Sink,
		Memory: meta.Memory,
	}
	splits := map[string]splitState{}
	for _, e := range entries {
		out.Updated = max(out.Updated, e.Updated)
		splits[e.Split] = splitState{
			Split: e.Split, Offset: e.Position.Offset, Finished: e.Position.Finished, Version: e.Number,
		}
	}
	if target.Used {
		for _, p := range target.Splits {
			splits[p.Split] = splitState{
				Split: p.Split, Offset: p.Position.Offset, Finished: p.Position.Finished, Version: p.Version, Target: true,
			}
		}
	}
	for _, split := range slices.Sorted(maps.Keys(splits)) {
		out.Splits = append(out.Splits, splits[split])
	}
	return out, nil
}

func (c *localCheckpoints) unknown(name string) error {
	names, err := c.state.Checkpoints().Pipelines()
	if err != nil {
		return err
	}
	e := forebay.Errorf("", forebay.ClassMisconfigured, "no pipeline called %q has state here", name)
	e.Code = "no-such-pipeline"
	if near := config.Nearest(name, names); near != "" {
		e.Cure = fmt.Sprintf("did you mean %q?", near)
	} else if len(names) > 0 {
		e.Cure = "there is " + words(names)
	}
	return e
}

func (c *localCheckpoints) reset(ctx context.Context, name string) error {
	if c.running[name] {
		return wrong("stop it first", "pipeline %q is running", name)
	}
	if _, err := c.show(ctx, name); err != nil {
		return err
	}
	// The target's progress goes first: what is left after a crash in between is still listed and can be reset.
	if err := c.state.Tables().Forget(ctx, name); err != nil {
		return err
	}
	return c.state.Checkpoints().Reset(name)
}

// remoteCheckpoints are those of a directory that another process owns.
type remoteCheckpoints struct{ control *tablet.Control }

func (c *remoteCheckpoints) list(ctx context.Context) (out []pipelineState, err error) {
	err = c.control.Do(ctx, tablet.Call{Method: http.MethodGet, Path: "/checkpoints"}, nil, &out)
	return out, err
}

func (c *remoteCheckpoints) show(ctx context.Context, name string) (out pipelineState, err error) {
	err = c.control.Do(ctx, tablet.Call{Method: http.MethodGet, Path: "/checkpoints/" + url.PathEscape(name)}, nil, &out)
	return out, err
}

func (c *remoteCheckpoints) reset(ctx context.Context, name string) error {
	call := tablet.Call{Method: http.MethodDelete, Path: "/checkpoints/" + url.PathEscape(name)}
	return c.control.Do(ctx, call, nil, nil)
}

// handlers answer remoteCheckpoints.
func handlers(c checkpoints) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /checkpoints": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			list, err := c.list(r.Context())
			server.AnswerJSON(w, list, err)
		}),
		"GET /checkpoints/{name}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			one, err := c.show(r.Context(), r.PathValue("name"))
			server.AnswerJSON(w, one, err)
		}),
		"DELETE /checkpoints/{name}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.AnswerJSON(w, struct{}{}, c.reset(r.Context(), r.PathValue("name")))
		}),
	}
}

type checkpointLs struct {
	stateFlag
}

// Run lists the pipelines.
func (c *checkpointLs) Run(ctx context.Context, a *app) error {
	return a.with(ctx, c.State, func(s *access) error {
		list, err := s.checkpoints.list(ctx)
		if err != nil {
			return err
		}
		t := grid{head: []string{"PIPELINE", "EPOCH", "GUARANTEE", "UPDATED"}}
		for _, p := range list {
			t.add(p.Pipeline, fmt.Sprint(p.Epoch), p.Guarantee, instant(p.Updated))
		}
		return t.write(a.out)
	}, "checkpoint", "ls")
}

type checkpointShow struct {
	Name string `arg:"" help:"The pipeline."`
	stateFlag
}

// Run shows a pipeline's positions.
func (c *checkpointShow) Run(ctx context.Context, a *app) error {
	return a.with(ctx, c.State, func(s *access) error {
		p, err := s.checkpoints.show(ctx, c.Name)
		if err != nil {
			return err
		}
		facts := grid{}
		facts.add("pipeline", p.Pipeline)
		facts.add("epoch", fmt.Sprint(p.Epoch))
		facts.add("guarantee", p.Guarantee)
		facts.add("started", instant(p.Started))
		facts.add("updated", instant(p.Updated))
		for _, setting := range p.Source {
			facts.add("source."+setting.Name, setting.Value)
		}
		for _, setting := range p.Sink {
			facts.add("sink."+setting.Name, setting.Value)
		}
		if p.Schema != "" {
			facts.add("schema", p.Schema)
		}
		if err := facts.write(a.out); err != nil {
			return err
		}
		t := grid{head: []string{"SPLIT", "POSITION", "VERSION", "HELD BY"}}
		for _, split := range p.Splits {
			by := "checkpoint"
			if split.Target {
				by = "target"
			}
			t.add(split.Split, split.position(), fmt.Sprint(split.Version), by)
		}
		fmt.Fprintln(a.out)
		return t.write(a.out)
	}, "checkpoint", "show")
}

type checkpointReset struct {
	Name string `arg:"" help:"The pipeline."`
	Yes  bool   `help:"Do it."`
	stateFlag
}

// Run starts a pipeline over.
func (c *checkpointReset) Run(ctx context.Context, a *app) error {
	return a.with(ctx, c.State, func(s *access) error {
		p, err := s.checkpoints.show(ctx, c.Name)
		if err != nil {
			return err
		}
		if !c.Yes {
			return wrong("say so with --yes", "this forgets the positions of pipeline %q in %d splits, here and in the "+
				"target, so that its next run reads everything again; the rows in the target stay", c.Name, len(p.Splits))
		}
		if err := s.checkpoints.reset(ctx, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "pipeline %s starts over; the rows that it has delivered stay in the target\n", c.Name)
		return nil
	}, "checkpoint", "reset")
}

// instant prints microseconds since 1970-01-01T00:00:00Z.
func instant(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05Z")
}
