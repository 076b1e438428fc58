// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// answerTimeout bounds a command: Fluss' writer has no time-out of its own.
const answerTimeout = 5 * time.Minute

// client is a process that answers commands, one a line.
type client struct {
	*process
	in  io.WriteCloser
	out *bufio.Scanner
}

func startClient(dir, name string, args []string) (*client, error) {
	p, err := newProcess(dir, name, nil, args...)
	if err != nil {
		return nil, err
	}
	c := &client{process: p}
	if c.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, p.run()
}

// ask sends a command and waits for the number in its answer.
func (c *client) ask(ctx context.Context, words ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })()
	line := fmt.Sprintln(words...)
	if _, err := io.WriteString(c.in, line); err != nil {
		return 0, c.wrong(err)
	}
	if !c.out.Scan() {
		return 0, c.wrong(fmt.Errorf("no answer to %q (%w)", strings.TrimSpace(line), context.Cause(ctx)))
	}
	number, ok := strings.CutPrefix(c.out.Text(), "ok ")
	if !ok {
		return 0, c.wrong(fmt.Errorf("%q was answered with %q", strings.TrimSpace(line), c.out.Text()))
	}
	return strconv.ParseInt(number, 10, 64)
}
