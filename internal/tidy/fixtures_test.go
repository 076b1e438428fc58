// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	spdx      = license + "\n"
	documents = spdx + "\n// Package p is documented.\n"
	// architecture has a row for the package a and one for the tests.
	architecture = "## 14. Import table\n\n| package | may import |\n| --- | --- |\n" +
		"| `a` | `github.com/lib/x` |\n| `tests` | `github.com/lib/cmp` |\n"
)

// fixture is a small tree: the file a/a.go and what is named beside it.
func fixture(changes files) fstest.MapFS {
	fsys := fstest.MapFS{
		".gitignore":      {Data: []byte("/ignored/\n*.out\n")},
		"ARCHITECTURE.md": {Data: []byte(architecture)},
		"a/a.go":          {Data: []byte(documents + "package a\n")},
	}
	for name, text := range changes {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func checkFixture(t *testing.T, changes files) []string {
	t.Helper()
	tree, err := load(fixture(changes))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, c := range checks {
		for _, v := range c.check(tree) {
			found = append(found, v.String())
		}
	}
	return found
}

// rows is an import table; each row is `package: names...`.
func rows(all ...string) string {
	text := "## 14. Import table\n\n| package | may import |\n| --- | --- |\n"
	for _, row := range all {
		pkg, may, _ := strings.Cut(row, ":")
		cell := "the standard library only"
		if names := strings.Fields(may); len(names) > 0 {
			cell = "`" + strings.Join(names, "`, `") + "`"
		}
		text += fmt.Sprintf("| `%s` | %s |\n", pkg, cell)
	}
	return text
}

func imports(pkg string, targets ...string) string {
	text := documents + "package " + pkg + "\n\nimport (\n"
	for _, target := range targets {
		text += "\t_ \"" + target + "\"\n"
	}
	return text + ")\n"
}

func body(lines ...string) string {
	return documents + "package a\n\n" + strings.Join(lines, "\n") + "\n"
}

func repeat(line string, n int) string { return strings.Repeat(line+"\n", n) }

// files are the text files of a tree by path.
type files map[string]string

// planted is a tree with one violation: exactly that one must be reported.
type planted struct {
	name string
	tree files
	want string // a part of the only violation
}

func mustCatch(t *testing.T, tests []planted) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := checkFixture(t, test.tree)
			if len(found) != 1 || !strings.Contains(found[0], test.want) {
				t.Errorf("found %q, want one with %q", found, test.want)
			}
		})
	}
}

func TestImportsAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"a package without a row", files{"b/b.go": documents + "package b\n"}, "imports b: the import table"},
		{"a row without a package", files{"ARCHITECTURE.md": rows("a:", "gone:")}, "the row `gone`"},
		{"no table", files{"ARCHITECTURE.md": "# Nothing\n"}, `no heading "Import table"`},
		{"a row without names", files{"ARCHITECTURE.md": strings.ReplaceAll(rows("a:"), "only", "")}, "name what `a`"},
		{"a second row", files{"ARCHITECTURE.md": rows("a:", "a:")}, "a second row for `a`"},
		{
			"an import that the table does not name",
			files{"a/a.go": imports("a", "github.com/lib/y")},
			"imports a/a.go: line 7: must not import github.com/lib/y",
		},
		{"a library of tests in code", files{"a/a.go": imports("a", "github.com/lib/cmp")}, "github.com/lib/cmp"},
		{"the root imports a library", files{
			"ARCHITECTURE.md": rows("a:", ".: github.com/lib/x"), "r.go": imports("forebay", "github.com/lib/x"),
		}, "no table can allow this"},
		{"a connector imports another", files{
			"ARCHITECTURE.md": rows("a:", "connector/*: connector/*"), "connector/f/f.go": imports("f", module+"/connector/g"),
		}, "connector/* never imports connector/*"},
		{"a connector imports the pipeline", files{
			"ARCHITECTURE.md": rows("a:", "connector/*: pipeline"), "connector/f/f.go": imports("f", module+"/pipeline"),
		}, "connector/* never imports pipeline"},
		{"the client imports the server", files{
			"ARCHITECTURE.md": rows("a:", "tablet: all"), "tablet/t.go": imports("tablet", module+"/tablet/server"),
		}, "tablet never imports tablet/server"},
		{"a second place that knows Pebble", files{
			"ARCHITECTURE.md": rows("a: github.com/cockroachdb/pebble/v2"),
			"a/a.go":          imports("a", "github.com/cockroachdb/pebble/v2/vfs"),
		}, "internal/store is the one place"},
		{"the store outside its owners", files{
			"ARCHITECTURE.md": rows("a: internal/store"), "a/a.go": imports("a", module+"/internal/store"),
		}, "the store belongs to"},
		{"a test package in code", files{
			"ARCHITECTURE.md": rows("a: internal/sim"), "a/a.go": imports("a", module+"/internal/sim"),
		}, "tests only"},
		{"config below cmd", files{
			"ARCHITECTURE.md": rows("a: config"), "a/a.go": imports("a", module+"/config"),
		}, "come last"},
	})
}

func TestSizesAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{
			"a long function",
			files{"a/a.go": body("func f() {", repeat("\tg()", 119), "}")},
			"function a/a.go:f: line 6: 122 lines",
		},
		{
			"a long method",
			files{"a/a.go": body("type T[K any] int", "", "func (t *T[K]) m() {", repeat("\tg()", 119), "}")},
			"function a/a.go:T.m",
		},
		{"a long switch without a value", files{
			"a/a.go": body("func f() {", "switch {", repeat("case true:\ng()", 60), "}", "}"),
		}, "function a/a.go:f"},
		{"a long file", files{"a/a.go": body(repeat("var _ = 1", 800))}, "file a/a.go: 806 lines"},
		{"a long test file", files{"a/a_test.go": spdx + "package a\n" + repeat("var _ = 1", 1200)}, "file a/a_test.go"},
		{"a wide line", files{"a/a.go": body("// " + strings.Repeat("x", 118))}, "121 columns"},
		{"six methods", files{"a/a.go": body("type I interface{ A(); B(); C(); D(); E(); F() }")}, "interface a/a.go:I"},
		{"five parameters", files{"a/a.go": body("func f(a, b, c int, d string, e bool) {}")}, "5 parameters"},
		{"five parameters of a method", files{"a/a.go": body("type I interface { F(a, b, c, d, e int) }")}, "5 parameters"},
		{"five parameters beside t", files{
			"a/a_test.go": spdx + "package a\n\nfunc f(t *testing.T, a, b, c, d, e int) {}\n",
		}, "5 parameters"},
	})
}

func TestCallsAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"a sleep", files{"a/a.go": body(`import "time"`, "func f() { time.Sleep(1) }")}, "time.Sleep"},
		{"a sleep under another name", files{"a/a.go": body(`import x "time"`, "var f = x.Sleep")}, "time.Sleep"},
		{"a sleep in real time in a test", files{
			"a/a_test.go": spdx + "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
		}, "time.Sleep"},
		{"a print", files{"a/a.go": body(`import "fmt"`, `func f() { fmt.Println("x") }`)}, "fmt.Println"},
		{"the environment", files{"a/a.go": body(`import "os"`, `var x = os.Getenv("X")`)}, "os.Getenv"},
		{"init", files{"a/a.go": body("func init() {}")}, "init"},
		{"a go statement", files{"a/a.go": body("func start() { func() { go f() }() }")}, "go stands only"},
		{"a go statement in a variable", files{"a/a.go": body("var f = func() { go g() }")}, "go stands only"},
		{"a naked nolint", files{"a/a.go": body("var x = 1 //nolint")}, "nolint names"},
		{"a nolint without a reason", files{"a/a.go": body("var x = 1 //nolint:gosec,unused")}, "nolint names"},
		{"a clock in a core", core(`import "time"`, "var now = time.Now"), "a core does not call time.Now"},
		{"a lock in a core", core(`import "sync"`, "var mu sync.Mutex"), "a core does not import sync"},
		{"a channel in a core", core("var c chan int"), "no goroutines and no channels"},
		{"a core under another name", files{
			"ARCHITECTURE.md": rows("a:", "writer:"), "writer/state.go": documents + "package writer\n",
			"writer/queue.go": spdx + "package writer\n",
		}, "no file matches writer/core.go"},
	})
}

func TestSourcesAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"no license", files{"a/b.go": "package a\n"}, "sources a/b.go: line 1: the first line"},
		{"no package doc", files{"a/a.go": spdx + "\npackage a\n"}, "no package doc"},
		{"a letter that is not ASCII", files{"a/a.go": body("// f\u00fcr")}, "column 5: '\u00fc' is not ASCII"},
		{"such a letter in a string", files{"a/a.go": body("var s = \"\u00fc\"")}, "is not ASCII"},
		{"such a letter in a test's comment", files{
			"a/a_test.go": spdx + "package a\n\nvar s = \"\u00fc\"\n\n// \u00fc\n",
		}, "a_test.go: line 6"},
	})
}

func TestLinksAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"a link to nothing", files{"docs/x.md": "see [a](../b.md)"}, "link ../b.md: there is no b.md"},
		{"a link out of the tree", files{"x.md": "[a](../b.md)"}, "leads out"},
		{"an absolute link", files{"x.md": "[a](/a/a.go)"}, "relative to the document"},
		{"a link to no heading", files{"x.md": "# One two\n\n[a](#one-two) [b](x.md#one)"}, "no heading #one"},
		{"a function that is gone", files{"x.md": "see `a/a.go:Run`"}, "a/a.go declares no Run"},
		{"a method that is gone", files{"x.md": "see `a/a.go:T.Run`"}, "declares no T.Run"},
		{"a function in no file", files{"x.md": "see `a/b.go:Run`"}, "there is no file a/b.go"},
		{"a file that is gone", files{"x.md": "see `a/b.go`"}, "there is no such file"},
	})
}

func TestWordsAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"a path of one machine", files{"x.txt": "cd /ro" + "ot/x"}, "words x.txt: line 1: an absolute path"},
		{"a registry", files{"x.sh": "get " + registries[2]}, "package registry"},
		{"a mark", files{"a/a.go": body("// TO" + "DO: later")}, "TO" + "DO: finish it"},
	})
}

func TestInvariantsAreCaught(t *testing.T) {
	t.Parallel()
	mustCatch(t, []planted{
		{"an invariant without code", invariants("W1", "", "// W1"), "no line of code says // W1:"},
		{"an invariant in doc.go only", files{
			"ARCHITECTURE.md": architecture + "## 7. Numbered invariants\n\n- **W1**: x.\n",
			"a/doc.go":        spdx + "\n// Package a has W1: x.\npackage a\n", "a/a_test.go": spdx + "package a\n\n// W1\n",
		}, "no line of code says // W1:"},
		{"an invariant without a test", invariants("W1", "// W1: here.", ""), "no test has W1"},
		{"a number that begins another", invariants("W1", "// W1: here.", "// W12"), "no test has W1"},
		{"a section without invariants", invariants("", "", ""), "defines none"},
	})
}

func core(lines ...string) files {
	return files{
		"ARCHITECTURE.md": rows("a:", "writer:"),
		"writer/core.go":  documents + "package writer\n\n" + strings.Join(lines, "\n") + "\n",
		"writer/queue.go": spdx + "package writer\n",
	}
}

func invariants(name, code, test string) files {
	section := "## 7. Numbered invariants\n\n"
	if name != "" {
		section += "- **" + name + "**: something holds.\n"
	}
	return files{
		"ARCHITECTURE.md": architecture + section,
		"a/b.go":          spdx + "package a\n\n" + code + "\nvar x = 1\n",
		"a/a_test.go":     spdx + "package a\n\n" + test + "\nvar y = 1\n",
	}
}

