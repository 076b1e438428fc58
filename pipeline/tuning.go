// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay"
)

// Tuning are the knobs of a running pipeline.
type Tuning struct {
	// Interval is the longest time between two transactions of a lane.
	Interval time.Duration
	// Bytes ends a transaction early.
	Bytes forebay.Bytes
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
}

// knobs are read by the lanes between two batches.
type knobs struct {
	interval, bytes, bytesMax atomic.Int64
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
		},
		BytesMax: forebay.Bytes(r.knobs.bytesMax.Load()),
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
	}
	r := p.running()
	r.knobs.interval.Store(int64(t.Interval))
	r.knobs.bytes.Store(int64(t.Bytes))
	return nil
}

func tuneError(format string, args ...any) error {
	return &forebay.Error{Op: "tune", Class: forebay.ClassMisconfigured, Err: fmt.Errorf(format, args...)}
}

func (p *Pipeline) running() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}
