// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what one process took, from its start to its end.
type usage struct {
	cpu, wall time.Duration
	rss       int64 // the most that was resident, bytes
	switches  int64 // context switches
	read      int64 // bytes that read(2) and its like gave
	written   int64 // bytes that write(2) and its like took
}

// place is where one side runs once.
type place struct {
	bench *bench
	dir   string // empty and its own; removed afterwards
	procs int
	// counts is set in the run that is not timed: the process is traced and its collector reports.
	counts *counts
}

// out reads what the last process of the place printed.
func (p *place) out(name string) []byte {
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return nil
	}
	return data
}

// start starts a program whose output goes to a file, so that nobody has to read along.
func (p *place) start(args []string) (*exec.Cmd, error) {
	stdout, err := os.Create(filepath.Join(p.dir, "stdout"))
	if err != nil {
		return nil, err
	}
	c, err := p.startInto(stdout, args)
	return c, errors.Join(err, stdout.Close())
}

// startInto starts a program with the given standard output; standard error goes to a file.
func (p *place) startInto(stdout *os.File, args []string) (*exec.Cmd, error) {
	c := exec.Command(p.bench.binaries[args[0]], args[1:]...) //nolint:noctx // it ends by itself or by a signal
	c.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(p.procs))
	if p.counts != nil {
		c.Env = append(c.Env, "GODEBUG=gctrace=1")
		c.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	}
	stderr, err := os.Create(filepath.Join(p.dir, "stderr"))
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Stderr = stdout, stderr
	err = c.Start()
	return c, errors.Join(err, stderr.Close())
}

// run runs a program to its end.
//
// Errors: where it exits with another code than 0, with the end of what it printed.
func (p *place) run(ctx context.Context, args ...string) (usage, error) {
	if p.counts != nil {
		return p.runTraced(args)
	}
	syscall.Sync() // what other processes left to write is not this one's to wait for
	started := time.Now()
	c, err := p.start(args)
	if err != nil {
		return usage{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
	defer stop()
	u, err := p.wait(c, started)
	if err != nil {
		return u, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, tail(p.out("stderr")))
	}
	return u, nil
}

// wait waits for the end of a process and takes its counters before it is gone.
func (p *place) wait(c *exec.Cmd, started time.Time) (usage, error) {
	if err := waitExit(c.Process.Pid); err != nil {
		return usage{}, err
	}
	wall := time.Since(started)
	read, written := processIO(c.Process.Pid)
	err := c.Wait()
	u := fromRusage(c.ProcessState.SysUsage().(*syscall.Rusage))
	u.wall, u.read, u.written = wall, read, written
	return u, err
}

func fromRusage(r *syscall.Rusage) usage {
	return usage{
		cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano()), rss: r.Maxrss << 10, switches: r.Nvcsw + r.Nivcsw,
	}
}

// processIO reads the counters of a process that may have ended, as long as nobody has waited for it.
func processIO(pid int) (read, written int64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, 0
	}
	return procField(data, "rchar:"), procField(data, "wchar:")
}

// procField is the number behind a name in a file of /proc; 0 where it is not there.
func procField(data []byte, name string) int64 {
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}

// tail is the end of a text, as much as a message should hold.
func tail(text []byte) string {
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}
