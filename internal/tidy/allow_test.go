// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// violation is one place that breaks a rule.
type violation struct {
	rule    string
	subject string // what allow.txt names: path, path:function, package
	line    int    // 0: the whole file or package
	measure int    // what was counted; 1 where nothing is counted
	text    string // what is wrong and what to do
}

func (v violation) String() string {
	if v.line == 0 {
		return fmt.Sprintf("%s %s: %s", v.rule, v.subject, v.text)
	}
	return fmt.Sprintf("%s %s: line %d: %s", v.rule, v.subject, v.line, v.text)
}

// allowed is the content of allow.txt.
type allowed struct{ entries []*allowedEntry }

type allowedEntry struct {
	line          int
	rule, subject string
	measure       int
	needed        int // the measure that was met
}

func parseAllowed(text []byte) (allowed, error) {
	var a allowed
	for i, line := range strings.Split(string(text), "\n") {
		entry, reason, _ := strings.Cut(line, "#")
		fields := strings.Fields(entry)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || strings.TrimSpace(reason) == "" {
			return a, fmt.Errorf("allow.txt:%d: want RULE SUBJECT MEASURE # why, got %q", i+1, line)
		}
		measure, err := strconv.Atoi(fields[2])
		if err != nil || measure < 1 {
			return a, fmt.Errorf("allow.txt:%d: the measure %q is no number above 0", i+1, fields[2])
		}
		a.entries = append(a.entries, &allowedEntry{line: i + 1, rule: fields[0], subject: fields[1], measure: measure})
	}
	return a, nil
}

// filter takes out what allow.txt allows and notes how much of each entry was needed.
// Several violations of one rule at one subject add up.
func (a allowed) filter(all []violation) []violation {
	for _, entry := range a.entries {
		matches := func(v violation) bool { return v.rule == entry.rule && v.subject == entry.subject }
		needed := 0
		for _, v := range all {
			if matches(v) {
				needed += v.measure
			}
		}
		entry.needed += needed
		if needed <= entry.measure {
			all = slices.DeleteFunc(all, matches)
		}
	}
	return all
}

// unused names the entries that allow more than there is.
func (a allowed) unused() []violation {
	var found []violation
	for _, entry := range a.entries {
		at := violation{rule: "allow", subject: "internal/tidy/allow.txt", line: entry.line, measure: 1}
		switch {
		case entry.needed == 0:
			at.text = fmt.Sprintf("%s %s breaks no rule any more: remove the line", entry.rule, entry.subject)
		case entry.needed < entry.measure:
			at.text = fmt.Sprintf("%s %s is down to %d: write that instead of %d",
				entry.rule, entry.subject, entry.needed, entry.measure)
		default:
			continue
		}
		found = append(found, at)
	}
	return found
}
