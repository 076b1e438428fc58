// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

var sessionModes = []writer.FlushMode{writer.AutoFlushSync, writer.ManualFlush, writer.AutoFlushBackground}

func openSession(tb testing.TB, s *Server, config writer.SessionConfig) *writer.Session {
	tb.Helper()
	session, err := s.Session(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = session.Close() })
	return session
}

func sessionTable(tb testing.TB, session *writer.Session, name string) *writer.SessionTable {
	tb.Helper()
	table, err := session.Table(context.WithoutCancel(tb.Context()), name)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

func fill(tb testing.TB, row forebay.Row, n int64, text string) forebay.Row {
	tb.Helper()
	row.Clear()
	if err := errors.Join(row.SetInt("n", n), row.SetText("text", text)); err != nil {
		tb.Error(err)
	}
	return row
}

// textOf is the text of the row with a key; empty where there is none.
func textOf(t *testing.T, s *Server, table string, n int64) string {
	t.Helper()
	key := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "n", Type: forebay.Int64}))
	if err := key.SetInt("n", n); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	found, err := s.Get(t.Context(), table, key, b)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return ""
	}
	return b.Row(0).Text("text")
}

// TestSessionOperationsHaveTheMeaningOfTheirNames applies the same operations in each mode.
func TestSessionOperationsHaveTheMeaningOfTheirNames(t *testing.T) {
	t.Parallel()
	steps := []struct {
		op   forebay.Op
		n    int64
		text string
		code string
	}{
		{forebay.OpInsert, 1, "first", ""},
		{forebay.OpInsert, 1, "again", writer.CodeAlreadyPresent},
		{forebay.OpUpdate, 2, "missing", writer.CodeNotFound},
		{forebay.OpUpsert, 2, "made", ""},
		{forebay.OpUpdate, 2, "changed", ""},
		{forebay.OpDelete, 3, "", writer.CodeNotFound},
		{forebay.OpInsert, 3, "short life", ""},
		{forebay.OpDelete, 3, "", ""},
		{forebay.OpDelete, 3, "", writer.CodeNotFound},
		{forebay.OpUpsert, 1, "over it", ""},
	}
	for _, mode := range sessionModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t)
			if err := s.Create(t.Context(), keySpec("t")); err != nil {
				t.Fatal(err)
			}
			session := openSession(t, s, writer.SessionConfig{Mode: mode})
			table := sessionTable(t, session, "t")
			row := table.NewRow()
			var answers []writer.Response
			for _, step := range steps {
				r, err := table.Apply(t.Context(), step.op, fill(t, row, step.n, step.text))
				if _, failed := errors.AsType[*writer.OperationError](err); err != nil && !failed {
					t.Fatal(err)
				}
				if mode == writer.AutoFlushSync {
					answers = append(answers, r)
				}
			}
			flushed, err := session.Flush(t.Context())
			if mode != writer.AutoFlushSync {
				answers = flushed
				if failed, ok := errors.AsType[*writer.OperationsError](err); !ok || len(failed.Errors) != 4 {
					t.Errorf("flush: %v", err)
				}
			}
			if len(answers) != len(steps) {
				t.Fatalf("%d answers", len(answers))
			}
			for i, step := range steps {
				code := ""
				if answers[i].Err != nil {
					code = answers[i].Err.Code
				}
				if code != step.code || answers[i].Op != step.op || (answers[i].Applied == writer.Yes) != (code == "") {
					t.Errorf("%s of %d: %q, want %q: %+v", step.op, step.n, code, step.code, answers[i])
				}
			}
			for n, want := range map[int64]string{1: "over it", 2: "changed", 3: ""} {
				if got := textOf(t, s, "t", n); got != want {
					t.Errorf("row %d is %q, want %q", n, got, want)
				}
			}
			if mode == writer.AutoFlushBackground {
				diff(t, "pending errors", session.CountPendingErrors(), 4)
			}
		})
	}
}

