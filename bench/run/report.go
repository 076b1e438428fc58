// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"strings"
)

// lines are the verdicts of the job, one line each.
func (r result) lines() []string {
	var lines []string
	if r.err != nil {
		for _, g := range r.job.goals {
			lines = append(lines, fmt.Sprintf("%-7s %-14s %-30s did not run", "MISSED", r.job.name, g.name))
		}
		return lines
	}
	for _, v := range r.verdicts {
		lines = append(lines, v.line(r.job.name))
	}
	return lines
}

// text is the whole result of the job: verdicts, audits, counts, and every round.
func (r result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n== %s: %s\n%s\n", r.job.name, r.job.doc, strings.Join(r.lines(), "\n"))
	if r.err != nil {
		fmt.Fprintf(&b, "error: %v\n", r.err)
	}
	for _, audit := range r.audits {
		fmt.Fprintf(&b, "audit   %s\n", audit)
	}
	if len(r.counts) > 0 && r.err == nil {
		r.writeCounts(&b)
	}
	if len(r.rounds) > 0 {
		r.writeRounds(&b)
	}
	return b.String()
}

// writeCounts writes one line for each side: what one traced run did.
func (r result) writeCounts(b *strings.Builder) {
	fmt.Fprintf(b, "%-22s %10s %8s %12s %14s %12s %12s %14s %12s\n", "counts", "records", "fsyncs", "system calls",
		"of the runtime", "MiB written", "B/record", "MiB allocated", "collections")
	for i, c := range r.counts {
		records := r.rounds0(i)
		perRecord := 0.0
		if records > 0 {
			perRecord = float64(c.written) / float64(records)
		}
		fmt.Fprintf(b, "%-22s %10d %8d %12d %14d %12d %12.2f %14d %12d\n", r.job.sides[i].name, records, c.syncs, c.calls,
			c.runtime, c.written/mebibyte, perRecord, c.allocated/mebibyte, c.collections)
	}
}

// rounds0 is how many records a side moved in the first round.
func (r result) rounds0(side int) int64 {
	if len(r.rounds) == 0 {
		return 0
	}
	return r.rounds[0][side].records
}

// writeRounds writes what every process took, so that the figures can be taken again.
func (r result) writeRounds(b *strings.Builder) {
	fmt.Fprintf(b, "%-8s%-22s %9s %9s %9s %12s %10s %9s%s\n", "round", "side", "CPU s", "wall s", "RSS MiB", "switches",
		"M rec/CPU-s", "ms", r.loadedTitle())
	for i, round := range r.rounds {
		for k, s := range round {
			speed := 0.0
			if s.cpu > 0 {
				speed = s.recordsPerCPUSecond() / 1e6
			}
			fmt.Fprintf(b, "%-8d%-22s %9.3f %9.3f %9.1f %12d %10.3f %9.2f%s\n", i+1, r.job.sides[k].name, s.cpu.Seconds(),
				s.wall.Seconds(), float64(s.rss)/mebibyte, s.switches, speed, s.millis, s.columns())
		}
	}
}

// loadedTitle are the titles of the columns that jobs over the network have too.
func (r result) loadedTitle() string {
	if r.rounds[0][0].Requests == 0 && r.rounds[0][0].Seconds == 0 {
		return ""
	}
	return fmt.Sprintf(" %9s %9s %8s %8s %8s", "MB/s", "requests", "retries", "mean ms", "p99 ms")
}

// columns are those of a job over the network.
func (l loaded) columns() string {
	if l.Seconds == 0 {
		return ""
	}
	return fmt.Sprintf(" %9.1f %9d %8d %8.2f %8.2f", l.megabytesPerSecond(), l.Requests, l.Retries, l.Mean, l.P99)
}
