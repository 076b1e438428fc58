// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/avro"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/parquet"
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

// conformanceParquet has row groups of 1300 rows, and every 50th row has a text that is longer than a record may be.
func conformanceParquet(t *testing.T, rows int) (data []byte, rejects int) {
	t.Helper()
	schema := forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "name", Type: forebay.String}, forebay.Column{Name: "score", Type: forebay.Float64})
	e, err := parquet.Format{RowGroupRows: 1300}.Encoding(forebay.NewLayout(schema))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := e.NewBulk(&out)
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(schema)
	b, at := row.Batch()
	for n := range rows {
		row.Clear()
		size := n * 37 % 700
		if n%50 == 49 {
			rejects, size = rejects+1, 2000
		}
		if err := errors.Join(row.SetInt("id", int64(n)), row.SetText("name", strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			row.SetCell(2, forebay.Float64Cell(float64(n)/8))
		}
		if err := w.Append(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), rejects
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
	groups, groupRejects := conformanceParquet(t, 5000)
	grouped := file.Source{Path: put("rows.parquet", groups), Format: parquet.Format{}, MaxRecord: 1000}
	whole := grouped
	whole.Path = put("whole.parquet", groups)
	good, values := 5000-rejects, bytes.Split(lines, []byte("\n"))
	csvOf := func(path string) file.Source { return file.Source{Path: path, Format: csv.Format{}} }
	for name, c := range map[string]struct {
		source           file.Source
		records, rejects int
		values           [][]byte
		needsRows        bool
		ordered          bool
	}{
		"csv":     {source: csvOf(put("rows.csv", rows)), records: good, rejects: rejects, needsRows: true},
		"csv.gz":  {source: csvOf(put("rows.csv.gz", packed.Bytes())), records: good, rejects: rejects, needsRows: true},
		"pattern": {source: csvOf(filepath.Join(dir, "r*s.csv")), records: good, rejects: rejects, needsRows: true},
		"lines":   {source: file.Source{Path: put("lines.txt", lines), Format: raw.Format{}}, records: 4000, values: values},
		"ranges": {
			source:  file.Source{Path: put("ranges.txt", lines), Format: raw.Format{}, Range: 64 * forebay.KiB},
			records: 4000, values: values,
		},
		"parquet": {source: grouped, records: 5000 - groupRejects, rejects: groupRejects, needsRows: true},
		"parquet in order": {
			source: whole, records: 5000 - groupRejects, rejects: groupRejects, needsRows: true, ordered: true,
		},
		"avro": {
			source:  file.Source{Path: "../../codec/avro/testdata/snappy.avro", Format: avro.Format{}},
			records: 40, needsRows: true,
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
				Context: forebay.SourceContext{NeedsRows: c.needsRows, SplitOrderMatters: c.ordered, Lanes: 2},
				Claims:  connectortest.SourceClaims{Bounded: true, Replayable: true, Typed: true},
				Records: c.records, Rejects: c.rejects, Values: c.values,
			})
		})
	}
}
