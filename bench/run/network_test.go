// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"math"
	"strings"
	"testing"
)

func TestAFigureHasNoGoalAndIsNotMissed(t *testing.T) {
	g := figure("speed", "MB/s", func(round []sample) float64 { return round[0].megabytesPerSecond() })
	rounds := [][]sample{{{loaded: loaded{Bytes: 3e6, Seconds: 2}}}}
	v := g.judge(rounds)
	r := result{job: job{goals: []goal{g}}, rounds: rounds, verdicts: []verdict{v}}
	if line := v.line("job"); r.missed() != 0 || !strings.HasPrefix(line, "figure ") || strings.Contains(line, "goal") {
		t.Errorf("missed %d: %s", r.missed(), line)
	}
	if math.Abs(v.figure-1.5) > 1e-9 {
		t.Errorf("the figure is %v", v.figure)
	}
}

func TestTheAddressIsReadFromWhatServersSay(t *testing.T) {
	for _, text := range []string{
		"serving 127.0.0.1:4711  state /tmp/x  without TLS\n", "2026/11/21 13:40:11 serving 127.0.0.1:4711  bare\n",
	} {
		if found := servingLine.FindStringSubmatch(text); found == nil || found[1] != "127.0.0.1:4711" {
			t.Errorf("%q: %q", text, found)
		}
	}
	if servingLine.MatchString("serving 127.0.") {
		t.Error("half a line is taken for an address")
	}
}

func TestEverySideOfTheWritersJobsIsAudited(t *testing.T) {
	for _, j := range writerJobs() {
		if len(j.goals) == 0 || j.programs[0] != "load" {
			t.Errorf("%s: goals %d, programs %v", j.name, len(j.goals), j.programs)
		}
		for _, s := range j.sides {
			if s.audit == nil || !s.untraced {
				t.Errorf("%s: %s is not audited, or counted", j.name, s.name)
			}
		}
	}
}
