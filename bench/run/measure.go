// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sample is what one side of one round gave.
type sample struct {
	usage
	loaded  // of a job over the network
	records int64
	// input is how many bytes were read, where that is the point.
	input int64
	// millis is a time that a latency job measured.
	millis float64
	// cold is the CPU time from the start of a process to its first result, where cpu is that of a later one.
	cold time.Duration
}

func (s sample) recordsPerCPUSecond() float64 {
	return float64(s.records) / s.cpu.Seconds()
}

// result is what is known of a job when it has ended.
type result struct {
	job      job
	procs    int
	counts   []counts   // per side; empty for latency jobs
	rounds   [][]sample // per round, per side
	verdicts []verdict
	audits   []string
	err      error
}

// missed counts the goals of the job that are not met.
func (r result) missed() int {
	if r.err != nil {
		return len(r.job.goals)
	}
	n := 0
	for _, v := range r.verdicts {
		if !v.met() {
			n++
		}
	}
	return n
}

// runJob runs rounds until every goal is settled, or the most rounds are reached.
func (b *bench) runJob(ctx context.Context, j job) result {
	r := result{job: j, procs: b.procs}
	for _, program := range j.programs {
		if r.err = b.unbuilt[program]; r.err != nil {
			return r
		}
	}
	if r.err = b.countJob(ctx, &r); r.err != nil {
		return r
	}
	steps := roundsSteps
	switch {
	case j.rounds > 0:
		steps = []int{j.rounds}
	case b.quick:
		steps = []int{roundsQuick}
	}
	if b.quick {
		steps = []int{min(steps[0], roundsQuick)}
	}
	for _, step := range steps {
		for len(r.rounds) < step {
			fmt.Fprintf(os.Stderr, "bench: %s round %d of at least %d\n", j.name, len(r.rounds)+1, step)
			round, err := b.runRound(ctx, &r)
			if err != nil {
				r.err = err
				return r
			}
			r.rounds = append(r.rounds, round)
		}
		r.verdicts = nil
		settled := true
		for _, g := range j.goals {
			v := g.judge(r.rounds)
			r.verdicts = append(r.verdicts, v)
			settled = settled && v.settled
		}
		if settled {
			break
		}
	}
	return r
}

// runRound runs each side once; the first round gives the audits of sides that are not counted.
func (b *bench) runRound(ctx context.Context, r *result) ([]sample, error) {
	var round []sample
	for _, s := range r.job.sides {
		measured, audit, err := b.runSide(ctx, s, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if s.untraced && len(r.rounds) == 0 {
			r.audits = append(r.audits, fmt.Sprintf("%s: %s", s.name, audit))
		}
		round = append(round, measured)
	}
	return round, nil
}

// countJob runs each side once under ptrace, for the counts and the words of its audit.
func (b *bench) countJob(ctx context.Context, r *result) error {
	for _, s := range r.job.sides {
		if s.untraced {
			continue
		}
		var c counts
		fmt.Fprintf(os.Stderr, "bench: %s: count the calls of %s\n", r.job.name, s.name)
		_, audit, err := b.runSide(ctx, s, &c)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.counts = append(r.counts, c)
		r.audits = append(r.audits, fmt.Sprintf("%s: %s", s.name, audit))
	}
	return nil
}

// runSide runs a side in a place of its own, audits what it did and removes the place.
func (b *bench) runSide(ctx context.Context, s side, c *counts) (sample, string, error) {
	b.places++
	dir, err := filepath.Abs(filepath.Join(workDir, fmt.Sprintf("%03d", b.places)))
	if err != nil {
		return sample{}, "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return sample{}, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p := &place{bench: b, dir: dir, procs: b.procs, counts: c}
	if s.procs > 0 {
		p.procs = s.procs
	}
	measured, err := s.run(ctx, p)
	if err != nil {
		return sample{}, "", err
	}
	p.counts = nil
	audit, err := s.audit(ctx, p)
	if err != nil {
		return sample{}, "", fmt.Errorf("audit: %w", err)
	}
	return measured, strings.TrimSpace(audit), nil
}
