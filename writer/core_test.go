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
//	writer [size=BYTES] [timeout=DURATION] [retries=N|unlimited] [inflight=N] [deadline=DURATION] [jitter]
//	       [plain] [locates] [partial] [limits]         a new writer
//	add TABLET SIZE            a row            tick DURATION    the clock moves, and the core looks
//	flush                      send all         identify ID      the target gives a writer id, or -: never
//	located TABLET [ok|never|later]             the tablet was looked up
//	reply ID CODE [after=D] [class=NAME] [rows=N,N]              an answer
//	tune [size=BYTES] [timeout=D] [inflight=N] [profile=NAME]    the knobs change
//	roll SHARE                 the random number of jitter       state     what the core holds
//	close                      nothing is sent any more          abandon   everything ends
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		if !strings.HasSuffix(path, ".txt") {
			return
		}
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
	config := coreConfig{idempotent: true}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "deadline":
			config.deadline = duration(t, value)
		case "plain":
			config.idempotent = false
		case "locates":
			config.locates = true
		case "partial":
			config.partial = true
		case "limits":
			config.limits = true
		default:
			knob(t, &config.tuning, o)
		}
	}
	return &script{core: newCore(config), now: time.Unix(0, 0).UTC()}
}

func knob(t *testing.T, tuning *Tuning, option string) {
	t.Helper()
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "size":
		tuning.BatchSize = forebay.Bytes(number(t, value))
	case "timeout":
		tuning.BatchTimeout = duration(t, value)
	case "retries":
		tuning.Retries = forebay.Unlimited
		if value != "unlimited" {
			tuning.Retries = number(t, value)
		}
	case "inflight":
		tuning.MaxInflight = number(t, value)
	case "profile":
		var ok bool
		if *tuning, ok = Profile(value); !ok {
			t.Fatalf("no profile %q", value)
		}
	default:
		t.Fatalf("unknown option %q", option)
	}
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
		if fields[1] == "-" {
			s.core.identify("", forebay.Errorf("open writer", forebay.ClassMisconfigured, "no rights"), s.now)
		} else {
			s.core.identify(fields[1], nil, s.now)
		}
	case "located":
		s.core.located(number(t, fields[1]), lookup(fields[2:]), s.now)
	case "tune":
		tuning := s.core.tuning
		for _, o := range fields[1:] {
			knob(t, &tuning, o)
		}
		s.core.tune(tuning, s.now)
	case "roll":
		share, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		s.core.roll = share
	case "close":
		s.core.stop()
	case "abandon":
		s.core.abandon()
	case "reply":
		s.reply(t, fields[1:])
	case "state":
	default:
		t.Fatalf("unknown event %q", fields[0])
	}
}

func lookup(result []string) error {
	switch {
	case len(result) == 0 || result[0] == "ok":
		return nil
	case result[0] == "never":
		return forebay.Errorf("locate", forebay.ClassMisconfigured, "there are too many partitions")
	default:
		return forebay.Errorf("locate", forebay.ClassTransient, "nobody answers")
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
		case "rows":
			for row := range strings.SplitSeq(value, ",") {
				answer.Rows = append(answer.Rows, forebay.RowError{Row: number(t, row), Code: "bad"})
			}
		default:
			t.Fatalf("unknown option %q", o)
		}
	}
	for _, q := range s.core.order {
		for _, r := range q.sent {
			if r.id == id && r.flying {
				s.core.reply(response{tablet: q.tablet, id: id, attempt: r.sends, answer: answer}, s.now)
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
				fmt.Fprintf(&out, " as %s #%d", a.writerID, a.sequence)
			}
			if !a.expires.IsZero() {
				fmt.Fprintf(&out, ", to be applied within %s", a.expires.Sub(s.now))
			}
			out.WriteString("\n")
		case actReject:
			fmt.Fprintf(&out, "  reject of %d", a.id)
			for _, row := range a.rows {
				fmt.Fprintf(&out, " row %d", row.Row)
			}
			out.WriteString("\n")
		case actSplit:
			fmt.Fprintf(&out, "  split %d: the rows from %d on are %d\n", a.id, a.row, a.other)
		case actRetry:
			fmt.Fprintf(&out, "  try %d again", a.id)
			if a.wait > 0 {
				fmt.Fprintf(&out, " in %s", a.wait)
			}
			out.WriteString("\n")
		case actInit:
			out.WriteString("  ask for a writer id\n")
		case actLocate:
			fmt.Fprintf(&out, "  look tablet %d up", a.tablet)
			if a.refresh {
				out.WriteString(" again")
			}
			out.WriteString("\n")
		case actSettle:
			fmt.Fprintf(&out, "  settle %d: %s", a.id, a.settled.applied)
			if a.settled.duplicate {
				out.WriteString(", a repeat")
			}
			if a.settled.flying {
				out.WriteString(", and it is still in flight")
			}
			if a.settled.err != nil {
				fmt.Fprintf(&out, ", %v,", a.settled.err)
			}
			fmt.Fprintf(&out, " after %d\n", a.settled.attempts)
		case actFree:
			fmt.Fprintf(&out, "  free %d\n", a.id)
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
	for _, q := range s.core.queues {
		if q == nil {
			continue
		}
		fmt.Fprintf(out, "  tablet %d: next #%d", q.tablet, q.sequence)
		if q.cut != noCut {
			fmt.Fprintf(out, ", void from #%d", q.cut)
		}
		list := func(name string, requests []*request, which func(*request) bool) {
			for _, r := range requests {
				if which(r) {
					fmt.Fprintf(out, "%s %d", name, r.id)
					name = ""
				}
			}
		}
		list(", in flight", q.sent, func(r *request) bool { return r.flying })
		list(", retry", q.sent, func(r *request) bool { return !r.flying })
		list(", ready", q.ready, func(*request) bool { return true })
		if q.open != nil {
			list(", open", []*request{q.open}, func(*request) bool { return true })
		}
		out.WriteString("\n")
	}
}
