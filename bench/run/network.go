// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/forebay-io/forebay/bench/load/rows"
)

// loaded is what a load program prints, its own clock's: from the first row to the last answer.
type loaded struct {
	Rows     int64   `json:"rows"`
	Bytes    float64 `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"requests"`
	Retries  int64   `json:"retries"`
	Mean     float64 `json:"mean_ms"`
	P99      float64 `json:"p99_ms"`
}

func (l loaded) megabytesPerSecond() float64 { return l.Bytes / 1e6 / l.Seconds }

func (l loaded) rowsPerSecond() float64 { return float64(l.Rows) / l.Seconds }

// traffic is a client and a server, each a process of its own: its CPU time is that of both, from their starts to
// their ends.
type traffic struct {
	server, client []string
	n, keys        int
	// rate is read when the client starts; nil is as fast as it can.
	rate *float64
}

const (
	serveStart = 20 * time.Second
	serveFlag  = "127.0.0.1:0"
	// trafficPatience is after how long a client and its server are killed.
	trafficPatience = 5 * time.Minute
)

// ours is bench/load against forebay serve.
func ours(n, keys int, flags ...string) traffic {
	size := []string{"-n", strconv.Itoa(n), "-keys", strconv.Itoa(keys)}
	return traffic{
		server: []string{"forebay", "serve", "--listen", serveFlag, "--state"},
		client: append(append([]string{"load"}, size...), flags...), n: n, keys: keys,
	}
}

// bare is the floor; serve are flags of its server, flags those of its client.
func bare(n, keys int, serve []string, flags ...string) traffic {
	size := []string{"-n", strconv.Itoa(n), "-keys", strconv.Itoa(keys)}
	return traffic{
		server: append(append([]string{"grpcappend"}, serve...), "serve"),
		client: append(append([]string{"grpcappend"}, size...), flags...), n: n, keys: keys,
	}
}

func (t traffic) at(rate *float64) traffic { t.rate = rate; return t }

// side is a side of a job.
func (t traffic) side(name string) side {
	return side{name: name, untraced: true, run: t.run, audit: t.audit}
}

// run serves a fresh directory, loads it, and drains the server.
func (t traffic) run(ctx context.Context, p *place) (s sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, trafficPatience, errors.New("client and server did not end in time"))
	defer cancel()
	client := append([]string(nil), t.client...)
	if t.rate != nil {
		client = append(client, "-rate", strconv.FormatFloat(*t.rate, 'f', 0, 64))
	}
	served, err := p.serving(ctx, t.server, func(address string) error {
		if t.server[0] == "forebay" {
			client = append(client, "-address", address)
		} else {
			client = append(client, "send", address)
		}
		c, err := p.within("client")
		if err != nil {
			return err
		}
		if s.usage, err = c.run(ctx, client...); err != nil {
			return err
		}
		if err := json.Unmarshal(c.out("stdout"), &s.loaded); err != nil {
			return fmt.Errorf("what the client printed: %w: %q", err, tail(c.out("stdout")))
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	s.records = s.loaded.Rows
	s.cpu += served.cpu
	s.rss = max(s.rss, served.rss)
	s.switches += served.switches
	s.written += served.written
	return s, nil
}

// within is a part of a place for one process of several.
func (p *place) within(name string) (*place, error) {
	q := &place{bench: p.bench, dir: filepath.Join(p.dir, name), procs: p.procs}
	return q, os.MkdirAll(q.dir, 0o755)
}

var servingLine = regexp.MustCompile(`serving (\S+) `)

// serving starts a server on the state directory of the place, calls use, and drains the server.
func (p *place) serving(ctx context.Context, server []string, use func(address string) error) (u usage, err error) {
	q, err := p.within("server")
	if err != nil {
		return u, err
	}
	started := time.Now()
	c, err := q.start(append(append([]string(nil), server...), p.state()))
	if err != nil {
		return u, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
	defer stop()
	address, err := q.address(ctx)
	if err == nil {
		err = use(address)
	}
	signalErr := c.Process.Signal(syscall.SIGTERM)
	u, waitErr := q.wait(c, started)
	if err = errors.Join(err, signalErr, waitErr); err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(server, " "), err, tail(q.out("stderr")))
	}
	return u, err
}

// address waits until the server of the place says where it listens.
func (p *place) address(ctx context.Context) (string, error) {
	for end := time.Now().Add(serveStart); time.Now().Before(end); {
		if found := servingLine.FindSubmatch(p.out("stderr")); found != nil {
			return string(found[1]), nil
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pollInterval):
		}
	}
	return "", errors.New("it does not say where it listens")
}

// audit compares what is in the directory with what must be: the floor's as its own count and sum, ours row by row
// by a client of another server process.
func (t traffic) audit(ctx context.Context, p *place) (text string, err error) {
	q, err := p.within("audit")
	if err != nil {
		return "", err
	}
	if t.server[0] == "forebay" {
		args := []string{"load", "-audit", "-n", strconv.Itoa(t.n), "-keys", strconv.Itoa(t.keys)}
		_, err = p.serving(ctx, t.server, func(address string) error {
			_, err := q.run(ctx, append(args, "-address", address)...)
			return err
		})
	} else {
		args := append([]string(nil), t.server[:len(t.server)-1]...)
		_, err = q.run(ctx, append(args, "audit", p.state())...)
	}
	text = strings.TrimSpace(string(q.out("stdout")))
	if err != nil {
		return text, err
	}
	n, sum := rows.New(t.n, t.keys).Final()
	if want := fmt.Sprintf("%d rows, sum %x", n, sum); text != want {
		return text, fmt.Errorf("%s, expected %s", text, want)
	}
	return text, nil
}
