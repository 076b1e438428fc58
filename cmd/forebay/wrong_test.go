// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// console runs command lines in this process and keeps what they print.
type console struct {
	in       string
	env      map[string]string
	terminal bool
	// life ends the command; nil is the test's.
	life func() context.Context
}

// printed is what a command line printed and how it ended.
type printed struct {
	code     int
	out, err string
}

func (c console) run(t *testing.T, args ...string) printed {
	t.Helper()
	var out, errOut lockedBuffer
	a := &app{
		in: strings.NewReader(c.in), out: &out, err: &errOut, outTerminal: c.terminal, errTerminal: c.terminal,
		width: func() int { return 80 },
		lookupEnv: func(name string) (string, bool) {
			value, ok := c.env[name]
			return value, ok
		},
		environ: func() []string {
			var list []string
			for name, value := range c.env {
				list = append(list, name+"="+value)
			}
			return list
		},
	}
	ctx := t.Context()
	if c.life != nil {
		ctx = c.life()
	}
	code := run(ctx, a, args)
	return printed{code, out.String(), errOut.String()}
}

// tree lists everything below a folder.
func tree(t *testing.T, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// stage makes a folder with the data and a pipeline file in it, and works there. The first lines of a file may
// be "#args ...", "#env NAME=VALUE" and "#dir FOLDER", where the file then lies with a more.csv beside it.
func stage(t *testing.T, name string) (c console, file string, args []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/wrong/data/flights.csv")
	if err != nil {
		t.Fatal(err)
	}
	c.env = map[string]string{}
	file = filepath.Base(name)
	files := map[string][]byte{
		"flights.csv": data, "events.ndjson": []byte(`{"at":"2024-06-01T00:00:00Z"}` + "\n"),
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if list, ok := strings.CutPrefix(line, "#args "); ok {
			args = append(args, strings.Fields(list)...)
		}
		if env, ok := strings.CutPrefix(line, "#env "); ok {
			key, value, _ := strings.Cut(env, "=")
			c.env[key] = value
		}
		if dir, ok := strings.CutPrefix(line, "#dir "); ok {
			file = filepath.Join(dir, file)
			files[filepath.Join(dir, "more.csv")] = data
		}
	}
	files[file] = text
	dir := t.TempDir()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return c, file, args
}

// Every wrong file is refused by run and by check alike: exit 2, everything that is wrong at once, at its
// place, and nothing is made.
func TestWrongFilesAreExplainedAndTouchNothing(t *testing.T) {
	names, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(names) < 20 {
		t.Fatalf("only %d files: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			golden, err := filepath.Abs(strings.TrimSuffix(name, ".yaml") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			c, file, args := stage(t, name)
			before := tree(t, ".")
			for _, command := range []string{"run", "check"} {
				got := c.run(t, slices.Concat([]string{command, file}, args)...)
				if got.code != exitWrong || got.out != "" {
					t.Errorf("%s: exit %d, stdout %q", command, got.code, got.out)
				}
				if diff := cmp.Diff(before, tree(t, ".")); diff != "" {
					t.Errorf("%s made something (-before +after)\n%s", command, diff)
				}
				if strings.Contains(got.err, "hunter2") {
					t.Errorf("%s shows a secret", command)
				}
				if *update && command == "run" {
					if err := os.WriteFile(golden, []byte(got.err), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.err); diff != "" {
					t.Errorf("%s (-want +got)\n%s", command, diff)
				}
			}
		})
	}
}
