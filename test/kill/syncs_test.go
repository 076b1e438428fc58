// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
)

// pacedSource gives its records over about two seconds, from three splits.
func pacedSource() generate.Source {
	return generate.Source{
		Count: 6_000, Rate: 3_000, Splits: 3, Fields: []generate.Field{{Name: "n", Sequence: &generate.Sequence{}}},
	}
}

// followed runs the paced source into four tablets with a reader behind each, and returns the syncs of the log
// per second of the run.
func followed(t *testing.T, lanes int) float64 {
	t.Helper()
	state, err := pipeline.OpenState(t.Context(), pipeline.StateConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv := state.Tables()
	begun := make(chan struct{})
	var once sync.Once
	config := pipeline.Config{
		Name: "paced", Opened: state, Source: pacedSource(), Lanes: lanes, Sink: table.Sink{Name: "paced"},
		Checkpoint: pipeline.CheckpointConfig{Interval: 50 * time.Millisecond},
		// Lanes of one tick share a sync: the counting begins when the first ones are in.
		Hooks: forebay.Hooks{Committed: func(forebay.CommitEvent) { once.Do(func() { close(begun) }) }},
	}
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	var rows atomic.Int64
	var syncs int64
	var from time.Time
	all := make(chan struct{})
	followers.Go(func() {
		<-begun
		syncs, from = srv.Store().Metrics().LogSyncs, time.Now()
		for tablet := range forebay.TabletsDefault {
			at := LogPlace{Table: "paced", Tablet: tablet, End: math.MaxInt64, Read: func(n int) {
				if rows.Add(int64(n)) == pacedSource().Count {
					close(all)
				}
			}}
			followers.Go(func() {
				if err := followLog(ctx, srv, at); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
	})
	summary, err := p.Run(t.Context())
	if err != nil || summary.Delivered != pacedSource().Count || summary.Lanes != lanes {
		t.Fatalf("%+v, %v", summary, err)
	}
	perSecond := float64(srv.Store().Metrics().LogSyncs-syncs) / time.Since(from).Seconds()
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Errorf("the readers saw %d of %d rows", rows.Load(), summary.Delivered)
	}
	stop()
	followers.Wait()
	if err := state.Close(); err != nil {
		t.Error(err)
	}
	return perSecond
}

// Lanes that commit at one tick share a sync. Anything else on the machine can only keep them apart, so of a few
// attempts one that shows it is enough; the offsets are checked in all of them.
func TestSyncsDoNotRiseWithTheLanes(t *testing.T) {
	t.Parallel()
	const attempts, most = 3, 1.15
	var ratio float64
	for range attempts {
		one, three := followed(t, 1), followed(t, 3)
		ratio = three / one
		t.Logf("syncs of the log per second: %.1f with one lane, %.1f with three: ratio %.2f", one, three, ratio)
		if ratio <= most {
			return
		}
	}
	t.Errorf("three lanes sync %.2f times as often as one, expected at most %.2f", ratio, most)
}
