// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// flightColumns tell the flights of the example apart.
var flightColumns = []string{"time_hour", "carrier", "flight", "origin", "dest", "sched_dep_time"}

// flights reads the example's flights: its lines with a header, and the number of each flight.
func flights(t *testing.T) (lines [][]string, seen map[string]int) {
	t.Helper()
	f, err := os.Open("examples/quickstart/flights-2013-01.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if lines, err = csv.NewReader(unpacked).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return lines, countFlights(lines)
}

// countFlights counts lines by flightColumns, whose places the first line says.
func countFlights(lines [][]string) map[string]int {
	at := map[string]int{}
	for i, name := range lines[0] {
		at[name] = i
	}
	seen := map[string]int{}
	for _, line := range lines[1:] {
		var key []string
		for _, name := range flightColumns {
			key = append(key, line[at[name]])
		}
		seen[strings.Join(key, ",")]++
	}
	return seen
}

// splitFlights writes the flights to some files, so that as many lanes have something to do.
func splitFlights(t *testing.T, lines [][]string, files int) (pattern string) {
	t.Helper()
	dir := t.TempDir()
	for n := range files {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("part-%d.csv", n)))
		if err != nil {
			t.Fatal(err)
		}
		w := csv.NewWriter(f)
		part := [][]string{lines[0]}
		for i := 1 + n; i < len(lines); i += files {
			part = append(part, lines[i])
		}
		if err := w.WriteAll(part); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "*.csv")
}

const partitioned = `name: parted
source:
  file: { path: %q, format: csv }
sink:
  table:
    name: flights
    tablets: 2
    partition_by: { column: %s, template: %s, limit: 100 }
%s
lanes: 4
checkpoint: { bytes: 256KB, interval: 10ms }
`

// In UTC the last flights of January leave in February: 32 days; by the column of the airport's own day there are 31.
func TestAPipelineFillsATableByDays(t *testing.T) {
	atRoot(t)
	lines, want := flights(t)
	pattern := splitFlights(t, lines, 4)
	for _, test := range []struct {
		name, column, template string
		partitions             int
		network                bool
	}{
		{"local", "time_hour", "day", 32, false},
		{"network", "time_hour", "day", 32, true},
		{"local by value", "day", "value", 31, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c console
			state, address := filepath.Join(shortDir(t), "state"), ""
			at := []string{"--state", state}
			if test.network {
				s := serve(t, "--state", shortDir(t))
				s.serves(t, "serving ")
				at, address = []string{"--address", s.address}, "    address: "+s.address
			}
			file := writeFile(t, "parted.yaml", fmt.Sprintf(partitioned, pattern, test.column, test.template, address))
			summary := summaryOf(t, mustRun(t, c, "run", file, "--state", state, "--summary", "json"))
			for key, value := range map[string]any{
				"status": "done", "read": 27004.0, "delivered": 27004.0, "rejected": 0.0, "lanes": 4.0,
				"guarantee": "exactly-once",
			} {
				if summary[key] != value {
					t.Errorf("%s is %v, want %v", key, summary[key], value)
				}
			}
			table := func(args ...string) string {
				return mustRun(t, c, append(append([]string{"table"}, args...), at...)...)
			}
			about := table("describe", "flights")
			for _, words := range []string{
				fmt.Sprintf("%s, by %s\n", test.column, test.template),
				fmt.Sprintf("%d of at most 100, with 2 tablets each\n", test.partitions), "27,004\n",
			} {
				if !strings.Contains(about, words) {
					t.Errorf("describe does not say %q:\n%s", words, about)
				}
			}
			out := table("scan", "flights", "--format", "csv", "--select", strings.Join(flightColumns, ","))
			rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(countFlights(rows), want) {
				t.Errorf("%d rows are not the flights of the file, each once", len(rows)-1)
			}
			if out := table("scan", "flights", "--count", "--where", "day == 7"); out != "933\n" {
				t.Errorf("the flights of one day: %s", out)
			}
			again := summaryOf(t, mustRun(t, c, "run", file, "--state", state, "--summary", "json"))
			if again["read"] != 0.0 || again["delivered"] != 0.0 {
				t.Errorf("a second run reads %v and delivers %v", again["read"], again["delivered"])
			}
			other := strings.ReplaceAll(fmt.Sprintf(partitioned, pattern, test.column, test.template, address),
				"column: "+test.column, "column: flight")
			got := c.run(t, "run", writeFile(t, "other.yaml", strings.ReplaceAll(other, test.template, "value")),
				"--state", state)
			if got.code != exitWrong || !strings.Contains(got.err, "partition_by") {
				t.Errorf("a run with other partitions: %+v", got)
			}
		})
	}
}

