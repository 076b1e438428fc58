// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options is the command line.
type options struct {
	quick   bool
	only    *regexp.Regexp
	out     string
	procs   int
	forebay string
	started time.Time
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := benchmark(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

// errMissed is the end of a run in which all jobs ran and not every goal was met.
var errMissed = errors.New("not all goals are met")

func benchmark(ctx context.Context) error {
	o := options{started: time.Now()}
	only := ""
	flag.BoolVar(&o.quick, "quick", false, "3 rounds of each job: a look, not a result")
	flag.StringVar(&only, "only", "", "run the jobs whose name this `regexp` matches")
	flag.StringVar(&o.out, "out", "", "write the text to this `file` too; bench/results/DATE-COMMIT.txt if not -quick")
	flag.IntVar(&o.procs, "procs", runtime.NumCPU(), "GOMAXPROCS of every process")
	flag.StringVar(&o.forebay, "forebay", "", "measure this `binary` instead of building one")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if flag.NArg() > 0 || o.procs < 1 {
		return errors.New("usage: go run ./bench/run [-quick] [-only REGEXP] [-out FILE] [-procs N] [-forebay BINARY]")
	}
	if _, err := os.Stat("bench/jobs"); err != nil {
		return fmt.Errorf("start it in the root of the repository: %w", err)
	}
	b := &bench{options: o}
	for _, j := range jobs() {
		if o.only.MatchString(j.name) {
			b.jobs = append(b.jobs, j)
		}
	}
	if len(b.jobs) == 0 {
		return fmt.Errorf("-only %s: no job has such a name", o.only)
	}
	return b.runAll(ctx)
}

// bench is one run of the driver.
type bench struct {
	options
	jobs []job
	// binaries are the programs by name: forebay, and what else the jobs need.
	binaries map[string]string
	// unbuilt are those that are not there, and why: the jobs that need them do not run.
	unbuilt map[string]error
	places  int
	report  io.Writer
}

// runAll prepares, runs every job and says how many goals were missed. A job that cannot run counts as missed.
func (b *bench) runAll(ctx context.Context) error {
	facts := machineFacts(ctx, b.options)
	if b.out == "" && !b.quick {
		name := fmt.Sprintf("%s-%s.txt", b.started.Format("20060102-150405"), facts.commit)
		b.out = filepath.Join("bench/results", name)
	}
	b.report = os.Stdout
	if b.out != "" {
		file, err := os.Create(b.out)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // every line was written by then
		b.report = io.MultiWriter(os.Stdout, file)
	}
	fmt.Fprint(b.report, facts.text())
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(workDir) }()
	var lines []string
	missed := 0
	for _, j := range b.jobs {
		result := b.runJob(ctx, j)
		fmt.Fprint(b.report, result.text())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		lines = append(lines, result.lines()...)
		missed += result.missed()
	}
	fmt.Fprintf(b.report, "\nThe driver itself took up to %s MiB: no process can show less.\n", number(ownPeak()))
	fmt.Fprintf(b.report, "\n== goals%s\n%s\n%d of %d missed, %s\n", b.mode(), strings.Join(lines, "\n"), missed,
		len(lines), time.Since(b.started).Round(time.Second))
	if missed > 0 {
		return errMissed
	}
	return nil
}

func (b *bench) mode() string {
	if b.quick {
		return " (QUICK: 3 rounds, not a result)"
	}
	return ""
}
