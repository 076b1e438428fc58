// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"sync/atomic"

	"github.com/forebay-io/forebay"
)

// Stats are the front's figures now, and what it counted since it was made.
type Stats struct {
	Serving, Leaving bool
	// Leader is where the tables are served, as far as that is known.
	Leader string
	// Requests and Commits are answers by code; those that no client awaits count too.
	Requests, Commits map[forebay.Code]int64
	// Inside and InsideBytes are requests, commits and calls that were taken in and not answered.
	Inside      int
	InsideBytes int64
	// Readers are scans and readers of logs, Connections those that are open.
	Readers, Connections int
	// Pressure is how full the front is, from 0 to 100.
	Pressure int
}

// tally counts answers by code.
//
// Concurrency: safe.
type tally struct{ counts [codesMax]atomic.Int64 }

// codesMax is above every code; what is not below it counts as an error of the server.
const codesMax = 512

func (t *tally) add(code forebay.Code) {
	if code < 0 || code >= codesMax {
		code = forebay.CodeServerError
	}
	t.counts[code].Add(1)
}

func (t *tally) read() map[forebay.Code]int64 {
	out := map[forebay.Code]int64{}
	for code := range t.counts {
		if n := t.counts[code].Load(); n > 0 {
			out[forebay.Code(code)] = n
		}
	}
	return out
}

// Stats reads the figures.
func (f *Front) Stats() Stats {
	out := Stats{Requests: f.requests.read(), Commits: f.commits.read(), Pressure: f.gate.pressure()}
	if l := f.listening.Load(); l != nil {
		out.Connections = l.count()
	}
	f.gate.stats(&out)
	return out
}

// stats fills in what the gate knows.
func (g *gate) stats(out *Stats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out.Serving, out.Leaving, out.Leader = g.phase == phaseServing, g.phase == phaseLeaving, g.leader
	out.Inside, out.InsideBytes, out.Readers = g.load.inside.requests, g.load.inside.bytes, g.readers.inside.requests
}
