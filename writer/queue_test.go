// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The agenda gives the queues that are due, each once and in the order of first use, and knows the next time.
func TestTheAgendaGivesWhatIsDue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		queues := make([]*queue, 8)
		for i := range queues {
			queues[i] = newQueue(i, i)
		}
		planned := map[*queue]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := time.Unix(int64(rapid.IntRange(0, 9).Draw(t, "at")), 0)
			q := rapid.SampledFrom(queues).Draw(t, "queue")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				var want []*queue
				for _, q := range queues {
					if due, ok := planned[q]; ok && !due.After(at) {
						want = append(want, q)
						delete(planned, q)
					}
				}
				if got := a.take(at); !slices.Equal(got, want) {
					t.Fatalf("%d queues are due at %s, want %d", len(got), at, len(want))
				}
			case 1:
				a.plan(q, time.Time{})
				delete(planned, q)
			default:
				a.plan(q, at)
				planned[q] = at
			}
			var next time.Time
			for _, due := range planned {
				next = earlier(next, due)
			}
			if got := a.next(); !got.Equal(next) {
				t.Fatalf("the next time is %s, want %s", got, next)
			}
		}
	})
}

// A line gives its queues in the order in which they came, but for those that were put back in front.
func TestALineKeepsItsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l line
		var want []*queue
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			q := newQueue(i, i)
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				l.push(q)
				want = append(want, q)
			case 1:
				l.pushFront(q)
				want = slices.Insert(want, 0, q)
			default:
				if len(want) == 0 {
					continue
				}
				if got := l.pop(); got != want[0] {
					t.Fatalf("queue %d comes before %d", got.number, want[0].number)
				}
				want = want[1:]
			}
			if l.len() != len(want) {
				t.Fatalf("%d queues are in line, want %d", l.len(), len(want))
			}
		}
	})
}
