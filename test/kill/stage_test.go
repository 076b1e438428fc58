// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

func TestEveryKillPointBelongsToAStage(t *testing.T) {
	t.Parallel()
	hits := Tally{}
	for _, point := range fault.Points() {
		if StageOf(point) == "" {
			t.Errorf("kill point %s belongs to no stage", point)
		}
		hits[point]++
	}
	if missed := hits.Missed(); len(missed) > 0 {
		t.Errorf("a kill at each point misses %v", missed)
	}
	delete(hits, fault.CheckpointBuilt)
	delete(hits, fault.CheckpointWritten)
	if missed := hits.Missed(); len(missed) != 1 || missed[0] != StageNote {
		t.Errorf("missed %v, expected the stage of the points that were not hit", missed)
	}
}
