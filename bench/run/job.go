// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
)

// job is one comparison, or one figure, with its goals.
type job struct {
	name string
	doc  string
	// programs are built beside forebay: folders of bench/floor, or a peer.
	programs []string
	sides    []side
	goals    []goal
	// rounds fixes how many there are; 0 lets the intervals decide.
	rounds int
}

// side is one program of a job. The first side is ours.
type side struct {
	name  string
	procs int // 0 is what the driver was told
	run   func(context.Context, *place) (sample, error)
	audit func(context.Context, *place) (string, error)
	// untraced sides have no counts: their times are the point.
	untraced bool
}

const (
	yearsRows    = yearRows * yearTimes
	bytesRecords = 300_000_000
	rowsRecords  = 50_000_000
	bentoRecords = 2_000_000
	mebibyte     = 1 << 20
)

// pipelineSide runs bench/jobs/NAME.yaml to its end.
func pipelineSide(name string, ledger expected, flags ...string) side {
	ledger.pipeline = name
	return side{
		name: "forebay", audit: ledger.audit,
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, p.pipeline(name, flags...)...)
			return sample{usage: u, records: ledger.read}, err
		},
	}
}

// pipeline is the command line that runs bench/jobs/NAME.yaml in the place.
func (p *place) pipeline(name string, flags ...string) []string {
	file := filepath.Join("bench/jobs", name+".yaml")
	return append([]string{"forebay", "run", file, "--state", p.state(), "--summary", "json"}, flags...)
}

// floorSide runs a floor on an input of the cache; its output is "out" in the place.
func floorSide(program, input string, audit func(context.Context, *place) (string, error)) side {
	return side{
		name: program, audit: audit,
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, program, filepath.Join(cacheDir, input), filepath.Join(p.dir, "out"))
			return sample{usage: u, records: yearsRows}, err
		},
	}
}

func (s side) named(name string) side   { s.name = name; return s }
func (s side) withProcs(procs int) side { s.procs = procs; return s }

// cpuRatio and wallRatio compare the first side of a round with the second.
func cpuRatio(round []sample) float64 { return round[0].cpu.Seconds() / round[1].cpu.Seconds() }

func wallRatio(round []sample) float64 { return round[0].wall.Seconds() / round[1].wall.Seconds() }

func ratioGoal(name string, value func([]sample) float64, limit float64) goal {
	return goal{name: name, unit: "x", value: value, atMost: true, limit: limit, precision: ratioPrecision, paired: true}
}

// speedGoal wants millions of records per CPU-second from a side.
func speedGoal(name string, side int, limit float64) goal {
	return goal{
		name: name, unit: "M records/CPU-s", limit: limit, precision: ratioPrecision,
		value: func(round []sample) float64 { return round[side].recordsPerCPUSecond() / 1e6 },
	}
}

func memoryGoal(limit float64) goal {
	return goal{
		name: "peak RSS", unit: "MiB", atMost: true, limit: limit, worst: true,
		value: func(round []sample) float64 { return float64(round[0].rss) / mebibyte },
	}
}

func latencyGoal(name string, limit float64) goal {
	return goal{
		// The number of starts is fixed, so the interval decides nothing.
		name: name, unit: "ms", atMost: true, limit: limit, precision: 1,
		value: func(round []sample) float64 { return round[0].millis },
	}
}

// jobs is the list, in the order in which they run.
func jobs() []job {
	return slices.Concat(tableJobs(), fileJobs(), writerJobs(), generatorJobs(), memoryJobs())
}

