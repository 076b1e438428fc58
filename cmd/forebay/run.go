// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/pipeline"
)

// runCommand runs pipelines.
type runCommand struct {
	Files            []string `arg:"" name:"file" help:"Pipeline files; several run in one process."`
	Set              []string `help:"${set}" sep:"none" placeholder:"PATH=VALUE"`
	State            string   `help:"State directory instead of the file's." placeholder:"DIR"`
	Summary          string   `help:"Form of the last line: ${enum}." enum:"text,json" default:"text"`
	LogLevel         string   `help:"debug, info, warn or error." enum:"${levels}" default:"" placeholder:"LEVEL"`
	LogFormat        string   `help:"Form of the log: text or json." enum:",text,json" default:"" placeholder:"FORM"`
	UnsafeNetworkDir bool     `help:"Allow a state directory on a network file system."`
	TakeOver         bool     `help:"${takeOver}"`
}

// job is one pipeline of the process.
type job struct {
	name  string
	file  string
	from  *config.Pipeline
	state *openState
	store *store.Store // of the state
	plan  pipeline.Plan

	mu      sync.Mutex
	running *pipeline.Pipeline
	summary pipeline.Summary
	err     error
}

func (j *job) progress() pipeline.Progress {
	j.mu.Lock()
	p := j.running
	j.mu.Unlock()
	if p == nil {
		return pipeline.Progress{}
	}
	return p.Progress()
}

// Run runs the pipelines.
func (c *runCommand) Run(ctx context.Context, a *app) error {
	jobs, err := c.load(ctx, a)
	defer func() {
		for _, j := range jobs {
			_ = j.from.Close() // what was opened to plan and no run took was only read
		}
	}()
	if err != nil {
		return err
	}
	show := &screen{out: a.err, terminal: a.errTerminal, width: a.width}
	repeats := newRepeats(time.Now)
	for _, j := range jobs {
		level, format := cmp.Or(c.LogLevel, j.from.Log.Level), cmp.Or(c.LogFormat, j.from.Log.Format)
		j.from.Config.Logger = newLogger(show, level, format, repeats)
		for _, w := range j.from.Warnings(j.plan) {
			j.from.Config.Logger.Warn("something in the file has no effect as it stands",
				"cause", w.Message, "at", w.Where(), "instead", w.Cure)
		}
	}
	states, err := c.open(ctx, a, jobs)
	if err != nil {
		return err
	}
	beside := []func(context.Context){func(ctx context.Context) { show.runProgress(ctx, jobs, repeats) }}
	page, refused := c.listen(ctx, jobs)
	if page != nil {
		beside = append(beside, page)
	}
	if refused == nil {
		c.runJobs(ctx, jobs, states, beside)
	}
	var closing error
	for _, s := range states {
		closing = errors.Join(closing, s.close())
	}
	if refused != nil { // nothing ran
		return &exitError{exitWrong, errors.Join(refused, closing)}
	}
	return c.finish(a, jobs, closing)
}

// runJobs runs everything to its end, and other things beside it.
func (c *runCommand) runJobs(
	ctx context.Context, jobs []*job, states []*openState, others []func(context.Context),
) {
	side, end := context.WithCancel(context.WithoutCancel(ctx))
	var beside, running sync.WaitGroup
	for _, other := range others {
		beside.Go(func() { other(side) })
	}
	for _, s := range states {
		beside.Go(func() { s.runControl(side, jobs, nil) })
	}
	for _, j := range jobs {
		running.Go(func() { j.run(ctx) })
	}
	running.Wait()
	end()
	beside.Wait()
}

func (j *job) run(ctx context.Context) {
	p, err := pipeline.New(j.from.Config)
	if err != nil {
		j.end(pipeline.Summary{Pipeline: j.name, Status: pipeline.StatusFailed, Error: err.Error()}, err)
		return
	}
	j.mu.Lock()
	j.running = p
	j.mu.Unlock()
	j.end(p.Run(ctx))
}

func (j *job) end(summary pipeline.Summary, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running, j.summary, j.err = nil, summary, err
}

// load reads and plans all files. Nothing is written.
func (c *runCommand) load(ctx context.Context, a *app) ([]*job, error) {
	var jobs []*job
	var errs []error
	for _, file := range c.Files {
		p, problems, err := a.load(file, fileFlags{Set: c.Set, State: c.State})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// What the state holds of the source decides in a later run. Of an input that cannot be read again nothing
		// is taken for a file that is wrong.
		read := !stateExists(p.Config.State) && (len(problems) == 0 || replayable(p))
		plan, planned := p.Plan(ctx, config.PlanOptions{ReadInput: read})
		if ctx.Err() != nil {
			return jobs, context.Cause(ctx)
		}
		problems = append(problems, planned...)
		jobs = append(jobs, &job{name: p.Config.Name, file: file, from: p, plan: plan})
		if len(problems) > 0 {
			problems.Sort()
			errs = append(errs, &fileError{file, problems})
		}
	}
	if len(errs) == 0 {
		errs = append(errs, together(jobs)...)
	}
	if len(errs) > 0 {
		return jobs, &exitError{exitWrong, errors.Join(errs...)}
	}
	return jobs, nil
}

