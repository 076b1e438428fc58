// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"unicode/utf8"
)

const (
	functionLinesMax = 120
	fileLinesMax     = 800
	testLinesMax     = 1200
	packageFilesMax  = 25 // without tests
	methodsMax       = 5
	parametersMax    = 4 // in tests beside t
	columnsMax       = 120
)

func checkSizes(t *tree) []violation {
	var found []violation
	for _, pkg := range t.packages {
		files := 0
		for _, f := range pkg.files {
			if !f.test {
				files++
			}
			found = append(found, f.checkFileSize()...)
			found = append(found, f.checkDeclarations()...)
		}
		if files > packageFilesMax {
			found = append(found, violation{rule: "package", subject: pkg.dir, measure: files, text: fmt.Sprintf(
				"%d files, at most %d (tests not counted): what is the noun that wants a package of its own?",
				files, packageFilesMax)})
		}
	}
	return found
}

func (f *goFile) checkFileSize() []violation {
	var found []violation
	limit := fileLinesMax
	if f.test {
		limit = testLinesMax
	}
	lines := bytes.Split(f.src, []byte("\n"))
	if count := len(lines) - 1; count > limit {
		found = append(found, violation{rule: "file", subject: f.path, measure: count, text: fmt.Sprintf(
			"%d lines, at most %d: split it by a noun of the domain", count, limit)})
	}
	for i, line := range lines {
		if columns := utf8.RuneCount(line); columns > columnsMax {
			found = append(found, violation{rule: "column", subject: f.path, line: i + 1, measure: 1, text: fmt.Sprintf(
				"%d columns, at most %d (a tab is one)", columns, columnsMax)})
		}
	}
	return found
}

func (f *goFile) checkDeclarations() []violation {
	var found []violation
	for _, decl := range f.syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
			if lines := f.functionLines(fn); lines > functionLinesMax {
				found = append(found, violation{
					rule: "function", subject: f.path + ":" + functionName(fn),
					line: f.line(fn.Pos()), measure: lines, text: fmt.Sprintf(
						"%d lines, at most %d (a switch over types or events counts one per case)", lines, functionLinesMax),
				})
			}
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType:
			if count := f.parameters(n); count > parametersMax {
				found = append(found, f.violation("parameters", n.Pos(), fmt.Sprintf(
					"%d parameters, at most %d: then a struct", count, parametersMax)))
			}
		case *ast.TypeSpec:
			if i, ok := n.Type.(*ast.InterfaceType); ok {
				if count := i.Methods.NumFields(); count > methodsMax {
					found = append(found, violation{
						rule: "interface", subject: f.path + ":" + n.Name.Name,
						line: f.line(n.Pos()), measure: count, text: fmt.Sprintf(
							"%d methods, at most %d: who consumes all of them?", count, methodsMax),
					})
				}
			}
		}
		return true
	})
	return found
}

// functionLines counts the lines of a function. A switch over types or over a value counts one line per
// case: a long list of events is read one case at a time.
func (f *goFile) functionLines(fn *ast.FuncDecl) int {
	lines := f.line(fn.End()) - f.line(fn.Pos()) + 1
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		var body *ast.BlockStmt
		switch n := n.(type) {
		case *ast.TypeSwitchStmt:
			body = n.Body
		case *ast.SwitchStmt:
			if n.Tag != nil {
				body = n.Body
			}
		}
		if body == nil {
			return true
		}
		lines += len(body.List) - max(0, f.line(body.End())-f.line(body.Pos())-1)
		return false
	})
	return lines
}

// parameters counts those of a function; in tests the first one does not count if it is t, b, f or m.
func (f *goFile) parameters(fn *ast.FuncType) int {
	count := fn.Params.NumFields()
	if count == 0 || !f.test {
		return count
	}
	first := fn.Params.List[0].Type
	if star, ok := first.(*ast.StarExpr); ok {
		first = star.X
	}
	if selector, ok := first.(*ast.SelectorExpr); ok {
		if pkg, ok := selector.X.(*ast.Ident); ok && (pkg.Name == "testing" || pkg.Name == "rapid") {
			return count - 1
		}
	}
	return count
}

// functionName is Function or Type.Method.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
			continue
		case *ast.IndexExpr:
			receiver = r.X
			continue
		case *ast.IndexListExpr:
			receiver = r.X
			continue
		case *ast.Ident:
			return r.Name + "." + fn.Name.Name
		}
		return fn.Name.Name
	}
}
