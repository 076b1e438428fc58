// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/transform"
)

// PlanOptions say how far a plan goes.
type PlanOptions struct {
	// ReadInput starts the source, which reads what it learns its schema from; the run goes on with that. It is
	// for pipelines without state, which would hold the schema.
	ReadInput bool
}

// Plan decides the guarantee, and with ReadInput holds the transforms and the sink against the columns that the
// source gives. Nothing is written. Close what was started, unless Config runs.
//
// Errors: everything that is wrong, at its place in the file.
func (p *Pipeline) Plan(ctx context.Context, options PlanOptions) (pipeline.Plan, Problems) {
	var plan pipeline.Plan
	var problems Problems
	if p.Config.Source == nil || p.Config.Sink == nil {
		return plan, nil
	}
	source, errSource := p.Config.Source.Info()
	sink, errSink := p.Config.Sink.Info()
	if said := errors.Join(errSource, errSink); said != nil {
		return plan, nil //nolint:nilerr // Load has explained it
	}
	if planned, err := pipeline.New(p.planConfig()); err != nil {
		problems = append(problems, p.Explain(err)...)
	} else {
		plan = planned.Plan()
		problems = append(problems, p.promiseProblems(plan)...)
	}
	if found, said := p.loop(source, sink); found == readBackAlways {
		problems = append(problems, said)
	}
	if options.ReadInput && !source.Tables && (source.Replayable || len(problems) == 0) {
		problems = append(problems, p.start(ctx, forebay.SourceContext{
			Pipeline: p.Config.Name, NeedsRows: pipeline.NeedsRows(source, sink, p.Config.Steps()),
			SplitOrderMatters: sink.Keyed, Lanes: p.Config.Lanes,
		}, sink)...)
	}
	problems.Sort()
	return plan, problems
}

// Schema is that of the rows that reach the sink, as Plan found it with ReadInput; nil where that is not known.
func (p *Pipeline) Schema() *forebay.Schema { return p.schema }

// planConfig is the part of the configuration that decides the guarantee: what else is wrong was said already.
func (p *Pipeline) planConfig() pipeline.Config {
	return pipeline.Config{
		Name: "plan", Source: p.Config.Source, Sink: p.Config.Sink, Transform: p.Config.Transform,
		Guarantee: p.Config.Guarantee, EventTime: p.Config.EventTime,
	}
}

// start starts the source and holds everything behind it against its columns.
func (p *Pipeline) start(ctx context.Context, env forebay.SourceContext, sink forebay.SinkInfo) Problems {
	feed, err := p.Config.Source.Start(ctx, env)
	if err != nil {
		return p.sourceProblems(err)
	}
	source := p.Config.Source
	p.Config.Source = &begun{Source: source, env: env, feed: feed}
	info, err := p.Config.Source.Info()
	if err != nil {
		return p.sourceProblems(err)
	}
	given := forebay.SourceShape(info, feed.Schema())
	shape, problems := p.compile(given)
	if given.JSON && info.Replayable && len(problems) == 0 {
		problems = p.timeless(ctx, source, env)
	}
	if shape.Layout != nil && len(problems) == 0 {
		p.schema = shape.Layout.Schema
	}
	if len(problems) > 0 || sink.Schema == nil || shape.Layout == nil {
		return problems
	}
	return p.explainAt(p.file.Sink.path, sink.Schema(shape.Layout.Schema))
}

// timeless finds an event time that no record has, of a source whose records stay JSON: where the columns can be learnt
// as for a sink that needs rows, the field must be one of them. A field that gives way to another, as a ?? b does, may
// be in no sample.
func (p *Pipeline) timeless(ctx context.Context, source forebay.Source, env forebay.SourceContext) Problems {
	e := p.Config.EventTime
	if e == nil || e.Field == "" || strings.Contains(e.Field, "?") || strings.Contains(e.Field, "nil") {
		return nil
	}
	env.NeedsRows = true
	feed, err := source.Start(ctx, env)
	if err != nil {
		return nil //nolint:nilerr // its records need not fit columns
	}
	schema := feed.Schema()
	if err := feed.Close(); err != nil {
		return p.sourceProblems(err)
	}
	if schema == nil {
		return nil
	}
	first := p.Config.Steps()[0]
	if _, err = first.Compile(forebay.Shape{Layout: forebay.NewLayout(schema)}); err == nil {
		return nil
	}
	wrong := &pipeline.StepError{Index: pipeline.EventTimeIndex, Name: first.Name(), Err: err}
	return slices.DeleteFunc(p.Explain(wrong), func(said Problem) bool {
		return !strings.HasPrefix(said.Message, "no column is called ") // types are settled record by record
	})
}

