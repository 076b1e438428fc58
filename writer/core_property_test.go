// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// model is a naive target: per tablet the list of requests that it applied, and what it expects next.
type model struct {
	writer  string
	gone    map[string]bool         // writers that were forgotten
	applied map[int][]int64         // tablet -> request ids in order
	next    map[int]int64           // tablet -> expected sequence under writer
	known   map[int]map[int64]int64 // tablet -> sequence -> request id
}

func newModel() *model {
	m := &model{applied: map[int][]int64{}, gone: map[string]bool{}}
	m.forget()
	return m
}

// forget loses every writer that it knows. A target that keeps no trace of one at all would take its number 0
// again; ours forgets a writer only days after its last request.
func (m *model) forget() {
	m.gone[m.writer] = true
	m.writer, m.next, m.known = "", map[int]int64{}, map[int]map[int64]int64{}
}

func (m *model) send(writerID string, a action) forebay.Code {
	if writerID != m.writer {
		if a.sequence > 0 || m.gone[writerID] {
			return forebay.CodeUnknownWriter
		}
		m.gone[m.writer] = true
		m.next, m.known = map[int]int64{}, map[int]map[int64]int64{}
		m.writer = writerID
	}
	switch next := m.next[a.tablet]; {
	case a.sequence < next:
		if m.known[a.tablet][a.sequence] != a.id {
			return 0 // another request under a number that was used: the property fails
		}
		return forebay.CodeDuplicate
	case a.sequence > next && next == 0:
		return forebay.CodeUnknownWriter
	case a.sequence > next:
		return forebay.CodeSequenceGap
	}
	m.next[a.tablet]++
	if m.known[a.tablet] == nil {
		m.known[a.tablet] = map[int64]int64{}
	}
	m.known[a.tablet][a.sequence] = a.id
	m.applied[a.tablet] = append(m.applied[a.tablet], a.id)
	return forebay.CodeOK
}

// flight is a request on its way: the core sent it, and the target may not have seen it yet.
type flight struct {
	action   action
	writerID string
}

type world struct {
	t       *rapid.T
	core    *core
	model   *model
	now     time.Time
	flights []flight
	settled map[int64]settlement
	tablets map[int64]int
	asked   bool
	inits   int
	forgets int
}

func (w *world) absorb() {
	for _, a := range w.core.take() {
		switch a.kind {
		case actSend:
			w.flights = append(w.flights, flight{action: a, writerID: w.core.writerID})
			if n := len(w.core.queues[a.tablet].inflight); n > MaxInflightDefault {
				w.t.Fatalf("W4: %d requests in flight", n)
			}
		case actSettle:
			if _, twice := w.settled[a.id]; twice {
				w.t.Fatalf("W5: request %d settled twice", a.id)
			}
			w.settled[a.id] = a.settled
		case actInit:
			w.asked = true
		case actClose:
		}
	}
}

// TestCoreProperties runs random events against a naive target. W1, W2, W3, W4, W5: nothing is applied twice, the order
// per tablet is that of appending, and every settlement tells the truth.
func TestCoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, core: newCore(Tuning{BatchSize: 2, Retries: 2}, true), model: newModel(), now: time.Unix(0, 0),
			settled: map[int64]settlement{}, tablets: map[int64]int{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				tablet := rapid.IntRange(0, 1).Draw(t, "tablet")
				id := w.core.add(tablet, 1, w.now)
				w.tablets[id] = tablet
			},
			"tick": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "ms")) * time.Millisecond)
				w.core.tick(w.now)
			},
			"flush":    func(*rapid.T) { w.core.flush(w.now) },
			"identify": func(*rapid.T) { w.identify() },
			"arrive":   func(t *rapid.T) { w.arrive(t) },
			"forget": func(t *rapid.T) {
				if w.forgets < 2 && rapid.IntRange(0, 9).Draw(t, "rare") == 0 {
					w.forgets++
					w.model.forget()
				}
			},
			"": func(*rapid.T) { w.absorb(); w.check() },
		})
		w.finish()
	})
}

func (w *world) identify() {
	if w.asked {
		w.asked = false
		w.inits++
		w.core.identify(fmt.Sprint("w", w.inits), w.now)
	}
}

// arrive lets one flight reach the target, or not, and its answer come back, or not.
func (w *world) arrive(t *rapid.T) {
	if len(w.flights) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flights)-1).Draw(t, "flight")
	f := w.flights[i]
	w.flights = slices.Delete(w.flights, i, i+1)
	switch rapid.IntRange(0, 9).Draw(t, "fate") {
	case 0: // applied, and the answer is lost
		w.deliver(f)
		w.reply(f, forebay.Answer{Code: forebay.CodeTimeout})
	case 1: // never arrived, and nobody can tell
		w.reply(f, forebay.Answer{Code: forebay.CodeTimeout})
	case 2:
		w.reply(f, forebay.Answer{Code: forebay.CodeOverload})
	case 3:
		w.reply(f, forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassTransient})
	case 4:
		if rapid.IntRange(0, 4).Draw(t, "refused") == 0 && w.model.next[f.action.tablet] == f.action.sequence {
			w.reply(f, forebay.Answer{Code: forebay.CodeRowsRejected})
			return
		}
		fallthrough
	default:
		w.reply(f, forebay.Answer{Code: w.deliver(f)})
	}
}

func (w *world) deliver(f flight) forebay.Code {
	code := w.model.send(f.writerID, f.action)
	if code == 0 {
		w.t.Fatalf("W2: request %d came under number %d, which another one has", f.action.id, f.action.sequence)
	}
	return code
}

func (w *world) reply(f flight, a forebay.Answer) {
	w.core.reply(f.action.tablet, f.action.id, a, w.now)
}

// check compares what the core says with what the target did.
func (w *world) check() {
	for tablet, ids := range w.model.applied {
		if !slices.IsSorted(ids) {
			w.t.Fatalf("W3: tablet %d applied %v", tablet, ids)
		}
		for i := 1; i < len(ids); i++ {
			if ids[i] == ids[i-1] {
				w.t.Fatalf("W2: tablet %d applied %v", tablet, ids)
			}
		}
	}
	for id, s := range w.settled {
		_, applied := slices.BinarySearch(w.model.applied[w.tablets[id]], id)
		if s.applied == Yes && !applied || s.applied == No && applied {
			w.t.Fatalf("request %d is said to be %s; applied: %v", id, s.applied, applied)
		}
	}
}

// finish lets everything through and looks that everything settles.
func (w *world) finish() {
	for range 1000 {
		w.absorb()
		if w.core.unsettle == 0 {
			w.check()
			return
		}
		w.identify()
		w.core.flush(w.now)
		w.absorb()
		for len(w.flights) > 0 {
			f := w.flights[0]
			w.flights = w.flights[1:]
			w.reply(f, forebay.Answer{Code: w.deliver(f)})
			w.absorb()
		}
		w.now = w.now.Add(10 * time.Second)
		w.core.tick(w.now)
	}
	w.t.Fatalf("%d requests never settle", w.core.unsettle)
}
