// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	recordsFile    = "records.ndjson"
	recordsFewFile = "records-few.ndjson"
	parquetRows    = 5_000_000
)

// fileJobs are those of the file sink. Each writes into the folder out of its place.
func fileJobs() []job {
	set := fileSide("file-set", expected{read: fileRecords, guarantee: "exactly-once"})
	atLeast := fileSide("file-set", expected{read: fileRecords, guarantee: "at-least-once"},
		"--set", "guarantee=at-least-once")
	exactlyGoal := ratioGoal("CPU", cpuRatio, 1.02)
	exactlyGoal.precision = narrowPrecision
	return []job{
		{
			name: "file-set", doc: "ndjson into files of ndjson, one field set in place, exactly once",
			sides: []side{set}, goals: []goal{megabyteGoal(500)},
		},
		{
			name: "file-typed", doc: "the same through typed rows",
			sides: []side{fileSide("file-typed", expected{read: fileRecords, guarantee: "exactly-once"})},
			goals: []goal{megabyteGoal(300)},
		},
		{
			name: "file-raw", doc: "lines into files of lines, exactly once",
			sides: []side{fileSide("file-raw", expected{read: fileRecords, guarantee: "exactly-once"})},
			goals: []goal{megabyteGoal(1000)},
		},
		{
			name: "file-peer", doc: "file-set beside Bento's file, mutation and file", programs: []string{"bento"},
			sides: []side{set, bentoFileSide()},
			goals: []goal{{
				name: "records per CPU-s, of Bento's", unit: "x", limit: 30, precision: ratioPrecision, paired: true,
				value: func(round []sample) float64 {
					return round[0].recordsPerCPUSecond() / round[1].recordsPerCPUSecond()
				},
			}},
		},
		flinkJob(),
		{
			name: "file-exactly", doc: "file-set under exactly-once beside at-least-once",
			sides: []side{set.named("exactly-once"), atLeast.named("at-least-once")}, goals: []goal{exactlyGoal},
		},
		{
			name: "file-parquet", doc: "typed rows of the generator into Parquet beside parquet-go's struct writer",
			programs: []string{"parquetstruct"}, sides: []side{parquetSide(), parquetFloor()},
			goals: []goal{ratioGoal("CPU", cpuRatio, 1.2)},
		},
		{
			name: "file-buckets", doc: "10,000 buckets in random order with memory: 64MB",
			sides: []side{untraced(fileSide("file-buckets", expected{read: fileRecords, guarantee: "exactly-once"}))},
			// 64 MB and 50 MB more.
			goals: []goal{memoryGoal(114e6 / mebibyte)}, rounds: roundsClear,
		},
	}
}

func untraced(s side) side { s.untraced = true; return s }

// megabyteGoal wants megabytes of input per CPU-second from the first side.
func megabyteGoal(limit float64) goal {
	return goal{
		name: "speed", unit: "MB/CPU-s", limit: limit, precision: ratioPrecision,
		value: func(round []sample) float64 { return float64(round[0].input) / round[0].cpu.Seconds() / 1e6 },
	}
}

// fileSide runs bench/jobs/NAME.yaml into the folder out of the place. Its audit finds every record of the input once.
func fileSide(name string, ledger expected, flags ...string) side {
	ledger.pipeline = name
	return side{
		name: "forebay",
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, p.pipeline(name, append([]string{"--set", "sink.file.path=" + p.output()}, flags...)...)...)
			if err != nil {
				return sample{}, err
			}
			info, err := os.Stat(filepath.Join(cacheDir, recordsFile))
			if err != nil {
				return sample{}, err
			}
			return sample{usage: u, records: ledger.read, input: info.Size()}, nil
		},
		audit: func(ctx context.Context, p *place) (string, error) {
			text, err := ledger.audit(ctx, p)
			found, problem := auditIDs(p.output(), ledger.read)
			return text + ", " + found, errors.Join(err, problem)
		},
	}
}

func (p *place) output() string { return filepath.Join(p.dir, "out") }

// auditIDs finds the records 0 to n-1 once each in the parts of a folder.
func auditIDs(dir string, n int64) (string, error) {
	l := newIDLedger(n)
	err := l.folder(dir)
	if err == nil && l.count != n {
		err = fmt.Errorf("%d different records under %s, expected %d", l.count, dir, n)
	}
	return fmt.Sprintf("each of %d records once in %d files of %d bytes", l.count, l.parts, l.bytes), err
}

// bentoFileSide is the peer. It sorts the fields, so that its lines are counted only.
func bentoFileSide() side {
	return side{
		name: "bento",
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, "bento", "-in", filepath.Join(cacheDir, recordsFewFile), "-out",
				filepath.Join(p.dir, "lines"), "-batch", "500")
			return sample{usage: u, records: bentoFileRecords}, err
		},
		audit: countLines("lines", bentoFileRecords),
	}
}

// parquetSide writes Parquet; its audit reads the files again, into ndjson.
func parquetSide() side {
	ledger := expected{pipeline: "file-parquet", read: parquetRows, guarantee: "exactly-once"}
	return side{
		name: "forebay",
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, p.pipeline("file-parquet", "--set", "sink.file.path="+p.output())...)
			return sample{usage: u, records: parquetRows}, err
		},
		audit: func(ctx context.Context, p *place) (string, error) {
			text, err := ledger.audit(ctx, p)
			if err != nil {
				return text, err
			}
			found, err := p.auditParquet(ctx)
			return text + ", " + found, err
		},
	}
}

// auditParquet has a pipeline read the Parquet files of the place.
func (p *place) auditParquet(ctx context.Context) (string, error) {
	again := &place{bench: p.bench, dir: filepath.Join(p.dir, "again"), procs: p.procs}
	if err := os.MkdirAll(again.dir, 0o755); err != nil {
		return "", err
	}
	_, err := again.run(ctx, again.pipeline("file-parquet-read", "--set", "source.file.path="+p.output()+"/*.parquet",
		"--set", "sink.file.path="+again.output())...)
	if err != nil {
		return "", err
	}
	return auditIDs(again.output(), parquetRows)
}

func parquetFloor() side {
	return side{
		name: "parquetstruct", audit: noAudit("exit code 0"),
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, "parquetstruct", strconv.Itoa(parquetRows), filepath.Join(p.dir, "out.parquet"))
			return sample{usage: u, records: parquetRows}, err
		},
	}
}
