// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"math"
	"testing"
	"time"
)

func TestIntervalHoldsTheMedianWithItsCoverage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		n         int
		low, high float64
		coverage  float64
	}{
		{1, 1, 1, 0},
		{3, 1, 3, 0.75},
		{5, 1, 5, 0.9375},
		{6, 1, 6, 0.96875},
		{12, 3, 10, 0.96143},
		{24, 7, 18, 0.97734},
		{48, 17, 32, 0.97069},
	}
	for _, c := range cases {
		values := make([]float64, c.n)
		for i := range values {
			values[i] = float64(i + 1)
		}
		low, high, coverage := interval(values)
		if low != c.low || high != c.high || math.Abs(coverage-c.coverage) > 1e-5 {
			t.Errorf("n=%d: got [%v, %v] with %v, want [%v, %v] with %v", c.n, low, high, coverage, c.low, c.high, c.coverage)
		}
	}
}

// ratios makes rounds whose CPU times have these ratios.
func ratios(values ...float64) [][]sample {
	var rounds [][]sample
	for _, value := range values {
		rounds = append(rounds, []sample{
			{usage: usage{cpu: time.Duration(value * float64(time.Second))}},
			{usage: usage{cpu: time.Second}},
		})
	}
	return rounds
}

func repeated(times int, values ...float64) [][]sample {
	var rounds [][]sample
	for range times {
		rounds = append(rounds, ratios(values...)...)
	}
	return rounds
}

func TestVerdictNeedsAsManyRoundsAsTheCaseIsClose(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name         string
		rounds       [][]sample
		met, settled bool
	}{
		{"half the floor after five rounds", ratios(0.5, 0.52, 0.48, 0.51, 0.5), true, true},
		{"twice the floor after five rounds", ratios(2, 2.1, 1.9, 2, 2), false, true},
		{"under half of a difference after five rounds", ratios(0.8, 0.8, 0.8, 0.8, 0.8), true, false},
		{"five rounds that do not agree", ratios(0.5, 0.5, 0.5, 0.5, 1.6), true, false},
		{"twelve narrow rounds below the goal", repeated(4, 0.88, 0.89, 0.885), true, true},
		{"twelve narrow rounds above the goal", repeated(4, 0.92, 0.91, 0.915), false, true},
		{"twelve wide rounds", repeated(4, 0.7, 0.8, 0.9), true, false},
		{"exactly the goal", repeated(12, 0.9), true, true},
	}
	g := ratioGoal("CPU", cpuRatio, 0.9)
	for _, c := range cases {
		v := g.judge(c.rounds)
		if v.met() != c.met || v.settled != c.settled {
			t.Errorf("%s: met %v settled %v, want %v %v (%+v)", c.name, v.met(), v.settled, c.met, c.settled, v)
		}
	}
}

func TestNarrowGoalIsNotSettledByAThreePercentInterval(t *testing.T) {
	t.Parallel()
	g := ratioGoal("CPU", cpuRatio, 1.02)
	rounds := repeated(4, 0.98, 1, 1.02)
	if !g.judge(rounds).settled {
		t.Error("within 3 %, and not settled")
	}
	g.precision = narrowPrecision
	if g.judge(rounds).settled {
		t.Error("wider than 1 %, and settled")
	}
}

func TestAFigureWithoutALimitNeedsNoNarrowInterval(t *testing.T) {
	t.Parallel()
	g := figure("x", "x", cpuRatio)
	if v := g.judge(repeated(6, 1, 3)); !v.settled || !v.met() {
		t.Errorf("%+v", v)
	}
	g.shown = false
	if v := g.judge(repeated(6, 1, 3)); v.settled {
		t.Errorf("%+v", v)
	}
}

func TestPeakIsTheWorstRound(t *testing.T) {
	t.Parallel()
	g := memoryGoal(100)
	var rounds [][]sample
	for _, mib := range []int64{90, 99, 101, 95, 91} {
		rounds = append(rounds, []sample{{usage: usage{rss: mib * mebibyte}}})
	}
	if v := g.judge(rounds); v.met() || v.figure != 101 {
		t.Errorf("got %+v, want 101 and missed", v)
	}
}

func TestNoRoundMeetsNothing(t *testing.T) {
	t.Parallel()
	if ratioGoal("CPU", cpuRatio, 1).judge(nil).met() {
		t.Error("a job without rounds met its goal")
	}
	r := result{job: job{goals: []goal{memoryGoal(1), memoryGoal(2)}}, err: errMissed}
	if r.missed() != 2 || len(r.lines()) != 2 {
		t.Errorf("a job that failed: %d missed, %d lines; want 2 and 2", r.missed(), len(r.lines()))
	}
}
