// SPDX-License-Identifier: Apache-2.0

//go:build fault

package server

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// TestPlantedBugsAreCaughtTS2 runs the test of answers again with each bug.
func TestPlantedBugsAreCaughtTS2(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ bug, test string }{
		{fault.BugDuplicateEarly, "repeat"},
		{fault.BugReadAhead, "get"},
		{fault.BugReadAhead, "log"},
	} {
		t.Run(tc.bug+"/"+tc.test, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0],
				"-test.run=^TestAnswersWaitForTheSyncOfWhatTheySawTS2$/^"+tc.test+"$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), "FOREBAY_FAULT_BUG="+tc.bug)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "it was answered before the sync") {
				t.Errorf("the planted bug %s was not caught: %v: %s", tc.bug, err, out)
			}
		})
	}
}
