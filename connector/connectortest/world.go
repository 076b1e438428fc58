// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/forebay-io/forebay"
)

// notebook is what a state directory holds of a pipeline. It outlives every run; losing it is a test of its own.
type notebook struct {
	pipeline   string
	name       string // goes into the holder
	epoch      uint64
	checkpoint uint64
	opened     []forebay.Committable
	// pending are those of durable checkpoints, in order, whose answer is not noted.
	pending []forebay.Committable
	held    []forebay.Committable
}

func newNotebook(pipeline, name string) *notebook { return &notebook{pipeline: pipeline, name: name} }

// take makes the notebook's next owner.
func (n *notebook) take(stored uint64) forebay.Owner {
	n.epoch = max(n.epoch, stored) + 1
	return forebay.Owner{Pipeline: n.pipeline, Epoch: n.epoch, Holder: fmt.Sprintf("%s-%d", n.name, n.epoch)}
}

// world is a system and every run that a check starts on it.
type world struct {
	h SinkHarness
	t T
	s System

	mu sync.Mutex
	// ids is what became of every id that was given; T6 is held against it.
	ids map[string]*given
	// left are lanes and targets of runs that were killed: nobody closes those before the check ends.
	left []func() error
}

// given is an id that a sink gave.
type given struct {
	by        *preparing
	prepared  bool
	committed bool
	// held is whether the lane that gave it last holds it.
	held bool
}

func (h SinkHarness) world(t T) *world {
	t.Helper()
	return &world{h: h, t: t, s: h.New(t), ids: map[string]*given{}}
}

// end frees what killed runs left in this process.
func (w *world) end() {
	for _, closing := range slices.Backward(w.left) {
		_ = closing()
	}
}

// kill ends every run abruptly.
func (w *world) kill() {
	w.t.Helper()
	if w.s.Reopen != nil {
		w.s.Reopen(w.t)
	}
}

// sees compares what a reader sees. Records that may be visible need not be.
func (w *world) sees(rule, when string, must, may []int64) {
	w.t.Helper()
	lists, err := w.s.Read(w.t.Context())
	if err != nil {
		w.t.Fatalf("%s: read the system: %v", when, err)
	}
	count := map[int64]int{}
	for _, list := range lists {
		last := int64(-1)
		for _, r := range list {
			if r.Text != TextOf(r.ID) {
				broken(w.t, rule, "%s: record %d reads %q, want %q", when, r.ID, r.Text, TextOf(r.ID))
			}
			if r.ID < last && !w.h.Claims.Keyed {
				broken(w.t, rule, "%s: record %d comes after %d", when, r.ID, last)
			}
			count[r.ID]++
			last = r.ID
		}
	}
	var missing, repeated []int64
	for _, id := range must {
		if count[id] == 0 {
			missing = append(missing, id)
		}
	}
	allowed := map[int64]bool{}
	for _, id := range slices.Concat(must, may) {
		allowed[id] = true
	}
	extra := slices.Collect(maps.Keys(count))
	extra = slices.DeleteFunc(extra, func(id int64) bool { return allowed[id] })
	for id, n := range count {
		if n > 1 && !w.h.Claims.Keyed {
			repeated = append(repeated, id)
		}
	}
	for _, wrong := range []struct {
		ids  []int64
		what string
	}{{missing, "missing"}, {extra, "visible and must not be"}, {repeated, "visible more than once"}} {
		if len(wrong.ids) > 0 {
			broken(w.t, rule, "%s: records %s are %s", when, spans(wrong.ids), wrong.what)
		}
	}
}

// countVisible is how many of these records a reader sees.
func (w *world) countVisible(ids []int64) (count int) {
	w.t.Helper()
	lists, err := w.s.Read(w.t.Context())
	if err != nil {
		w.t.Fatalf("read the system: %v", err)
	}
	for _, r := range slices.Concat(lists...) {
		if slices.Contains(ids, r.ID) {
			count++
		}
	}
	return count
}

// leavesNothing holds that nothing lies in the system beside what readers see.
func (w *world) leavesNothing(rule, when string) {
	w.t.Helper()
	if w.s.Unpublished == nil {
		return
	}
	left, err := w.s.Unpublished(w.t.Context())
	if err != nil {
		w.t.Fatalf("%s: look for what is left: %v", when, err)
	}
	if len(left) > 0 {
		broken(w.t, rule, "%s: %q lie there, unpublished", when, left)
	}
}
