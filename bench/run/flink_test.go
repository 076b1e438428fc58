// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

const flinkRun = "a line before\nround 1 cpu 8.000 wall 9.000 process 10.500\n" +
	"round 2 cpu 3.000 wall 4.000 process 13.500\nround 3 cpu 2.500 wall 3.250 process 16.000\n"

func TestFlinkIsMeasuredWarmAndItsStartApart(t *testing.T) {
	t.Parallel()
	s, err := readFlink(flinkRun, usage{cpu: 16 * time.Second, wall: time.Minute, rss: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		usage: usage{cpu: 2500 * time.Millisecond, wall: 3250 * time.Millisecond, rss: 7}, records: fileRecords,
		cold: 10500 * time.Millisecond,
	}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestFiguresOfFlinkThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(flinkRun, "\n")
	cases := []struct {
		name, text, problem string
		cpu                 time.Duration
	}{
		{"a round missing", strings.Join(lines[:3], ""), "2 rounds, expected 3", time.Minute},
		{"a round skipped", lines[1] + lines[3], "expected round 2", time.Minute},
		{"no time at all", strings.ReplaceAll(flinkRun, "cpu 2.500", "cpu 0.000"), "expected round 3", time.Minute},
		{"more than the kernel gave", flinkRun, "more CPU time than the kernel", 15 * time.Second},
		{"nothing", "", "0 rounds, expected 3", time.Minute},
	}
	for _, c := range cases {
		if _, err := readFlink(c.text, usage{cpu: c.cpu}); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.problem)
		}
	}
}

func TestGoalBesideFlinkIsThatOfItsWholeProcess(t *testing.T) {
	t.Parallel()
	took := func(cpu, cold time.Duration) sample {
		return sample{usage: usage{cpu: cpu}, records: fileRecords, cold: cold}
	}
	round := []sample{took(time.Second, 0), took(8*time.Second, 12*time.Second), took(4*time.Second, 16*time.Second)}
	for i, want := range []struct {
		value float64
		met   bool
	}{{12, false}, {8, true}, {4, true}} {
		v := flinkJob().goals[i].judge([][]sample{round})
		if math.Abs(v.figure-want.value) > 1e-9 || v.met() != want.met {
			t.Errorf("%s: %g, met %v; want %g, %v", v.goal.name, v.figure, v.met(), want.value, want.met)
		}
	}
}

func TestJobWhosePeerIsNotThereIsMissed(t *testing.T) {
	t.Parallel()
	b := &bench{unbuilt: map[string]error{"flink": errors.New("no mvn")}}
	r := b.runJob(t.Context(), flinkJob())
	if r.missed() != 3 || !strings.Contains(r.text(), "no mvn") {
		t.Errorf("%d missed: %s", r.missed(), r.text())
	}
}
