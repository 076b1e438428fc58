// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// counts are what does not drift from run to run.
type counts struct {
	usage
	syncs       int64 // fsync and fdatasync
	calls       int64 // system calls, without those by which the Go runtime schedules and sleeps
	runtime     int64 // those
	collections int64 // garbage collections
	allocated   int64 // bytes, as the collector's heap sizes show
}

// Of ptrace(2) and wait(2), which package syscall does not name.
const (
	ptraceSyscallInfo = 0x420e
	syscallEntry      = 1
	syscallStop       = syscall.SIGTRAP | 0x80
	waitAnyThread     = 0x40000000
	waitProcess       = 1 // P_PID
	waitLeave         = 0x01000000
)

// syscallInfo is struct ptrace_syscall_info at the entry of a call.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	_    uint32
	_, _ uint64
	nr   uint64
	_    [6]uint64
}

// waitExit blocks until a process has ended and leaves it there to be waited for.
func waitExit(pid int) error {
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, waitProcess, uintptr(pid), 0, syscall.WEXITED|waitLeave, 0, 0)
		if errno == 0 {
			return nil
		}
		if errno != syscall.EINTR {
			return fmt.Errorf("wait for process %d: %w", pid, errno)
		}
	}
}

// runTraced runs a program under ptrace and fills in the counts.
func (p *place) runTraced(args []string) (usage, error) {
	runtime.LockOSThread() // ptrace belongs to the thread that started the process
	defer runtime.UnlockOSThread()
	started := time.Now()
	c, err := p.start(args)
	if err != nil {
		return usage{}, err
	}
	t := tracer{pid: c.Process.Pid, counts: p.counts}
	err = t.follow(c)
	p.counts.wall = time.Since(started)
	p.counts.readCollector(p.out("stderr"))
	if err != nil {
		return p.counts.usage, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, tail(p.out("stderr")))
	}
	return p.counts.usage, nil
}

// tracer counts the system calls of a process and its threads.
type tracer struct {
	pid    int
	counts *counts
}

func (t *tracer) follow(c *exec.Cmd) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &status, waitAnyThread, nil); err != nil {
		return fmt.Errorf("wait for the first stop: %w", err)
	}
	const options = syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | syscall.PTRACE_O_TRACEFORK |
		syscall.PTRACE_O_TRACEVFORK | syscall.PTRACE_O_TRACEEXIT
	if err := syscall.PtraceSetOptions(t.pid, options); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	thread, signal := t.pid, 0
	for {
		// A thread that is gone by now has nothing left to count.
		if err := syscall.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ptrace: %w", err)
		}
		var used syscall.Rusage
		var err error
		for {
			thread, err = syscall.Wait4(-1, &status, waitAnyThread, &used)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		switch {
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case thread == t.pid && (status.Exited() || status.Signaled()):
			t.counts.usage.cpu, t.counts.usage.rss = fromRusage(&used).cpu, fromRusage(&used).rss
			_ = c.Process.Release()
			if status.ExitStatus() != 0 {
				return fmt.Errorf("exit status %d", status.ExitStatus())
			}
			return nil
		}
		signal = t.stopped(thread, status)
	}
}

// stopped counts what a stop of a thread means, and returns the signal that the thread is to get.
func (t *tracer) stopped(thread int, status syscall.WaitStatus) int {
	switch {
	case !status.Stopped():
		return 0
	case status.StopSignal() == syscallStop:
		t.count(thread)
		return 0
	case status.StopSignal() == syscall.SIGTRAP && status.TrapCause() == syscall.PTRACE_EVENT_EXIT && thread == t.pid:
		t.counts.read, t.counts.written = processIO(t.pid)
		return 0
	case status.StopSignal() == syscall.SIGTRAP || status.StopSignal() == syscall.SIGSTOP:
		return 0
	}
	return int(status.StopSignal())
}

// count looks at a thread that enters or leaves a system call.
func (t *tracer) count(thread int) {
	var info syscallInfo
	// The kernel fills in the struct; there is no wrapper for this request in package syscall.
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, ptraceSyscallInfo, uintptr(thread), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != syscallEntry {
		return
	}
	switch info.nr {
	case syscall.SYS_FSYNC, syscall.SYS_FDATASYNC:
		t.counts.syncs++
		t.counts.calls++
	case syscall.SYS_FUTEX, syscall.SYS_NANOSLEEP, syscall.SYS_SCHED_YIELD, syscall.SYS_EPOLL_PWAIT, syscall.SYS_TGKILL,
		syscall.SYS_RT_SIGRETURN, syscall.SYS_RT_SIGPROCMASK, syscall.SYS_MADVISE, syscall.SYS_SIGALTSTACK,
		syscall.SYS_GETPID, syscall.SYS_GETTID, syscall.SYS_CLONE, syscall.SYS_MMAP, syscall.SYS_MUNMAP:
		t.counts.runtime++
	default:
		t.counts.calls++
	}
}

// readCollector adds up the lines of GODEBUG=gctrace=1. Each holds the heap at the start of a collection, at
// its end, and what of it lived: "gc 7 @0.2s 1%: ... 4->5->2 MB, ...". What was allocated between two
// collections is the heap at the start of the second without what lived after the first.
func (c *counts) readCollector(text []byte) {
	live := int64(0)
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 3 || fields[0] != "gc" || !strings.HasPrefix(fields[2], "@") {
			continue
		}
		for i, field := range fields {
			heap := strings.Split(field, "->")
			if len(heap) != 3 || i+1 == len(fields) || fields[i+1] != "MB," {
				continue
			}
			start, _ := strconv.ParseInt(heap[0], 10, 64)
			c.collections++
			c.allocated += max(start-live, 0) << 20
			live, _ = strconv.ParseInt(heap[2], 10, 64)
		}
	}
}