func TestSessionFlushAnswersInOrderOverTablets(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Create(t.Context(), keySpec("t")); err != nil {
		t.Fatal(err)
	}
	session := openSession(t, s, writer.SessionConfig{Mode: writer.ManualFlush, BufferOperations: 100})
	table := sessionTable(t, session, "t")
	row := table.NewRow()
	for n := range int64(100) {
		if _, err := table.Insert(t.Context(), fill(t, row, n/2, fmt.Sprint("text ", n))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Insert(t.Context(), row); err == nil ||
		err.Error() != "MANUAL_FLUSH is enabled but the buffer is too big" {
		t.Errorf("operation 101: %v", err)
	}
	responses, _ := session.Flush(t.Context())
	if len(responses) != 100 {
		t.Fatalf("%d responses", len(responses))
	}
	tablets := map[int]bool{}
	for i, r := range responses {
		tablets[r.Tablet] = true
		if err := r.CopyRow(row); err != nil {
			t.Fatal(err)
		}
		if refused := i%2 == 1; row.Text("text") != fmt.Sprint("text ", i) || refused != (r.Err != nil) {
			t.Errorf("response %d: %q, %v", i, row.Text("text"), r.Err)
		}
	}
	if len(tablets) != 4 {
		t.Errorf("%d tablets", len(tablets))
	}
	diff(t, "count", count(t, s, "t"), int64(50))
}

func TestSessionWritesLogTablesToo(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, spec := range []forebay.TableSpec{logSpec("events"), keySpec("users")} {
		if err := s.Create(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	session := openSession(t, s, writer.SessionConfig{Mode: writer.ManualFlush})
	events, users := sessionTable(t, session, "events"), sessionTable(t, session, "users")
	row := events.NewRow()
	for n := range int64(10) {
		_, err := events.Insert(t.Context(), fill(t, row, n, "e"))
		_, other := users.Upsert(t.Context(), row) // laid out in the same way
		if err := errors.Join(err, other); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := events.Upsert(t.Context(), row); forebay.ClassOf(err) != forebay.ClassRejected {
		t.Errorf("upsert into a log table: %v", err)
	}
	if err := s.Drop(t.Context(), "events"); err == nil {
		t.Error("a table of a session was dropped")
	}
	if err := session.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "events", count(t, s, "events"), int64(10))
	diff(t, "users", count(t, s, "users"), int64(10))
	if err := s.Drop(t.Context(), "events"); err != nil {
		t.Errorf("after the session: %v", err)
	}
}

// A server takes so many rows in one request that applies in part; a larger buffer comes in pieces.
func TestSessionBufferMayExceedTheRowsOfARequest(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := keySpec("t")
	spec.Tablets = 1
	if err := s.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	const rows = partialRowsMax + 1_000
	session := openSession(t, s, writer.SessionConfig{
		Mode: writer.ManualFlush, BufferBytes: 60 * forebay.MiB, BufferOperations: 1 << 20, WithoutRows: true,
	})
	table := sessionTable(t, session, "t")
	row := table.NewRow()
	for n := range int64(rows) {
		if _, err := table.Insert(t.Context(), fill(t, row, n%(rows-100), "x")); err != nil {
			t.Fatal(err)
		}
	}
	responses, _ := session.Flush(t.Context())
	failures := 0
	for i, r := range responses {
		if (r.Err != nil) != (i >= rows-100) {
			failures++
		}
	}
	if failures > 0 || len(responses) != rows {
		t.Errorf("%d of %d responses are wrong", failures, len(responses))
	}
	diff(t, "count", count(t, s, "t"), int64(rows-100))
}

func TestHundredSessionsOnOneConnection(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.Create(t.Context(), keySpec("t")); err != nil {
		t.Fatal(err)
	}
	const sessions, each = 99, 60
	memory := writer.NewMemory(256 * forebay.KiB)
	var all sync.WaitGroup
	var mu sync.Mutex
	applied, refused := 0, 0
	for k := range sessions {
		all.Go(func() {
			session := openSession(t, s, writer.SessionConfig{
				Mode: sessionModes[k%3], BufferOperations: 7, Memory: memory,
			})
			answered := map[bool]int{}
			note := func(responses []writer.Response) {
				for _, r := range responses {
					answered[r.Applied == writer.Yes]++
				}
			}
			table := sessionTable(t, session, "t")
			row := table.NewRow()
			for i := range int64(each) {
				// Every key is inserted by three sessions, one in each mode: one of them gets it.
				n := int64(k/3)*each + i
				r, err := table.Insert(t.Context(), fill(t, row, n, "x"))
				for errors.Is(err, forebay.ErrBufferFull) {
					responses, _ := session.Flush(t.Context())
					note(responses)
					r, err = table.Insert(t.Context(), row)
				}
				if session.Mode() == writer.AutoFlushSync {
					note([]writer.Response{r})
				} else if err != nil {
					t.Error(err)
				}
			}
			if session.Mode() == writer.AutoFlushBackground {
				// What came before the last two buffers was answered without a response.
				_, _ = session.Flush(t.Context())
				answered[false] = session.CountPendingErrors()
				answered[true] = each - answered[false]
				session.PendingErrors()
			} else {
				responses, _ := session.Flush(t.Context())
				note(responses)
			}
			if err := session.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if answered[true]+answered[false] != each {
				t.Errorf("%s: %v of %d", session.Mode(), answered, each)
			}
			mu.Lock()
			defer mu.Unlock()
			applied, refused = applied+answered[true], refused+answered[false]
		})
	}
	all.Wait()
	diff(t, "applied", applied, sessions/3*each)
	diff(t, "refused", refused, sessions/3*each*2)
	diff(t, "count", count(t, s, "t"), int64(sessions/3*each))
	if used, waiters := memory.Used(); used != 0 || waiters != 0 {
		t.Errorf("%d bytes are reserved, %d wait", used, waiters)
	}
}

// BenchmarkSession compares the three modes. An operation is one row of about 100 bytes; what is left at the end is
// flushed within the time.
func BenchmarkSession(b *testing.B) {
	for _, kind := range []string{"log", "key"} {
		for _, mode := range sessionModes {
			b.Run("table="+kind+"/mode="+mode.String(), func(b *testing.B) { benchSession(b, kind, mode) })
		}
	}
}

func benchSession(b *testing.B, kind string, mode writer.FlushMode) {
	b.Helper()
	s, err := Open(b.Context(), b.TempDir(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	spec, op := logSpec("t"), forebay.OpInsert
	if kind == "key" {
		spec, op = keySpec("t"), forebay.OpUpsert
	}
	if err := s.Create(b.Context(), spec); err != nil {
		b.Fatal(err)
	}
	session := openSession(b, s, writer.SessionConfig{Mode: mode})
	defer func() { _ = session.Close() }()
	table := sessionTable(b, session, "t")
	row, text := table.NewRow(), strings.Repeat("x", 84)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		fill(b, row, n, text)
		n++
		_, err := table.Apply(b.Context(), op, row)
		if errors.Is(err, forebay.ErrBufferFull) {
			if _, err = session.Flush(b.Context()); err == nil {
				_, err = table.Apply(b.Context(), op, row)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := session.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
