// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/file"
)

// conformanceCSV has rows of many lengths, quoted line breaks, and every 50th row has a field too many.
func conformanceCSV(rows int) (text []byte, rejects int) {
	var out bytes.Buffer
	out.WriteString("id,name,score\n")
	for n := range rows {
		switch {
		case n%50 == 49:
			fmt.Fprintf(&out, "%d,bad,1.5,too many\n", n)
			rejects++
		case n%7 == 3:
			fmt.Fprintf(&out, "%d,\"a \"\"name\"\"\nof two lines %s\",2.5\n", n, strings.Repeat("y", n%300))
		case n%11 == 5:
			fmt.Fprintf(&out, "%d,,\r\n", n)
		default:
			fmt.Fprintf(&out, "%d,name %s,%d.25\n", n, strings.Repeat("x", n%500), n)
		}
	}
	return out.Bytes(), rejects
}

func conformanceLines(lines int) []byte {
	var out bytes.Buffer
	for n := range lines {
		fmt.Fprintf(&out, "line %d %s\n", n, strings.Repeat("z", n*37%900))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")) // the last line has no end
}

func TestConformance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rows, rejects := conformanceCSV(5000)
	var packed bytes.Buffer
	zipper := gzip.NewWriter(&packed)
	if _, err := zipper.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := zipper.Close(); err != nil {
		t.Fatal(err)
	}
	lines := conformanceLines(4000)
	good, values := 5000-rejects, bytes.Split(lines, []byte("\n"))
	csvOf := func(path string) file.Source { return file.Source{Path: path, Format: csv.Format{}} }
	for name, c := range map[string]struct {
		source           file.Source
		records, rejects int
		values           [][]byte
		needsRows        bool
	}{
		"csv":     {source: csvOf(put("rows.csv", rows)), records: good, rejects: rejects, needsRows: true},
		"csv.gz":  {source: csvOf(put("rows.csv.gz", packed.Bytes())), records: good, rejects: rejects, needsRows: true},
		"pattern": {source: csvOf(filepath.Join(dir, "r*s.csv")), records: good, rejects: rejects, needsRows: true},
		"lines":   {source: file.Source{Path: put("lines.txt", lines), Format: raw.Format{}}, records: 4000, values: values},
		"ranges": {
			source:  file.Source{Path: put("ranges.txt", lines), Format: raw.Format{}, Range: 64 * forebay.KiB},
			records: 4000, values: values,
		},
		"rejects": {source: file.Source{Path: put("long.txt", lines), Format: raw.Format{}, MaxRecord: 850}},
	} {
		if name == "rejects" {
			for line := range bytes.SplitSeq(lines, []byte("\n")) {
				if len(line) > 850 {
					c.rejects++
				} else {
					c.records++
				}
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source:  func(connectortest.T) forebay.Source { return c.source },
				Context: forebay.SourceContext{NeedsRows: c.needsRows, Lanes: 2},
				Claims:  connectortest.SourceClaims{Bounded: true, Replayable: true, Typed: true},
				Records: c.records, Rejects: c.rejects, Values: c.values,
			})
		})
	}
}
