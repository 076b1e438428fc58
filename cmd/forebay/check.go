// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/pipeline"
)

// checkCommand checks a pipeline file.
type checkCommand struct {
	File   string   `arg:"" help:"Pipeline file."`
	Set    []string `help:"${set}" sep:"none" placeholder:"PATH=VALUE"`
	State  string   `help:"State directory instead of the file's." placeholder:"DIR"`
	Print  bool     `help:"Print the file with its defaults and a comment for each key."`
	Output string   `help:"Form of the result: ${enum}." enum:"text,json" default:"text"`
}

// checked is the result of a check for machines.
type checked struct {
	File      string             `json:"file"`
	Errors    int                `json:"errors"`
	Pipeline  string             `json:"pipeline"`
	Guarantee pipeline.Guarantee `json:"guarantee"`
	Strongest pipeline.Guarantee `json:"strongest"`
	Links     []checkedLink      `json:"links"`
	Notes     []string           `json:"notes"`
	Warnings  config.Problems    `json:"warnings"`
	Problems  config.Problems    `json:"problems"`
}

type checkedLink struct {
	Part  string             `json:"part"`
	Gives pipeline.Guarantee `json:"gives"`
	Says  string             `json:"says"`
}

// Run checks the file. An input that can be read again is looked at for its columns; nothing is written.
func (c *checkCommand) Run(ctx context.Context, a *app) error {
	p, problems, err := a.load(c.File, fileFlags{Set: c.Set, State: c.State})
	if err != nil {
		return &exitError{exitWrong, err}
	}
	plan, planned := p.Plan(ctx, config.PlanOptions{ReadInput: replayable(p)})
	if err := p.Close(); err != nil {
		return err
	}
	problems = append(problems, planned...)
	problems.Sort()
	if len(problems) > 0 {
		if c.Output == "json" {
			_, err := a.out.Write(problems.JSON(c.File))
			if err != nil {
				return err
			}
			return &exitError{code: exitWrong}
		}
		return &exitError{exitWrong, &fileError{c.File, problems}}
	}
	switch {
	case c.Print:
		_, err := a.out.Write(p.Print())
		return err
	case c.Output == "json":
		return c.json(a, p, plan)
	}
	return c.text(a, p, plan)
}

// replayable says whether the source can be read again, so that looking at it takes nothing from a run.
func replayable(p *config.Pipeline) bool {
	if p.Config.Source == nil {
		return false
	}
	info, err := p.Config.Source.Info()
	return err == nil && info.Replayable
}

// notesOf are what both ends have to say.
func notesOf(p *config.Pipeline) []string {
	source, errSource := p.Config.Source.Info()
	sink, errSink := p.Config.Sink.Info()
	if errSource != nil || errSink != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Concat(source.Notes, sink.Notes), func(n string) bool { return n == "" })
}

func (c *checkCommand) json(a *app, p *config.Pipeline, plan pipeline.Plan) error {
	out := checked{
		File: c.File, Pipeline: p.Config.Name, Guarantee: plan.Guarantee, Strongest: plan.Strongest,
		Links: []checkedLink{}, Notes: append([]string{}, notesOf(p)...),
		Warnings: append(config.Problems{}, p.Warnings(plan)...), Problems: config.Problems{},
	}
	for _, l := range plan.Links {
		out.Links = append(out.Links, checkedLink{l.Part, l.Gives, l.Says})
	}
	line, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(line, '\n'))
	return err
}

func (c *checkCommand) text(a *app, p *config.Pipeline, plan pipeline.Plan) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s  %s\n\n", p.Config.Name, plan.Guarantee)
	g := grid{}
	for _, l := range plan.Links {
		g.add("  "+l.Part, string(l.Gives), l.Says)
	}
	if err := g.write(&out); err != nil {
		return err
	}
	if plan.Guarantee != plan.Strongest {
		fmt.Fprintf(&out, "\n%s would be possible: leave guarantee out, or write guarantee: %s\n",
			plan.Strongest, plan.Strongest)
	}
	for _, n := range notesOf(p) {
		fmt.Fprintf(&out, "\nnote: %s\n", n)
	}
	if warnings := p.Warnings(plan).RenderWarnings(); warnings != "" {
		fmt.Fprintf(&out, "\n%s", strings.TrimSuffix(warnings, "\n"))
	}
	fmt.Fprintf(&out, "\n%s is right\n", c.File)
	_, err := a.out.Write([]byte(out.String()))
	return err
}
