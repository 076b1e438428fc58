// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// summary is the part of the last line of `forebay run --summary json` that an audit needs.
type summary struct {
	Status    string `json:"status"`
	Read      int64  `json:"read"`
	Delivered int64  `json:"delivered"`
	Filtered  int64  `json:"filtered"`
	Rejected  int64  `json:"rejected"`
	Guarantee string `json:"guarantee"`
	Error     string `json:"error"`
}

// readSummary reads the last line of what a run printed.
func (p *place) readSummary() (summary, error) {
	out := bytes.TrimSpace(p.out("stdout"))
	line := out[bytes.LastIndexByte(out, '\n')+1:]
	var s summary
	if err := json.Unmarshal(line, &s); err != nil {
		return s, fmt.Errorf("the last line of the run is no summary: %w: %q", err, tail(line))
	}
	return s, nil
}

// expected is the ledger of a pipeline: what must have been read and what must be there.
type expected struct {
	pipeline string
	read     int64
	// table and rows: what a scan must count. Without a table the sink itself compares a sum.
	table string
	rows  int64
	// guarantee is empty where it is left to the pipeline.
	guarantee string
	filters   bool
}

// audit compares a finished run with the ledger and says what it found.
//
// Errors: where anything was lost, repeated, rejected, or delivered under another guarantee.
func (e expected) audit(ctx context.Context, p *place) (string, error) {
	s, err := p.readSummary()
	if err != nil {
		return "", err
	}
	var problems []error
	differs := func(what string, got, want any) {
		if got != want {
			problems = append(problems, fmt.Errorf("%s: %v, expected %v", what, got, want))
		}
	}
	differs("status", s.Status, "done")
	differs("error", s.Error, "")
	differs("read", s.Read, e.read)
	differs("rejected", s.Rejected, int64(0))
	differs("delivered + filtered", s.Delivered+s.Filtered, e.read)
	if !e.filters {
		differs("filtered", s.Filtered, int64(0))
	}
	if e.guarantee != "" {
		differs("guarantee", s.Guarantee, e.guarantee)
	}
	text := fmt.Sprintf("read %d, filtered %d, delivered %d, %s", s.Read, s.Filtered, s.Delivered, s.Guarantee)
	if e.table != "" {
		count, err := p.query(ctx, "table", "scan", e.table, "--count")
		if err != nil {
			return "", err
		}
		differs("rows in table "+e.table, count, fmt.Sprint(e.rows))
		text += ", rows in the table " + count
		entries, err := p.progressEntries(ctx, e.pipeline)
		if err != nil {
			return "", err
		}
		if exactly := s.Guarantee == "exactly-once"; exactly != (entries > 0) {
			problems = append(problems, fmt.Errorf("%d progress entries in the target under %s", entries, s.Guarantee))
		}
		text += fmt.Sprintf(", progress entries in the target %d", entries)
	}
	return text, errors.Join(problems...)
}

// query asks forebay about the state directory of the place and returns what it printed.
func (p *place) query(ctx context.Context, args ...string) (string, error) {
	q := &place{bench: p.bench, dir: filepath.Join(p.dir, "query"), procs: p.procs}
	if err := os.MkdirAll(q.dir, 0o755); err != nil {
		return "", err
	}
	all := append(append([]string{"forebay"}, args...), "--state", p.state())
	if _, err := q.run(ctx, all...); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(q.out("stdout"))), nil
}

func (p *place) state() string { return filepath.Join(p.dir, "state") }

// progressEntries counts the splits for which the target holds progress: lines of the table of splits whose last
// column, who holds the position, says so.
func (p *place) progressEntries(ctx context.Context, pipeline string) (int, error) {
	text, err := p.query(ctx, "checkpoint", "show", pipeline)
	if err != nil {
		return 0, err
	}
	entries := 0
	for line := range strings.Lines(text) {
		if strings.HasSuffix(strings.TrimSpace(line), " target") {
			entries++
		}
	}
	return entries, nil
}

// countLines is the audit of a floor that appends to a file: as many lines as the input has.
func countLines(name string, want int64) func(context.Context, *place) (string, error) {
	return func(_ context.Context, p *place) (string, error) {
		file, err := os.Open(filepath.Join(p.dir, name))
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }() // it was only read
		counter := lineCounter{to: io.Discard}
		if _, err := io.CopyBuffer(&counter, io.MultiReader(file), make([]byte, 256<<10)); err != nil {
			return "", err
		}
		lines := counter.lines
		if lines != want {
			return "", fmt.Errorf("%d lines, expected %d", lines, want)
		}
		return fmt.Sprintf("%d lines", lines), nil
	}
}

// noAudit is for a floor or peer whose exit code is all that there is.
func noAudit(text string) func(context.Context, *place) (string, error) {
	return func(context.Context, *place) (string, error) { return text, nil }
}
