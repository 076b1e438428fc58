// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/writer"
)

// Pipeline delivers one source into one sink.
//
// Concurrency: Run once; Progress from anywhere.
type Pipeline struct {
	config Config
	plan   Plan
	source forebay.SourceInfo
	sink   forebay.SinkInfo

	mu      sync.Mutex
	current *run
}

// New checks the configuration and plans the guarantee. Nothing is opened or touched.
//
// Errors: misconfigured, with everything that is wrong at once.
func New(config Config) (*Pipeline, error) {
	if err := config.Validate(); err != nil {
		return nil, &forebay.Error{Op: "pipeline " + config.Name, Class: forebay.ClassMisconfigured, Err: err}
	}
	p := &Pipeline{config: config.withDefaults()}
	var errSource, errSink, errPlan error
	p.source, errSource = config.Source.Info()
	p.sink, errSink = config.Sink.Info()
	if err := errors.Join(errSource, errSink); err != nil {
		return nil, &forebay.Error{Op: "pipeline " + config.Name, Class: forebay.ClassMisconfigured, Err: err}
	}
	p.source.Identity = identity(p.source.Connector, p.source.Identity)
	p.sink.Identity = identity(p.sink.Connector, p.sink.Identity)
	p.plan, errPlan = plan(chain{
		source: p.source, sink: p.sink, deterministic: deterministic(config.Transform), transforms: len(config.Transform),
		inPlace: p.source.JSON && !NeedsRows(p.source, p.sink, config.Steps()),
	}, config.Guarantee)
	if errPlan != nil {
		return nil, errPlan
	}
	return p, nil
}

// identity are the settings of one end that the stored positions depend on, its connector first.
func identity(connector string, settings []forebay.Setting) []forebay.Setting {
	return append([]forebay.Setting{{Name: "connector", Value: connector}}, settings...)
}

// Plan is the guarantee of the pipeline and why.
func (p *Pipeline) Plan() Plan { return p.plan }

// Progress is a look at the run; zero before it has begun.
func (p *Pipeline) Progress() Progress {
	r := p.running()
	if r == nil {
		return Progress{}
	}
	return r.totals.progress(time.Since(r.started))
}

// run is one run of a pipeline. Its fields are set by the steps of recovery, before the lanes start.
type run struct {
	config Config
	plan   Plan
	source forebay.SourceInfo
	sink   forebay.SinkInfo
	logger *slog.Logger

	started time.Time
	state   *State
	owner   forebay.Owner
	feed    forebay.Feed
	target  forebay.Target
	given   forebay.Shape         // what the source gives
	shape   forebay.Shape         // what reaches the sink
	held    []forebay.Committable // by a two-phase sink, when this run took over
	queue   *splitQueue
	lanes   int
	resumed bool
	seeded  bool // the target's progress began with this run's fence

	knobs   knobs               // what may change while it runs
	limiter *writer.LaneLimiter // nil unless the target is reached over a network
	health  health
	clock   *eventClock // nil without event time
	totals  totals
	notes   *notebook
	drain   chan struct{} // closed when the run is to take nothing new
}

// Run reads, transforms and delivers until every split of a bounded source is delivered or ctx ends, which
// drains: nothing new is read, and what was read is delivered within the shutdown time-out.
//
// The life of a record: 1 source, 2 transform, (3 async), 4 batch, 5 sink, 6 commit. The lane's loop in
// lane.go calls the stages in this order.
//
// Errors: the first that stopped a lane, or that kept the run from starting; the summary holds its text too.
// Blocking: until the run has ended and everything it started has.
func (p *Pipeline) Run(ctx context.Context) (Summary, error) {
	r := &run{
		config: p.config, plan: p.plan, source: p.source, sink: p.sink, started: time.Now(),
		logger: p.config.Logger.With("pipeline", p.config.Name), drain: make(chan struct{}),
	}
	p.mu.Lock()
	p.current = r
	p.mu.Unlock()
	closeState, err := r.open(ctx)
	if err == nil {
		err = r.recover(ctx)
	}
	if err == nil {
		err = r.deliverAll(ctx)
	} else if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		err = nil // asked to stop before anything was read
	}
	err = errors.Join(err, r.close(), closeState())
	r.health.end(err)
	return r.summary(r.status(err), err), err
}

func (r *run) status(err error) Status {
	switch {
	case err != nil:
		return StatusFailed
	case r.queue != nil && r.queue.finished():
		return StatusDone
	default:
		return StatusStopped
	}
}

// open opens the state directory, unless the caller has.
func (r *run) open(ctx context.Context) (closeState func() error, err error) {
	if r.config.Opened != nil {
		r.state = r.config.Opened
		return func() error { return nil }, nil
	}
	r.state, err = OpenState(ctx, StateConfig{
		Dir: r.config.State, Memory: r.config.Memory, Upserts: r.sink.Upserts, Logger: r.config.Logger,
	})
	if err != nil {
		return func() error { return nil }, err
	}
	return r.state.Close, nil
}

