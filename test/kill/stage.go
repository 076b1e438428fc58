// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay/internal/fault"
)

// Stage is a part of a run's life; a campaign hits every one that it has.
type Stage string

// The stages, in the order of a run.
const (
	StageOpening   Stage = "opening"
	StageRecovery  Stage = "recovery"
	StageSource    Stage = "source"
	StageTransform Stage = "transform"
	StageBatch     Stage = "batch"
	StageSink      Stage = "sink"
	StageCommit    Stage = "commit"
	StageNote      Stage = "note"
	StageEnd       Stage = "end"
)

// stagePoints are the kill points of each stage: a process is in the stage of the last point that it met.
func stagePoints() []struct {
	Stage  Stage
	Points []string
} {
	return []struct {
		Stage  Stage
		Points []string
	}{
		{StageOpening, []string{fault.DirectoryLocked, fault.StoreOpened, fault.TableCreated, fault.SchemaChanged}},
		{StageRecovery, []string{
			fault.EpochTaken, fault.CommitsReplayed, fault.Fenced, fault.LeftoversAborted, fault.ProgressRead, fault.Seeked,
			fault.OwnerWritten, fault.EpochMovedAway,
		}},
		{StageSource, []string{fault.SourceRead, fault.SourcePosition}},
		{StageTransform, []string{fault.TransformDone}},
		{StageBatch, []string{fault.BatchEncoded}},
		{StageSink, []string{
			fault.CommitBuilt, fault.DLQWritten, fault.CommitApplied, fault.OpenedWritten, fault.Prepared, fault.PartWritten,
			fault.PartPersisted, fault.PartFinished,
		}},
		{StageCommit, []string{
			fault.CommitSynced, fault.CommitAcked, fault.CommitBegun, fault.CommitDone, fault.CommittedWritten,
			fault.PartRenamed, fault.PartDirectorySynced,
		}},
		{StageNote, []string{fault.CheckpointBuilt, fault.CheckpointWritten}},
		{StageEnd, []string{fault.SplitFinished, fault.DrainBegun}},
	}
}

// StageOf is the stage of a kill point; empty for a process that met none.
func StageOf(point string) Stage {
	for _, s := range stagePoints() {
		if slices.Contains(s.Points, point) {
			return s.Stage
		}
	}
	return ""
}

// Tally counts kills by the point at which they hit.
type Tally map[string]int

// String lists the stages with the kills that hit them.
func (h Tally) String() string {
	var out strings.Builder
	for _, s := range stagePoints() {
		total := 0
		var points []string
		for _, p := range s.Points {
			total += h[p]
			if h[p] > 0 {
				points = append(points, fmt.Sprintf("%s %d", p, h[p]))
			}
		}
		fmt.Fprintf(&out, "  %-10s %4d  %s\n", s.Stage, total, strings.Join(points, ", "))
	}
	return out.String()
}

// Missed are the stages without a kill.
func (h Tally) Missed() []Stage {
	var missed []Stage
	for _, s := range stagePoints() {
		if !slices.ContainsFunc(s.Points, func(p string) bool { return h[p] > 0 }) {
			missed = append(missed, s.Stage)
		}
	}
	return missed
}
