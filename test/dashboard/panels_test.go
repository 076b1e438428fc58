// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"
)

var aggregated = regexp.MustCompile(`by \(([a-z, ]+)\)`)

// There may be more than one server, and several processes with writers of one table: a legend names every label by
// which series are told apart.
func TestLegendsTellSeriesApart(t *testing.T) {
	t.Parallel()
	d, err := readPanels("../../docs/grafana/forebay.json")
	if err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, p := range d.Panels {
		seen := map[string]bool{}
		for _, q := range p.Targets {
			queries++
			if seen[q.LegendFormat] {
				t.Errorf("%s: two queries have the legend %q", p.Title, q.LegendFormat)
			}
			seen[q.LegendFormat] = true
			named := map[string]bool{"le": true}
			for _, m := range inLegend.FindAllStringSubmatch(q.LegendFormat, -1) {
				named[m[1]] = true
			}
			for _, label := range told(q.Expr) {
				if !named[label] {
					t.Errorf("%s: the legend %q of %s does not name %s", p.Title, q.LegendFormat, q.Expr, label)
				}
			}
		}
	}
	if queries < 50 {
		t.Errorf("only %d queries were read", queries)
	}
}

// told are the labels that series of a query differ by.
func told(expr string) []string {
	if m := aggregated.FindStringSubmatch(expr); m != nil {
		return strings.Split(m[1], ", ")
	}
	if strings.HasPrefix(expr, "sum(") {
		return nil
	}
	return []string{"instance"}
}

func TestLegendsAreFilledInAndVariablesAreRead(t *testing.T) {
	t.Parallel()
	if got := (query{LegendFormat: "{{table}} {{ code }} of {{none}}"}).name(map[string]string{
		"table": "clicks", "code": "ok",
	}); got != "clicks ok of " {
		t.Errorf("the legend is %q", got)
	}
	if m := labelled.FindStringSubmatch("label_values(forebay_writer_rows_total, table)"); len(m) != 3 || m[2] != "table" {
		t.Errorf("the variable is read as %q", m)
	}
}
