// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	// tick is the unit of CPU time in /proc; Linux shows programs 100 a second.
	tick = 10 * time.Millisecond
)

// process is one that this command started. What it prints goes to a file of its name.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
}

// start starts a program in the given folder, with more of an environment.
func start(dir, name string, env []string, args ...string) (*process, error) {
	p, err := newProcess(dir, name, env, args...)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = p.cmd.Stderr
	return p, p.run()
}

func newProcess(dir, name string, env []string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log")}
	file, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(args[0], args[1:]...) //nolint:noctx // it ends by a signal
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return p, nil
}

func (p *process) run() error {
	err := p.cmd.Start()
	return errors.Join(err, p.cmd.Stderr.(*os.File).Close())
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait() // servers of Java end with 143
	kill.Stop()
}

// wrong adds the end of what the process printed to an error.
func (p *process) wrong(err error) error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %w\n%s", p.name, err, text[max(0, len(text)-2000):])
}

// cpuTime is what the process took so far, all its threads together, those that ended included.
func (p *process) cpuTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, p.wrong(err)
	}
	d, err := parseStat(string(stat))
	if err != nil {
		return 0, p.wrong(err)
	}
	return d, nil
}

// parseStat finds user and system time in the text of /proc/PID/stat. The name of the program, in brackets, may hold
// blanks and brackets.
func parseStat(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("unexpected text of /proc/PID/stat: %q", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, errors.New("it has ended")
	}
	ticks := int64(0)
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// cpuTimes is the sum over several processes.
func cpuTimes(all []*process) (time.Duration, error) {
	var sum time.Duration
	for _, p := range all {
		d, err := p.cpuTime()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// freePorts finds so many ports of the loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // it was only asked for its number
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// await asks again and again until a condition holds.
func await(ctx context.Context, p *process, holds func() bool) error {
	for end := time.Now().Add(startTimeout); !holds(); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := p.cpuTime(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return p.wrong(fmt.Errorf("not ready after %s", startTimeout))
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

func awaitPort(ctx context.Context, p *process, port int) error {
	return await(ctx, p, func() bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(port))
		if err != nil {
			return false
		}
		_ = conn.Close() // nothing was sent
		return true
	})
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
