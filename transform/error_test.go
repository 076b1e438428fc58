// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wrongExpressions are shown in testdata/errors.txt with their messages and carets.
var wrongExpressions = []string{
	"dep_tme != nil", "zeroo > 1", "nope > 1 and dep_tme < 2", "origin = 1", "", "   ", "i >", "(i", "i + + ", `"abc`,
	"i == null", "True", "lenn(s)",
	"foo(s)", "len()", "len(s, t)", "len", "len(i)", "s + i", "i + s", "s - t", "s < 1", "1 < s", "yes < no", "ts < d",
	`d == "2013-01-31"`,
	`ts > "2013"`, "js == 1", "js.id()", "s.x", "dec + 1", "dec < f", "f % 2", "ts + 1", "not i", "i and yes",
	"yes ? 1 : s", "ni ?? s",
	"i in s", `i in ["a", 1]`, "s in [1]", "i in 1.5..2", "1..5", "s matches t", `s matches "["`, "i matches \"a\"",
	`date("2013-13-01")`,
	`timestamp("x")`, `duration("1 day")`, `hour(ts, "Mars/Base")`, `hour(ts, "Local")`, "hour(ts, s)", "hour(d)",
	"upper(i)", "round(s)",
	"split(i, s)", "map(i, # + 1)", "filter([1], 2)", "#", "any([1], #foo > 1)", "all([1])", "$env", "$env.nope",
	`$env["nope"]`,
	"i; i", "let i = 1; i", "a AND b", "s is nil", "ni ?? 1 + 2", "t == \"\u00fc\u00fc\" and \u00fcber > 1", "dest(1)",
	"i(1)", "i ~ 1", "i == 1 ==",
	"99999999999999999999", "s[i:s]", "i[0:1]", "min(s, 1)", "abs(s)", "-s",
}

// X5: the machine's own zone is among them.
func TestWrongExpressionsAreShownWithTheirPlace(t *testing.T) {
	t.Parallel()
	in, _ := fixture(t)
	var out strings.Builder
	for _, text := range wrongExpressions {
		_, err := Compile(in, text)
		if err == nil {
			t.Errorf("%s is not refused", text)
			continue
		}
		out.WriteString(text + "\n")
		for _, err := range allErrors(err) {
			e, ok := errors.AsType[*ExprError](err)
			if !ok {
				t.Fatalf("%s: %T", text, err)
			}
			indent := strings.Repeat(" ", len([]rune(text[:e.Offset])))
			carets := max(1, len([]rune(text[e.Offset:e.Offset+e.Length])))
			out.WriteString(indent + strings.Repeat("^", carets) + "\n  " + e.Error() + "\n")
		}
		out.WriteString("\n")
	}
	golden(t, "errors.txt", out.String())
}

func TestWrongStepsShowAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	in, _ := fixture(t)
	var out strings.Builder
	for _, tc := range []struct {
		name string
		step forebay.Transform
	}{
		{"filter of an int", Filter("i + 1")},
		{"set", Set(Assignment{"a", "nope + 1"}, Assignment{"b", "a + 1"}, Assignment{"", "1"},
			Assignment{"c", "upper(i) + sx"})},
		{"set of what no column holds", Set(Assignment{"a", "nil"}, Assignment{"b", "ts - ts"}, Assignment{"c", "js.id"},
			Assignment{"d", "[1]"})},
		{"set of nothing", Set()},
		{"drop", Drop("i", "zerro", "i", "unheard_of")},
		{"drop of nothing", Drop()},
		{"keep", Keep("jj", "tss")},
		{"rename", Rename(Renaming{"nope", "a"}, Renaming{"i", "j"}, Renaming{"f", ""}, Renaming{"s", "x"},
			Renaming{"t", "x"})},
		{"cast", Cast(
			CastColumn{"i", "int65", ""}, CastColumn{"nope", "int64", ""}, CastColumn{"ts", "timestamp", "Mars"},
			CastColumn{"f", "timestamp", ""},
			CastColumn{"js", "int64", ""}, CastColumn{"ts", "int64", ""}, CastColumn{"raw", "bool", ""},
		)},
		{"map", MapStep{Adds: []forebay.Column{{Name: "x"}}}},
	} {
		_, err := tc.step.Compile(in)
		if err == nil {
			t.Errorf("%s is not refused", tc.name)
			continue
		}
		out.WriteString(tc.name + "\n")
		for line := range strings.Lines(err.Error() + "\n") {
			out.WriteString("  " + line)
		}
	}
	golden(t, "steps.txt", out.String())
}

func TestDropOfEveryColumnIsRefused(t *testing.T) {
	t.Parallel()
	in, _ := rows(t, []forebay.Column{{Name: "a", Type: forebay.Int64}})
	if _, err := Drop("a").Compile(in); err == nil {
		t.Error("no error")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, diff)
	}
}
