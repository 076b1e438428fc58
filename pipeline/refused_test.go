// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"maps"
	"slices"
	"testing"

	"github.com/forebay-io/forebay"
)

// What a lane remembers of refused records does not grow with the run.
func TestRefusedRecordsAreForgottenOnceThePositionHasPassedThem(t *testing.T) {
	t.Parallel()
	l := &lane{refused: map[forebay.Origin]forebay.Reject{}}
	for _, split := range []string{"a", "b"} {
		for offset := range int64(4) {
			l.refused[forebay.Origin{Split: split, Offset: offset}] = forebay.Reject{}
		}
	}
	left := func() (offsets []int64) {
		for o := range maps.Keys(l.refused) {
			if o.Split == "a" {
				offsets = append(offsets, o.Offset)
			}
		}
		slices.Sort(offsets)
		return offsets
	}
	for _, c := range []struct {
		position forebay.Position
		left     []int64
	}{
		{forebay.Position{}, []int64{0, 1, 2, 3}},
		{forebay.Position{Offset: 2}, []int64{2, 3}},
		{forebay.Position{Offset: 2, Finished: true}, nil},
	} {
		l.forgetRefused(forebay.SplitProgress{Split: "a", Position: c.position})
		if got := left(); !slices.Equal(got, c.left) || len(l.refused) != 4+len(c.left) {
			t.Errorf("at %s: %v of %d", c.position, got, len(l.refused))
		}
	}
}
