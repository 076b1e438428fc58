// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestEveryJobHasGoalsAndAName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, j := range jobs() {
		if j.name == "" || j.doc == "" || seen[j.name] || len(j.goals) == 0 || len(j.sides) == 0 {
			t.Errorf("job %q lacks something or is there twice", j.name)
		}
		seen[j.name] = true
		for _, s := range j.sides {
			if s.run == nil || s.audit == nil {
				t.Errorf("job %q: side %q has no run or no audit", j.name, s.name)
			}
		}
	}
}

func TestGeneratorFilesMakeAsManyRecordsAsTheLedgerExpects(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"generate-bytes": bytesRecords, "generate-rows": rowsRecords} {
		text, err := os.ReadFile(filepath.Join("../jobs", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		count := regexp.MustCompile(`count: (\d+)`).FindSubmatch(text)
		if count == nil || string(count[1]) != strconv.Itoa(want) {
			t.Errorf("%s.yaml has %q, the ledger expects %d", name, count, want)
		}
	}
}

// fakePlace is a place whose forebay is a shell script: the last run printed out, and queries answer from files.
func fakePlace(t *testing.T, out, count, progress string) *place {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in table) echo '%s';; checkpoint) echo '%s';; esac\n", count, progress)
	program := filepath.Join(dir, "forebay")
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "stdout"), []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
	return &place{bench: &bench{binaries: map[string]string{"forebay": program}}, dir: dir, procs: 1}
}

func TestAuditFindsWhatIsLostRepeatedOrOfAnotherGuarantee(t *testing.T) {
	t.Parallel()
	const good = `{"status":"done","read":10,"delivered":10,"filtered":0,"rejected":0,"guarantee":"exactly-once"}`
	const atLeast = `{"status":"done","read":10,"delivered":10,"filtered":0,"rejected":0,"guarantee":"at-least-once"}`
	const held = "SPLIT POSITION HELD BY\na.csv finished target"
	cases := []struct {
		name, out, count, progress, problem string
	}{
		{"all there", "a line before\n" + good + "\n", "10", held, ""},
		{"a row lost", good, "9", held, "rows in table t: 9, expected 10"},
		{"a row repeated", good, "11", held, "rows in table t: 11, expected 10"},
		{"less read", `{"status":"done","read":9,"delivered":9,"guarantee":"exactly-once"}`, "10", held, "read: 9"},
		{
			"rejected", `{"status":"done","read":10,"delivered":9,"rejected":1,"guarantee":"exactly-once"}`,
			"10", held, "rejected: 1",
		},
		{
			"failed", `{"status":"failed","error":"disk","read":10,"delivered":10,"guarantee":"exactly-once"}`,
			"10", held, "status: failed",
		},
		{"a weaker guarantee", atLeast, "10", "", "guarantee: at-least-once"},
		{"no progress", good, "10", "", "0 progress entries in the target under exactly-once"},
		{"no summary", "panic", "10", held, "no summary"},
	}
	for _, c := range cases {
		ledger := expected{pipeline: "p", read: 10, table: "t", rows: 10, guarantee: "exactly-once"}
		text, err := ledger.audit(t.Context(), fakePlace(t, c.out, c.count, c.progress))
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: got %q and %v, want %q", c.name, text, err, c.problem)
		}
	}
}

func TestAtLeastOnceMustLeaveNoProgress(t *testing.T) {
	t.Parallel()
	const out = `{"status":"done","read":10,"delivered":10,"guarantee":"at-least-once"}`
	ledger := expected{pipeline: "p", read: 10, table: "t", rows: 10, guarantee: "at-least-once"}
	if _, err := ledger.audit(t.Context(), fakePlace(t, out, "10", "a.csv finished 1 checkpoint")); err != nil {
		t.Error(err)
	}
	if _, err := ledger.audit(t.Context(), fakePlace(t, out, "10", "a.csv finished target")); err == nil {
		t.Error("a progress entry under at-least-once was not found")
	}
}

func TestFloorThatWritesLessIsFound(t *testing.T) {
	t.Parallel()
	p := &place{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, "out"), []byte("a\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := countLines("out", 2)(t.Context(), p); err != nil {
		t.Error(err)
	}
	if _, err := countLines("out", 3)(t.Context(), p); err == nil {
		t.Error("a missing line was not found")
	}
}
