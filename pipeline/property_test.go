// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// plot is everything that a random run depends on. It is drawn outside the bubble and played inside.
type plot struct {
	Splits    map[string]int64
	Batch     int
	Lanes     int
	Guarantee pipeline.Guarantee
	Blocks    bool
	Broken    int64 // every so many records
	Bad       int64
	Bytes     forebay.Bytes
	Seed      uint64
	Faults    int // out of 100 commits
	Stops     []time.Duration
}

func drawPlot(t *rapid.T) plot {
	p := plot{
		Splits: map[string]int64{}, Batch: rapid.IntRange(1, 13).Draw(t, "batch"),
		Lanes: rapid.IntRange(1, 4).Draw(t, "lanes"), Blocks: rapid.Bool().Draw(t, "blocks"),
		Guarantee: rapid.SampledFrom([]pipeline.Guarantee{
			pipeline.GuaranteeExactlyOnce, pipeline.GuaranteeExactlyOnce, pipeline.GuaranteeAtLeastOnce,
		}).Draw(t, "guarantee"),
		Broken: rapid.SampledFrom([]int64{0, 7, 19}).Draw(t, "broken"),
		Bad:    rapid.SampledFrom([]int64{0, 11, 23}).Draw(t, "bad"),
		Bytes:  forebay.Bytes(rapid.SampledFrom([]int{1, 200, 4000}).Draw(t, "bytes")),
		Seed:   rapid.Uint64().Draw(t, "seed"), Faults: rapid.SampledFrom([]int{0, 10, 40}).Draw(t, "faults"),
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "splits") {
		p.Splits[fmt.Sprintf("s%d", i)] = int64(rapid.IntRange(0, 90).Draw(t, "records"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "stops") {
		p.Stops = append(p.Stops, time.Duration(rapid.IntRange(1, 3000).Draw(t, "stop"))*time.Millisecond)
	}
	return p
}

// fates draws what becomes of each commit.
func (p plot) fates() func(int, *forebay.Commit) fate {
	rng := rand.New(rand.NewPCG(p.Seed, 1))
	left := 60 // faults end some time
	var mu sync.Mutex
	return func(int, *forebay.Commit) fate {
		mu.Lock()
		defer mu.Unlock()
		f := pass()
		if left > 0 && rng.IntN(100) < p.Faults {
			left--
			f = []fate{
				lostAfter(), lostAfter(), lostBefore(), refuse(forebay.CodeSequenceGap), refuse(forebay.CodeDiskFull),
				refuse(forebay.CodeOverload),
				{answer: &forebay.Answer{
					Code:  forebay.CodeServerError,
					Class: forebay.ClassTransient,
				}},
			}[rng.IntN(7)]
		}
		if rng.IntN(3) == 0 {
			f.late = time.Duration(rng.IntN(400)) * time.Millisecond
		}
		return f
	}
}

// P2, P3, P5, C3: exactly-once holds each record once and in order of its split, at-least-once each at least
// once, and the dead letters are those of the records that were rejected, whatever happens on the way.
func TestRandomFaultsAgainstANaiveModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlot(rt)
		var problems []string
		synctest.Test(t, func(t *testing.T) { problems = p.play(t) })
		if len(problems) > 0 {
			rt.Fatalf("%+v: %v", p, problems)
		}
	})
}

func (p plot) play(t *testing.T) (problems []string) {
	w := newWorld(t)
	defer w.close()
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	source := newSource(0, slices.Sorted(maps.Keys(p.Splits))...)
	source.splits, source.batch, source.blocks, source.pause = p.Splits, p.Batch, p.Blocks, 7*time.Millisecond
	every := func(n int64, o origin) bool { return n > 0 && o.n%n == n-1 }
	source.broken = func(o origin) bool { return every(p.Broken, o) }
	script := p.fates()
	var total pipeline.Summary
	for i := range len(p.Stops) + 1 {
		sink := newTable()
		sink.script, sink.bad = script, func(o origin) bool { return every(p.Bad, o) }
		config := w.config(source, sink)
		config.Guarantee, config.Lanes, config.Checkpoint.Bytes = p.Guarantee, 1+(p.Lanes+i)%4, p.Bytes
		ctx, stop := context.WithCancel(t.Context())
		if i < len(p.Stops) {
			timer := time.AfterFunc(p.Stops[i], stop)
			defer timer.Stop()
		}
		summary, err := w.try(ctx, config)
		stop()
		if err != nil {
			report("run %d: %v", i, err)
			return problems
		}
		total.Read += summary.Read
		total.Delivered += summary.Delivered
		total.Rejected += summary.Rejected
	}
	got, dead := rows(t, w.state.Tables(), "out"), letters(t, w.state.Tables())
	exactly := p.Guarantee == pipeline.GuaranteeExactlyOnce
	var records, good int64
	for split, count := range p.Splits {
		var want []int64
		for n := range count {
			o := origin{split, n}
			records++
			switch {
			case every(p.Broken, o), every(p.Bad, o):
				if dead[o] == "" {
					report("%v has no dead letter", o)
				}
				delete(dead, o)
			default:
				good++
				want = append(want, n)
			}
		}
		seen := got[split]
		if !exactly {
			seen = slices.Compact(slices.Sorted(slices.Values(seen)))
		}
		if !slices.Equal(seen, want) {
			report("split %s: %s", split, difference(got[split], want))
		}
	}
	if len(dead) > 0 {
		report("dead letters of good records: %v", dead)
	}
	if total.Delivered != good || total.Rejected != records-good || total.Read != records {
		report("counted %d read, %d delivered, %d rejected of %d and %d", total.Read, total.Delivered, total.Rejected,
			records, good)
	}
	if readers, feeds := source.leaks(); readers != 0 || feeds != 0 {
		report("%d readers and %d feeds are open", readers, feeds)
	}
	return problems
}
