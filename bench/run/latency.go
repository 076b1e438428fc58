// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/forebay-io/forebay/tablet"
)

const (
	startRounds = 20
	idleTime    = 3 * time.Second
	// firstRowPatience is after how long a first row counts as missing.
	firstRowPatience = 20 * time.Second
	pollInterval     = time.Millisecond
)

// idleSide runs a pipeline that does next to nothing, reads after a while how much was ever resident, and
// drains it with SIGTERM.
func idleSide() side {
	return side{
		name: "forebay", untraced: true, audit: stoppedAudit("idle", "ticks"),
		run: func(ctx context.Context, p *place) (sample, error) {
			var s sample
			err := p.runWhile(p.pipeline("idle"), func(pid int) error {
				select {
				case <-ctx.Done():
					return context.Cause(ctx)
				case <-time.After(idleTime):
				}
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
				if err != nil {
					return fmt.Errorf("the pipeline ended by itself: %w", err)
				}
				s.rss = procField(status, "VmHWM:") << 10
				s.records = 1
				return nil
			})
			return s, err
		},
	}
}

// runWhile starts a pipeline without end, calls use, and drains the pipeline.
func (p *place) runWhile(args []string, use func(pid int) error) error {
	c, err := p.start(args)
	if err != nil {
		return err
	}
	err = use(c.Process.Pid)
	signalErr := c.Process.Signal(syscall.SIGTERM)
	waitErr := c.Wait()
	if err = errors.Join(err, signalErr, waitErr); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, tail(p.out("stderr")))
	}
	return nil
}

// stoppedAudit is the audit of a drained pipeline without end: the table holds each row that was read.
func stoppedAudit(pipeline, table string) func(context.Context, *place) (string, error) {
	return func(ctx context.Context, p *place) (string, error) {
		s, err := p.readSummary()
		if err != nil {
			return "", err
		}
		count, err := p.query(ctx, "table", "scan", table, "--count")
		if err != nil {
			return "", err
		}
		if s.Status != "stopped" || count != fmt.Sprint(s.Read) || s.Delivered != s.Read || s.Rejected != 0 {
			return "", fmt.Errorf("%s: %s, read %d, delivered %d, rejected %d, rows in the table %s",
				pipeline, s.Status, s.Read, s.Delivered, s.Rejected, count)
		}
		return fmt.Sprintf("%s, read %d, rows in the table %s", s.Status, s.Read, count), nil
	}
}

// firstRecordSide takes the time to the first byte on standard output of a csv file with one row. It holds
// more than the first read of a record: delivery, and what a start writes to the fresh state.
func firstRecordSide() side {
	return side{
		name: "forebay", untraced: true, audit: noAudit("the record was printed"),
		run: func(ctx context.Context, p *place) (sample, error) {
			read, write, err := os.Pipe()
			if err != nil {
				return sample{}, err
			}
			defer func() { _ = read.Close() }()
			started := time.Now()
			c, err := p.startInto(write, p.pipeline("first-record"))
			if err = errors.Join(err, write.Close()); err != nil {
				return sample{}, err
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
			defer stop()
			text := make([]byte, 4096)
			n, err := read.Read(text)
			took := time.Since(started)
			if waitErr := c.Wait(); err != nil || waitErr != nil || !strings.Contains(string(text[:n]), "first") {
				return sample{}, fmt.Errorf("no record came: %w: %s", errors.Join(err, waitErr), tail(p.out("stderr")))
			}
			return sample{records: 1, millis: milliseconds(took)}, nil
		},
	}
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// firstRowSide takes the time until the owner of the state directory, asked through its control socket every
// millisecond, counts a row in the table.
func firstRowSide() side {
	return side{
		name: "forebay", untraced: true, audit: stoppedAudit("first-row", "ticks"),
		run: func(ctx context.Context, p *place) (sample, error) {
			var took time.Duration
			started := time.Now()
			err := p.runWhile(p.pipeline("first-row"), func(int) error {
				ctx, cancel := context.WithTimeout(ctx, firstRowPatience)
				defer cancel()
				if err := p.awaitRow(ctx, "ticks"); err != nil {
					return err
				}
				took = time.Since(started)
				return nil
			})
			return sample{records: 1, millis: milliseconds(took)}, err
		},
	}
}

// awaitRow returns as soon as a count of the table is not 0.
func (p *place) awaitRow(ctx context.Context, table string) error {
	var control *tablet.Control
	for {
		if control == nil {
			if path := p.socket(); path != "" {
				control = tablet.DialControl(path)
				defer func() { _ = control.Close() }() // it only closes idle connections
			}
		} else if rows, err := control.Count(ctx, table); err == nil && rows > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no row could be seen: %w", context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
}

// socket is where the owner of the state directory listens, or nothing as long as nobody owns it.
func (p *place) socket() string {
	lock, err := os.ReadFile(filepath.Join(p.state(), "LOCK"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(lock), "\nsocket: ")
	path, _, _ := strings.Cut(rest, "\n")
	return path
}
