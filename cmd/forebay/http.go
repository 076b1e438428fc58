// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/admin"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/metrics"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/writer"
)

// listen opens the HTTP side of the process where a file asks for it, and has the pipelines count. run is its
// server's work, nil where there is none.
func (c *runCommand) listen(ctx context.Context, jobs []*job) (run func(context.Context), err error) {
	address := ""
	for _, j := range jobs {
		switch at := j.from.HTTP.Listen; {
		case at == "" || at == address:
		case address != "":
			return nil, forebay.Errorf("listen", forebay.ClassMisconfigured,
				"http.listen: %s and %s in one process; give the pipelines one address", address, at)
		default:
			address = at
		}
	}
	if address == "" {
		return nil, nil
	}
	counted, scrape, err := metrics.Process()
	if err != nil {
		return nil, err
	}
	logger := jobs[0].from.Config.Logger
	s := admin.NewServer(admin.Config{
		Metrics: scrape, Logger: logger,
		Health:   func(now time.Time) []admin.Health { return healthOf(jobs, now) },
		Tunables: func() []admin.Tunable { return tunablesOf(jobs) },
	})
	l, err := admin.Listen(ctx, "http.listen", address)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs {
		j.from.Config.Hooks = counted.Pipeline(j.name)
		j.from.Config.Limited = limited(counted, j.from.Config.WriterMemory)
	}
	if !admin.Loopback(l) {
		logger.Warn("http.listen is open to other machines: whoever reaches it can read and change knobs",
			"address", l.Addr().String())
	}
	logger.Info("http", "address", l.Addr().String())
	return func(ctx context.Context) {
		var probing sync.WaitGroup
		for _, st := range storesOf(jobs) {
			probing.Go(func() { runProbe(ctx, func() *store.Store { return st }) })
		}
		if err := s.Run(ctx, l); err != nil {
			logger.Warn("the http server ended", "error", err)
		}
		probing.Wait()
	}, nil
}

// storesOf are the stores of the state directories of all pipelines.
func storesOf(jobs []*job) []*store.Store {
	var out []*store.Store
	for _, j := range jobs {
		if !slices.Contains(out, j.store) {
			out = append(out, j.store)
		}
	}
	return out
}

// limited shows what bounds the lanes of a pipeline as it does for writers: a commit is one request.
func limited(to *metrics.Metrics, memory forebay.Bytes) func(string, func() writer.LimiterState) func() {
	return func(table string, state func() writer.LimiterState) (forget func()) {
		return to.Watch(table, func() metrics.WriterFigures {
			s := state()
			return metrics.WriterFigures{
				Stats:   writer.Stats{InFlight: s.InFlight, Used: s.InFlightBytes, Limit: memory},
				Limiter: s,
			}
		})
	}
}

// healthOf is how each pipeline of the process is doing.
func healthOf(jobs []*job, now time.Time) []admin.Health {
	out := make([]admin.Health, len(jobs))
	for i, j := range jobs {
		h := j.health(now)
		err := j.store.Err()
		if h.Ready && err != nil || h.State == pipeline.HealthFailing && errors.Is(err, store.ErrStalled) {
			h = pipeline.Health{State: pipeline.HealthFailing, Cause: err, Since: h.Since}
		}
		out[i] = admin.Health{
			Name: j.name, State: string(h.State), Ready: h.Ready, Healthy: h.State != pipeline.HealthStopped,
		}
		if h.Cause != nil {
			out[i].Cause = h.Cause.Error()
		}
		if !h.Since.IsZero() {
			out[i].Since = &h.Since
		}
	}
	return out
}

// health is how the job's pipeline is doing, also when its run has ended.
func (j *job) health(now time.Time) pipeline.Health {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.running != nil:
		return j.running.Health(now)
	case j.err != nil:
		return pipeline.Health{State: pipeline.HealthStopped, Cause: j.err}
	case j.summary.Status != "":
		return pipeline.Health{State: pipeline.HealthDelivered, Ready: true}
	default:
		return pipeline.Health{State: pipeline.HealthStarting, Cause: fmt.Errorf("the pipeline has not begun")}
	}
}

// tunablesOf are the pipelines that run.
func tunablesOf(jobs []*job) []admin.Tunable {
	var out []admin.Tunable
	for _, j := range jobs {
		j.mu.Lock()
		p := j.running
		j.mu.Unlock()
		if p == nil {
			continue
		}
		if _, delivering := p.Tuning(); delivering {
			out = append(out, &pipelineKnobs{name: j.name, pipeline: p})
		}
	}
	return out
}

// pipelineKnobs are the knobs of a running pipeline.
type pipelineKnobs struct {
	name     string
	pipeline *pipeline.Pipeline
}

const (
	knobInterval = "checkpoint.interval"
	knobBytes    = "checkpoint.bytes"
	knobInflight = "max.inflight"
)

func (k *pipelineKnobs) Name() string { return k.name }

func (k *pipelineKnobs) Knobs() []admin.Knob {
	state, _ := k.pipeline.Tuning()
	knobs := []admin.Knob{
		{
			Key: knobInterval, Kind: admin.KindDuration, Value: int64(state.Interval),
			Min: int64(pipeline.IntervalMin), Max: int64(pipeline.IntervalMax),
		},
		{
			Key: knobBytes, Kind: admin.KindBytes, Value: int64(state.Bytes),
			Min: int64(pipeline.BytesMin), Max: int64(state.BytesMax),
		},
	}
	if state.MaxInflightMax > 1 { // the sink takes transactions of lanes
		knobs = append(knobs, admin.Knob{
			Key: knobInflight, Value: int64(state.MaxInflight), Min: 1, Max: int64(state.MaxInflightMax),
		})
	}
	return knobs
}

func (k *pipelineKnobs) Tune(values map[string]int64) error {
	state, _ := k.pipeline.Tuning()
	t := state.Tuning
	for key, value := range values {
		switch key {
		case knobInterval:
			t.Interval = time.Duration(value)
		case knobBytes:
			t.Bytes = forebay.Bytes(value)
		case knobInflight:
			t.MaxInflight = int(value)
		default:
			return fmt.Errorf("a pipeline has no knob %s", key)
		}
	}
	return k.pipeline.Tune(t)
}
