// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// sessionModel is what a session must have said of each of its operations. Operation k is row k.
type sessionModel struct {
	t       *testing.T
	s       *sessionBench
	refused func(n int64) bool

	taken   []FlushMode // by number
	tables  []string
	waiting []int64 // in MANUAL_FLUSH: not answered
	unread  []int64 // failures of the background that nobody has read

	answered int64 // everything below was answered before the last flush returned
}

// sessionStep is one step of a schedule.
type sessionStep struct {
	kind  int // what to do
	count int
}

// TestSessionAnswersEveryOperationOnceAndInOrder draws schedules of applies, flushes, changes of mode, reads of pending
// errors and pauses against a target that is slow, refuses rows, is overloaded and loses answers.
func TestSessionAnswersEveryOperationOnceAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		config := SessionConfig{
			Mode:             FlushMode(rapid.IntRange(0, 2).Draw(rt, "mode")),
			BufferOperations: rapid.IntRange(1, 8).Draw(rt, "operations"),
			Order:            Order(rapid.IntRange(0, 1).Draw(rt, "order")),
			Timeout:          NoTimeout,
			Memory:           NewMemory(64 * forebay.KiB),
			Writer:           Config{Tuning: Tuning{Retries: 1 << 20}},
		}
		modulus := rapid.Int64Range(2, 6).Draw(rt, "refused")
		faults := rapid.Uint64().Draw(rt, "faults")
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) sessionStep {
			return sessionStep{kind: rapid.IntRange(0, 9).Draw(rt, "kind"), count: rapid.IntRange(1, 12).Draw(rt, "count")}
		}), 1, 30).Draw(rt, "steps")
		end := rapid.Bool().Draw(rt, "shutdown")
		ok := t.Run("schedule", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &sessionModel{
					t: t, s: openSession(t, config), refused: func(n int64) bool { return n%modulus == 1 },
				}
				m.s.open("u")
				m.s.target.disturb(m.refused, faults)
				defer m.s.end()
				for _, step := range steps {
					m.step(step)
				}
				m.end(end)
			})
		})
		if !ok {
			rt.Fatalf("%+v, rows n mod %d = 1 refused: %+v", config, modulus, steps)
		}
	})
}

// disturb makes the target slow, overloaded and forgetful, by what a seed says of each request.
func (g *sessionTarget) disturb(refused func(n int64) bool, seed uint64) {
	g.refuse = func(n int64) string {
		if refused(n) {
			return CodeAlreadyPresent
		}
		return ""
	}
	attempts := map[string]uint64{}
	dice := func(r *forebay.Request, of string) uint64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		key := fmt.Sprint(of, r.Table, r.Tablet, rowsOf(r.Data))
		attempts[key]++
		x := seed + attempts[key]
		for _, c := range []byte(key) {
			x = (x ^ uint64(c)) * 0x9e3779b97f4a7c15
		}
		return x >> 40
	}
	g.before = func(ctx context.Context, r *forebay.Request) forebay.Answer {
		pause(ctx, time.Duration(dice(r, "slow")%50)*time.Millisecond)
		if dice(r, "busy")%5 == 0 {
			return forebay.Answer{Code: forebay.CodeOverload}
		}
		return forebay.Answer{}
	}
	g.loses = nil
	lost := map[string]bool{}
	g.loses = func(r *forebay.Request) bool { // the caller holds g.mu
		key := fmt.Sprint(r.Table, r.Tablet, rowsOf(r.Data))
		lose := !lost[key] && (seed^uint64(len(key))*0x9e3779b97f4a7c15)%4 == 0
		lost[key] = true
		return lose
	}
}

func (m *sessionModel) step(step sessionStep) {
	m.t.Helper()
	switch step.kind {
	case 0, 1, 2, 3, 4:
		for range step.count {
			m.apply()
		}
	case 5:
		m.flush()
	case 6:
		m.setMode(FlushMode(step.count % 3))
	case 7:
		m.read()
	default:
		time.Sleep(time.Duration(step.count) * 200 * time.Millisecond)
		synctest.Wait()
	}
}

func (m *sessionModel) apply() {
	m.t.Helper()
	n := int64(len(m.taken))
	name := []string{"t", "u"}[n%7/4]
	table := m.s.open(name)
	mode := m.s.session.Mode()
	r, err := table.Upsert(m.t.Context(), put(m.t, m.s.row, n, fmt.Sprint("text of ", n)))
	if full, ok := errors.AsType[*BufferError](err); ok {
		if mode != ManualFlush || full.Operations < full.OperationsMax {
			m.t.Fatalf("%s: %+v", mode, full)
		}
		return
	}
	if r.Number != n || r.Table != name {
		m.t.Fatalf("operation %d was taken as %s, %v", n, r.Operation, err)
	}
	m.taken, m.tables = append(m.taken, mode), append(m.tables, name)
	switch mode {
	case AutoFlushSync:
		m.check(&r)
		if (err != nil) != (r.Err != nil) {
			m.t.Fatalf("operation %d: %v and %v", n, err, r.Err)
		}
		return
	case ManualFlush:
		m.waiting = append(m.waiting, n)
	case AutoFlushBackground:
		if m.refused(n) {
			m.unread = append(m.unread, n)
		}
	}
	if err != nil {
		m.t.Fatalf("operation %d: %v", n, err)
	}
}

