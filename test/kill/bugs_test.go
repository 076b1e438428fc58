// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// The suites must find these bugs. Each runs a short campaign on a binary with the bug, and its audit.

// buggy is a campaign with an excerpt of the year.
func buggy(t *testing.T, bug string, lossy bool) (*Campaign, *Ledger) {
	t.Helper()
	path, _ := excerpt(t, first(60_000), nil)
	ledger, err := ReadCSV(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, Config{
		Binary: binary(), Pipeline: csvInto(path, Object{"table": Object{"name": "flights"}}), Table: "flights",
		Kills: 30, Lossy: lossy, Bug: bug,
	}), ledger
}

func TestCampaignCatchesNoSync(t *testing.T) {
	t.Parallel()
	c, _ := buggy(t, fault.BugNoSync, true)
	// The rows are counted around one kill in three.
	for range 40 {
		if c.Random(1); c.Found(FindingLost) {
			break
		}
	}
	c.Caught(FindingLost)
}

func TestCampaignCatchesProgressApart(t *testing.T) {
	t.Parallel()
	c, ledger := buggy(t, fault.BugProgressApart, true)
	// Of two syncs that follow each other one stands between the rows and the progress.
	for hit := 6; hit < 12; hit++ {
		c.Named(fault.CommitSynced, hit)
	}
	c.Finish()
	auditTable(t, c, ledger, Whole)
	c.Caught(FindingRepeated)
}

func TestCampaignCatchesProgressPerLane(t *testing.T) {
	t.Parallel()
	_, ranges := shapes()
	ranges.format["range"] = "40MiB" // three splits
	c := New(t, Config{
		Binary: binary(), Pipeline: ranges.pipeline(t, Object{"table": Object{"name": "flights"}}), Table: "flights",
		Lanes: []int{2, 3}, Bug: fault.BugProgressPerLane, Kills: 10,
	})
	c.Random(4)
	c.Finish()
	auditTable(t, c, must(t, yearOfCSV()), ByKey)
	c.Caught(FindingLost, FindingRepeated)
}

func TestCampaignCatchesEpochIgnored(t *testing.T) {
	t.Parallel()
	// Both runs are in one process, so the test itself runs again with the bug.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOlderOfTwoRuns", "-test.v", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), "FOREBAY_FAULT_BUG="+fault.BugEpochIgnored)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "when the older run was fenced") {
		t.Errorf("the planted bug %s was not caught: %v: %s", fault.BugEpochIgnored, err, out)
	}
}

func TestCampaignCatchesLettersLate(t *testing.T) {
	t.Parallel()
	path, bad, _ := spoiled(t, 60_000)
	c := New(t, Config{
		Binary: binary(), Pipeline: csvInto(path, Object{"table": Object{"name": "flights"}}), Table: "flights",
		Kills: 30, Lossy: true, Bug: fault.BugLettersLate,
	})
	c.Named(fault.DLQWritten, 1) // from here on every transaction has some
	// Of two syncs that follow each other one stands between the position and the dead letters.
	for hit := 6; hit < 14; hit++ {
		c.Named(fault.CommitSynced, hit)
	}
	c.Finish()
	c.AuditRejected(bad)
	c.Caught(FindingLost)
}

func TestCampaignCatchesLettersKept(t *testing.T) {
	t.Parallel()
	file, refusals := refusing(t)
	c := New(t, Config{
		Binary: binary(), Pipeline: file, Lanes: []int{1, 2, 3}, Kills: 10, Bug: fault.BugLettersKept,
		AfterKill: refusals.Take,
	})
	if err := os.Remove(refusals.file); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c.Named(fault.DLQWritten, 1+c.random.IntN(3))
	}
	c.Finish()
	refusals.Take(c)
	refusals.Audit(c)
	c.Caught(FindingRepeated)
}
