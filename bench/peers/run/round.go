// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// Work that a server put off is waited for: until all processes of a side take less than quietShare of a core in two
// windows, for settleTimeout at most.
const (
	quietWindow   = 500 * time.Millisecond
	quietShare    = 0.08
	settleTimeout = 20 * time.Second
)

// turn is what a side does in a round.
type turn struct {
	table string
	rows  int64
}

// sample is what it took.
type sample struct {
	rows           int64
	client, server time.Duration // CPU until the last row was acknowledged
	later          time.Duration // CPU after that, until the rows were put down and the side was quiet
	wall           time.Duration
}

// all is the CPU time of client and server, with what was put off.
func (s sample) all() time.Duration { return s.client + s.server + s.later }

func (s sample) perCPUSecond() float64 { return float64(s.rows) / s.all().Seconds() }

// perAckedCPUSecond leaves out what came after the last answer.
func (s sample) perAckedCPUSecond() float64 {
	return float64(s.rows) / (s.client + s.server).Seconds()
}

func (s sample) line(name string) string {
	return fmt.Sprintf("%-20s %8.0f rows/CPU-s  client %5.2f s + server %5.2f s + later %5.2f s  wall %5.2f s",
		name, s.perCPUSecond(), s.client.Seconds(), s.server.Seconds(), s.later.Seconds(), s.wall.Seconds())
}

// turn makes a table, fills it, counts its rows and drops it. The filling is measured.
func (b *bench) turn(ctx context.Context, k int, t turn) (s sample, err error) {
	c, servers := b.clients[k], b.of[k].processes
	both := append([]*process{c.process}, servers...)
	if _, err := c.ask(ctx, "table", t.table); err != nil {
		return s, err
	}
	syscall.Sync() // what other sides left to write is not this one's to wait for
	if _, err := settle(ctx, both); err != nil {
		return s, err
	}
	s.rows = t.rows
	client, err := c.cpuTime()
	if err != nil {
		return s, err
	}
	server, err := cpuTimes(servers)
	if err != nil {
		return s, err
	}
	began := time.Now()
	if _, err := c.ask(ctx, "load", t.table, 0, t.rows); err != nil {
		return s, err
	}
	s.wall = time.Since(began)
	if s.client, err = c.cpuTime(); err != nil {
		return s, err
	}
	if s.server, err = cpuTimes(servers); err != nil {
		return s, err
	}
	if b.of[k].putDown != nil {
		if err := b.of[k].putDown(ctx, b.of[k]); err != nil {
			return s, err
		}
	}
	whole, err := settle(ctx, both)
	if err != nil {
		return s, err
	}
	s.later = whole - s.client - s.server
	s.client -= client
	s.server -= server
	rows, err := c.ask(ctx, "count", t.table)
	if err != nil {
		return s, err
	}
	if rows != t.rows {
		return s, c.wrong(fmt.Errorf("table %s has %d rows of %d", t.table, rows, t.rows))
	}
	_, err = c.ask(ctx, "drop", t.table)
	return s, err
}

// settle waits until processes are quiet, and is the CPU time that they had taken when they became so.
func settle(ctx context.Context, all []*process) (time.Duration, error) {
	var taken [3]time.Duration // now, one and two windows ago
	for i := range int(settleTimeout / quietWindow) {
		now, err := cpuTimes(all)
		if err != nil {
			return 0, err
		}
		taken = [3]time.Duration{now, taken[0], taken[1]}
		if i >= 2 && quiet(taken) {
			break
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(quietWindow):
		}
	}
	return taken[2], nil
}

func quiet(taken [3]time.Duration) bool {
	most := time.Duration(quietShare * float64(quietWindow))
	return taken[0]-taken[1] <= most && taken[1]-taken[2] <= most
}
