// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// cores are the pure state machines: no goroutines, clocks, locks or I/O, so that a seed replays them.
var cores = []string{
	"writer/core.go",
	"writer/queue.go",
	"checkpoint/resume.go",
	"tablet/server/state*.go",
}

// coreImports are refused in cores, and every function of time that reads the clock or waits for it.
var (
	coreImports = []string{"os", "net", "net/http", "sync", "sync/atomic", "log/slog", "math/rand", "math/rand/v2"}
	coreTime    = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
)

var nakedNolint = regexp.MustCompile(`^//\s*nolint(?:$|[^:])|^//\s*nolint:[\w,-]*\s*$`)

func checkCalls(t *tree) []violation {
	var found []violation
	for _, f := range t.files {
		found = append(found, f.checkSelectors()...)
		found = append(found, f.checkFunctions()...)
		for _, group := range f.syntax.Comments {
			for _, comment := range group.List {
				if nakedNolint.MatchString(comment.Text) {
					found = append(found, f.violation("calls", comment.Pos(),
						"nolint names its linters and its reason: //nolint:NAME // why"))
				}
			}
		}
	}
	return append(found, checkCores(t)...)
}

// call is a function of the standard library that only some files may use.
type call struct {
	pkg, name string
	allowed   func(*goFile) bool
	cure      string
}

func restricted() []call {
	inMain := func(f *goFile) bool { return f.main() }
	fakeTime := func(f *goFile) bool {
		return f.main() && !f.test || f.test && f.importName("testing/synctest") != "" || f.dir == "internal/fault"
	}
	environment := func(f *goFile) bool {
		return f.main() || f.test || strings.HasPrefix(f.dir, "internal/fault") || strings.HasPrefix(f.path, "test/")
	}
	calls := []call{{"time", "Sleep", fakeTime, "wait for an event, or use fake time (testing/synctest)"}}
	for _, name := range []string{"Print", "Printf", "Println"} {
		calls = append(calls, call{"fmt", name, inMain, "only a command prints; here a logger or a writer is passed in"})
	}
	for _, name := range []string{"Getenv", "LookupEnv", "Environ"} {
		calls = append(calls, call{"os", name, environment, "only a command reads the environment and passes it on"})
	}
	return calls
}

func (f *goFile) checkSelectors() []violation {
	var found []violation
	for _, c := range restricted() {
		local := f.importName(c.pkg)
		if local == "" || c.allowed(f) {
			continue
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && f.test && strings.HasPrefix(fn.Name.Name, "Example") {
				continue // the output of an example is its test
			}
			for _, selector := range selectors(decl, local, c.name) {
				found = append(found, f.violation("calls", selector.Pos(), fmt.Sprintf("%s.%s: %s", c.pkg, c.name, c.cure)))
			}
		}
	}
	return found
}

// selectors finds the uses of pkg.name below a node.
func selectors(node ast.Node, pkg, name string) []*ast.SelectorExpr {
	var found []*ast.SelectorExpr
	ast.Inspect(node, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg {
				found = append(found, s)
			}
		}
		return true
	})
	return found
}

// checkFunctions finds init and go statements outside functions named run.
func (f *goFile) checkFunctions() []violation {
	var found []violation
	for _, decl := range f.syntax.Decls {
		name := ""
		if fn, ok := decl.(*ast.FuncDecl); ok {
			name = fn.Name.Name
			if name == "init" && fn.Recv == nil {
				found = append(found, f.violation("calls", fn.Pos(), "init: do it in a constructor that somebody calls"))
			}
		}
		if strings.HasPrefix(name, "run") || strings.HasPrefix(name, "Run") {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				found = append(found, f.violation("calls", g.Pos(),
					"go stands only in functions named run..., which wait for it; else WaitGroup.Go or errgroup"))
			}
			return true
		})
	}
	return found
}

func checkCores(t *tree) []violation {
	var found []violation
	for _, pattern := range cores {
		matched := false
		for _, f := range t.files {
			if ok, _ := path.Match(pattern, f.path); ok && !f.test {
				matched = true
				found = append(found, f.checkCore()...)
			}
		}
		if dir := path.Dir(pattern); !matched && t.folders[dir] {
			found = append(found, violation{rule: "calls", subject: dir, measure: 1, text: fmt.Sprintf(
				"no file matches %s: where is the pure core? (internal/tidy lists the cores)", pattern)})
		}
	}
	return found
}

func (f *goFile) checkCore() []violation {
	var found []violation
	for _, spec := range f.syntax.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); slices.Contains(coreImports, p) {
			found = append(found, f.violation("calls", spec.Pos(),
				fmt.Sprintf("a core does not import %s: events and now go in, actions come out", p)))
		}
	}
	if local := f.importName("time"); local != "" {
		for _, name := range coreTime {
			for _, s := range selectors(f.syntax, local, name) {
				found = append(found, f.violation("calls", s.Pos(),
					fmt.Sprintf("a core does not call time.%s: now is passed in", name)))
			}
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = append(found, f.violation("calls", n.Pos(), "a core has no goroutines and no channels"))
		}
		return true
	})
	return found
}
