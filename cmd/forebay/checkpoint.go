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
	"github.com/forebay-io/forebay/checkpoint"
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
	// Holders are the last runs here: a target that belongs to one of them belongs to this directory.
	Holders []string `json:"holders,omitempty"`
	// Running says that the process that answers runs it.
	Running bool `json:"running,omitempty"`
	// Held and Pending are what a two-phase target has unpublished.
	Held    heldState      `json:"held,omitzero"`
	Pending []pendingState `json:"pending,omitempty"`
}

// heldState is what a target holds for the next run, and what it has open besides; of both some ids.
type heldState struct {
	Held    int      `json:"held"`
	HeldIDs []string `json:"held_ids,omitempty"`
	Open    int      `json:"open"`
	OpenIDs []string `json:"open_ids,omitempty"`
}

// pendingState is a checkpoint that is durable and not known to be committed.
type pendingState struct {
	Epoch   uint64   `json:"epoch"`
	Lane    int      `json:"lane"`
	Number  uint64   `json:"number"`
	Commits int      `json:"commits"`
	IDs     []string `json:"ids,omitempty"` // some of them
}

// shownMax bounds the ids, and the pending checkpoints, that a pipeline is shown with.
const shownMax = 5

func idsOf(all []forebay.Committable) []string {
	var ids []string
	for _, c := range all[:min(len(all), shownMax)] {
		ids = append(ids, c.ID)
	}
	return ids
}

// timeState is what is known of a split's event time, in microseconds since 1970-01-01T00:00:00Z; nil for none.
type timeState struct {
	High      *int64 `json:"high,omitempty"`
	Watermark *int64 `json:"watermark,omitempty"`
	Idle      bool   `json:"idle"`
}

func timesOf(t *checkpoint.EventTime) *timeState {
	if t == nil {
		return nil
	}
	out := &timeState{Idle: t.Idle}
	if t.High != forebay.NoTime {
		out.High = &t.High
	}
	if t.Watermark != forebay.NoTime {
		out.Watermark = &t.Watermark
	}
	return out
}

// splitState is where a pipeline is in a split.
type splitState struct {
	Split    string `json:"split"`
	Offset   int64  `json:"offset"`
	Finished bool   `json:"finished"`
	Version  uint64 `json:"version"`
	// Target says that the position is the target's, which decides alone.
	Target bool `json:"target"`
	// Times is set where the pipeline has event time.
	Times *timeState `json:"event_time,omitempty"`
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
	// reset forgets a pipeline that does not run, after forget has done so in a target elsewhere; nil where there is none.
	reset(ctx context.Context, name string, forget forgetting) error
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
		s.Memory, s.Splits, s.Held, s.Pending = nil, nil, heldState{}, nil
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
		Memory: meta.Memory, Holders: owner.Known, Running: c.running[name],
	}
	splits := map[string]splitState{}
	for _, e := range entries {
		out.Updated = max(out.Updated, e.Updated)
		splits[e.Split] = splitState{
			Split: e.Split, Offset: e.Position.Offset, Finished: e.Position.Finished, Version: e.Number,
			Times: timesOf(e.Times),
		}
	}
	if target.Used {
		for _, p := range target.Splits {
			splits[p.Split] = splitState{
				Split: p.Split, Offset: p.Position.Offset, Finished: p.Position.Finished, Version: p.Version, Target: true,
				Times: splits[p.Split].Times,
			}
		}
	}
	for _, split := range slices.Sorted(maps.Keys(splits)) {
		out.Splits = append(out.Splits, splits[split])
	}
	return out, c.unpublished(&out)
}

