// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// Place is where a record begins.
type Place struct {
	Split  string
	Offset int64
}

// String is the place without the folder.
func (p Place) String() string { return fmt.Sprintf("%s at %d", filepath.Base(p.Split), p.Offset) }

// Letters are the dead letters of the campaign's pipeline, with the original bytes of their records.
func (c *Campaign) Letters() map[Place]string {
	c.t.Helper()
	name, _ := c.config.Pipeline["name"].(string)
	rows, err := csv.NewReader(bytes.NewReader(c.Scan("_dlq." + name))).ReadAll()
	if err != nil || len(rows) == 0 {
		c.t.Fatalf("read the dead letters: %v", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	letters := map[Place]string{}
	for _, row := range rows[1:] {
		offset, err := strconv.ParseInt(row[column["offset"]], 10, 64)
		if err != nil {
			c.t.Fatalf("read the dead letters: %v", err)
		}
		at := Place{row[column["split"]], offset}
		if _, twice := letters[at]; twice {
			c.find(FindingRepeated, "two dead letters for %s", at)
		}
		letters[at] = row[column["value"]]
	}
	return letters
}

// AuditRejected holds the dead letters against the lines that can never be rows: each exactly once.
func (c *Campaign) AuditRejected(lines []string) {
	c.t.Helper()
	due := map[string]int{}
	for _, line := range lines {
		due[line]++
	}
	for at, value := range c.Letters() {
		line := strings.TrimRight(value, "\r\n")
		if due[line]--; due[line] < 0 {
			c.find(FindingRepeated, "the dead letter of %s is not due, or not again: %q", at, line)
		}
	}
	for line, count := range due {
		if count > 0 {
			c.find(FindingLost, "no dead letter for %q", line)
		}
	}
}

// Refusals follows a sink that refuses records on the first attempt only. A refused record is to stay a dead
// letter if the position had passed it when its process ended, and else is delivered by a later one.
type Refusals struct {
	file string
	seen int // lines of file
	due  map[Place]bool
}

// NewRefusals follows the file in which the sink notes what it refused.
func NewRefusals(file string) *Refusals { return &Refusals{file: file, due: map[Place]bool{}} }

// Take reads, after a process has ended, what it refused and where its positions stand.
func (r *Refusals) Take(c *Campaign) {
	c.t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	// A line without its end was not written to the end: the record was not refused.
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	lines := slices.Collect(strings.Lines(string(whole)))
	positions := c.positions()
	for _, line := range lines[r.seen:] {
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndexByte(line, ' ')
		offset, err := strconv.ParseInt(line[at+1:], 10, 64)
		if err != nil {
			c.t.Fatalf("%s: %q: %v", r.file, line, err)
		}
		place := Place{line[:at], offset}
		position := positions[place.Split]
		if position.Finished || offset < position.Offset {
			r.due[place] = true
		}
	}
	r.seen = len(lines)
}

// Audit holds the dead letters against those that are due.
func (r *Refusals) Audit(c *Campaign) {
	c.t.Helper()
	letters := c.Letters()
	places := func(m map[Place]bool) []Place {
		return slices.SortedFunc(maps.Keys(m), func(a, b Place) int {
			return strings.Compare(fmt.Sprintf("%s %020d", a.Split, a.Offset), fmt.Sprintf("%s %020d", b.Split, b.Offset))
		})
	}
	extra := map[Place]bool{}
	for at := range letters {
		extra[at] = !r.due[at]
	}
	for _, at := range places(extra) {
		if extra[at] {
			c.find(FindingRepeated, "%s is a dead letter and was delivered by a later run", at)
		}
	}
	for _, at := range places(r.due) {
		if _, found := letters[at]; !found {
			c.find(FindingLost, "%s was refused, its position was passed, and it is no dead letter", at)
		}
	}
	c.t.Logf("%d records were refused, %d of them stayed dead letters", r.seen, len(letters))
}

// positions reads the positions that the campaign's state holds.
func (c *Campaign) positions() map[string]forebay.Position {
	c.t.Helper()
	name, _ := c.config.Pipeline["name"].(string)
	out, err := loadPositions(c.t.Context(), c.state, name)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func loadPositions(ctx context.Context, dir, name string) (_ map[string]forebay.Position, err error) {
	state, err := pipeline.OpenState(ctx, pipeline.StateConfig{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	entries, err := state.Checkpoints().Load(name)
	if err != nil {
		return nil, err
	}
	out := make(map[string]forebay.Position, len(entries))
	for split, e := range entries {
		out[split] = e.Position
	}
	return out, nil
}
