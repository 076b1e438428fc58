// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// FindingKind says what an audit found.
type FindingKind string

// The kinds of findings.
const (
	FindingLost     FindingKind = "lost"
	FindingRepeated FindingKind = "repeated"
	FindingStrange  FindingKind = "strange"      // a row that the input does not hold
	FindingOrder    FindingKind = "out of order" // within a split
	FindingLeft     FindingKind = "left over"
	FindingFailed   FindingKind = "failed"
	FindingStuck    FindingKind = "stuck"
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind FindingKind
	Text string
}

// String is the finding as a line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Kind, f.Text) }

func (c *Campaign) find(kind FindingKind, format string, args ...any) {
	c.findings = append(c.findings, Finding{kind, fmt.Sprintf(format, args...)})
}

// Add takes the findings of an audit.
func (c *Campaign) Add(findings []Finding) { c.findings = append(c.findings, findings...) }

// Verdict fails the test if anything was found.
func (c *Campaign) Verdict() {
	c.t.Helper()
	for _, f := range c.findings {
		c.t.Errorf("%s (seed %d)", f, c.seed)
	}
}

// Caught fails the test unless a finding is of one of these kinds: the suite would have seen the planted bug.
func (c *Campaign) Caught(kinds ...FindingKind) {
	c.t.Helper()
	for _, f := range c.findings {
		if slices.Contains(kinds, f.Kind) {
			c.t.Logf("%s was caught: %s", c.config.Bug, f)
			return
		}
	}
	c.t.Errorf("the planted bug %s was not caught (seed %d); findings: %v", c.config.Bug, c.seed, c.findings)
}

// Found reports whether something of these kinds was found so far.
func (c *Campaign) Found(kinds ...FindingKind) bool {
	return slices.ContainsFunc(c.findings, func(f Finding) bool { return slices.Contains(kinds, f.Kind) })
}

// Order says how the rows of an output are arranged.
type Order int

// The arrangements.
const (
	// BySplit: the rows of a split stand in their order, those of other splits may stand between.
	BySplit Order = iota
	// Whole: as the input, without a row out of place.
	Whole
	// ByKey: not as the input.
	ByKey
)

// Audit holds a table, in csv with a header, against the input: each row exactly once and in order. Columns that
// the input does not have are left aside.
func (l *Ledger) Audit(table []byte, order Order) ([]Finding, error) {
	rows := csv.NewReader(bytes.NewReader(table))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("read the table's header: %w", err)
	}
	columns := make([]int, len(l.Columns))
	for i, name := range l.Columns {
		if columns[i] = slices.Index(header, name); columns[i] < 0 {
			return nil, fmt.Errorf("the table has no column %q", name)
		}
	}
	a := audit{ledger: l, order: order, seen: make([]int32, len(l.Rows)), last: map[int32]int32{}}
	values := make([]string, len(columns))
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return a.result(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the table: %w", err)
		}
		for i, at := range columns {
			values[i] = row[at]
		}
		a.add(strings.Join(values, separator))
	}
}

// audit counts what an output holds of each row.
type audit struct {
	ledger *Ledger
	order  Order
	seen   []int32
	last   map[int32]int32 // of each split: the last row that came

	strange, misplaced       int
	firstStrange, firstWrong string
}

func (a *audit) add(row string) {
	i, known := a.ledger.index[row]
	if !known {
		if a.strange++; a.strange == 1 {
			a.firstStrange = row
		}
		return
	}
	// Of equal rows each one is due once before any is due twice.
	for a.seen[i] > 0 && a.ledger.next[i] >= 0 {
		i = a.ledger.next[i]
	}
	a.seen[i]++
	if a.order == ByKey {
		return
	}
	split := int32(0)
	if a.ledger.Splits != nil {
		split = a.ledger.Splits[i]
	}
	last, begun := a.last[split]
	if begun && i <= last || a.order == Whole && begun && i != last+1 {
		if a.misplaced++; a.misplaced == 1 {
			a.firstWrong = fmt.Sprintf("row %d after row %d of split %d: %s", i, last, split, show(row))
		}
	}
	a.last[split] = i
}

func (a *audit) result() []Finding {
	var findings []Finding
	report := func(kind FindingKind, count int, first string) {
		if count > 0 {
			findings = append(findings, Finding{kind, fmt.Sprintf("%d of %d rows, the first is %s",
				count, len(a.ledger.Rows), first)})
		}
	}
	lost, repeated := 0, 0
	var firstLost, firstRepeated string
	for i, n := range a.seen {
		at := fmt.Sprintf("row %d: %s", i, show(a.ledger.Rows[i]))
		switch {
		case n == 0:
			if lost++; lost == 1 {
				firstLost = at
			}
		case n > 1:
			if repeated++; repeated == 1 {
				firstRepeated = at
			}
		}
	}
	report(FindingLost, lost, firstLost)
	report(FindingRepeated, repeated, firstRepeated)
	report(FindingStrange, a.strange, show(a.firstStrange))
	report(FindingOrder, a.misplaced, a.firstWrong)
	return findings
}