// close frees what recovery opened.
func (r *run) close() error {
	var errs []error
	if r.feed != nil {
		errs = append(errs, r.feed.Close())
	}
	if r.target != nil {
		errs = append(errs, r.target.Close())
	}
	return errors.Join(errs...)
}

// rewindsMax is how often a run goes back in a row to before a checkpoint that its target lost, while nothing is
// committed in between.
const rewindsMax = 3

// deliverAll delivers, and starts again from before a checkpoint that the target definitely does not have.
func (r *run) deliverAll(ctx context.Context) error {
	for rewinds := 1; ; rewinds++ {
		before := r.totals.checkpoints.Load()
		err := r.deliver(ctx)
		if err == nil {
			return r.tidyUp(ctx)
		}
		lost, is := isLost(err)
		if !is {
			return err
		}
		if r.totals.checkpoints.Load() > before {
			rewinds = 1
		}
		if rewinds > rewindsMax {
			return lost.cause
		}
		if err := errors.Join(r.close(), r.rewind(lost)); err != nil {
			return err
		}
		r.feed, r.target = nil, nil
		if err := r.recover(ctx); err != nil {
			if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
				return nil // asked to stop before anything more was read
			}
			return err
		}
	}
}

// isLost finds a checkpoint that the target definitely does not have.
func isLost(err error) (*lostCheckpointError, bool) { return errors.AsType[*lostCheckpointError](err) }

// deliver runs the lanes to their end. A lane that stops with an error lets the others of a bounded run
// finish; a run that was fenced or whose store is corrupt stops all at once.
func (r *run) deliver(ctx context.Context) error {
	r.notes = newNotebook(r.state.checkpoints, r.owner)
	defer r.watchLimiter()()
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var watcher sync.WaitGroup
	ended := make(chan struct{})
	watcher.Go(func() { r.runDrainWatcher(ctx, stop, ended) })

	var lanes errgroup.Group
	var mu sync.Mutex
	var failures []error
	for i := range r.lanes {
		l, err := r.newLane(work, i)
		if err != nil {
			stop(err)
			mu.Lock()
			failures = append(failures, err)
			mu.Unlock()
			break
		}
		lanes.Go(func() error {
			if err := l.runLane(work); err != nil {
				mu.Lock()
				// What stopped all lanes is said once.
				if cause := context.Cause(work); len(failures) == 0 || cause == nil || !errors.Is(err, cause) {
					failures = append(failures, fmt.Errorf("lane %d: %w", i, err))
				}
				mu.Unlock()
				_, lost := isLost(err) // then all lanes go back together, under a new epoch
				switch {
				case lost || errors.Is(err, forebay.ErrFenced) || r.state.poisoned():
					stop(err)
				case !r.source.Bounded && context.Cause(work) == nil:
					r.logger.Error("lane stopped for good; the others go on", "lane", i, "cause", err)
				}
			}
			return nil
		})
	}
	_ = lanes.Wait() // lanes report through failures
	close(ended)
	watcher.Wait()
	err := errors.Join(failures...)
	if errors.Is(err, forebay.ErrFenced) {
		return err // a fenced run touches nothing any more
	}
	return errors.Join(err, r.notes.flush(), r.verify(ctx, len(failures) > 0))
}

// verify asks the target whether everything came, where this run delivered all of it.
func (r *run) verify(ctx context.Context, failed bool) error {
	v, can := r.target.(forebay.Verifier)
	partial := r.resumed || r.totals.rejected.Load() > 0 || r.totals.retries.Load() > 0
	if !can || failed || partial || !r.queue.finished() {
		return nil
	}
	return v.Verify(ctx)
}

// runDrainWatcher turns the end of ctx into a drain, and the end of the drain's time into a stop.
func (r *run) runDrainWatcher(ctx context.Context, stop context.CancelCauseFunc, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	if !r.draining() { // a run that went back delivers again
		close(r.drain)
	}
	fault.Hit(fault.DrainBegun)
	timer := time.NewTimer(r.config.Shutdown.Timeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		stop(&forebay.Error{
			Op: "drain", Class: forebay.ClassTransient, Code: "drain-timeout",
			Err:  fmt.Errorf("not done within %s", r.config.Shutdown.Timeout),
			Cure: "run the same command to go on; what the source can give again is not lost",
		})
	}
}

func (r *run) draining() bool {
	select {
	case <-r.drain:
		return true
	default:
		return false
	}
}

// drainBegins is closed by the begin of a drain; it is nil, on which nothing waits for ever, once one has begun.
func (r *run) drainBegins() <-chan struct{} {
	if r.draining() {
		return nil
	}
	return r.drain
}

// laneCount is the number of lanes for a number of splits that are left to read.
func laneCount(configured, splits int) int {
	if configured > 0 {
		return max(1, min(configured, splits))
	}
	return max(1, min(runtime.GOMAXPROCS(0), splits))
}

// progressKept says whether the target holds the progress in this run.
func (r *run) progressKept() bool {
	return r.plan.Way == forebay.WayProgress && r.plan.Guarantee == GuaranteeExactlyOnce
}
