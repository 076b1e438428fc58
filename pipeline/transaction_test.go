// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-io/forebay"
)

// P1: whatever ends a transaction, its positions are those behind whole batches.
func TestATransactionEndsBetweenTwoBatches(t *testing.T) {
	t.Parallel()
	for _, size := range []forebay.Bytes{1, 200, 4 * forebay.KiB} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			source, sink := newSource(95, "a", "b"), newTable()
			var inside []forebay.SplitProgress
			sink.script = func(_ int, c *forebay.Commit) fate {
				inside = append(inside, slices.DeleteFunc(slices.Clone(c.Progress), func(p forebay.SplitProgress) bool {
					return p.Position.Offset%10 == 0 || p.Position.Offset == 95
				})...)
				return pass()
			}
			config := w.config(source, sink)
			config.Checkpoint.Bytes = size
			w.run(config)
			if sink.commits == 0 || len(inside) > 0 {
				t.Errorf("with transactions of %s, %d commits, and positions inside a batch: %v", size, sink.commits, inside)
			}
		})
	}
}

// C2: what is noted was confirmed, also where later transactions wait for their answer as the run ends.
func TestANoteNeverSaysMoreThanWasConfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		source, sink := newSource(200, "a"), newTable()
		sink.script = func(n int, _ *forebay.Commit) fate {
			if n < 2 {
				return pass()
			}
			return fate{answer: ambiguous(), never: true}
		}
		config := small(w.config(source, sink))
		config.Shutdown.Timeout = time.Second
		if _, err := w.try(stopAfter(t, time.Minute), config); err == nil || sink.commits < 3 {
			t.Fatalf("the run ended with %v after %d commits; want one that is left waiting", err, sink.commits)
		}
		entries, err := w.state.Checkpoints().Load("p")
		if err != nil {
			t.Fatal(err)
		}
		if e := entries["a"]; e.Number != 2 || e.Position.Offset != 20 {
			t.Errorf("the note says version %d at %s; versions up to 2, at 20, were confirmed", e.Number, e.Position)
		}
	})
}