func tableJobs() []job {
	log := expected{read: yearsRows, table: "flights", rows: yearsRows, guarantee: "exactly-once"}
	key := expected{read: yearsRows, table: "flights", rows: yearKeys, guarantee: "exactly-once"}
	atLeast := log
	atLeast.guarantee = "at-least-once"
	lines := countLines("out", yearsRows+1)
	exactlyGoal := ratioGoal("CPU", cpuRatio, 1.02)
	exactlyGoal.precision = narrowPrecision
	exactlyWall := ratioGoal("wall time", wallRatio, 1.03)
	exactlyWall.precision = narrowPrecision
	return []job{
		{
			name: "log-csv", doc: "the year ten times over, csv, into a log table",
			programs: []string{"csvappend"}, goals: []goal{ratioGoal("CPU", cpuRatio, 0.9)},
			sides: []side{pipelineSide("log-csv", log), floorSide("csvappend", "flights-x10.csv", lines)},
		},
		{
			name: "log-gzip", doc: "the year ten times over, csv.gz, into a log table",
			programs: []string{"csvappend"}, goals: []goal{ratioGoal("CPU", cpuRatio, 1.0)},
			sides: []side{pipelineSide("log-gzip", log), floorSide("csvappend", "flights-x10.csv.gz", lines)},
		},
		{
			name: "key-csv", doc: "the year ten times over, csv, into a key table",
			programs: []string{"csvpebble"}, goals: []goal{ratioGoal("CPU", cpuRatio, 1.0)},
			sides: []side{
				pipelineSide("key-csv", key),
				floorSide("csvpebble", "flights-x10.csv", noAudit("exit code 0")),
			},
		},
		{
			name: "exactly-once", doc: "log-csv under exactly-once beside at-least-once",
			goals: []goal{exactlyGoal, exactlyWall},
			sides: []side{
				pipelineSide("log-csv", log, "--set", "guarantee=exactly-once").named("exactly-once"),
				pipelineSide("log-csv", atLeast, "--set", "guarantee=at-least-once").named("at-least-once"),
			},
		},
	}
}

func generatorJobs() []job {
	bytes := expected{read: bytesRecords}
	rows := expected{read: rowsRecords, filters: true}
	bento := side{
		name: "bento", audit: noAudit("exit code 0"),
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, "bento", "-count", strconv.Itoa(bentoRecords), "-batch", "500", "-size", "200")
			return sample{usage: u, records: bentoRecords}, err
		},
	}
	return []job{
		{
			name: "generate-bytes", doc: "generator into drop, 200 bytes, beside Bento's generate and drop at batch 500",
			programs: []string{"bento"},
			sides: []side{
				pipelineSide("generate-bytes", bytes),
				pipelineSide("generate-bytes", bytes).named("forebay, 1 processor").withProcs(1),
				bento,
			},
			goals: []goal{
				speedGoal("speed", 0, 20), speedGoal("speed, 1 processor", 1, 40),
				{
					name: "records per CPU-s, of Bento's", unit: "x", limit: 40, precision: ratioPrecision, paired: true,
					value: func(round []sample) float64 {
						return round[0].recordsPerCPUSecond() / round[2].recordsPerCPUSecond()
					},
				},
			},
		},
		{
			name: "generate-rows", doc: "generator into drop, 200 bytes and a typed row of eight fields, filter, set",
			sides: []side{pipelineSide("generate-rows", rows)}, goals: []goal{speedGoal("speed", 0, 10)},
		},
	}
}

func memoryJobs() []job {
	log := expected{read: yearRows, table: "flights", rows: yearRows}
	key := expected{read: yearRows, table: "flights", rows: yearKeys}
	wide := expected{read: wideRows, table: "wide", rows: wideRows}
	memory := func(name, doc string, ledger expected, limit float64) job {
		return job{
			name: name, doc: doc, sides: []side{pipelineSide(name, ledger)}, goals: []goal{memoryGoal(limit)},
			rounds: roundsClear,
		}
	}
	return []job{
		memory("memory-log", "the year into a log table with memory: 64MB", log, 100),
		memory("memory-key", "the year into a key table with memory: 64MB", key, 150),
		memory("wide-csv", "200 rows of 1 MB, csv, into a log table", wide, 250),
		memory("wide-ndjson", "200 rows of 1 MB, ndjson, into a log table", wide, 250),
		{
			name: "idle", doc: "one row a second into a log table: the most that was resident in the first 3 seconds",
			sides: []side{idleSide()}, goals: []goal{memoryGoal(35)}, rounds: roundsClear,
		},
		{
			name: "first-record", doc: "start of the process to the first byte on its standard output, fresh state",
			sides: []side{firstRecordSide()}, goals: []goal{latencyGoal("time", 25)}, rounds: startRounds,
		},
		{
			name: "first-row", doc: "start of the process to the first row that its control socket counts, fresh state",
			sides: []side{firstRowSide()}, goals: []goal{latencyGoal("time", 150)}, rounds: startRounds,
		},
	}
}
