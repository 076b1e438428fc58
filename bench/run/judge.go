// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// The numbers of rounds after which a job may end. With fewer than roundsLarge rounds only a clear case is
// decided: a difference of more than half, or an absolute figure whose whole range is on one side of its goal.
const (
	roundsQuick = 3
	roundsClear = 5
)

var roundsSteps = []int{roundsClear, 12, 24, 48}

// goal is one figure that each round of a job gives, and what it must be.
type goal struct {
	name  string
	unit  string
	value func(round []sample) float64
	// atMost tells a limit from above from one from below.
	atMost bool
	limit  float64
	// precision is how narrow the interval of the median must be, as a share of it, on either side.
	precision float64
	// paired marks a ratio of two sides of a round.
	paired bool
	// worst decides by the worst round instead of the median: a peak is a peak.
	worst bool
	// shown marks a figure that has no limit.
	shown bool
}

const (
	ratioPrecision  = 0.03
	narrowPrecision = 0.01
	clearDifference = 1.5
)

// verdict is what a goal came to.
type verdict struct {
	goal      goal
	figure    float64 // the median, or the worst round
	low, high float64 // interval of the median
	coverage  float64 // of the interval
	rounds    int
	settled   bool
}

func (v verdict) met() bool { return v.rounds > 0 && (v.goal.shown || v.goal.holds(v.figure)) }

func (g goal) holds(value float64) bool {
	if g.atMost {
		return value <= g.limit
	}
	return value >= g.limit
}

// judge looks at the rounds so far. A verdict is settled where more rounds could not change much.
func (g goal) judge(rounds [][]sample) verdict {
	v := verdict{goal: g, rounds: len(rounds)}
	if len(rounds) == 0 {
		return v
	}
	values := make([]float64, len(rounds))
	for i, round := range rounds {
		values[i] = g.value(round)
	}
	slices.Sort(values)
	v.figure = median(values)
	v.low, v.high, v.coverage = interval(values)
	if g.worst {
		v.figure = values[0]
		if g.atMost {
			v.figure = values[len(values)-1]
		}
		v.settled = true
		return v
	}
	if len(values) < roundsSteps[1] {
		v.settled = g.clear(values)
		return v
	}
	v.settled = g.shown || (v.high-v.low)/2 <= g.precision*v.figure // nothing hangs on a figure without a limit
	return v
}

// clear tells whether few rounds are enough: all of them say the same of the goal, and, for a ratio, the two
// sides differ by more than half in each.
func (g goal) clear(values []float64) bool {
	for _, value := range values {
		if g.holds(value) != g.holds(values[0]) {
			return false
		}
		if g.paired && value < clearDifference && value > 1/clearDifference {
			return false
		}
	}
	return true
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// interval is a confidence interval of the median that supposes nothing about the distribution: the narrowest
// pair of order statistics, equally far from both ends, that holds the median with 95 %; where there are too
// few values for that, all of them.
func interval(sorted []float64) (low, high, coverage float64) {
	n := len(sorted)
	// below is the probability that at most k-1 values lie below the median.
	k, below := 1, math.Pow(0.5, float64(n))
	next := below
	for {
		next *= float64(n-k+1) / float64(k)
		if 2*(below+next) > 0.05 || 2*(k+1) > n {
			break
		}
		below += next
		k++
	}
	return sorted[k-1], sorted[n-k], 1 - 2*below
}

// line is the verdict in one line.
func (v verdict) line(job string) string {
	word := "MISSED"
	if v.met() {
		word = "met"
	}
	sign := ">="
	if v.goal.atMost {
		sign = "<="
	}
	how := "median"
	if v.goal.worst {
		how = "worst"
	}
	note := ""
	if !v.settled {
		note = ", interval wider than wanted"
	}
	limit := fmt.Sprintf("; goal %s %s", sign, number(v.goal.limit))
	if v.goal.shown {
		word, limit = "figure", ""
	}
	return fmt.Sprintf("%-7s %-14s %-30s %s %s  [%s, %s] %.1f %%, %s of %d rounds%s%s",
		word, job, v.goal.name, number(v.figure), v.goal.unit, number(v.low), number(v.high), 100*v.coverage,
		how, v.rounds, note, limit)
}

// number prints a figure with about four digits.
func number(x float64) string {
	switch {
	case x >= 1000:
		return fmt.Sprintf("%.0f", x)
	case x >= 100:
		return fmt.Sprintf("%.1f", x)
	case x >= 10:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}
