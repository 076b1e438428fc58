// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
)

const (
	loadRows    = 2_500_000
	latencyRows = 1_500_000
	upsertKeys  = 1 << 20
	upsertRows  = 2 * upsertKeys
	syncRows    = 1 << 11
	manualRows  = 1 << 19
	megabyte    = 1_000_000
	batch100K   = 100_000
	batch1M     = 1 * megabyte
	batch2M     = 2 * megabyte
	batch5M     = 5 * megabyte
)

func batchFlag(size int) []string { return []string{"-batch", strconv.Itoa(size)} }

// figure is a number that is shown and not judged.
func figure(name, unit string, value func([]sample) float64) goal {
	return goal{name: name, unit: unit, value: value, precision: ratioPrecision, shown: true}
}

// faster is how many times as fast one side of a round is as another one.
func faster(side, than int) func([]sample) float64 {
	return func(round []sample) float64 { return round[side].rowsPerSecond() / round[than].rowsPerSecond() }
}

func throughputGoal(limit float64) goal {
	return goal{
		name: "throughput", unit: "x", value: faster(0, 1), limit: limit, precision: ratioPrecision, paired: true,
	}
}

func writerJobs() []job {
	return append(floorJobs(), tradeOffJob("tradeoff", batch1M, batch2M, batch5M),
		tradeOffJob("tradeoff-2mb", batch2M, batch2M, batch2M), sessionJob(), idempotenceJob())
}

func floorJobs() []job {
	appends := func(name string, size int) job {
		flags := batchFlag(size)
		return job{
			name: name, doc: fmt.Sprintf("rows of 208 bytes, one writer, requests of %d bytes, over the network", size),
			programs: []string{"load", "grpcappend"},
			sides: []side{
				ours(loadRows, 0, flags...).side("forebay"), bare(loadRows, 0, nil, flags...).side("grpcappend"),
			},
			goals: []goal{ratioGoal("CPU of client and server", cpuRatio, 1.25), throughputGoal(0.9)},
		}
	}
	upsert, size := []string{"-rows"}, batchFlag(batch2M)
	return []job{
		appends("append-2mb", batch2M), appends("append-100kb", batch100K),
		{
			name: "upsert", doc: "rows of 208 bytes into a key table, each key twice, requests of 2 MB, over the network",
			programs: []string{"load", "grpcappend"},
			sides: []side{
				ours(upsertRows, upsertKeys, size...).side("forebay"),
				bare(upsertRows, upsertKeys, upsert, size...).side("grpcappend"),
			},
			goals: []goal{
				ratioGoal("CPU of client and server", cpuRatio, 1.15), figure("throughput", "x", faster(0, 1)),
			},
		},
		latencyJob(),
	}
}

// latencyJob offers both sides the same rows a second: half of what ours takes, measured once before the rounds.
func latencyJob() job {
	rate := new(float64)
	flags := batchFlag(batch100K)
	mine := ours(latencyRows, 0, flags...).at(rate).side("forebay")
	paced := mine.run
	mine.run = func(ctx context.Context, p *place) (sample, error) {
		if *rate == 0 {
			full, err := p.within("full")
			if err != nil {
				return sample{}, err
			}
			s, err := ours(latencyRows, 0, flags...).run(ctx, full)
			if err != nil {
				return sample{}, err
			}
			*rate = s.rowsPerSecond() / 2
		}
		return paced(ctx, p)
	}
	p99 := ratioGoal("p99", func(round []sample) float64 { return round[0].P99 / round[1].P99 }, 2)
	return job{
		name: "append-latency", programs: []string{"load", "grpcappend"},
		doc: "a row's time from when it is due to its answer, requests of 100 kB at half of what we take, over the network",
		sides: []side{
			mine, bare(latencyRows, 0, nil, flags...).at(rate).side("grpcappend"),
		},
		goals: []goal{
			p99, figure("p99, ours", "ms", func(round []sample) float64 { return round[0].P99 }),
			figure("p99, floor's", "ms", func(round []sample) float64 { return round[1].P99 }),
			figure("offered", "MB/s", func([]sample) float64 { return *rate * 208 / megabyte }),
		},
	}
}

// tradeOffJob is three ways of being careful; latency is that of a request from its send to its answer.
func tradeOffJob(name string, sizes ...int) job {
	j := job{
		name: name, programs: []string{"load"},
		doc: "one writer into a log table over the network: no retry; 3 retries; 3 retries and idempotence",
	}
	care := [][]string{{"-retries", "0", "-without-idempotence"}, {"-retries", "3", "-without-idempotence"}, nil}
	for i, what := range []string{"no retry", "3 retries", "idempotent"} {
		label := fmt.Sprintf("%d MB %s", sizes[i]/megabyte, what)
		j.sides = append(j.sides, ours(loadRows, 0, append(batchFlag(sizes[i]), care[i]...)...).side(label))
		j.goals = append(
			j.goals,
			figure(label, "MB/s", func(round []sample) float64 { return round[i].megabytesPerSecond() }),
			figure(label+", mean", "ms", func(round []sample) float64 { return round[i].Mean }),
			figure(label+", p99", "ms", func(round []sample) float64 { return round[i].P99 }),
		)
		if i > 0 {
			j.goals = append(j.goals, figure(label+", of row 1", "x", faster(i, 0)))
		}
	}
	return j
}

// sessionJob is the three modes of a session into a key table.
func sessionJob() job {
	j := job{
		name: "sessions", programs: []string{"load"},
		doc: "upserts of 208 bytes through a session: each alone, flushed every 10,000, in the background",
	}
	for i, mode := range []struct {
		name string
		rows int
	}{{"sync", syncRows}, {"manual", manualRows}, {"background", upsertRows}} {
		j.sides = append(j.sides, ours(mode.rows, min(mode.rows, upsertKeys), "-mode", mode.name).side(mode.name))
		j.goals = append(
			j.goals,
			figure(mode.name, "rows/s", func(round []sample) float64 { return round[i].rowsPerSecond() }),
			figure(mode.name+", CPU", "us/row", func(round []sample) float64 {
				return round[i].cpu.Seconds() * 1e6 / float64(round[i].records)
			}),
		)
	}
	return j
}

// idempotenceJob is what sequences and retries cost where nothing fails.
func idempotenceJob() job {
	cpu := ratioGoal("CPU of client and server", cpuRatio, 1.03)
	cpu.precision = narrowPrecision
	took := ratioGoal("time", faster(1, 0), 1.03)
	took.precision = narrowPrecision
	return job{
		name: "idempotence", programs: []string{"load"},
		doc: "one writer, requests of 2 MB over the network: idempotent with 3 retries beside neither",
		sides: []side{
			ours(loadRows, 0, batchFlag(batch2M)...).side("idempotent"),
			ours(loadRows, 0, append(batchFlag(batch2M), "-retries", "0", "-without-idempotence")...).side("neither"),
		},
		goals: []goal{cpu, took},
	}
}
