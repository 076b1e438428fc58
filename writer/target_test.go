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
	rowsMax int // a request with more is too large
	applied map[int][]int64
	known   map[modelKey]*modelWriter
	gone    map[string]bool // writers that were forgotten
	moved   map[int]bool    // tablets that live elsewhere until they are looked up

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

// message is one request on its way.
type message struct {
	action action
	rows   []modelRow
	copied bool // its answer goes nowhere
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
	size := 0
	answer := forebay.Answer{Code: forebay.CodeOK, Offset: int64(len(m.applied[f.action.tablet]))}
	for i, row := range f.rows {
		size++
		if row.large {
			size += m.rowsMax
		}
		if row.bad {
			answer.Rows = append(answer.Rows, forebay.RowError{Row: i, Code: "bad", Reason: fmt.Sprint("row ", row.n)})
		}
	}
	switch {
	case size > m.rowsMax:
		return forebay.Answer{Code: forebay.CodeTooLarge}
	case len(answer.Rows) > 0 && !m.partial:
		answer.Code = forebay.CodeRowsRejected
		return answer
	}
	for _, row := range f.rows {
		if !row.bad {
			m.apply(f.action.tablet, row.n)
			m.applied[f.action.tablet] = append(m.applied[f.action.tablet], row.n)
		}
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