// unpublished fills in what a two-phase target has.
func (c *localCheckpoints) unpublished(of *pipelineState) error {
	held := c.state.Checkpoints()
	open, holds, err := held.Open(of.Pipeline)
	if err != nil {
		return err
	}
	of.Held = heldState{len(holds), idsOf(holds), len(open), idsOf(open)}
	pendings, err := held.Pendings(of.Pipeline)
	for _, p := range pendings {
		of.Pending = append(of.Pending, pendingState{p.Epoch, p.Lane, p.Number, len(p.Commit), idsOf(p.Commit)})
	}
	return err
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

func isRunning(name string) error { return wrong("stop it first", "pipeline %q is running", name) }

func (c *localCheckpoints) reset(ctx context.Context, name string, forget forgetting) error {
	if c.running[name] {
		return isRunning(name)
	}
	before, err := c.show(ctx, name)
	if err == nil && forget != nil {
		err = forget(ctx, before)
	}
	if err != nil {
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

func (c *remoteCheckpoints) reset(ctx context.Context, name string, forget forgetting) error {
	if forget != nil {
		before, err := c.show(ctx, name)
		switch {
		case err != nil:
			return err
		case before.Running: // what a process runs is settled when it starts
			return isRunning(name)
		}
		if err := forget(ctx, before); err != nil {
			return err
		}
	}
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
			server.AnswerJSON(w, struct{}{}, c.reset(r.Context(), r.PathValue("name"), nil))
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

// Run shows a pipeline's positions, its event time, and what its target has unpublished.
func (c *checkpointShow) Run(ctx context.Context, a *app) error {
	return a.with(ctx, c.State, func(s *access) error {
		p, err := s.checkpoints.show(ctx, c.Name)
		if err != nil {
			return err
		}
		if err := p.facts().write(a.out); err != nil {
			return err
		}
		fmt.Fprintln(a.out)
		t := p.positions()
		return t.write(a.out)
	}, "checkpoint", "show")
}

func (p pipelineState) facts() *grid {
	facts := &grid{}
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
	if p.Held.Held > 0 {
		facts.add("held", some(p.Held.Held, p.Held.HeldIDs))
	}
	if p.Held.Open > 0 {
		facts.add("open", some(p.Held.Open, p.Held.OpenIDs))
	}
	for _, c := range p.Pending[:min(len(p.Pending), shownMax)] {
		facts.add("pending", fmt.Sprintf("checkpoint %d of lane %d, epoch %d, with %s", c.Number, c.Lane, c.Epoch,
			some(c.Commits, c.IDs)))
	}
	if more := len(p.Pending) - shownMax; more > 0 {
		facts.add("pending", fmt.Sprintf("and %d more checkpoints", more))
	}
	return facts
}

// some is a count and the ids that are known of so many.
func some(n int, ids []string) string {
	text := fmt.Sprintf("%d: %s", n, words(ids))
	if n > len(ids) {
		text += fmt.Sprintf(" and %d more", n-len(ids))
	}
	return text
}

// positions is a line for each split; event times only where there are any.
func (p pipelineState) positions() *grid {
	timed := slices.ContainsFunc(p.Splits, func(s splitState) bool { return s.Times != nil })
	t := &grid{head: []string{"SPLIT", "POSITION", "VERSION", "HELD BY"}}
	if timed {
		t.head = append(t.head, "LATEST TIME", "WATERMARK", "IDLE")
	}
	for _, split := range p.Splits {
		by := "checkpoint"
		if split.Target {
			by = "target"
		}
		line := []string{split.Split, split.position(), fmt.Sprint(split.Version), by}
		switch e := split.Times; {
		case e != nil:
			idle := "no"
			if e.Idle {
				idle = "yes"
			}
			line = append(line, eventTime(e.High), eventTime(e.Watermark), idle)
		case timed:
			line = append(line, "-", "-", "-")
		}
		t.add(line...)
	}
	return t
}

// eventTime prints a time that may be none, to the microsecond.
func eventTime(micros *int64) string {
	if micros == nil {
		return "-"
	}
	return time.UnixMicro(*micros).UTC().Format("2006-01-02T15:04:05.999999Z")
}

// instant prints microseconds since 1970-01-01T00:00:00Z.
func instant(micros int64) string {
	if micros == 0 {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05Z")
}
