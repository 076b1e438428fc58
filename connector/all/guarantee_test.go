// SPDX-License-Identifier: Apache-2.0

package all_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/connector/all"
	"github.com/forebay-io/forebay/connector/drop"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/connector/stdin"
	"github.com/forebay-io/forebay/connector/stdout"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
)

var pairRow = regexp.MustCompile(`(?m)^\| (.+) \| (.+) \| ([a-z-]+) \| .+ \|$`)

// TestGuaranteesOfEveryPairStandInTheDocuments holds the table of docs/guarantees.md against what the planner
// says of every source and sink of the repository.
func TestGuaranteesOfEveryPairStandInTheDocuments(t *testing.T) {
	t.Parallel()
	sources := map[string]forebay.Source{
		"file":     file.Source{Path: "x", Format: csv.Format{}},
		"generate": generate.Source{Count: 1},
		"stdin":    stdin.Source{},
		"table":    table.Source{Name: "t"},
	}
	sinks := map[string]forebay.Sink{
		"table": table.Sink{Name: "t"}, "stdout": stdout.Sink{}, "drop": drop.Sink{},
	}
	for _, spec := range all.Registry() {
		if spec.Source != nil && sources[spec.Name] == nil || spec.Sink != nil && sinks[spec.Name] == nil {
			t.Errorf("connector %q is not in this test", spec.Name)
		}
	}
	documented := documentedPairs(t)
	for sourceName, source := range sources {
		for sinkName, sink := range sinks {
			p, err := pipeline.New(pipeline.Config{Name: "p", Source: source, Sink: sink})
			if err != nil {
				t.Fatal(err)
			}
			pair := sourceName + " " + sinkName
			if got := string(p.Plan().Strongest); documented[pair] != got {
				t.Errorf("%s: the planner says %s, the document %q", pair, got, documented[pair])
			}
		}
	}
}

// documentedPairs reads the table: "source sink" to the guarantee.
func documentedPairs(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Which pair gives what")
	section, _, _ = strings.Cut(section, "\n## ")
	pairs := map[string]string{}
	for _, row := range pairRow.FindAllStringSubmatch(section, -1) {
		sinks := names(row[2])
		if slices.Equal(sinks, []string{"any"}) {
			sinks = []string{"table", "stdout", "drop"}
		}
		for _, source := range names(row[1]) {
			for _, sink := range sinks {
				pairs[source+" "+sink] = row[3]
			}
		}
	}
	return pairs
}

func names(cell string) []string {
	var found []string
	for name := range strings.SplitSeq(cell, ",") {
		found = append(found, strings.Trim(name, " `"))
	}
	return found
}
