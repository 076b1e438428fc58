// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"unicode/utf8"
)

const license = "// SPDX-License-Identifier: Apache-2.0"

func checkSources(t *tree) []violation {
	var found []violation
	for _, pkg := range t.packages {
		documented := false
		for _, f := range pkg.files {
			documented = documented || f.syntax.Doc != nil
			if first, _, _ := strings.Cut(string(f.src), "\n"); first != license {
				found = append(found, violation{
					rule: "sources", subject: f.path, line: 1, measure: 1,
					text: fmt.Sprintf("the first line is %q", license),
				})
			}
			found = append(found, f.checkASCII()...)
		}
		if !documented {
			found = append(found, violation{
				rule: "sources", subject: pkg.dir, measure: 1,
				text: "no package doc: write doc.go (purpose, a map of the files, the invariants)",
			})
		}
	}
	return found
}

// checkASCII refuses every other character, except in the string literals of tests: they are data.
func (f *goFile) checkASCII() []violation {
	if isASCII(f.src) {
		return nil
	}
	data := f.src
	if f.test {
		data = append([]byte(nil), f.src...)
		start := f.fset.File(f.syntax.Pos()).Base()
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && (lit.Kind == token.STRING || lit.Kind == token.CHAR) {
				for i := int(lit.Pos()) - start; i < int(lit.End())-start && i < len(data); i++ {
					if data[i] != '\n' {
						data[i] = ' '
					}
				}
			}
			return true
		})
	}
	var found []violation
	for i, line := range strings.Split(string(data), "\n") {
		for column, r := range line {
			if r >= utf8.RuneSelf {
				found = append(found, violation{
					rule: "sources", subject: f.path, line: i + 1, measure: 1,
					text: fmt.Sprintf("column %d: %q is not ASCII: write it as an escape or in words", column+1, r),
				})
				break
			}
		}
	}
	return found
}

func isASCII(data []byte) bool {
	for _, b := range data {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