// together fits several pipelines into one process: their names differ, and they share the largest of their
// budgets.
func together(jobs []*job) []error {
	var errs []error
	first := map[string]string{}
	budget := forebay.Bytes(0)
	for _, j := range jobs {
		budget = max(budget, j.from.Config.Memory)
		key := j.name + "\x00" + absolute(j.from.Config.State)
		if other, twice := first[key]; twice {
			errs = append(errs, wrong("give one of them another name",
				"%s and %s are both called %q in the state directory %s", other, j.file, j.name, j.from.Config.State))
		}
		first[key] = j.file
	}
	if len(jobs) < 2 || len(errs) > 0 {
		return errs
	}
	share := budget / forebay.Bytes(len(jobs))
	if share < pipeline.MemoryMin {
		return []error{wrong(
			fmt.Sprintf("write memory: %s, or run fewer", pipeline.MemoryMin*forebay.Bytes(len(jobs))),
			"memory: %s for %d pipelines is less than %s each", budget, len(jobs), pipeline.MemoryMin)}
	}
	for _, j := range jobs {
		j.from.Config.Memory = share
		j.from.Config.WriterMemory = min(j.from.Config.WriterMemory, share/2)
	}
	return nil
}

// upserts reports whether any pipeline writes to a table with a key.
func upserts(jobs []*job) bool {
	return slices.ContainsFunc(jobs, func(j *job) bool {
		info, err := j.from.Config.Sink.Info()
		return err == nil && info.Upserts
	})
}

// heapMargin is room for garbage and for what no budget counts, such as goroutines and open files.
const heapMargin = 16 * forebay.MiB

// garbagePercent is how much garbage may gather beside what is in use. Nearly all of a run's memory is buffers
// without pointers, which cost the collector little.
const garbagePercent = 50

// limitHeap makes the garbage collector work harder before the heap passes the budget by a margin: what the
// budget counts is in use, and garbage comes on top of it.
func limitHeap(jobs []*job) {
	budget := forebay.Bytes(0)
	for _, j := range jobs {
		budget += j.from.Config.Memory
	}
	debug.SetGCPercent(garbagePercent)
	debug.SetMemoryLimit(int64(budget + heapMargin))
}

// open opens each state directory once.
func (c *runCommand) open(ctx context.Context, a *app, jobs []*job) ([]*openState, error) {
	limitHeap(jobs)
	var states []*openState
	byDir := map[string]*openState{}
	for _, j := range jobs {
		config := &j.from.Config
		config.TakeOver = c.TakeOver
		dir := absolute(config.State)
		s := byDir[dir]
		if s == nil {
			budget := config.Memory
			if len(jobs) > 1 {
				budget *= forebay.Bytes(len(jobs))
			}
			var err error
			s, err = openDirectory(ctx, a, pipeline.StateConfig{
				Dir: config.State, Memory: budget, Command: title(append([]string{"run"}, c.Files...)...),
				UnsafeNetworkDir: c.UnsafeNetworkDir, Logger: config.Logger, Upserts: upserts(jobs),
			})
			if err != nil {
				for _, opened := range states {
					err = errors.Join(err, opened.close())
				}
				return nil, err
			}
			byDir[dir] = s
			states = append(states, s)
		}
		config.Opened, j.state, j.store = s.state, s, s.state.Tables().Store()
	}
	return states, nil
}

// finish shows how everything ended.
func (c *runCommand) finish(a *app, jobs []*job, closing error) error {
	code := exitDone
	out := a.out
	for _, j := range jobs {
		if info, err := j.from.Config.Sink.Info(); err == nil && info.Connector == "stdout" {
			out = a.err // the records are the result
		}
		switch {
		case j.err != nil:
			a.report(j.failure())
			code = max(code, j.exitCode())
		case j.summary.Status == pipeline.StatusStopped:
			fmt.Fprintf(a.err, "%s: stopped and drained; run the same command to go on\n", j.name)
		}
	}
	if closing != nil {
		a.report(closing)
		code = max(code, exitFailed)
	}
	for _, j := range jobs {
		if j.err != nil && j.exitCode() == exitWrong {
			continue // it never ran
		}
		if err := c.print(out, j.summary); err != nil {
			return err
		}
	}
	if code != exitDone {
		return &exitError{code: code}
	}
	return nil
}

// exitCode is that of a failed run: a run that could not begin has touched nothing.
func (j *job) exitCode() int {
	if forebay.ClassOf(j.err) == forebay.ClassMisconfigured && j.summary.Lanes == 0 {
		return exitWrong
	}
	return exitFailed
}

// failure is the error of a run at its place in the file, where it has one.
func (j *job) failure() error {
	if j.exitCode() == exitWrong {
		if problems := j.from.Explain(j.err); placed(problems) {
			return &fileError{j.file, problems}
		}
	}
	if j.summary.Left > 0 {
		return fmt.Errorf("%s: %w (%d records were read and not delivered)", j.name, j.err, j.summary.Left)
	}
	return fmt.Errorf("%s: %w", j.name, j.err)
}

func placed(problems config.Problems) bool {
	for _, p := range problems {
		if p.Position.Line == 0 && p.Origin == "" {
			return false
		}
	}
	return len(problems) > 0
}

// print prints the summary of a run as one line.
func (c *runCommand) print(out io.Writer, s pipeline.Summary) error {
	if c.Summary == "json" {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	}
	late := ""
	if s.Late > 0 {
		late = fmt.Sprintf("late %d  ", s.Late)
	}
	_, err := fmt.Fprintf(out, "%s  %s  read %d  filtered %d  rejected %d  delivered %d  %s%.2f s  %s\n",
		s.Pipeline, s.Status, s.Read, s.Filtered, s.Rejected, s.Delivered, late, s.Seconds, s.Guarantee)
	return err
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

// stateExists says whether a directory holds the state of any pipeline.
func stateExists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "FORMAT"))
	return err == nil
}

// discard is the logger of commands that only look.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// words joins the words of a list.
func words(list []string) string { return strings.Join(list, ", ") }
