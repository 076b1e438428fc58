// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Tuning are the knobs of a running pipeline.
type Tuning struct {
	// Interval is the longest time between two transactions of a lane.
	Interval time.Duration
	// Bytes ends a transaction early.
	Bytes forebay.Bytes
	// MaxInflight is the number of transactions of a lane that may wait for their answer, 1 to writer.LaneWindow.
	// For sinks without transactions of lanes it means nothing and is always 1.
	MaxInflight int
}

// Bounds of Tuning. The largest Bytes depends on memory and lanes: TuningState says it.
const (
	IntervalMin = time.Millisecond
	IntervalMax = time.Hour
	BytesMin    = forebay.BatchBytesMax
)

// TuningState are the knobs as they are now.
type TuningState struct {
	Tuning
	BytesMax forebay.Bytes
	// MaxInflightMax is the largest MaxInflight: 1 for sinks without transactions of lanes.
	MaxInflightMax int
}

// knobs are read by the lanes between two batches.
type knobs struct {
	interval, bytes, bytesMax, window atomic.Int64
}

// Tuning is what the knobs of the run are; ok is false before its lanes have begun.
func (p *Pipeline) Tuning() (state TuningState, ok bool) {
	r := p.running()
	if r == nil || r.knobs.interval.Load() == 0 {
		return TuningState{}, false
	}
	return TuningState{
		Tuning: Tuning{
			Interval: time.Duration(r.knobs.interval.Load()), Bytes: forebay.Bytes(r.knobs.bytes.Load()),
			MaxInflight: int(r.knobs.window.Load()),
		},
		BytesMax: forebay.Bytes(r.knobs.bytesMax.Load()), MaxInflightMax: r.windowMax(),
	}, true
}

// Tune changes the knobs of the run from the next transaction on.
//
// Errors: misconfigured, and nothing is changed.
func (p *Pipeline) Tune(t Tuning) error {
	state, ok := p.Tuning()
	switch {
	case !ok:
		return forebay.Errorf("tune", forebay.ClassMisconfigured, "pipeline %s has not begun to deliver", p.config.Name)
	case t.Interval < IntervalMin || t.Interval > IntervalMax:
		return tuneError("checkpoint.interval %s: must be %s to %s", t.Interval, IntervalMin, IntervalMax)
	case t.Bytes < BytesMin || t.Bytes > state.BytesMax:
		return tuneError("checkpoint.bytes %s: must be %s to %s", t.Bytes, BytesMin, state.BytesMax)
	case t.MaxInflight < 1 || t.MaxInflight > state.MaxInflightMax:
		return tuneError("writer.max.inflight %d: must be 1 to %d", t.MaxInflight, state.MaxInflightMax)
	}
	r := p.running()
	r.knobs.interval.Store(int64(t.Interval))
	r.knobs.bytes.Store(int64(t.Bytes))
	r.knobs.window.Store(int64(t.MaxInflight))
	if r.limiter != nil {
		r.limiter.SetWindow(t.MaxInflight)
	}
	return nil
}

// windowMax is the most transactions of a lane that may wait for their answer.
func (r *run) windowMax() int {
	if _, commits := r.target.(forebay.Sequencer); commits {
		return writer.LaneWindow
	}
	return 1
}

// window is what the configuration makes of it.
func (r *run) window() int {
	if n := r.config.Writer.MaxInflight; n > 0 {
		return min(n, r.windowMax())
	}
	return r.windowMax()
}

// watchLimiter shows what bounds the lanes' commits to whoever wants to see it, until forget is called.
func (r *run) watchLimiter() (forget func()) {
	s, ok := r.target.(forebay.Sequencer)
	if !ok || r.limiter == nil || r.config.Limited == nil {
		return func() {}
	}
	return r.config.Limited(s.Backend().Tablets().Table, r.limiter.State)
}

func tuneError(format string, args ...any) error {
	return &forebay.Error{Op: "tune", Class: forebay.ClassMisconfigured, Err: fmt.Errorf(format, args...)}
}

func (p *Pipeline) running() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}
