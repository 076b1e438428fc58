// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCPUTimeIsReadBehindTheNameOfAProgram(t *testing.T) {
	t.Parallel()
	const rest = " 1 7 7 0 -1 4194560 100 0 0 0 150 25 9 9 20 0 3 0 100 1 1"
	for _, name := range []string{"(java)", "(a b) c)", "(S 1 2 3)"} {
		got, err := parseStat("7 " + name + " S" + rest)
		if err != nil || got != 1750*time.Millisecond {
			t.Errorf("%s: %s, %v, want 1.75s", name, got, err)
		}
	}
	if _, err := parseStat("7 (java) Z" + rest); err == nil {
		t.Error("the CPU time of a process that has ended was taken for that of one that runs")
	}
	if _, err := parseStat("7 (java) S 1"); err == nil {
		t.Error("a short text was taken for whole")
	}
}

func TestCPUTimeOfThisProcessGrows(t *testing.T) {
	t.Parallel()
	own := func() time.Duration {
		stat, err := os.ReadFile("/proc/self/stat")
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseStat(string(stat))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := own()
	for end := time.Now().Add(30 * time.Second); own() < before+5*tick; {
		if time.Now().After(end) {
			t.Fatalf("still %s after 30 s of work", own())
		}
	}
}

func TestARatioIsTakenWithinARound(t *testing.T) {
	t.Parallel()
	at := func(cpu, later time.Duration) sample {
		return sample{rows: 100, client: cpu / 2, server: cpu / 2, later: later, wall: time.Second}
	}
	r := result{
		job: job{name: "x", sides: []side{{name: "a", ours: true}, {name: "b"}, {name: "c"}}}, rows: 100,
		rounds: [][]sample{
			{at(1*time.Second, 0), at(4*time.Second, 0), at(1*time.Second, time.Second)},
			{at(10*time.Second, 0), at(30*time.Second, 0), at(20*time.Second, 0)},
			{at(2*time.Second, 0), at(10*time.Second, 0), at(2*time.Second, 2*time.Second)},
		},
	}
	got := r.comparisons()
	want := []comparison{
		{ours: 0, theirs: 1, ratios: []float64{3, 4, 5}, acked: []float64{3, 4, 5}},
		{ours: 0, theirs: 2, ratios: []float64{2, 2, 2}, acked: []float64{1, 1, 2}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(comparison{})); diff != "" {
		t.Error(diff)
	}
	if r.missed() != 1 {
		t.Errorf("%d missed, want 1", r.missed())
	}
	if text := r.text(); !strings.Contains(text, "met     a / b") || !strings.Contains(text, "MISSED  a / c") {
		t.Error(text)
	}
}

func TestASideIsQuietWhenItWasSoTwice(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		taken [3]time.Duration
		want  bool
	}{
		{[3]time.Duration{100 * ms, 90 * ms, 80 * ms}, true},
		{[3]time.Duration{190 * ms, 90 * ms, 80 * ms}, false},
		{[3]time.Duration{190 * ms, 180 * ms, 80 * ms}, false},
	} {
		if got := quiet(c.taken); got != c.want {
			t.Errorf("%v: %t, want %t", c.taken, got, c.want)
		}
	}
}
