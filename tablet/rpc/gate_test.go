// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
)

// RP2
func TestAGateThatIsShutTakesNothingAndWaitsForWhatIsInside(t *testing.T) {
	t.Parallel()
	g := newGate(Limits{}.withDefaults())
	if _, r := g.enter(1); r == nil || r.code != forebay.CodeNotLeader || r.after == 0 {
		t.Errorf("before it serves: %+v", r)
	}
	s := &server.Server{}
	g.serve(s, "self:1")
	if got, r := g.enter(10); got != s || r != nil {
		t.Fatalf("while it serves: %v, %+v", got, r)
	}
	g.follow("other:3")
	empty := g.shut("next:2")
	for range 2 {
		if _, r := g.enter(1); r == nil || r.code != forebay.CodeNotLeader || r.leader != "next:2" {
			t.Errorf("after it was shut: %+v", r)
		}
		if _, r := g.read(); r == nil {
			t.Error("a reader came in after it was shut")
		}
		g.serve(s, "self:1") // a server that comes too late
	}
	select {
	case <-empty:
		t.Error("it is empty with a request inside")
	default:
	}
	g.leave(10)
	select {
	case <-empty:
	default:
		t.Error("it is not empty")
	}
}

// RP3: whatever comes and goes, what is inside stays below the limits, and nothing is counted once all have left.
func TestAGateCountsWhatIsInside(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{AllRequests: 5, AllBytes: 100}
		g := newGate(limits.withDefaults())
		g.serve(&server.Server{}, "x")
		var inside []int64
		total := int64(0)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(inside) > 0 && rapid.Bool().Draw(t, "leaves") {
				g.leave(inside[0])
				total -= inside[0]
				inside = inside[1:]
				continue
			}
			size := rapid.Int64Range(0, 120).Draw(t, "size")
			_, r := g.enter(size)
			fits := len(inside) < 5 && total+size <= 100
			if fits != (r == nil) {
				t.Fatalf("%d bytes with %d inside of %d requests: %+v", size, total, len(inside), r)
			}
			if r == nil {
				inside, total = append(inside, size), total+size
			}
			if p := g.pressure(); p < 0 || p > 100 || p < int(total) {
				t.Fatalf("the pressure is %d with %d of 100 bytes", p, total)
			}
		}
		for _, size := range inside {
			g.leave(size)
		}
		if g.inside() != 0 || g.pressure() != 0 {
			t.Fatalf("%d requests are left, pressure %d", g.inside(), g.pressure())
		}
	})
}

func TestAStandbyThatDoesNotRegisterIsForgotten(t *testing.T) {
	t.Parallel()
	var s standbys
	now := time.Unix(1000, 0)
	s.register("a:1", now)
	s.register("b:2", now.Add(standbyGone/2))
	s.register("a:1", now.Add(standbyGone/2))
	if next := s.next(now.Add(standbyGone)); next != "a:1" {
		t.Errorf("the next is %q", next)
	}
	s.register("b:2", now.Add(standbyGone))
	if next := s.next(now.Add(standbyGone/2 + standbyGone)); next != "b:2" {
		t.Errorf("after the first fell silent the next is %q", next)
	}
	for i := range 100 {
		s.register(string(rune('a'+i))+":1", now)
	}
	if n := len(s.addresses(now)); n > standbysMax {
		t.Errorf("%d standbys are known", n)
	}
}