func TestTablesWithPartitionsAreMadeByHand(t *testing.T) {
	state := filepath.Join(shortDir(t), "state")
	var c console
	mustRun(t, c, "table", "create", "clicks", "--column", "id:int64", "--column", "at:timestamp", "--partition-by",
		"at:hour", "--state", state)
	about := mustRun(t, c, "table", "describe", "clicks", "--state", state)
	for _, words := range []string{"at, by hour\n", "0 of at most 1000, with 4 tablets each\n"} {
		if !strings.Contains(about, words) {
			t.Errorf("describe does not say %q:\n%s", words, about)
		}
	}
	if out := mustRun(t, c, "table", "scan", "clicks", "--format", "csv", "--state", state); out != "id,at\n" {
		t.Errorf("an empty table: %q", out)
	}
	for by, want := range map[string]string{
		"at":         "has no template",
		"ta:hour":    `did you mean "at"?`,
		"id:hour":    "wants a timestamp",
		"at:quarter": "day, hour or value",
	} {
		got := c.run(t, "table", "create", "other", "--column", "id:int64", "--column", "at:timestamp", "--partition-by", by,
			"--state", state)
		if got.code != exitWrong || !strings.Contains(got.err, want) {
			t.Errorf("%s: %+v", by, got)
		}
	}
}

// Everything that a table can be made with has a flag.
func TestTablesAreMadeWithAllThatASpecHas(t *testing.T) {
	state := filepath.Join(shortDir(t), "state")
	var c console
	create := func(args ...string) []string {
		return append(append([]string{"table", "create"}, args...), "--column", "id:int64", "--column", "at:timestamp",
			"--column", "to:string", "--state", state)
	}
	mustRun(t, c, create("parted", "--partition-by", "at:day", "--partition-limit", "31", "--tablets", "2")...)
	mustRun(t, c, create("spread", "--distribute-by", "to, id", "--retention", "2d")...)
	for table, want := range map[string][]string{
		"parted": {"0 of at most 31, with 2 tablets each\n"},
		"spread": {"distribute_by  to, id\n", "retention      48h0m0s\n"},
	} {
		about := mustRun(t, c, "table", "describe", table, "--state", state)
		for _, words := range want {
			if !strings.Contains(about, words) {
				t.Errorf("%s is not described by %q:\n%s", table, words, about)
			}
		}
	}
	for flags, want := range map[string]string{
		"--partition-limit 7":                           "--partition-by COLUMN:TEMPLATE",
		"--partition-by at:day --partition-limit=-1":    "write 1 to 16384",
		"--partition-by at:day --partition-limit 16385": "with 4 tablets each",
		"--distribute-by too":                           `did you mean "to"?`,
		"--distribute-by to --key id":                   "spread by the key",
		"--retention soon":                              "such as 7d",
		"--retention 0s":                                "no time to keep changes",
	} {
		got := c.run(t, create(append([]string{"other"}, strings.Fields(flags)...)...)...)
		if got.code != exitWrong || !strings.Contains(got.err, want) {
			t.Errorf("%s: %+v", flags, got)
		}
	}
}