// TestWhatIsAllowedPasses is the other half: trees that look like a violation and are none.
func TestWhatIsAllowedPasses(t *testing.T) {
	t.Parallel()
	tests := map[string]files{
		"nothing": nil,
		"imports of the row, of the standard library and of tests": {
			"a/b.go":      imports("a", "github.com/lib/x/sub", "net/http"),
			"a/a_test.go": imports("a_test", module+"/a", "github.com/lib/cmp"),
		},
		"a longer pattern wins": {
			"ARCHITECTURE.md":  rows("a:", "codec/*:", "codec/csv/*: a", "codec/x:"),
			"codec/csv/q/q.go": imports("q", module+"/a"),
			"codec/x/x.go":     documents + "package x\n",
			"codec/y/y.go":     documents + "package y\n",
		},
		"a connector's own folder": {
			"ARCHITECTURE.md":  rows("a:", "connector/*: connector/f/x"),
			"connector/f/f.go": imports("f", module+"/connector/f/x"),
		},
		"a module of its own": {"peer/go.mod": "module peer\n", "peer/p.go": imports("main", "github.com/any/thing")},
		"generated code": {
			"a/g.go": "// Code generated by x. DO NOT EDIT.\npackage a\n" + repeat("var _ = 1", 2000),
		},
		"ignored files": {"ignored/b.go": "package b\n", "a/x.out": "cd /ro" + "ot/x"},
		"a switch over events": {
			"a/a.go": body("func f(e int) {", "switch e {", repeat("case 1:\ng()\ng()", 60), "}", "}"),
		},
		"a function of 120 lines": {"a/a.go": body("func f() {\n" + repeat("\tg()", 118) + "}")},
		"sleep in a file with fake time": {
			"a/a_test.go": spdx + "package a\nimport \"time\"\nimport \"testing/synctest\"\n" +
				"func f() { synctest.Wait(); time.Sleep(1) }\n",
		},
		"print in an example": {
			"a/a_test.go": spdx + "package a\nimport \"fmt\"\nfunc ExampleF() { fmt.Println(1) }\n",
		},
		"a command prints and reads the environment": {
			"ARCHITECTURE.md": rows("a:", "cmd/x:"),
			"cmd/x/x.go": documents + "package main\nimport (\"fmt\"; \"os\")\n" +
				"func main() { fmt.Println(os.Getenv(\"X\")) }\n",
		},
		"go in run":                      {"a/a.go": body("func runLoop() { go f() }", "func (t *T) Run() { go f() }")},
		"a nolint with names and reason": {"a/a.go": body("var x = 1 //nolint:gosec // the range is checked above")},
		"links that resolve": {
			"x.md": "# A b: c\n\n[a](a/a.go) [b](#a-b-c) [c](https://x.y/z) [d](docs/) `a/b.go:F` `a/b.go:T.M`" +
				" `a/a.go` `[x](y)`\n\n```\n[x](y)\n```\n",
			"docs/d.md": "",
			"a/b.go":    spdx + "package a\n\ntype T int\nfunc F() {}\nfunc (T) M() {}\n",
		},
		"paths that only look absolute": {"x.md": "net/work/x https://h/home/x a/root/b"},
		"invariants that are upheld":    invariants("W1", "// W1: here.", "func TestW1IsUpheld() {}"),
	}
	for name, changes := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := checkFixture(t, changes); len(found) > 0 {
				t.Errorf("found %q, want nothing", found)
			}
		})
	}
}

func TestAllowListOnlyShrinks(t *testing.T) {
	t.Parallel()
	found := []violation{
		{rule: "function", subject: "a.go:F", measure: 130},
		{rule: "file", subject: "b.go", measure: 900},
	}
	tests := []struct {
		name, list   string
		left, unused int
	}{
		{"empty", "# nothing\n", 2, 0},
		{"exact", "function a.go:F 130 # a table\n", 1, 0},
		{"grown", "function a.go:F 129 # a table\n", 2, 0},
		{"shrunk", "function a.go:F 131 # a table\n", 1, 1},
		{"gone", "function a.go:G 130 # a table\n", 2, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list, err := parseAllowed([]byte(test.list))
			if err != nil {
				t.Fatal(err)
			}
			left := list.filter(slices.Clone(found))
			if unused := list.unused(); len(left) != test.left || len(unused) != test.unused {
				t.Errorf("left %v, unused %v; want %d and %d", left, unused, test.left, test.unused)
			}
		})
	}
	for _, wrong := range []string{"f a:F # why", "f a:F 1", "f a:F x # why", "f a:F 0 # why"} {
		if _, err := parseAllowed([]byte(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}
