// SPDX-License-Identifier: Apache-2.0

package nearest

import (
	"strings"
	"unicode/utf8"
)

// Name is the known name that a misspelled one was probably meant to be, or "" when none is clearly close:
// at most one edit, or one for each three characters of the shorter name, up to four.
func Name(name string, known []string) string {
	best, bestDistance := "", 1<<30
	for _, candidate := range known {
		d := Edits(name, candidate)
		if d < bestDistance && d <= editsMax(name, candidate) {
			best, bestDistance = candidate, d
		}
	}
	if best == name {
		return ""
	}
	return best
}

// fold makes spellings equal that people mix up: case, dash and underscore.
func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}

// editsMax is how many edits still make two names near.
func editsMax(a, b string) int {
	shorter := min(utf8.RuneCountInString(a), utf8.RuneCountInString(b))
	if shorter == 0 {
		return 0
	}
	return max(1, min(shorter/3, 4))
}

// nameRunesMax bounds the table of Edits; a longer name is nobody's misspelling.
const nameRunesMax = 64

// Edits counts the edits between two names as Name does; two neighbours swapped are one edit.
func Edits(a, b string) int {
	x, y := []rune(fold(a)), []rune(fold(b))
	if len(x) > nameRunesMax || len(y) > nameRunesMax {
		return 1 << 20
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
