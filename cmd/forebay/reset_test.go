// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/pipeline"
)

// intoFiles is a pipeline from rows.csv to files, which ran once.
func intoFiles(t *testing.T, format string) (file, state, out string) {
	t.Helper()
	dir := t.TempDir()
	state, out = filepath.Join(dir, "state"), filepath.Join(dir, "out")
	input := writeFile(t, "rows.csv", "id,text\n1,a\n2,b\n")
	file = writeFile(t, "copy.yaml", fmt.Sprintf("name: copy\nsource: { file: { path: %s, format: csv } }\n"+
		"sink: { file: { path: %s, format: %s } }\nstate: %s\n", input, out, format, state))
	var c console
	mustRun(t, c, "run", file)
	return file, state, out
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestAResetByTheFileHasTheTargetForget(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"ndjson", "parquet"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			file, _, out := intoFiles(t, format)
			var c console
			home := filepath.Join(out, "_forebay")
			left := filepath.Join(home, "copy", "e1", "left")
			if err := os.WriteFile(left, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			got := c.run(t, "checkpoint", "reset", file)
			if got.code != exitWrong || !strings.Contains(got.err, "here and in the target") || !exists(left) {
				t.Errorf("without --yes: %+v", got)
			}
			mustRun(t, c, "checkpoint", "reset", file, "--yes")
			if exists(home) {
				t.Errorf("the target still holds %v", tree(t, home))
			}
			if parts, err := filepath.Glob(out + "/*." + format); err != nil || len(parts) != 1 {
				t.Errorf("published: %v, %v", parts, err)
			}
			if out := mustRun(t, c, "run", file); !strings.Contains(out, "read 2 ") {
				t.Errorf("the next run: %q", out)
			}
		})
	}
}

func TestAResetByTheNameSaysWhatStaysInTheTarget(t *testing.T) {
	t.Parallel()
	file, state, out := intoFiles(t, "ndjson")
	var c console
	const want = "give the pipeline's file instead of its name"
	got := c.run(t, "checkpoint", "reset", "copy", "--state", state)
	if got.code != exitWrong || !strings.Contains(got.err, want) || strings.Contains(got.err, "in the target, so") {
		t.Errorf("without --yes: %+v", got)
	}
	if out := mustRun(t, c, "checkpoint", "reset", "copy", "--yes", "--state", state); !strings.Contains(out, want) {
		t.Errorf("reset: %q", out)
	}
	if !exists(filepath.Join(out, "_forebay", "copy")) {
		t.Error("it is gone")
	}
	if out := mustRun(t, c, "run", file); !strings.Contains(out, "read 2 ") {
		t.Errorf("the next run: %q", out)
	}
}

func TestAResetLeavesATargetOfAnotherStateDirectoryAlone(t *testing.T) {
	t.Parallel()
	file, _, out := intoFiles(t, "ndjson")
	other := t.TempDir()
	var c console
	mustRun(t, c, "run", file, "--state", other, "--set", "sink.file.path="+t.TempDir())
	got := c.run(t, "checkpoint", "reset", file, "--yes", "--state", other)
	if got.code != exitWrong || !strings.Contains(got.err, "of another state directory") ||
		!exists(filepath.Join(out, "_forebay", "copy", "owner-1")) {
		t.Errorf("%+v", got)
	}
	if out := mustRun(t, c, "checkpoint", "ls", "--state", other); !strings.Contains(out, "copy") {
		t.Errorf("a refused reset forgot: %q", out)
	}
}

func TestAWrongFileResetsNothing(t *testing.T) {
	t.Parallel()
	file, _, out := intoFiles(t, "ndjson")
	var c console
	for _, args := range [][]string{{file, "--set", "lanes=many"}, {file + "x"}} {
		if got := c.run(t, append([]string{"checkpoint", "reset", "--yes"}, args...)...); got.code != exitWrong ||
			!exists(filepath.Join(out, "_forebay", "copy")) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestShowTellsWhatIsUnpublishedAndTheEventTime(t *testing.T) {
	t.Parallel()
	_, dir, _ := intoFiles(t, "ndjson")
	state, err := pipeline.OpenState(t.Context(), pipeline.StateConfig{Dir: dir, Memory: lookMemory, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	books := state.Checkpoints()
	owner, err := books.LoadOwnership("copy")
	if err != nil {
		t.Fatal(err)
	}
	some := func(prefix string, n int) (all []forebay.Committable) {
		for i := range n {
			all = append(all, forebay.Committable{ID: fmt.Sprintf("%s-%d", prefix, i), Data: []byte("{}")})
		}
		return all
	}
	if err := books.Opened("copy", owner.Epoch, some("begun", 1)[0]); err != nil {
		t.Fatal(err)
	}
	_, err = books.SaveCheckpoint("copy", checkpoint.Checkpoint{
		Epoch: owner.Epoch, Lane: 2, Number: 9,
		Entries: []checkpoint.Entry{
			{Split: "s", Epoch: owner.Epoch, Number: 9, Position: forebay.Position{Offset: 7}, Times: &checkpoint.EventTime{
				High: 1_359_676_800_250_000, Watermark: 1_359_676_795_250_000, Floor: forebay.NoTime, Idle: true,
			}},
			{Split: "t", Epoch: owner.Epoch, Number: 9, Times: &checkpoint.EventTime{
				High: forebay.NoTime, Watermark: forebay.NoTime, Floor: forebay.NoTime,
			}},
		},
		Prepared: forebay.Prepared{Commit: some("full", 1), Held: some("part", 8)},
	})
	if err := errors.Join(err, state.Close()); err != nil {
		t.Fatal(err)
	}
	var c console
	got := mustRun(t, c, "checkpoint", "show", "copy", "--state", dir)
	for _, want := range []string{
		" 8: part-0, part-1, part-2, part-3, part-4 and 3 more\n", "1: begun-0\n",
		"checkpoint 9 of lane 2, epoch 1, with 1: full-0\n", "LATEST TIME", "WATERMARK", "IDLE",
		"2013-02-01T00:00:00.25Z", "2013-01-31T23:59:55.25Z  yes\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}
