// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// SinkHarness is a sink, and the system that it writes to.
type SinkHarness struct {
	// New makes an empty system for one check. It ends with the check.
	New    func(t T) System
	Claims SinkClaims
	// Patience is how long a call may take that must return; 0 means PatienceDefault.
	Patience time.Duration
}

// SinkClaims are what a sink says of itself, and must keep.
type SinkClaims struct {
	// Rows: the sink takes typed rows only, else any bytes.
	Rows bool
	// Keyed: of two records with one id the system keeps the last; else it keeps both, in order.
	Keyed bool
	// Streams: its target is a forebay.Streamer whose Flush makes records visible.
	Streams bool
	// Sequences: its target is a forebay.Sequencer that drops repeated requests by their sequence.
	Sequences bool
	// Progress: its target is a forebay.ProgressHolder, and its backend a forebay.Committer.
	Progress bool
	// TwoPhase: its target is a forebay.TwoPhase. With Streams it also publishes what its lanes flush.
	TwoPhase bool
	// Fences: its target is a forebay.Fencer.
	Fences bool
	// Holds: what is not full at a checkpoint is held, and goes on behind it.
	Holds bool
	// Notes: it opens what ListOpen could not find again, and notes it with LaneContext.Opened.
	Notes bool
}

// System is what a sink writes to. The functions that are left out are faults that the harness cannot make;
// the checks that need them are left out too.
type System struct {
	Sink forebay.Sink
	// Context is what a run hands to the sink; asked for before each start. The suite fills in the schema.
	Context func() forebay.SinkContext
	// Read returns the records that a reader sees now, one list for each tablet or other unit of order, each in
	// the order in which they were applied.
	Read func(ctx context.Context) ([][]Stored, error)
	// Reopen ends the system abruptly and brings it back with what was durable. Targets from before are dead.
	// Without it a killed run of a two-phase sink is one that is left as it stands while the next one starts.
	Reopen func(t T)
	// Unpublished names what lies in the system of any pipeline, and readers do not see: files that are not finished,
	// uploads, transactions.
	Unpublished func(ctx context.Context) ([]string, error)
	// Now is the processing time of lanes; nil is the clock's.
	Now func() time.Time
	// LoseAnswer makes the next write apply and its answer get lost.
	LoseAnswer func()
	// Stall makes writes wait until their context ends, or until release is called.
	Stall func() (release func())
	// Spoil makes record i of a batch one that the system refuses.
	Spoil func(b *forebay.Batch, i int)
}

// Stored is one record in the system.
type Stored struct {
	ID   int64
	Text string
}

// RunSink runs every check that the harness's claims call for.
func RunSink(t *testing.T, h SinkHarness) {
	t.Helper()
	run(t, SinkChecks(h))
}

// SinkChecks lists what RunSink runs.
func SinkChecks(h SinkHarness) []Check {
	checks := []Check{
		{"says what it is", h.checkInfo},
		{"closes twice", h.checkClose},
	}
	if h.Claims.TwoPhase {
		checks = append(checks, h.twoPhaseChecks()...)
	}
	if h.Claims.Streams {
		checks = append(checks, h.streamChecks()...)
	}
	if h.Claims.Sequences {
		checks = append(checks, h.requestChecks()...)
	}
	if h.Claims.Progress {
		checks = append(checks, h.commitChecks()...)
		checks = append(checks, h.fenceChecks()...)
	}
	return checks
}

// pipelineName is the pipeline of all checks; others use names that begin with it.
const pipelineName = "conformance"

// schema is that of the records that sinks get.
func (h SinkHarness) schema() *forebay.Schema {
	if !h.Claims.Rows {
		return nil
	}
	return forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String})
}

func (h SinkHarness) layout() *forebay.Layout {
	if schema := h.schema(); schema != nil {
		return forebay.NewLayout(schema)
	}
	return nil
}

// start opens the target as a run does.
func (h SinkHarness) start(t T, s System) forebay.Target {
	t.Helper()
	env := forebay.SinkContext{}
	if s.Context != nil {
		env = s.Context()
	}
	env.Schema = h.schema()
	if env.Pipeline == "" {
		env.Pipeline = pipelineName
	}
	target, err := s.Sink.Start(t.Context(), env)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	return target
}

func (h SinkHarness) close(t T, target forebay.Target) {
	t.Helper()
	within(t, h.Patience, "close the target", func() {
		if err := target.Close(); err != nil {
			t.Errorf("close the target: %v", err)
		}
	})
}

func (h SinkHarness) checkInfo(t T) {
	s := h.New(t)
	info, err := s.Sink.Info()
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	if info.Connector == "" || info.Name == "" {
		t.Errorf("it lacks its connector's name (%q) or its own (%q)", info.Connector, info.Name)
	}
	if info.NeedsRows != h.Claims.Rows {
		t.Errorf("it needs rows: %v; the harness claims %v", info.NeedsRows, h.Claims.Rows)
	}
	if (info.Way == forebay.WayProgress) != h.Claims.Progress {
		t.Errorf("its way is %d; the harness claims progress: %v", info.Way, h.Claims.Progress)
	}
	if (info.Way == forebay.WayTwoPhase) != h.Claims.TwoPhase {
		t.Errorf("its way is %d; the harness claims two phases: %v", info.Way, h.Claims.TwoPhase)
	}
	if info.Schema != nil && h.Claims.Rows {
		if err := info.Schema(h.schema()); err != nil {
			t.Errorf("it refuses the suite's schema: %v", err)
		}
	}
	target := h.start(t, s)
	defer h.close(t, target)
	_, streams := target.(forebay.Streamer)
	sequencer, sequences := target.(forebay.Sequencer)
	_, progress := target.(forebay.ProgressHolder)
	_, twoPhase := target.(forebay.TwoPhase)
	_, fences := target.(forebay.Fencer)
	if sequences {
		_, commits := sequencer.Backend().(forebay.Committer)
		progress = progress && commits
	}
	// What is offered and not claimed was never tested, and the product would rely on it.
	for _, c := range []struct {
		what           string
		claimed, offer bool
	}{
		{"Streamer", h.Claims.Streams || h.Claims.TwoPhase, streams},
		{"TwoPhase", h.Claims.TwoPhase, twoPhase},
		{"Fencer", h.Claims.Fences, fences},
		{"Sequencer", h.Claims.Sequences || h.Claims.Progress, sequences},
		{"ProgressHolder with a Committer", h.Claims.Progress, progress},
	} {
		if c.claimed != c.offer {
			t.Errorf("the target is a %s: %v; the harness claims %v", c.what, c.offer, c.claimed)
		}
	}
}

func (h SinkHarness) checkClose(t T) {
	target := h.start(t, h.New(t))
	h.close(t, target)
	h.close(t, target)
}