// check holds a response against the model.
func (m *sessionModel) check(r *Response) {
	m.t.Helper()
	want := Yes
	if m.refused(r.Number) {
		want = No
	}
	right := r.Applied == want && (r.Err != nil) == (want == No) && r.Tablet == int(r.Number%3)
	if !right || r.Table != m.tables[r.Number] {
		m.t.Fatalf("response to %d on %s: %+v", r.Number, m.tables[r.Number], *r)
	}
	if r.HasRow() {
		if n, text := rowOf(m.t, m.s.table, r.Operation); n != r.Number || text != fmt.Sprint("text of ", n) {
			m.t.Fatalf("response to %d shows row %d, %q", r.Number, n, text)
		}
	}
}

func (m *sessionModel) flush() {
	m.t.Helper()
	mode, pending := m.s.session.Mode(), m.s.session.Pending()
	responses, err := m.s.session.Flush(m.t.Context())
	failures := 0
	var numbers []int64
	for i := range responses {
		m.check(&responses[i])
		numbers = append(numbers, responses[i].Number)
		if responses[i].Err != nil {
			failures++
		}
	}
	switch mode {
	case AutoFlushSync: // each was answered at once
	case ManualFlush:
		if !slices.Equal(numbers, m.waiting) {
			m.t.Fatalf("flush answered %v, want %v", numbers, m.waiting)
		}
		m.waiting = nil
	case AutoFlushBackground: // what is not among them was answered before
		failures += len(m.unread)
		if len(numbers) > pending || !slices.IsSorted(numbers) || len(numbers) > 0 && numbers[0] < m.answered {
			m.t.Fatalf("flush answered %v with %d of %d pending", numbers, pending, len(m.taken))
		}
	}
	m.answered = int64(len(m.taken))
	if (err != nil) != (failures > 0) {
		m.t.Fatalf("%s: flush: %v with %d failures", mode, err, failures)
	}
	if mode != AutoFlushSync && m.s.session.Pending() != 0 {
		m.t.Fatalf("%d pending after a flush", m.s.session.Pending())
	}
}

func (m *sessionModel) setMode(mode FlushMode) {
	m.t.Helper()
	pending, now := m.s.session.Pending(), m.s.session.Mode()
	err := m.s.session.SetMode(mode)
	if (err != nil) != (pending > 0 && mode != now) {
		m.t.Fatalf("from %s to %s with %d pending: %v", now, mode, pending, err)
	}
}

// read takes the pending errors: after a flush, all that there are.
func (m *sessionModel) read() {
	m.t.Helper()
	if m.s.session.Mode() == AutoFlushBackground {
		m.flush()
	}
	m.wantUnread(m.s.session.PendingErrors().Errors)
}

func (m *sessionModel) wantUnread(failed []*OperationError) {
	m.t.Helper()
	var numbers []int64
	for _, e := range failed {
		numbers = append(numbers, e.Number)
	}
	if slices.Sort(numbers); !slices.Equal(numbers, m.unread) {
		m.t.Fatalf("the failures %v were kept, want %v", numbers, m.unread)
	}
	m.unread = nil
}

// end ends the session: what nobody has seen comes now, every row is where it belongs, and the order is kept.
func (m *sessionModel) end(shutdown bool) {
	m.t.Helper()
	if !shutdown {
		m.flush()
		m.read()
		if err := m.s.session.Close(); err != nil {
			m.t.Fatal(err)
		}
	} else {
		for _, n := range m.waiting {
			if m.refused(n) {
				m.unread = append(m.unread, n)
			}
		}
		slices.Sort(m.unread)
		err := m.s.session.Shutdown(m.t.Context())
		failed, _ := errors.AsType[*OperationsError](err)
		if failed == nil {
			failed = &OperationsError{}
		}
		m.wantUnread(failed.Errors)
	}
	want := map[string][]int64{}
	for n := range int64(len(m.taken)) {
		if !m.refused(n) {
			at := fmt.Sprint(m.tables[n], n%3)
			want[at] = append(want[at], n)
		}
	}
	for name, b := range m.s.target.tables {
		for tablet := range b.tablets {
			rows := b.applied[tablet]
			if m.s.session.config.Order == OrderNone {
				slices.Sort(rows)
			}
			if at := fmt.Sprint(name, tablet); !slices.Equal(rows, want[at]) {
				m.t.Fatalf("tablet %s has %v, want %v", at, rows, want[at])
			}
		}
	}
}
