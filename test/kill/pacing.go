// SPDX-License-Identifier: Apache-2.0

package kill

import "time"

// A paced source lasts so long for each planned kill: at first with time for a start, a first commit and a random
// wait, and never less than the 100 ms that a campaign needs. Between these the pace follows what was delivered, so
// that the kills spread over the whole input.
const (
	perKillFirst = 300 * time.Millisecond
	perKillMin   = 100 * time.Millisecond
)

// pacing is how long each batch of the source takes.
type pacing struct {
	batch, least, most time.Duration // now; and what it was
	min, max           time.Duration
	kills, records     float64 // planned, and in the input
	killed, acked      float64
}

// newPacing begins a campaign; share is the part of a run that one batch takes in its lane.
func newPacing(kills int, records int64, share float64) pacing {
	batch := func(perKill time.Duration) time.Duration {
		return time.Duration(float64(kills) * float64(perKill) * share)
	}
	first := batch(perKillFirst)
	return pacing{
		batch: first, least: first, most: first, min: batch(perKillMin), max: 4 * first,
		kills: float64(kills), records: float64(max(1, records)),
	}
}

// spread is the part of the input that the kills are to have reached in the end.
const spread = 0.6

// follow slows down where the input would end before the kills do, and speeds up where much would be left.
func (p *pacing) follow(acked int64) {
	if p.kills == 0 {
		return
	}
	p.killed++
	p.acked += float64(acked)
	change := 0.9
	if p.acked/p.records > spread*p.killed/p.kills {
		change = 1.15
	}
	p.batch = min(p.max, max(p.min, time.Duration(float64(p.batch)*change)))
	p.least, p.most = min(p.least, p.batch), max(p.most, p.batch)
}
