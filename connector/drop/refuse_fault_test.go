// SPDX-License-Identifier: Apache-2.0

//go:build fault

package drop_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/drop"
)

func TestRefusesOnTheFirstAttemptOnlyAlsoOverRestarts(t *testing.T) {
	t.Parallel()
	sink := drop.Sink{}
	sink.RefuseEvery, sink.RefuseFile = 4, filepath.Join(t.TempDir(), "refused")
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 0)
	for offset := range int64(10) {
		b.Append(offset, []byte("x"))
	}
	for attempt, want := range []int{3, 0, 0} {
		started, err := sink.Start(t.Context(), forebay.SinkContext{})
		if err != nil {
			t.Fatal(err)
		}
		lane, err := started.(*drop.Target).OpenLane(t.Context(), forebay.LaneContext{})
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		err = lane.Write(t.Context(), b)
		if rejected, ok := errors.AsType[*forebay.Error](err); ok && rejected.Class == forebay.ClassRejected {
			refused = len(rejected.Records)
		} else if err != nil {
			t.Fatal(err)
		}
		if err := lane.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := started.(*drop.Target).Sum().Records; refused != want || got != uint64(10-want) {
			t.Errorf("attempt %d: %d refused and %d taken, want %d and %d", attempt+1, refused, got, want, 10-want)
		}
	}
}
