// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/forebay-io/forebay"
)

// What decides about the commits of a pipeline: its owner and the progress of its splits. Pure, as state.go.

// pipelineState is what the target holds of one pipeline.
type pipelineState struct {
	// owner has the epoch 0 where no run ever fenced the target.
	owner forebay.Owner
	// used says whether the progress is the pipeline's truth.
	used   bool
	splits map[string]splitState
}

// splitState is the progress of a split and the checksum of the commit that wrote it.
type splitState struct {
	progress forebay.SplitProgress
	checksum uint32
}

// commitVerdict is what a pipeline's state says to a commit.
type commitVerdict uint8

const (
	commitApply     commitVerdict = iota // it follows what is stored
	commitDuplicate                      // it is what is stored
	commitBehind                         // it follows something else
	commitFenced                         // it comes from another owner
	commitMalformed                      // it contradicts itself
)

func (v commitVerdict) String() string {
	return [...]string{"apply", "duplicate", "behind", "fenced", "malformed"}[v]
}

// judgeCommit says what is to happen with a commit, and why where it is refused.
func (p *pipelineState) judgeCommit(owner forebay.Owner, progress []forebay.SplitProgress, checksum uint32) (
	v commitVerdict, reason string,
) {
	if owner.Epoch == 0 {
		if len(progress) > 0 {
			return commitMalformed, "progress needs an owner with an epoch: fence the target first"
		}
		return commitApply, ""
	}
	if owner.Epoch != p.owner.Epoch || owner.Holder != p.owner.Holder {
		return commitFenced, fmt.Sprintf(
			"pipeline %q belongs to epoch %d, holder %q, and this commit comes from epoch %d, holder %q",
			owner.Pipeline, p.owner.Epoch, p.owner.Holder, owner.Epoch, owner.Holder)
	}
	if len(progress) == 0 {
		return commitApply, ""
	}
	if !p.used {
		return commitMalformed, "the run fenced the target as one that keeps no progress there"
	}
	if twice, found := repeatedSplit(progress); found {
		return commitMalformed, fmt.Sprintf("split %q is in the progress twice", twice)
	}
	applies, repeats := 0, 0
	for i := range progress {
		stored := p.splits[progress[i].Split]
		switch {
		case progress[i].Version == stored.progress.Version+1:
			applies++
		case progress[i].Version == stored.progress.Version && stored.progress.Version > 0 && checksum == stored.checksum:
			repeats++
		}
	}
	switch len(progress) {
	case applies:
		return commitApply, ""
	case repeats:
		return commitDuplicate, ""
	}
	return commitBehind, "the progress does not follow the stored one"
}

func repeatedSplit(progress []forebay.SplitProgress) (split string, found bool) {
	if len(progress) < 2 {
		return "", false
	}
	seen := make(map[string]bool, len(progress))
	for i := range progress {
		if seen[progress[i].Split] {
			return progress[i].Split, true
		}
		seen[progress[i].Split] = true
	}
	return "", false
}

// acceptCommit notes the progress of a commit that applies.
func (p *pipelineState) acceptCommit(progress []forebay.SplitProgress, checksum uint32) {
	if len(progress) > 0 && p.splits == nil {
		p.splits = make(map[string]splitState, len(progress))
	}
	for _, s := range progress {
		p.splits[s.Split] = splitState{progress: s, checksum: checksum}
	}
}

// stored is the progress of the splits that a commit names.
func (p *pipelineState) stored(of []forebay.SplitProgress) []forebay.SplitProgress {
	out := make([]forebay.SplitProgress, len(of))
	for i, s := range of {
		out[i] = forebay.SplitProgress{Split: s.Split}
		if known, found := p.splits[s.Split]; found {
			out[i] = known.progress
		}
	}
	return out
}

// fenceVerdict is what a pipeline's state says to a fence.
type fenceVerdict uint8

const (
	fenceApply   fenceVerdict = iota // a greater epoch, or the same owner with another guarantee
	fenceSame                        // it is what is stored
	fenceRefused                     // an epoch that is not greater, by another holder
)

// judgeFence says what is to happen with a fence: only a greater epoch passes.
func (p *pipelineState) judgeFence(f forebay.Fence) fenceVerdict {
	switch {
	case f.Epoch > p.owner.Epoch:
		return fenceApply
	case f.Epoch == p.owner.Epoch && f.Holder == p.owner.Holder && f.Progress == p.used:
		return fenceSame
	case f.Epoch == p.owner.Epoch && f.Holder == p.owner.Holder:
		return fenceApply
	default:
		return fenceRefused
	}
}

// followingFence is the state after a fence that applies. A run that comes back to keeping its progress here
// brings all of it, so what an earlier one left is dropped.
func (p *pipelineState) followingFence(f forebay.Fence) *pipelineState {
	next := &pipelineState{owner: f.Owner, used: f.Progress, splits: make(map[string]splitState, len(p.splits))}
	if p.used || !f.Progress {
		maps.Copy(next.splits, p.splits)
	}
	if !f.Progress {
		return next
	}
	for _, s := range f.Seed {
		s.Version = p.splits[s.Split].progress.Version + 1
		next.splits[s.Split] = splitState{progress: s}
	}
	return next
}

// snapshot is the state as a target reports it, with the splits in order.
func (p *pipelineState) snapshot() forebay.TargetState {
	out := forebay.TargetState{Owner: p.owner, Used: p.used}
	for _, s := range p.splits {
		out.Splits = append(out.Splits, s.progress)
	}
	slices.SortFunc(out.Splits, func(a, b forebay.SplitProgress) int { return cmp.Compare(a.Split, b.Split) })
	return out
}
