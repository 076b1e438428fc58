// SPDX-License-Identifier: Apache-2.0

package tablet

import "github.com/forebay-io/forebay"

// TableInfo is what a server says about a table.
type TableInfo struct {
	forebay.TableSpec
	// ID is the table's alone: one that is dropped and made again has another.
	ID uint32
	// SchemaID names the current schema; it rises with each change.
	SchemaID uint32
	// Partitions are those of a table with PartitionBy, in the order in which they were made.
	Partitions []Partition
	// Logs are the ends of the tablets' logs, in the order of the tablets: those of the first partition, then those of
	// the second, and so on.
	Logs []LogRange
}

// Partition is one partition of a table.
type Partition struct {
	Name string `json:"name"`
	// FirstTablet is the number of its first tablet in TableInfo.Logs.
	FirstTablet int `json:"first_tablet"`
}

// LogRange is which rows of a tablet's log are kept, durably: from First up to, and without, End.
type LogRange struct {
	First int64 `json:"first"`
	End   int64 `json:"end"`
}
