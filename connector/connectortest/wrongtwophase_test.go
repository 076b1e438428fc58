// SPDX-License-Identifier: Apache-2.0

package connectortest_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/connector/connectortest"
)

var ruleNamed = regexp.MustCompile(`^rule (T[0-9]+) \(`)

// brokenRules runs the checks up to the first that fails, and returns the rules that its reports name, each once. A
// report without a rule is returned as it is.
func brokenRules(t *testing.T, checks []connectortest.Check) []string {
	t.Helper()
	var rules []string
	for _, c := range checks {
		for _, failure := range failuresOf(t, c) {
			rule := failure
			if m := ruleNamed.FindStringSubmatch(failure); m != nil {
				rule = m[1]
			} else if strings.HasPrefix(failure, "nothing") {
				continue
			}
			if !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
		if len(rules) > 0 {
			break
		}
	}
	return rules
}

// planted is a mistake of a two-phase sink, and the rule that it breaks.
type planted struct {
	bug    string
	claims connectortest.SinkClaims
	rule   string
}

func plantedMistakes() []planted {
	return []planted{
		{"publishes at prepare", pieces, "T1"},
		{"shows what is written", pieces, "T1"},
		{"commits nothing", pieces, "T2"},
		{"refuses a repeat", pieces, "T3"},
		{"publishes a repeat", pieces, "T3"},
		{"leaves one without an answer", pieces, "T4"},
		{"answers in another order", pieces, "T4"},
		{"calls what is gone committed", pieces, "T4"},
		{"prepares in memory only", pieces, "T5"},
		{"names without the epoch", pieces, "T6"},
		{"names without the holder", noting, "T6"},
		{"names without the lane", pieces, "T6"},
		{"numbers anew in each lane", pieces, "T6"},
		{"does not begin anew", pieces, "T7"},
		{"begins before the first record", pieces, "T8"},
		{"resumes without cutting off", holding, "T9"},
		{"resumes from the beginning", holding, "T9"},
		{"fences what is held", holding, "T9"},
		{"holds at the last checkpoint", holding, "T10"},
		{"aborts nothing", pieces, "T11"},
		{"fails on what is gone", pieces, "T11"},
		{"aborts the whole pipeline", pieces, "T12"},
		{"aborts by prefix", pieces, "T12"},
		{"lists what is prepared only", pieces, "T13"},
		{"lists the last owner only", pieces, "T13"},
		{"lists what was committed", pieces, "T14"},
		{"lists other pipelines", pieces, "T14"},
		{"lists newer owners", pieces, "T14"},
		{"draws the line in wait", pieces, "T15"},
		{"Close removes what was prepared", pieces, "T16"},
		{"fences nothing", pieces, "T17"},
		{"fences for a smaller epoch", pieces, "T18"},
		{"fences for another holder", pieces, "T18"},
		{"forgets the fence", pieces, "T18"},
		{"forgets what it published", pieces, "T18"},
		{"asks for ever", pieces, "T19"},
		{"loses what it changed", pieces, "T19"},
		{"does not note", noting, "T20"},
		{"goes on without the note", noting, "T20"},
	}
}

// TestWrongTwoPhaseSinkIsCaughtByItsRule plants one mistake at a time. The check that fails first names its rule alone.
func TestWrongTwoPhaseSinkIsCaughtByItsRule(t *testing.T) {
	t.Parallel()
	for _, c := range plantedMistakes() {
		t.Run(c.bug, func(t *testing.T) {
			t.Parallel()
			c.claims.Streams = false
			got := brokenRules(t, connectortest.SinkChecks(diskHarness(c.bug, c.claims)))
			if !slices.Equal(got, []string{c.rule}) {
				t.Errorf("the check that fails first names %q, want %s alone", got, c.rule)
			}
		})
	}
}

// T21 has no mistake that is the same in every run: the race detector looks at its check.
func TestEveryRuleHasAPlantedMistake(t *testing.T) {
	t.Parallel()
	for _, r := range connectortest.Rules() {
		if r.ID != "T21" && !slices.ContainsFunc(plantedMistakes(), func(p planted) bool { return p.rule == r.ID }) {
			t.Errorf("no mistake is planted against rule %s: %s", r.ID, r.Says)
		}
	}
}

func TestEveryRuleStandsInTheDocuments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/connectors/writing-one.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range connectortest.Rules() {
		if !strings.Contains(string(text), "\n| "+r.ID+" | "+r.Says+" | ") {
			t.Errorf("docs/connectors/writing-one.md has no row for rule %s: %s", r.ID, r.Says)
		}
	}
}
