// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay/config"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func readFile(path string) ([]byte, error) {
	if text, ok := files[path]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// check parses and decodes a file and gives everything that is wrong with it.
func check(name, text string, opts config.Options) (shape, *config.Tree, config.Problems) {
	tree, problems := config.Parse(name, []byte(text), opts)
	var s shape
	problems = append(problems, tree.Decode("", &s)...)
	problems.Sort()
	return s, tree, problems
}

// A golden file is a YAML file whose first lines may be "#set PATH=VALUE"; the .txt beside it is what is shown.
// K2: what is not known is shown too.
func TestWrongFilesShowEveryMistakeAtItsPlace(t *testing.T) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) < 20 {
		t.Fatalf("only %d files: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var sets []string
			for line := range strings.SplitSeq(string(text), "\n") {
				if set, ok := strings.CutPrefix(line, "#set "); ok {
					sets = append(sets, set)
				}
			}
			_, _, problems := check(filepath.Base(name), string(text), options(sets...))
			got := problems.Render(filepath.Base(name))
			if strings.Contains(got, "hunter2") || strings.Contains(got, "my-private-key") {
				t.Errorf("K1: a secret is shown")
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestJSONHoldsEveryFieldOfAProblem(t *testing.T) {
	_, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\nlanes: 1\nlanes: 2\nmemroy: 1GB\n",
		options("small=x"))
	var out struct {
		File     string
		Errors   int
		Problems []struct {
			File, Origin, Path, Message, Nearest, Cure string
			Line, Column, Width                        int
			Related                                    []struct{ Line, Column int }
		}
	}
	if err := json.Unmarshal(problems.JSON("f.yaml"), &out); err != nil {
		t.Fatal(err)
	}
	if out.File != "f.yaml" || out.Errors != 3 || len(out.Problems) != 3 {
		t.Fatalf("got %+v", out)
	}
	double, unknown, set := out.Problems[0], out.Problems[1], out.Problems[2]
	if double.Line != 4 || double.Column != 1 || len(double.Related) != 1 || double.Related[0].Line != 3 {
		t.Errorf("the double key: %+v", double)
	}
	if unknown.Nearest != "memory" || unknown.Path != "memroy" || unknown.File != "f.yaml" || unknown.Width != 6 {
		t.Errorf("the unknown key: %+v", unknown)
	}
	if set.Origin != "--set #1" || set.File != "" || set.Path != "small" || set.Cure == "" {
		t.Errorf("the set: %+v", set)
	}
	if got := string(config.Problems(nil).JSON("f.yaml")); got != `{"file":"f.yaml","errors":0,"problems":[]}`+"\n" {
		t.Errorf("no problems: %s", got)
	}
}
