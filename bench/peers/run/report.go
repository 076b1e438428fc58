// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// comparison is our side k beside the peer's side m.
type comparison struct {
	ours, theirs int
	// ratios are those of rows per CPU-second, one a round, sorted; acked those without what came after the last answer.
	ratios, acked []float64
}

func (c comparison) met() bool { return median(c.ratios) >= goal }

func (r result) comparisons() []comparison {
	var all []comparison
	for k, ours := range r.job.sides {
		for m, theirs := range r.job.sides {
			if !ours.ours || theirs.ours {
				continue
			}
			c := comparison{ours: k, theirs: m}
			for _, round := range r.rounds {
				c.ratios = append(c.ratios, round[k].perCPUSecond()/round[m].perCPUSecond())
				c.acked = append(c.acked, round[k].perAckedCPUSecond()/round[m].perAckedCPUSecond())
			}
			slices.Sort(c.ratios)
			slices.Sort(c.acked)
			all = append(all, c)
		}
	}
	return all
}

func (r result) missed() int {
	n := 0
	for _, c := range r.comparisons() {
		if !c.met() {
			n++
		}
	}
	return n
}

func (r result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n== %s: %d rows (int64 key, int64, text of 84) a turn, %d rounds after %d to warm up\n",
		r.job.name, r.rows, len(r.rounds), r.warm)
	for _, s := range r.job.sides {
		fmt.Fprintf(&b, "%-20s %s\n", s.name, s.settings)
	}
	for i, round := range r.rounds {
		for k, s := range round {
			fmt.Fprintf(&b, "round %d %s\n", i+1, s.line(r.job.sides[k].name))
		}
	}
	for k, s := range r.job.sides {
		var rates, rows []float64
		for _, round := range r.rounds {
			rates = append(rates, round[k].perCPUSecond())
			rows = append(rows, float64(r.rows)/round[k].wall.Seconds())
		}
		slices.Sort(rates)
		slices.Sort(rows)
		fmt.Fprintf(&b, "median  %-20s %8.0f rows/CPU-s, %8.0f rows/s\n", s.name, median(rates), median(rows))
	}
	for _, c := range r.comparisons() {
		word := "MISSED"
		if c.met() {
			word = "met"
		}
		fmt.Fprintf(&b, "%-7s %s / %s: rows per CPU-second %.2f x [%.2f, %.2f], until the last answer %.2f x; goal >= %d\n",
			word, r.job.sides[c.ours].name, r.job.sides[c.theirs].name,
			median(c.ratios), c.ratios[0], c.ratios[len(c.ratios)-1], median(c.acked), goal)
	}
	return b.String()
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
