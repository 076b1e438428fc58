// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSortedLinesAreHeldAgainstEachOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want, got string
		kinds     []FindingKind
	}{
		"the same in another order": {"b\na\nb\n", "b\nb\na\n", nil},
		"one of two is lost":        {"b\na\nb\n", "a\nb\n", []FindingKind{FindingLost}},
		"the last is lost":          {"a\nb\n", "a\n", []FindingKind{FindingLost}},
		"one came twice":            {"a\nb\n", "a\na\nb\n", []FindingKind{FindingRepeated}},
		"one was never there":       {"a\n", "a\nc\n", []FindingKind{FindingStrange}},
		"one was changed":           {"b\n", "a\n", []FindingKind{FindingLost, FindingStrange}},
		"nothing was expected":      {"", "", []FindingKind{FindingFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := func(text string) *sorted {
				t.Helper()
				s, err := sortedBy(t.Context(), exec.CommandContext(t.Context(), "printf", "%s", text))
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			findings, err := AuditSorted(lines(c.want), lines(c.got))
			if err != nil {
				t.Fatal(err)
			}
			var kinds []FindingKind
			for _, f := range findings {
				kinds = append(kinds, f.Kind)
			}
			if diff := cmp.Diff(c.kinds, kinds); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReaderThatFailsIsNoShortOutput(t *testing.T) {
	t.Parallel()
	if _, err := sortedBy(t.Context(), exec.CommandContext(t.Context(), "sh", "-c", "exit 3")); err == nil {
		t.Error("a reader that fails passes for an output without lines")
	}
}
