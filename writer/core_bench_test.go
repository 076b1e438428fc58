// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"strconv"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// BenchmarkCoreEvent is the cost of an event where every tablet has an open request: rows, an answer and a tick for one
// tablet, and the question when to tick again. It must not grow with the number of tablets.
func BenchmarkCoreEvent(b *testing.B) {
	for _, tablets := range []int{1, 100, 5_000} {
		b.Run("tablets="+strconv.Itoa(tablets), func(b *testing.B) {
			now := time.Unix(0, 0)
			c := newCore(coreConfig{
				tuning: Tuning{BatchSize: 3, BatchTimeout: time.Hour}, idempotent: true, locates: true, limits: true,
			})
			c.identify("w", nil, now)
			for tablet := range tablets {
				c.add(tablet, 1, now)
				for len(c.actions) > 0 {
					for _, a := range c.take() {
						if a.kind == actLocate {
							c.located(a.tablet, nil, now)
						}
					}
				}
			}
			events, tablet := 0, 0
			event := func() {
				c.wake()
				events++
			}
			for b.Loop() {
				now = now.Add(time.Microsecond)
				c.add(tablet, 2, now)
				event()
				for _, a := range c.take() {
					if a.kind == actSend {
						answer := forebay.Answer{Code: forebay.CodeOK}
						c.reply(response{tablet: a.tablet, id: a.id, attempt: a.attempt, answer: answer}, now)
						event()
					}
				}
				c.add(tablet, 1, now)
				event()
				c.tick(now)
				event()
				c.take()
				tablet = (tablet + 1) % tablets
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}
