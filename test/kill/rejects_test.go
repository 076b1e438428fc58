// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// excerpt writes the rows of the year that keep selects into a csv file of their own; change may alter a line.
// It returns the file's path and the lines that were altered.
func excerpt(t *testing.T, keep func(i int, line string) bool, change func(i int, line string) string) (
	path string, altered []string,
) {
	t.Helper()
	in, err := os.Open(year(t, yearCSV))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	path = filepath.Join(t.TempDir(), "excerpt.csv")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(out)
	lines := bufio.NewScanner(in)
	kept := 0
	for i := -1; lines.Scan(); i++ {
		line := lines.Text()
		if i >= 0 && !keep(i, line) {
			continue
		}
		if i >= 0 && change != nil {
			if changed := change(kept, line); changed != line {
				line = changed
				altered = append(altered, line)
			}
			kept++
		}
		w.WriteString(line + "\n")
	}
	if lines.Err() != nil || w.Flush() != nil || out.Close() != nil {
		t.Fatal("the excerpt could not be written")
	}
	return path, altered
}

func first(n int) func(int, string) bool { return func(i int, _ string) bool { return i < n } }

// spoiled is an excerpt of which one row in a hundred cannot be read, behind those that the schema is learned
// from, and the ledger of the others.
func spoiled(t *testing.T, rows int) (path string, bad []string, good *Ledger) {
	t.Helper()
	path, bad = excerpt(t, first(rows), func(i int, line string) string {
		if i < 10_000 || i%100 != 7 {
			return line
		}
		fields := strings.Split(line, ",")
		fields[8] = "late" // arr_delay
		return strings.Join(fields, ",")
	})
	good, err := ReadCSV(path, func(row []string) bool { return row[8] == "late" })
	if err != nil {
		t.Fatal(err)
	}
	return path, bad, good
}

func csvInto(path string, sink Object) Object {
	return Object{
		"name": "flights", "source": Object{"file": Object{"path": path, "format": "csv"}}, "sink": sink,
	}
}

func TestRejectedRowsAreDeadLettersOnceEach(t *testing.T) {
	t.Parallel()
	kills := Kills(t)
	path, bad, good := spoiled(t, 60_000+1_000*kills)
	c := New(t, Config{
		Binary: binary(), Pipeline: csvInto(path, Object{"table": Object{"name": "flights"}}), Table: "flights",
		Kills: kills + 25, Lossy: true,
	})
	c.Random(kills)
	for _, point := range []string{fault.DLQWritten, fault.CommitBuilt, fault.CommitApplied, fault.CommitSynced} {
		c.Named(point, 1)
		c.Named(point, 3)
		c.Named(point, 4+c.random.IntN(4))
	}
	c.Finish()
	auditTable(t, c, good, Whole)
	c.AuditRejected(bad)
	c.Verdict()
	t.Logf("%d rows, %d dead letters", len(good.Rows), len(bad))
}

// refusing is a pipeline into a sink that refuses some records on the first attempt only.
func refusing(t *testing.T) (Object, *Refusals) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "refused")
	return Object{
		"name":       "refused",
		"source":     Object{"file": Object{"path": year(t, yearNDJSON), "format": "raw", "range": "4MiB"}},
		"sink":       Object{"drop": Object{"refuse_every": 211, "refuse_file": file}},
		"checkpoint": Object{"interval": "50ms"},
	}, NewRefusals(file)
}

func TestDeadLettersAreThoseThatThePositionsJustify(t *testing.T) {
	kills := Kills(t)
	for name, lossy := range map[string]bool{"plain file system": false, "lossy file system": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, refusals := refusing(t)
			c := New(t, Config{
				Binary: binary(), Pipeline: file, Lanes: []int{1, 2, 3}, Kills: kills + 20, Lossy: lossy,
				AfterKill: refusals.Take,
			})
			// The run that measured the pace refused on the first attempt, too.
			if err := os.Remove(refusals.file); err != nil {
				t.Fatal(err)
			}
			c.Random(kills)
			for _, point := range []string{fault.DLQWritten, fault.CheckpointBuilt, fault.CheckpointWritten} {
				c.Named(point, 1)
				c.Named(point, 3)
				c.Named(point, 4+c.random.IntN(4))
			}
			c.Finish()
			refusals.Take(c)
			refusals.Audit(c)
			c.Verdict()
		})
	}
}
