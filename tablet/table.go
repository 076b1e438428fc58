// SPDX-License-Identifier: Apache-2.0

package tablet

import "github.com/forebay-io/forebay"

// TableInfo is what a server says about a table.
type TableInfo struct {
	forebay.TableSpec
	// SchemaID names the current schema; it rises with each change.
	SchemaID uint32
	// Logs are the ends of the tablets' logs, in the order of the tablets.
	Logs []LogRange
}

// LogRange is which rows of a tablet's log are kept, durably: from First up to, and without, End.
type LogRange struct {
	First int64 `json:"first"`
	End   int64 `json:"end"`
}
