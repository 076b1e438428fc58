// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines are the records of the csv files under a folder, by the folder that they lie in.
func linesByFolder(t *testing.T, dir string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(path, "_forebay") {
			return err
		}
		text, err := os.ReadFile(path)
		folder, _ := filepath.Rel(dir, filepath.Dir(path))
		found[folder] = append(found[folder], strings.Split(strings.TrimSpace(string(text)), "\n")[1:]...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Records lie in the folder of their hour, and those behind the watermark in the one for late ones.
func TestFilesAreDividedByEventTimeAndLateRecordsApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var in strings.Builder
	in.WriteString("t,k\n")
	begin := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	const count, late = 5000, 4
	for n := range count {
		at := begin.Add(time.Duration(n) * 3 * time.Second)
		if n%1000 == 999 && n > 1000 { // the first batch knows no watermark
			at = at.Add(-2 * time.Hour)
		}
		fmt.Fprintf(&in, "%s,%d\n", at.Format(time.RFC3339), n)
	}
	file := filepath.Join(dir, "late.yaml")
	text := fmt.Sprintf(`name: late
source: { file: { path: %[1]s/in.csv, format: csv } }
event_time: { field: t, out_of_order: 10s }
sink: { file: { path: %[1]s/out, format: csv, bucket: "h={@event:%%H}", late: "late" } }
`, dir)
	for path, content := range map[string]string{filepath.Join(dir, "in.csv"): in.String(), file: text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var c console
	got := c.run(t, "run", file, "--state", filepath.Join(dir, "state"))
	if got.code != exitDone || !strings.Contains(got.out, fmt.Sprintf("delivered %d  late %d", count, late)) {
		t.Fatalf("%+v", got)
	}
	rows := 0
	for folder, lines := range linesByFolder(t, filepath.Join(dir, "out")) {
		rows += len(lines)
		for _, line := range lines {
			if hour := "h=" + line[11:13]; folder != hour && folder != "late" {
				t.Errorf("%s lies in %s", line, folder)
			}
		}
		if folder == "late" && len(lines) != late {
			t.Errorf("late: %q", lines)
		}
	}
	if rows != count {
		t.Errorf("%d records, want %d", rows, count)
	}
	// What is published belongs to this state directory.
	got = c.run(t, "run", file, "--state", filepath.Join(dir, "other"))
	if got.code != exitWrong || !strings.Contains(got.err, "--take-over") {
		t.Errorf("%+v", got)
	}
}

// What keeps a sink from starting is shown at the sink, also where it could not be read.
func TestAnErrorOfASinkIsShownAtTheSink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	text := "name: p\nsource: { generate: { count: 1 } }\nsink:\n  file: { path: " + file + ", format: raw }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c console
	got := c.run(t, "run", file, "--state", filepath.Join(dir, "state"))
	if got.code != exitWrong || !strings.Contains(got.err, "p.yaml:4:9  sink.file") {
		t.Errorf("%+v", got)
	}
}
