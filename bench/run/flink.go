// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// flinkRounds is how often Flink's job runs in one process. The last one counts: by then its code is compiled.
const flinkRounds = 3

// flinkJob is file-set beside Flink, a whole process beside a whole process. Two more figures are shown: Flink without
// its start, when its code is compiled, and the same with a buffer before its files, which its text formats lack.
func flinkJob() job {
	speeds := func(name string, value func([]sample) float64) goal {
		return goal{
			name: "records per CPU-s, of " + name, unit: "x", limit: 15, precision: ratioPrecision, paired: true, value: value,
		}
	}
	ofSide := func(side int) func([]sample) float64 {
		return func(round []sample) float64 {
			return round[0].recordsPerCPUSecond() / round[side].recordsPerCPUSecond()
		}
	}
	whole := speeds("Flink's", func(round []sample) float64 {
		return round[0].recordsPerCPUSecond() * round[1].cold.Seconds() / float64(round[1].records)
	})
	warm, buffered := speeds("warm Flink's", ofSide(1)), speeds("warm Flink's, buffered", ofSide(2))
	warm.shown, buffered.shown = true, true
	return job{
		name: "file-flink", doc: "file-set beside Flink's FileSource, map and FileSink, checkpoints exactly once",
		programs: []string{"flink"},
		sides: []side{
			fileSide("file-set", expected{read: fileRecords, guarantee: "exactly-once"}),
			flinkSide("flink", "row"), flinkSide("flink, buffered", "buffered"),
		},
		goals: []goal{whole, warm, buffered},
	}
}

// flinkSide runs bench/peers/flink. Calls of the system are not counted: most are those of the virtual machine.
func flinkSide(name, form string) side {
	return side{
		name: name, untraced: true,
		run: func(ctx context.Context, p *place) (sample, error) {
			u, err := p.run(ctx, "flink", filepath.Join(cacheDir, recordsFile), p.output(), strconv.Itoa(flinkRounds), form)
			if err != nil {
				return sample{}, err
			}
			return readFlink(string(p.out("stdout")), u)
		},
		audit: func(_ context.Context, p *place) (string, error) {
			for round := 1; ; round++ {
				text, err := auditIDs(filepath.Join(p.output(), strconv.Itoa(round)), fileRecords)
				if err != nil || round == flinkRounds {
					return text + fmt.Sprintf(", %d times", round), err
				}
			}
		},
	}
}

// readFlink takes the figures of the first and of the last round from what the job printed.
//
// Errors: a round is missing; more CPU time than the kernel gave the process, whose usage is given.
func readFlink(text string, process usage) (sample, error) {
	s := sample{usage: usage{rss: process.rss}, records: fileRecords}
	round := 0
	var total time.Duration
	for line := range strings.Lines(text) {
		var number int
		var cpu, wall, all float64
		if n, _ := fmt.Sscanf(line, "round %d cpu %f wall %f process %f", &number, &cpu, &wall, &all); n != 4 {
			continue
		}
		if round++; number != round || cpu <= 0 {
			return sample{}, fmt.Errorf("flink: line %q, expected round %d", strings.TrimSpace(line), round)
		}
		if round == 1 {
			s.cold = seconds(all)
		}
		s.cpu, s.wall, total = seconds(cpu), seconds(wall), seconds(all)
	}
	switch {
	case round != flinkRounds:
		return sample{}, fmt.Errorf("flink: %d rounds, expected %d: %s", round, flinkRounds, tail([]byte(text)))
	case total > process.cpu+time.Second/10: // its clock has ticks
		return sample{}, errors.New("flink: it counts more CPU time than the kernel: " + total.String() + " and " +
			process.cpu.String())
	}
	return s, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
