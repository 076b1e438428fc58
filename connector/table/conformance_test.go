// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/tablet/server"
)

// system is an embedded tablet server as connectortest sees it.
type system struct {
	sink   table.Sink
	dir    string
	server *server.Server
	lose   atomic.Bool
}

// newSystem opens a server in a fresh directory.
func newSystem(t *testing.T, ct connectortest.T, sink table.Sink) connectortest.System {
	t.Helper()
	s := &system{sink: sink}
	s.open(t, ct.TempDir())
	return connectortest.System{
		Sink:       sink,
		Context:    func() forebay.SinkContext { return forebay.SinkContext{Tables: losingTables{s.server, &s.lose}} },
		Read:       s.read,
		Reopen:     func(connectortest.T) { s.reopen(t) },
		LoseAnswer: func() { s.lose.Store(true) },
		Spoil: func(b *forebay.Batch, i int) {
			text := strings.Repeat("x", int(server.RowBytesMax)+1)
			b.Cells(i)[1] = forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text))
		},
	}
}

func (s *system) open(t *testing.T, dir string) {
	t.Helper()
	opened, err := server.Open(context.Background(), dir, server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.dir, s.server = dir, opened
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
}

// reopen opens what lies in the directory now, as after a SIGKILL: the old server is not asked to end.
func (s *system) reopen(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "state"), os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	s.open(t, filepath.Join(dir, "state"))
}

// read lists the rows of each tablet; those of a key table as one.
func (s *system) read(ctx context.Context) ([][]connectortest.Stored, error) {
	scan, err := s.server.Scan(ctx, server.ScanRequest{Table: s.sink.Name})
	if err != nil {
		return nil, err
	}
	return connectortest.ReadTablets(ctx, scan, forebay.TabletsDefault)
}

// losingTables hands out targets that lose the next answer when they are told to.
type losingTables struct {
	forebay.Tables
	lose *atomic.Bool
}

func (l losingTables) OpenTable(ctx context.Context, spec forebay.TableSpec) (forebay.Target, error) {
	target, err := l.Tables.OpenTable(ctx, spec)
	if err != nil {
		return nil, err
	}
	backend := target.(forebay.Sequencer).Backend()
	return losingTarget{
		Target: target, ProgressHolder: target.(forebay.ProgressHolder),
		backend: losingBackend{Backend: backend, committer: backend.(forebay.Committer), lose: l.lose},
	}, nil
}

type losingTarget struct {
	forebay.Target
	forebay.ProgressHolder
	backend losingBackend
}

func (l losingTarget) Backend() forebay.Backend { return l.backend }

type losingBackend struct {
	forebay.Backend
	committer forebay.Committer
	lose      *atomic.Bool
}

func (l losingBackend) answer(a forebay.Answer) forebay.Answer {
	if l.lose.Swap(false) {
		return forebay.Answer{Code: forebay.CodeTimeout, Message: "the answer was lost"}
	}
	return a
}

func (l losingBackend) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	l.Backend.Send(ctx, r, func(a forebay.Answer) { done(l.answer(a)) })
}

func (l losingBackend) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	wait := l.committer.Commit(ctx, c)
	return func(ctx context.Context) forebay.Answer { return l.answer(wait(ctx)) }
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sink  table.Sink
		keyed bool
	}{
		"log table":          {sink: table.Sink{Name: "events"}},
		"spread log table":   {sink: table.Sink{Name: "events", DistributeBy: []string{"id"}}},
		"key table":          {sink: table.Sink{Name: "things", Key: []string{"id"}}, keyed: true},
		"key table, version": {sink: table.Sink{Name: "things", Key: []string{"id"}, Version: "text"}, keyed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSink(t, connectortest.SinkHarness{
				Claims: connectortest.SinkClaims{Rows: true, Keyed: c.keyed, Sequences: true, Progress: true},
				New: func(ct connectortest.T) connectortest.System {
					check, ok := ct.(*testing.T)
					if !ok {
						t.Fatal("the suite runs with another T")
					}
					return newSystem(check, ct, c.sink)
				},
			})
		})
	}
}
