// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// modelRow is a row of the model: its number says when it was appended.
type modelRow struct {
	n     int64
	bad   bool // no target takes it
	large bool // it fills a request
}

// modelTarget is a naive target: per tablet the rows that it applied, and per writer and tablet the requests that it
// took, by number.
type modelTarget struct {
	partial bool
	// readsFirst says that it looks at the rows of a request before its number.
	readsFirst bool
	rowsMax    int // a request with more is too large
	applied    map[int][]int64
	known      map[modelKey]*modelWriter
	gone       map[string]bool    // writers that were forgotten
	moved      map[int]bool       // tablets that live elsewhere until they are looked up
	synced     map[int]*modelMark // what is durable of tablets where not everything is

	fault func(format string, args ...any)
	// apply is told of each row that is applied.
	apply func(tablet int, n int64)
}

type modelKey struct {
	writer string
	tablet int
}

type modelWriter struct {
	took  [][]modelRow
	first []forebay.Answer
}

// modelMark is what a tablet held once.
type modelMark struct {
	rows int
	took map[string]int // requests, by writer
}

// message is one request on its way.
type message struct {
	action action
	rows   []modelRow
	copied bool // its answer goes nowhere
	silent bool // it gets no answer, and what was applied need not be durable
	held   bool // by the network, until it arrives
	left   time.Time
}

// judge is the target's answer to a request, after it was applied if it is to be.
func (m *modelTarget) judge(f message, now time.Time) forebay.Answer {
	a := f.action
	switch {
	case m.moved[a.tablet]:
		return forebay.Answer{Code: forebay.CodeNotLeader}
	case !a.expires.IsZero() && !now.Before(a.expires):
		return forebay.Answer{Code: forebay.CodeTimeout}
	case a.sequence == noSequence:
		return m.take(f)
	case m.readsFirst && !m.takes(f):
		return m.refusal(f)
	case m.gone[a.writerID]:
		return forebay.Answer{Code: forebay.CodeUnknownWriter}
	}
	key := modelKey{a.writerID, a.tablet}
	w := m.known[key]
	if w == nil {
		if a.sequence > 0 {
			return forebay.Answer{Code: forebay.CodeUnknownWriter}
		}
		w = &modelWriter{}
	}
	switch next := int64(len(w.took)); {
	case a.sequence > next:
		return forebay.Answer{Code: forebay.CodeSequenceGap}
	case a.sequence < next:
		if !slices.Equal(w.took[a.sequence], f.rows) {
			if !f.copied {
				m.fault("W2: request %d came under number %d, which another one has", a.id, a.sequence)
			}
			return forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassCorrupt}
		}
		answer := w.first[a.sequence]
		answer.Code = forebay.CodeDuplicate
		return answer
	}
	answer := m.take(f)
	if answer.Code == forebay.CodeOK {
		w.took, w.first = append(w.took, f.rows), append(w.first, answer)
		m.known[key] = w
	}
	return answer
}

func (m *modelTarget) take(f message) forebay.Answer {
	if !m.takes(f) {
		return m.refusal(f)
	}
	answer := m.refusal(f)
	answer.Code, answer.Offset = forebay.CodeOK, int64(len(m.applied[f.action.tablet]))
	for _, row := range f.rows {
		if !row.bad {
			m.apply(f.action.tablet, row.n)
			m.applied[f.action.tablet] = append(m.applied[f.action.tablet], row.n)
		}
	}
	return answer
}

// mark is called before something is applied without a sync: a crash takes it back, and what comes to the tablet after
// it, until something of it is answered.
func (m *modelTarget) mark(tablet int) {
	if m.synced[tablet] != nil {
		return
	}
	mark := &modelMark{rows: len(m.applied[tablet]), took: map[string]int{}}
	for key, w := range m.known {
		if key.tablet == tablet {
			mark.took[key.writer] = len(w.took)
		}
	}
	m.synced[tablet] = mark
}

// crash loses what was not durable.
func (m *modelTarget) crash() {
	for tablet, mark := range m.synced {
		m.applied[tablet] = m.applied[tablet][:mark.rows:mark.rows]
		for key, w := range m.known {
			switch n := mark.took[key.writer]; {
			case key.tablet != tablet:
			case n > 0:
				w.took, w.first = w.took[:n:n], w.first[:n:n]
			default:
				delete(m.known, key)
			}
		}
	}
	clear(m.synced)
}

// takes says whether the rows of a request can ever be applied together.
func (m *modelTarget) takes(f message) bool {
	answer := m.refusal(f)
	return answer.Code != forebay.CodeTooLarge && (m.partial || len(answer.Rows) == 0)
}

// refusal is what is wrong with the rows of a request.
func (m *modelTarget) refusal(f message) forebay.Answer {
	size := 0
	answer := forebay.Answer{Code: forebay.CodeRowsRejected}
	for i, row := range f.rows {
		size++
		if row.large {
			size += m.rowsMax
		}
		if row.bad {
			answer.Rows = append(answer.Rows, forebay.RowError{Row: i, Code: "bad", Reason: fmt.Sprint("row ", row.n)})
		}
	}
	if size > m.rowsMax {
		return forebay.Answer{Code: forebay.CodeTooLarge}
	}
	return answer
}

// forget loses what it knows of a writer. A target that keeps no trace of it at all would take its number 0 again; ours
// forgets a writer only days after its last request.
func (m *modelTarget) forget(writer string) {
	m.gone[writer] = true
	for key := range m.known {
		if key.writer == writer {
			delete(m.known, key)
		}
	}
}
