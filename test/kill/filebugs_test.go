// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// buggyParts is a short campaign of parts of files with a planted bug.
func buggyParts(t *testing.T, bug string) (c *Campaign, audit func()) {
	t.Helper()
	s := chains()[0]
	c, out, expected := s.newParts(t, onDisk(t), Config{Kills: 20, Lossy: true, Bug: bug})
	return c, func() { out.Audit(c, expected, nil) }
}

// endsBadly runs without kills: what a bug spoilt may also stop the run, with what it lost.
func endsBadly(c *Campaign, audit func(), kinds ...FindingKind) {
	c.t.Helper()
	c.Finish()
	audit()
	c.Caught(kinds...)
}

func TestCampaignCatchesHeldKept(t *testing.T) {
	t.Parallel()
	c, audit := buggyParts(t, fault.BugHeldKept)
	for range 4 {
		c.Named(fault.CheckpointBuilt, 3) // what the third checkpoint holds is written, and no checkpoint knows it
	}
	endsBadly(c, audit, FindingRepeated, FindingFailed)
}

func TestCampaignCatchesCommitEarly(t *testing.T) {
	t.Parallel()
	c, audit := buggyParts(t, fault.BugCommitEarly)
	c.Named(fault.CommitDone, 1)
	endsBadly(c, audit, FindingRepeated, FindingLost, FindingFailed)
}

func TestCampaignCatchesFolderUnsynced(t *testing.T) {
	t.Parallel()
	c, audit := buggyParts(t, fault.BugFolderUnsynced)
	for range 3 {
		c.Named(fault.CommittedWritten, 3)
	}
	endsBadly(c, audit, FindingLost, FindingFailed)
}
