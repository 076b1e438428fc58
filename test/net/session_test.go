// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

var sessionModes = []writer.FlushMode{writer.AutoFlushSync, writer.ManualFlush, writer.AutoFlushBackground}

func openSession(t *testing.T, conn tablet.Conn, config writer.SessionConfig) *writer.Session {
	t.Helper()
	session, err := conn.Session(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func fill(t *testing.T, row forebay.Row, id int64, text string) forebay.Row {
	t.Helper()
	row.Clear()
	if err := errors.Join(row.SetInt("id", id), row.SetText("text", text)); err != nil {
		t.Error(err)
	}
	return row
}

// The same operations, in each mode, through one connection to a table with four tablets.
func TestOperationsOfASessionAreAnsweredInOrderOverTheNetwork(t *testing.T) {
	t.Parallel()
	w := begin(t)
	conn := w.dial(t, tablet.Config{})
	steps := []struct {
		op   forebay.Op
		id   int64
		code string
	}{
		{forebay.OpInsert, 1, ""},
		{forebay.OpInsert, 1, writer.CodeAlreadyPresent},
		{forebay.OpUpdate, 2, writer.CodeNotFound},
		{forebay.OpUpsert, 2, ""},
		{forebay.OpUpdate, 2, ""},
		{forebay.OpDelete, 3, writer.CodeNotFound},
		{forebay.OpInsert, 3, ""},
		{forebay.OpDelete, 3, ""},
		{forebay.OpInsert, 4, ""},
		{forebay.OpInsert, 2, writer.CodeAlreadyPresent},
	}
	for _, mode := range sessionModes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprint("t", int(mode))
			w.table(t, forebay.TableSpec{Name: name, Key: []string{"id"}, Tablets: 4})
			session := openSession(t, conn, writer.SessionConfig{Mode: mode})
			table, err := session.Table(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			row := table.NewRow()
			var answers []writer.Response
			for i, step := range steps {
				r, err := table.Apply(t.Context(), step.op, fill(t, row, step.id, fmt.Sprint("step ", i)))
				if _, failed := errors.AsType[*writer.OperationError](err); err != nil && !failed {
					t.Fatal(err)
				}
				if mode == writer.AutoFlushSync {
					answers = append(answers, r)
				}
			}
			if mode != writer.AutoFlushSync {
				answers, err = session.Flush(t.Context())
				if failed, ok := errors.AsType[*writer.OperationsError](err); !ok || len(failed.Errors) != 4 {
					t.Errorf("flush: %v", err)
				}
			}
			if len(answers) != len(steps) {
				t.Fatalf("%d answers to %d operations", len(answers), len(steps))
			}
			var got, want []string
			for _, step := range steps {
				want = append(want, fmt.Sprintf("%s %d %q", step.op, step.id, step.code))
			}
			for i, a := range answers {
				code := ""
				if a.Err != nil {
					code = a.Err.Code
				}
				if (a.Applied == writer.Yes) != (code == "") {
					t.Errorf("operation %d is applied %s, with the code %q", i, a.Applied, code)
				}
				id := steps[i].id
				if mode != writer.AutoFlushSync { // which keeps no copies: its caller has the row
					if err := a.CopyRow(row); err != nil {
						t.Fatal(err)
					}
					id = row.Int("id")
				}
				got = append(got, fmt.Sprintf("%s %d %q", a.Op, id, code))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if mode == writer.AutoFlushBackground && session.CountPendingErrors() != 4 {
				t.Errorf("%d errors are pending, want 4", session.CountPendingErrors())
			}
			session.PendingErrors()
			if err := session.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n, err := conn.Count(t.Context(), name); n != 3 || err != nil {
				t.Errorf("%d rows (%v), want 3", n, err)
			}
		})
	}
}

// Each key is inserted by three sessions, one in each mode: one of them gets it, and the others are told so.
func TestAHundredSessionsShareOneConnection(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "t", Key: []string{"id"}, Tablets: 4})
	conn := w.dial(t, tablet.Config{BufferMemory: 256 * forebay.KiB})
	const sessions, each = 102, 40
	var all sync.WaitGroup
	var mu sync.Mutex
	applied, refused := 0, 0
	for k := range sessions {
		session := openSession(t, conn, writer.SessionConfig{Mode: sessionModes[k%3], BufferOperations: 7})
		all.Go(func() {
			yes, no := runInserts(t, session, int64(k/3)*each, each)
			mu.Lock()
			defer mu.Unlock()
			applied, refused = applied+yes, refused+no
		})
	}
	all.Wait()
	const keys = sessions / 3 * each
	if applied != keys || refused != 2*keys {
		t.Errorf("%d are applied and %d refused, want %d and %d", applied, refused, keys, 2*keys)
	}
	if n, err := conn.Count(t.Context(), "t"); n != keys || err != nil {
		t.Errorf("%d rows (%v), want %d", n, err, keys)
	}
}

// runInserts inserts keys and counts what became of them.
func runInserts(t *testing.T, session *writer.Session, from, count int64) (applied, refused int) {
	table, err := session.Table(t.Context(), "t")
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	note := func(responses ...writer.Response) {
		for _, r := range responses {
			if r.Applied == writer.Yes {
				applied++
			} else if r.Err != nil && r.Err.Code == writer.CodeAlreadyPresent {
				refused++
			}
		}
	}
	row := table.NewRow()
	for id := from; id < from+count; id++ {
		r, err := table.Insert(t.Context(), fill(t, row, id, "x"))
		for errors.Is(err, forebay.ErrBufferFull) {
			responses, _ := session.Flush(t.Context())
			note(responses...)
			r, err = table.Insert(t.Context(), row)
		}
		if session.Mode() == writer.AutoFlushSync {
			note(r)
		} else if err != nil {
			t.Error(err)
		}
	}
	responses, _ := session.Flush(t.Context())
	if session.Mode() == writer.AutoFlushBackground {
		// What came before the last two buffers was answered without a response.
		refused = len(session.PendingErrors().Errors)
		applied = int(count) - refused
	} else {
		note(responses...)
	}
	if err := session.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	return applied, refused
}
