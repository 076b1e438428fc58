// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/writer"
)

// Warnings are the keys of the file that are right and change nothing for this sink, each with what to use instead.
func (p *Pipeline) Warnings(plan pipeline.Plan) Problems {
	if p.Config.Sink == nil {
		return nil
	}
	f := &p.file.Writer
	h := heeded{pipeline: p}
	h.sink, _ = p.Config.Sink.Info() // Load has said what is wrong with it
	if h.sink.Way == forebay.WayProgress {
		h.byLanes(f)
	} else {
		h.byNone(f)
	}
	if plan.Guarantee == pipeline.GuaranteeNone && f.Acks != "" && f.Acks != "all" {
		h.warn("acks", "with guarantee: none answers are counted and not awaited, whatever acks says", leaveOut)
	}
	if plan.Guarantee != pipeline.GuaranteeExactlyOnce && f.Idempotence != nil && !*f.Idempotence {
		h.warn("idempotence", fmt.Sprintf("with guarantee: %s repeats are not looked for", plan.Guarantee), leaveOut)
	}
	h.times()
	if p.Config.Source != nil {
		source, _ := p.Config.Source.Info()
		if found, said := p.loop(source, h.sink); found == readBackMaybe {
			h.out = append(h.out, said)
		}
	}
	h.out.Sort()
	return h.out
}

const leaveOut = "leave it out"

// heeded gathers what a sink does not heed.
type heeded struct {
	pipeline *Pipeline
	sink     forebay.SinkInfo
	out      Problems
}

// times warns of a sink that divides by an event time which no record has.
func (h *heeded) times() {
	c := h.pipeline.Config
	if c.Source == nil || c.EventTime != nil || !h.sink.Times {
		return
	}
	if source, _ := c.Source.Info(); source.Times {
		return
	}
	h.out = append(h.out, h.pipeline.tree.Problem(h.pipeline.file.Sink.path,
		h.sink.Name+" are divided by event time or by being late, and no record has a time",
		"say where it is, such as event_time: { field: time }"))
}

func (h *heeded) warn(key, why, cure string) {
	message := fmt.Sprintf("writer.%s changes nothing here: %s", key, why)
	h.out = append(h.out, h.pipeline.tree.Problem("writer."+key, message, cure))
}

// byLanes is for sinks that take the transactions of lanes: of the writer's keys they heed max.inflight.
func (h *heeded) byLanes(f *writerField) {
	lanes := "lanes send transactions to " + h.sink.Name
	switch f.Profile {
	case "throughput":
		h.warn("profile", lanes+", and this profile has knobs of requests only",
			"use checkpoint.bytes and checkpoint.interval")
	case "latency":
		h.warn("profile", lanes+", and this profile has knobs of requests only", "use checkpoint.interval, such as 50ms")
	}
	if f.BatchSize != 0 {
		h.warn("batch.size", lanes+", which end at a size of their own", "use checkpoint.bytes")
	}
	if f.BatchTimeout != 0 {
		h.warn("batch.timeout", lanes+", which end at an age of their own", "use checkpoint.interval")
	}
	if f.Retries != nil {
		h.warn("retries", lanes+", and a lane is tried again until it succeeds, with longer and longer pauses", leaveOut)
	}
	if f.MaxInflight > writer.LaneWindow {
		h.warn("max.inflight", fmt.Sprintf("%s, and of a lane at most %d wait for their answer", lanes, writer.LaneWindow),
			fmt.Sprintf("write 1 to %d, or leave it out", writer.LaneWindow))
	}
}

// byNone is for sinks that take batches as they come.
func (h *heeded) byNone(f *writerField) {
	direct := h.sink.Name + " takes batches as they come and is sent no requests"
	if f.Profile != "" {
		h.warn("profile", direct, leaveOut)
	}
	if f.BatchSize != 0 {
		h.warn("batch.size", direct, leaveOut)
	}
	if f.BatchTimeout != 0 {
		h.warn("batch.timeout", direct, "use checkpoint.interval, which says how often it is flushed")
	}
	if f.Retries != nil {
		h.warn("retries", direct+"; a lane is tried again until it succeeds", leaveOut)
	}
	if f.MaxInflight != 0 {
		h.warn("max.inflight", direct, leaveOut)
	}
}

// promiseProblems are the keys of the file that would break what the guarantee promises.
func (p *Pipeline) promiseProblems(plan pipeline.Plan) Problems {
	var out Problems
	f := &p.file.Writer
	report := func(key, message, cure string) { out = append(out, p.tree.Problem("writer."+key, message, cure)) }
	if plan.Guarantee == "" || plan.Guarantee == pipeline.GuaranteeNone {
		return nil
	}
	if plan.Guarantee == pipeline.GuaranteeExactlyOnce && f.Idempotence != nil && !*f.Idempotence {
		report("idempotence", "exactly-once rests on dropping repeats, which idempotence: false gives up",
			"leave it out, or write guarantee: at-least-once")
	}
	if f.Acks != "" && f.Acks != "all" {
		report("acks", fmt.Sprintf("%s confirms what is on disk, and acks: %s would confirm before", plan.Guarantee, f.Acks),
			"leave it out, or write guarantee: none")
	}
	return out
}