// compile fits the steps to the columns. A wrong filter changes no columns, and no step does on JSON, so what
// follows them is looked at too.
func (p *Pipeline) compile(shape forebay.Shape) (forebay.Shape, Problems) {
	var problems Problems
	if e := p.Config.EventTime; e != nil && e.Field != "" {
		first := p.Config.Steps()[0]
		if _, err := first.Compile(shape); err != nil {
			wrong := &pipeline.StepError{Index: pipeline.EventTimeIndex, Name: first.Name(), Err: err}
			problems = append(problems, p.Explain(wrong)...)
		}
	}
	for i, t := range p.Config.Transform {
		step, err := t.Compile(shape)
		if err == nil {
			shape = step.Out
			continue
		}
		problems = append(problems, p.Explain(&pipeline.StepError{Index: i, Name: t.Name(), Err: err})...)
		if _, filter := t.(transform.FilterStep); !filter && !shape.JSON {
			break
		}
	}
	return shape, problems
}

// sourceProblems explains why the source cannot start. For a path that matches nothing it looks beside the file.
func (p *Pipeline) sourceProblems(err error) Problems {
	e, classified := errors.AsType[*forebay.Error](err)
	if !classified || e.Code != "no-match" {
		return p.explainAt(p.file.Source.path, err)
	}
	problems := p.explainAt(joinPath(p.file.Source.path, "path"), err)
	for i := range problems {
		problems[i].Cure = "paths are relative to the working directory"
		if beside := p.beside(); beside != "" {
			problems[i].Cure = "it exists beside the pipeline file: paths are relative to the working directory; write path: " +
				beside
		} else {
			problems[i].Nearest = p.nearestFile()
		}
	}
	return problems
}

// path is what the file says the source's path is; empty where it came from outside.
func (p *Pipeline) path() string {
	v, found := p.tree.Value(joinPath(p.file.Source.path, "path"))
	if !found || v.node.secret {
		return ""
	}
	return v.Text().Value
}

// nearestFile is the file that a misspelled path was meant to be.
func (p *Pipeline) nearestFile() string {
	path := p.path()
	entries, err := os.ReadDir(filepath.Dir(path))
	if path == "" || err != nil {
		return ""
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	near := Nearest(filepath.Base(path), names)
	if near == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(path), near)
}

// beside is the source's path as seen from the working directory, if it was meant relative to the file.
func (p *Pipeline) beside() string {
	path := p.path()
	if path == "" || filepath.IsAbs(path) {
		return ""
	}
	path = filepath.Join(filepath.Dir(p.tree.name), path)
	matches, err := filepath.Glob(path)
	if err != nil || len(matches) == 0 {
		return ""
	}
	return path
}

// Close closes what Plan started and no run took over.
func (p *Pipeline) Close() error {
	if b, ok := p.Config.Source.(*begun); ok {
		return b.close()
	}
	return nil
}

// begun is a source whose feed the plan has opened: the run goes on with it, since an input such as a pipe can
// be begun only once.
type begun struct {
	forebay.Source
	env  forebay.SourceContext
	feed forebay.Feed
}

// Start hands over the feed where the run asks for what the plan asked for.
func (b *begun) Start(ctx context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	same := env.Memory == nil && env.NeedsRows == b.env.NeedsRows && env.SplitOrderMatters == b.env.SplitOrderMatters &&
		env.Lanes == b.env.Lanes
	if b.feed != nil && same {
		feed := b.feed
		b.feed = nil
		return feed, nil
	}
	if err := b.close(); err != nil {
		return nil, err
	}
	return b.Source.Start(ctx, env)
}

func (b *begun) close() error {
	feed := b.feed
	b.feed = nil
	if feed == nil {
		return nil
	}
	return feed.Close()
}
