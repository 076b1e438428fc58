// SPDX-License-Identifier: Apache-2.0

package forebay

import "fmt"

// Split is an independently readable piece of a source: a Kafka partition, a file, a range of a file, a
// tablet. Its borders do not depend on the machine or on the number of lanes.
type Split struct {
	// ID names the split within its pipeline; it is the same in every run.
	ID string
	// Fingerprint tells whether this still is the source that a stored position belongs to: the connector and
	// the path, or the cluster and topic id.
	Fingerprint string
	// Size is what there is to read in it, in the unit of Position.Offset; 0 where that is unknown.
	Size int64
	// Unbounded says that reading it never ends by itself.
	Unbounded bool
}

// Position is where a source continues in a split. Only the source that made it knows what it means, except
// that Offset rises within a split and that Finished is the end. The zero Position is the split's beginning.
type Position struct {
	// Offset is the place of the next record to read.
	Offset int64
	// Detail is for the source alone, such as the line number at Offset.
	Detail string
	// Finished says that the split was read to its end.
	Finished bool
}

// String prints the position for people.
func (p Position) String() string {
	if p.Finished {
		return "finished"
	}
	return fmt.Sprint(p.Offset)
}

// Origin is the identity of a source record within its pipeline; records made from it share it.
type Origin struct {
	Split  string
	Offset int64
	Sub    uint32
}

// Owner is one run of a pipeline: who may write for it. Of two owners the one with the greater epoch is the
// newer; the holder tells two runs apart that took the same epoch in different stores.
type Owner struct {
	Pipeline string
	Epoch    uint64
	Holder   string
}

// Fence is what a run writes to the target before it does anything else there.
type Fence struct {
	Owner
	// Progress says that the run keeps its progress in the target. A run that does not marks the progress
	// there unused.
	Progress bool
	// Seed are the positions to store with the fence, for a pipeline that comes back to exactly-once.
	Seed []SplitProgress
}

// TargetState is what a target holds of a pipeline.
type TargetState struct {
	// Owner is the newest owner that fenced the target; its epoch is 0 where none ever did.
	Owner Owner
	// Used says whether Splits are this pipeline's truth; false after a run without exactly-once.
	Used bool
	// Splits is the progress of each split.
	Splits []SplitProgress
}

// SplitProgress is how far a split has been delivered, stored by the target inside the transaction that
// delivered it.
type SplitProgress struct {
	Split string
	// Version is raised by one with each write. A write names the version it makes and applies only if its
	// predecessor is the stored one.
	Version uint64
	// Position is where reading continues.
	Position Position
	// Fingerprint is the split's when the progress was written.
	Fingerprint string
}
