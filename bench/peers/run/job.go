// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// goal is how many times the rows per CPU-second of a peer ours should be, at least.
const goal = 3

// job compares each of our sides with each of the peer's.
type job struct {
	name  string
	peer  string // the folder of the peer
	rows  int64  // of a turn
	sides []side
}

const (
	oursUpsert = "key table, 4 tablets; writer.Config{}: synced, then answered; idempotent, 5 in flight, 2 MB requests"
	oursKept   = "session in AUTO_FLUSH_BACKGROUND, otherwise SessionConfig{}: 2 buffers of 7 MiB; synced, then answered"
	oursAppend = "log table, 4 tablets; writer.Config{}: synced, then answered; idempotent, 5 in flight, 2 MB requests"
	oursLog    = "as append, and acks 1: in the log, then answered; synced within 100 ms"
	kuduCommon = "AUTO_FLUSH_BACKGROUND, 1000 operations in a buffer, HASH(id) 4, 1 replica, no encryption; "
	flussRest  = "4 buckets, 1 replica, acks all, idempotent, batches of 2 MB and 100 ms; files are not synced"
)

func jobs() []job {
	return []job{
		{name: "kudu", peer: "kudu", rows: 1_000_000, sides: []side{
			forebaySide("upsert", oursUpsert),
			kuduSide("kudu synced", kuduCommon+"log_force_fsync_all: the log is synced, then answered",
				"--log_force_fsync_all"),
			kuduSide("kudu default", kuduCommon+"default: the log is not synced, other files are"),
			kuduSide("kudu never", kuduCommon+"never_fsync: nothing is synced", "--never_fsync"),
		}},
		{name: "kudu-session", peer: "kudu", rows: 200_000, sides: []side{
			forebaySide("session", oursKept),
			kuduSide("kudu synced", kuduCommon+"log_force_fsync_all: the log is synced, then answered",
				"--log_force_fsync_all"),
		}},
		{name: "fluss-append", peer: "fluss", rows: 1_000_000, sides: []side{
			forebaySide("append", oursAppend),
			forebaySide("append-log", oursLog),
			flussSide("append-indexed", "log table, format INDEXED; "+flussRest),
			flussSide("append-arrow", "log table, format ARROW with ZSTD (default); "+flussRest),
		}},
		{name: "fluss-upsert", peer: "fluss", rows: 300_000, sides: []side{
			forebaySide("upsert", oursUpsert),
			flussSide("upsert", "primary key table; "+flussRest),
		}},
	}
}

// result is what a job came to: a sample of each side in each round.
type result struct {
	job    job
	rows   int64
	warm   int
	rounds [][]sample
}

// run starts everything, lets the sides take turns, and stops everything.
func (j job) run(ctx context.Context, o options) (r result, err error) {
	r = result{job: j, rows: max(1, int64(float64(j.rows)*o.scale)), warm: o.warm}
	dir, err := filepath.Abs(filepath.Join(cacheDir, "peers/work"))
	if err != nil {
		return r, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return r, err
	}
	b := &bench{dir: dir, servers: map[string]*running{}}
	defer func() {
		b.stop()
		if err == nil {
			err = os.RemoveAll(dir) // after a failure the logs are wanted
		}
	}()
	for _, s := range j.sides {
		if err := b.add(ctx, s); err != nil {
			return r, err
		}
	}
	for i := range o.warm + o.rounds {
		var round []sample
		for k := range j.sides {
			measured, err := b.turn(ctx, k, turn{table: fmt.Sprintf("t%d_%d", i, k), rows: r.rows})
			if err != nil {
				return r, err
			}
			word := "round"
			if i < o.warm {
				word = "warm-up round"
			}
			fmt.Fprintf(os.Stderr, "peers: %s %d %s\n", word, i+1, measured.line(j.sides[k].name))
			round = append(round, measured)
		}
		if i >= o.warm {
			r.rounds = append(r.rounds, round)
		}
	}
	return r, nil
}

// bench is a job while it runs.
type bench struct {
	dir     string
	servers map[string]*running
	clients []*client  // per side
	of      []*running // per side
}

// add starts a side.
func (b *bench) add(ctx context.Context, s side) error {
	server := b.servers[s.server.name]
	if server == nil {
		server = &running{dir: filepath.Join(b.dir, s.server.name), putDown: s.server.putDown}
		if err := os.MkdirAll(server.dir, 0o755); err != nil {
			return err
		}
		b.servers[s.server.name] = server
		if err := s.server.start(ctx, server); err != nil {
			return errors.Join(fmt.Errorf("start %s", s.server.name), err)
		}
	}
	c, err := startClient(b.dir, "client "+s.name, s.client(server.address))
	if err != nil {
		return err
	}
	b.clients, b.of = append(b.clients, c), append(b.of, server)
	return nil
}

func (b *bench) stop() {
	for _, c := range b.clients {
		_ = c.in.Close() // it ends then; if not, by the signal
		c.stop()
	}
	for _, s := range b.servers {
		s.stop()
	}
}
