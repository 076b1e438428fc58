// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"fmt"

	"github.com/forebay-io/forebay"
)

// Resume says where a split continues.
type Resume struct {
	Split    forebay.Split
	Position forebay.Position
	// Version is the progress version to follow: the next write makes Version + 1.
	Version uint64
	// Times is what is known of the split's event time; nil where nothing is.
	Times *EventTime
	// Rewound says that the target held less than it had confirmed, so that it was restored from a copy.
	Rewound bool
}

// Question is what the decision needs: what is stored here, what the target holds, and what there is to read.
type Question struct {
	Pipeline string
	Splits   []forebay.Split
	Entries  map[string]Entry
	// Target is what a target that holds progress said; nil for any other.
	Target *forebay.TargetState
}

// Decide says where each split continues. It does no I/O.
//
// C4: a target that holds progress decides alone. The entries count only where it never held any for this
// pipeline, or where its progress was marked unused by a run without exactly-once.
//
// Errors: lost (code progress-missing) where the target confirmed progress and no longer has it;
// misconfigured (code source-differs) where a split's fingerprint is another one.
func Decide(q Question) ([]Resume, error) {
	progress := map[string]forebay.SplitProgress{}
	if q.Target != nil {
		for _, p := range q.Target.Splits {
			progress[p.Split] = p
		}
	}
	plan := make([]Resume, 0, len(q.Splits))
	for _, split := range q.Splits {
		r, err := q.decide(split, progress)
		if err != nil {
			return nil, err
		}
		plan = append(plan, r)
	}
	return plan, nil
}

func (q Question) decide(split forebay.Split, progress map[string]forebay.SplitProgress) (Resume, error) {
	entry, stored := q.Entries[split.ID]
	held, found := progress[split.ID]
	r := Resume{Split: split, Version: held.Version, Times: entry.Times}
	switch {
	case found && q.Target.Used:
		r.Position = held.Position
		r.Rewound = stored && entry.Noted && entry.Number > held.Version
		return r, q.sameSource(split, held.Fingerprint)
	case q.Target != nil && q.Target.Used && stored && entry.Noted:
		return r, Missing(q.Pipeline, split.ID, entry.Position)
	case stored:
		r.Position = entry.Position
		return r, q.sameSource(split, entry.Fingerprint)
	default:
		return r, nil
	}
}

// Missing is the error for progress that the target confirmed and no longer has.
func Missing(pipeline, split string, confirmed forebay.Position) error {
	return &forebay.Error{
		Op: "resume " + pipeline, Class: forebay.ClassLost, Code: "progress-missing",
		Err:  fmt.Errorf("the target confirmed %s up to %s and no longer knows it", split, confirmed),
		Cure: "restore the target, or start over with: forebay checkpoint reset " + pipeline,
	}
}

func (q Question) sameSource(split forebay.Split, fingerprint string) error {
	if fingerprint == split.Fingerprint {
		return nil
	}
	return &forebay.Error{
		Op: "resume " + q.Pipeline, Class: forebay.ClassMisconfigured, Code: "source-differs",
		Err: fmt.Errorf("the stored position of %s belongs to %q, and the source is now %q",
			split.ID, fingerprint, split.Fingerprint),
		Cure: "give this pipeline another name, or start it over with: forebay checkpoint reset " + q.Pipeline,
	}
}

// Seed lists the positions to store with the fence when a pipeline comes to exactly-once, for a target that
// never held its progress or marked it unused: those of the entries. An entry whose progress the target had
// confirmed and no longer has at all is left out, so that Decide sees the loss.
func Seed(entries map[string]Entry, target forebay.TargetState) []forebay.SplitProgress {
	if target.Used {
		return nil
	}
	versions := map[string]uint64{}
	for _, p := range target.Splits {
		versions[p.Split] = p.Version
	}
	seed := make([]forebay.SplitProgress, 0, len(entries))
	for _, e := range entries {
		version, held := versions[e.Split]
		if e.Noted && !held {
			continue
		}
		seed = append(seed, forebay.SplitProgress{
			Split: e.Split, Version: version + 1, Position: e.Position, Fingerprint: e.Fingerprint,
		})
	}
	return seed
}
