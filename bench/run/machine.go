// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// facts are what figures depend on and a reader cannot see from them.
type facts struct {
	commit string
	lines  []string
}

func machineFacts(ctx context.Context, o options) facts {
	f := facts{commit: output(ctx, "git", "rev-parse", "--short", "HEAD")}
	if f.commit == "" {
		f.commit = "unknown"
	} else if output(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		f.commit += "-dirty"
	}
	cpu := "unknown"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(data) {
			if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	memory, _ := os.ReadFile("/proc/meminfo")
	load, _ := os.ReadFile("/proc/loadavg")
	f.lines = []string{
		"command     go run ./bench/run " + strings.Join(os.Args[1:], " "),
		"date        " + o.started.UTC().Format("2006-01-02 15:04 UTC"),
		"commit      " + f.commit,
		"go          " + output(ctx, "go", "version"),
		"kernel      " + output(ctx, "uname", "-sr"),
		fmt.Sprintf("processor   %s, %d cores, GOMAXPROCS %d", cpu, runtime.NumCPU(), o.procs),
		fmt.Sprintf("memory      %d MiB", procField(memory, "MemTotal:")>>10),
		"disk        " + fileSystem(ctx),
		"load        " + strings.TrimSpace(string(load)) + " at the start",
	}
	return f
}

// fileSystem is the type and the device of the file system on which the state directories lie.
func fileSystem(ctx context.Context) string {
	lines := strings.Split(output(ctx, "df", "-T", "bench"), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if len(fields) < 2 {
		return "unknown"
	}
	return fields[1] + " on " + fields[0]
}

// output is what a command printed, or nothing where it fails.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (f facts) text() string { return strings.Join(f.lines, "\n") + "\n" }

// ownPeak is the most that was resident of this process, in MiB. Linux counts it for a process that this one
// starts, as it shares the memory until it runs its own program.
func ownPeak() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	return float64(procField(status, "VmHWM:")) / 1024
}
