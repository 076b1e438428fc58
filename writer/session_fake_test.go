// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/forebay-io/forebay"
)

// sessionTarget is the tables of a session under test.
type sessionTarget struct {
	// refuse is the code with which a row is refused; empty where it is applied.
	refuse func(n int64) string
	// before is called before a request is applied; nil, and an answer without a code, let it be applied.
	before func(ctx context.Context, r *forebay.Request) forebay.Answer
	// loses says whether the answer to a request that was applied is lost; nil loses none.
	loses func(r *forebay.Request) bool

	mu     sync.Mutex
	tables map[string]*fakeBackend
	given  map[string][]forebay.Answer // to the requests of a writer for a tablet, by sequence
}

func newTarget() *sessionTarget {
	return &sessionTarget{
		refuse: func(int64) string { return "" }, tables: map[string]*fakeBackend{},
		given: map[string][]forebay.Answer{},
	}
}

// open makes the writer of a table; every writer of a table sees the same rows.
func (g *sessionTarget) open(_ context.Context, name string, config Config) (*Writer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if name == "missing" {
		return nil, forebay.Errorf("open writer", forebay.ClassMisconfigured, "there is no table %q", name)
	}
	b := g.tables[name]
	if b == nil {
		b = newBackend()
		b.tablets, b.send = 3, func(ctx context.Context, r *forebay.Request) forebay.Answer { return g.apply(ctx, b, r) }
		g.tables[name] = b
	}
	return New(b, forebay.NewLayout(fakeSchema()), config)
}

// apply takes the rows that are not refused. Each sequence of a writer applies once, and in order.
func (g *sessionTarget) apply(ctx context.Context, b *fakeBackend, r *forebay.Request) forebay.Answer {
	if g.before != nil {
		if a := g.before(ctx, r); a.Code != 0 {
			return a
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := rowsOf(r.Data)
	if !r.Partial {
		panic("a request of a session does not apply in part")
	}
	writer := fmt.Sprintf("%p/%d/%s", b, r.Tablet, r.WriterID)
	given := g.given[writer]
	switch next := int64(len(given)); {
	case r.Sequence > next:
		return forebay.Answer{Code: forebay.CodeSequenceGap}
	case r.Sequence < next:
		a := given[r.Sequence]
		a.Code = forebay.CodeDuplicate
		return a
	}
	b.requests = append(b.requests, rows)
	a := forebay.Answer{Code: forebay.CodeOK, Offset: int64(len(b.applied[r.Tablet]))}
	for i, n := range rows {
		if code := g.refuse(n); code != "" {
			a.Rows = append(a.Rows, forebay.RowError{Row: i, Code: code, Reason: fmt.Sprintf("row %d is refused", n)})
			continue
		}
		b.applied[r.Tablet] = append(b.applied[r.Tablet], n)
	}
	g.given[writer] = append(given, a)
	if g.loses != nil && g.loses(r) {
		return forebay.Answer{Code: forebay.CodeTimeout, Message: "no answer"}
	}
	return a
}

// requests are the rows of each request of a table, in the order in which the target took them.
func (g *sessionTarget) requests(table string) [][]int64 {
	b := g.tables[table]
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}

// sessionBench is a session in a bubble, with one table open.
type sessionBench struct {
	t       *testing.T
	target  *sessionTarget
	session *Session
	table   *SessionTable
	memory  *Memory
	row     forebay.Row
}

// inSession runs a test with a session; the bubble fails on a goroutine that is left.
func inSession(t *testing.T, config SessionConfig, test func(t *testing.T, s *sessionBench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := openSession(t, config)
		defer s.end()
		test(t, s)
	})
}

func openSession(t *testing.T, config SessionConfig) *sessionBench {
	t.Helper()
	s := &sessionBench{t: t, target: newTarget(), memory: config.Memory, row: forebay.NewRow(fakeSchema())}
	if s.memory == nil {
		s.memory = NewMemory(0)
		config.Memory = s.memory
	}
	var err error
	if s.session, err = NewSession(s.target.open, config); err != nil {
		t.Fatal(err)
	}
	s.table = s.open("t")
	s.row = s.table.NewRow()
	return s
}

func (s *sessionBench) open(name string) *SessionTable {
	s.t.Helper()
	table, err := s.session.Table(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return table
}

// end closes the session and looks that no byte is reserved.
func (s *sessionBench) end() {
	s.t.Helper()
	if err := s.session.Close(); err != nil {
		if _, ok := errors.AsType[*OperationsError](err); !ok {
			s.t.Error(err)
		}
	}
	if used, waiters := s.memory.Used(); used != 0 || waiters != 0 {
		s.t.Errorf("%d bytes are reserved and %d wait after Close", used, waiters)
	}
	for name, b := range s.target.tables {
		if len(b.torn) > 0 {
			s.t.Errorf("%s: data changed while it was the target's: %v", name, b.torn)
		}
	}
}

// put fills the row with n and text.
func put(t *testing.T, row forebay.Row, n int64, text string) forebay.Row {
	t.Helper()
	row.Clear()
	if err := errors.Join(row.SetInt("n", n), row.SetText("text", text)); err != nil {
		t.Fatal(err)
	}
	return row
}

// upsert applies row n.
func (s *sessionBench) upsert(n int64) (Response, error) {
	s.t.Helper()
	return s.table.Upsert(s.t.Context(), put(s.t, s.row, n, fmt.Sprint("text of ", n)))
}

// all upserts the rows from and up to, without, to.
func (s *sessionBench) all(from, to int64) {
	s.t.Helper()
	for n := from; n < to; n++ {
		if _, err := s.upsert(n); err != nil {
			s.t.Fatalf("row %d: %v", n, err)
		}
	}
}

func (s *sessionBench) flush() []Response {
	s.t.Helper()
	responses, err := s.session.Flush(s.t.Context())
	if _, failed := errors.AsType[*OperationsError](err); err != nil && !failed {
		s.t.Fatal(err)
	}
	return responses
}

// rowOf is the row of an operation that kept one.
func rowOf(t *testing.T, table *SessionTable, o Operation) (n int64, text string) {
	t.Helper()
	row := table.NewRow()
	if err := o.CopyRow(row); err != nil {
		t.Fatal(err)
	}
	return row.Int("n"), row.Text("text")
}
