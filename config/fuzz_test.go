// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse holds that no file and no --set makes a panic, that every problem has a place inside the file, and
// K1 for a secret in the environment.
func FuzzParse(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "lanes=1")
	}
	f.Add(valid, "writer.batch.size=4MB")
	f.Add("x: >+2\n   a\n", "transform.0.set.a=[")
	f.Add("a: ${PASSWORD}${", "a.0.b=null")
	f.Add("? [a]\n: {b: *c}\n...\n%X", "=")
	f.Fuzz(func(t *testing.T, text, set string) {
		s, tree, problems := check("f.yaml", text, options(set))
		out := problems.Render("f.yaml") + problems.Error() + string(problems.JSON("f.yaml")) + string(tree.Print("", s))
		if strings.Contains(out, "hunter2") && !strings.Contains(text+set, "hunter2") {
			t.Errorf("K1: a secret is shown:\n%s", out)
		}
		for _, p := range problems {
			if p.Message == "" || p.Position.Line > utf8.RuneCountInString(text)+2 || p.Position.Line < 0 ||
				p.Position.Column < 0 {
				t.Errorf("a problem without a place: %+v", p)
			}
			if p.Position.Line > 0 && p.Position.Column == 0 {
				t.Errorf("a line without a column: %+v", p)
			}
		}
		for _, step := range s.Transform {
			for i := range len(step.Filter.Value) + 1 {
				step.Filter.At(i)
			}
		}
	})
}
