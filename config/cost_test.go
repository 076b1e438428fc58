// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The time that a file takes must not grow with the square of what it holds; the bound is far above what is needed.
func TestHostileFilesAreCheap(t *testing.T) {
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	laugh := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		laugh += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for name, text := range map[string]string{
		"deep lists": strings.Repeat("[", 9000), "deep keys": strings.Repeat("{a: ", 2000), "long text": "x: " +
			strings.Repeat("a b ", 20000),
		"unset names": repeat(1000, "k%d: ${X}\n"), "references": "name: " + strings.Repeat("${LANES}", 2000),
		"unset names in one": "name: " + strings.Repeat("${L}", 500), "broken sections": strings.Repeat("a: [1\nb: \"x\n",
			500),
		"expression": "transform: [{filter: " + strings.Repeat("a b ", 5000) + "}]", "keys": "any: {" + repeat(3000,
			"k%d: 1, ") + "k: 1}",
		"unknown keys": "writer: {" + repeat(500, "k%d: 1, ") + "k: 1}", "aliases of aliases": laugh,
	} {
		start := time.Now()
		s, tree, problems := check("f.yaml", text, options())
		problems.Render("f.yaml")
		tree.Print("", s)
		for _, step := range s.Transform {
			for i := 0; i < len(step.Filter.Value); i += 500 {
				step.Filter.At(i)
			}
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: %v", name, took)
		} else {
			t.Logf("%s: %d bytes, %d problems, %v", name, len(text), len(problems), took)
		}
	}
}
