// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector/all"
	"github.com/forebay-io/forebay/pipeline"
)

// end is a source or a sink of the table of pairs: how a pipeline file says it.
type end struct{ name, yaml string }

// pairEnds are the rows and columns of the table. A connector that can be both stands in both.
func pairEnds() (sources, sinks []end) {
	sources = []end{
		{"file", "{ file: { path: in.csv, format: csv } }"},
		{"generate", "{ generate: { count: 10, fields: [{ name: id, sequence: {} }] } }"},
		{"table", "{ table: { name: events } }"},
		{"stdin", "{ stdin: { format: { ndjson: { schema: { id: int64 } } } } }"},
	}
	sinks = []end{
		{"file", "{ file: { path: out, format: csv } }"},
		{"table", "{ table: { name: copies } }"},
		{"stdout", "{ stdout: {} }"},
		{"drop", "{ drop: {} }"},
	}
	return sources, sinks
}

const (
	pairsBegin = "<!-- begin of the generated table: go test ./cmd/forebay -run TestGuaranteesOfEveryPair -update -->\n"
	pairsEnd   = "<!-- end of the generated table -->\n"
)

// TestGuaranteesOfEveryPairStandInTheDocuments holds the table of docs/guarantees.md against what check says of every
// source and every sink that the binary has.
func TestGuaranteesOfEveryPairStandInTheDocuments(t *testing.T) {
	document, err := filepath.Abs(filepath.Join("..", "..", "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), pairsBegin)
	old, after, ends := strings.Cut(rest, pairsEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines %q and %q", document, pairsBegin, pairsEnd)
	}
	sources, sinks := pairEnds()
	for _, spec := range all.Registry() {
		named := func(e end) bool { return strings.HasPrefix(e.yaml, "{ "+spec.Name+":") }
		if spec.Source != nil && !slices.ContainsFunc(sources, named) ||
			spec.Sink != nil && !slices.ContainsFunc(sinks, named) {
			t.Errorf("connector %q is not in pairEnds", spec.Name)
		}
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in.csv", []byte("id\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	table := "\n| source | sink | strongest | because |\n| --- | --- | --- | --- |\n"
	for _, sink := range sinks {
		for _, source := range sources {
			guarantee, why := planPair(t, source, sink)
			table += fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", source.name, sink.name, guarantee, why)
		}
	}
	table += "\n"
	if *update {
		if err := os.WriteFile(document, []byte(before+pairsBegin+table+pairsEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, table); diff != "" {
		t.Errorf("run the test with -update where this is right (-document +check):\n%s", diff)
	}
}

// planPair is the plan of a pair, as check prints it: the strongest guarantee, and the sentences of the ends that
// decide it.
func planPair(t *testing.T, source, sink end) (strongest pipeline.Guarantee, why string) {
	t.Helper()
	text := fmt.Sprintf("name: pair\nstate: ./state\nsource: %s\nsink: %s\n", source.yaml, sink.yaml)
	p, problems := config.Loader{Registry: all.Registry()}.Load("pair.yaml", []byte(text))
	plan, planned := p.Plan(t.Context(), config.PlanOptions{})
	if problems = append(problems, planned...); len(problems) > 0 {
		t.Fatalf("%s to %s: %v", source.name, sink.name, problems)
	}
	printed := checkPair(t, text)
	var sentences []string
	for _, link := range plan.Links {
		if printed != "" && !strings.Contains(printed, link.Says) {
			t.Errorf("%s to %s: check does not say: %s", source.name, sink.name, link.Says)
		}
		if link.Gives == plan.Strongest && (link.Part == "source" || link.Part == "sink") {
			sentences = append(sentences, link.Says)
		}
	}
	return plan.Strongest, strings.Join(sentences, "; ")
}

// checkPair is what check prints of the pair.
func checkPair(t *testing.T, text string) string {
	t.Helper()
	if err := os.WriteFile("pair.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c console
	got := c.run(t, "check", "pair.yaml")
	if got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	return got.out
}
