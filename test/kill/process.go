// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/forebay-io/forebay/internal/fault"
)

// pollEvery is how often a process's trace is looked at.
const pollEvery = 2 * time.Millisecond

// Process is one run of the binary.
type Process struct {
	cmd    *exec.Cmd
	trace  string
	stdout bytes.Buffer
	stderr bytes.Buffer
	exited chan struct{} // closed when state and err are set
	state  *os.ProcessState
	err    error
}

// Start runs the binary; env is added to the environment.
func Start(ctx context.Context, binary string, args, env []string) (*Process, error) {
	p := &Process{exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, binary, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// The child dies with the campaign, also where that is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	p.runWaiter()
	return p, nil
}

// runWaiter waits for the process on a goroutine that ends with it; every user waits for exited.
func (p *Process) runWaiter() {
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
		p.state = p.cmd.ProcessState
	}()
}

// Progress is the trace; zero while the process has not made it yet.
func (p *Process) Progress() fault.Trace {
	t, err := fault.ReadTrace(p.trace)
	if err != nil {
		return fault.Trace{}
	}
	return t
}

// Await returns when the trace fulfils what is asked, or false when the process has ended before.
func (p *Process) Await(fulfilled func(fault.Trace) bool) bool {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if fulfilled(p.Progress()) {
			return true
		}
		select {
		case <-p.exited:
			return fulfilled(p.Progress())
		case <-ticker.C:
		}
	}
}

// Lives waits that long; it is false when the process ends before.
func (p *Process) Lives(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.exited:
		return false
	case <-timer.C:
		return true
	}
}

// Kill sends the signal and waits for the end.
func (p *Process) Kill(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

// Killed reports whether SIGKILL ended it.
func (p *Process) Killed() bool {
	<-p.exited
	status, ok := p.state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// hung is how long a run may take before it is ended with its stacks.
const hung = 10 * time.Minute

// Summary is the last line that a run prints. A run that hangs is ended, and the error has its stacks.
func (p *Process) Summary() (s Summary, err error) {
	if p.Lives(hung) {
		if err := p.Kill(syscall.SIGQUIT); err != nil {
			return s, err
		}
		return s, fmt.Errorf("the run has not ended within %s: %s", hung, p.stderr.Bytes())
	}
	lines := bytes.Split(bytes.TrimSpace(p.stdout.Bytes()), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &s); err != nil {
		return s, fmt.Errorf("the last line of the run is no summary: %w: %q, stderr %q", err, p.stdout.Bytes(), p.Last())
	}
	return s, nil
}

// Last is the end of what the process said.
func (p *Process) Last() string {
	const most = 2000
	text := p.stderr.Bytes()
	return string(text[max(0, len(text)-most):])
}
