// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/forebay-io/forebay"
)

// TestScripts replays testdata/*.txt through the core. Run it with -rewrite to write the outcomes anew, and
// review them like code. Each block is one or more events; what the core wants done follows the line.
//
//	writer [size=BYTES] [timeout=DURATION] [retries=N] [inflight=N] [plain]   a new writer
//	add TABLET SIZE            a row            tick DURATION    the clock moves, and the core looks
//	flush                      send all         identify ID      the target gives a writer id
//	reply ID CODE [after=D] [class=NAME]        an answer        state     what the core holds
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		var s *script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				fields := strings.Fields(line)
				if len(fields) == 0 {
					continue
				}
				if fields[0] == "writer" {
					s = newScript(t, fields[1:])
					continue
				}
				s.event(t, fields)
				fmt.Fprintf(&out, "%s\n%s", strings.TrimSpace(line), s.outcome(fields[0] == "state"))
			}
			return out.String()
		})
	})
}

type script struct {
	core *core
	now  time.Time
}

func newScript(t *testing.T, options []string) *script {
	t.Helper()
	tuning, idempotent := Tuning{}, true
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "size":
			tuning.BatchSize = forebay.Bytes(number(t, value))
		case "timeout":
			tuning.BatchTimeout = duration(t, value)
		case "retries":
			tuning.Retries = number(t, value)
		case "inflight":
			tuning.MaxInflight = number(t, value)
		case "plain":
			idempotent = false
		default:
			t.Fatalf("unknown option %q", o)
		}
	}
	return &script{core: newCore(tuning, idempotent), now: time.Unix(0, 0).UTC()}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *script) event(t *testing.T, fields []string) {
	t.Helper()
	switch fields[0] {
	case "add":
		s.core.add(number(t, fields[1]), number(t, fields[2]), s.now)
	case "tick":
		s.now = s.now.Add(duration(t, fields[1]))
		s.core.tick(s.now)
	case "flush":
		s.core.flush(s.now)
	case "identify":
		s.core.identify(fields[1], s.now)
	case "abandon":
		s.core.abandon()
	case "reply":
		s.reply(t, fields[1:])
	case "state":
	default:
		t.Fatalf("unknown event %q", fields[0])
	}
}

func (s *script) reply(t *testing.T, fields []string) {
	t.Helper()
	id := int64(number(t, fields[0]))
	answer := forebay.Answer{Code: forebay.Code(number(t, fields[1]))}
	for _, o := range fields[2:] {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "after":
			answer.RetryAfter = duration(t, value)
		case "class":
			for c := forebay.ClassAmbiguous; c <= forebay.ClassCorrupt; c++ {
				if c.String() == value {
					answer.Class = c
				}
			}
		default:
			t.Fatalf("unknown option %q", o)
		}
	}
	for _, q := range s.core.order {
		for _, r := range q.inflight {
			if r.id == id {
				s.core.reply(r.tablet, id, answer, s.now)
				return
			}
		}
	}
	t.Fatalf("request %d is not in flight", id)
}

func (s *script) outcome(state bool) string {
	var out strings.Builder
	for _, a := range s.core.take() {
		switch a.kind {
		case actClose:
			fmt.Fprintf(&out, "  close %d\n", a.id)
		case actSend:
			fmt.Fprintf(&out, "  send %d to tablet %d", a.id, a.tablet)
			if a.sequence != noSequence {
				fmt.Fprintf(&out, " as %s #%d", s.core.writerID, a.sequence)
			}
			out.WriteString("\n")
		case actInit:
			out.WriteString("  ask for a writer id\n")
		case actSettle:
			fmt.Fprintf(&out, "  settle %d: %s", a.id, a.settled.applied)
			if a.settled.duplicate {
				out.WriteString(", a repeat")
			}
			fmt.Fprintf(&out, " after %d\n", a.settled.attempts)
		}
	}
	if state {
		s.state(&out)
	}
	return out.String()
}

func (s *script) state(out *strings.Builder) {
	wake := "never"
	if w := s.core.wake(); !w.IsZero() {
		wake = "in " + w.Sub(s.now).String()
	}
	fmt.Fprintf(out, "  unsettled %d, wake %s\n", s.core.unsettle, wake)
	for tablet := range 16 {
		q := s.core.queues[tablet]
		if q == nil {
			continue
		}
		fmt.Fprintf(out, "  tablet %d: next #%d", tablet, q.sequence)
		list := func(name string, requests []*request) {
			if len(requests) == 0 {
				return
			}
			fmt.Fprintf(out, ", %s", name)
			for _, r := range requests {
				fmt.Fprintf(out, " %d", r.id)
			}
		}
		list("in flight", q.inflight)
		list("retry", q.retry)
		list("ready", q.ready)
		if q.open != nil {
			list("open", []*request{q.open})
		}
		list("collected", q.collected)
		out.WriteString("\n")
	}
}
