// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
)

const invariantHeading = "Numbered invariants"

var (
	// A definition stands at the start of a list item, a table row or a paragraph: W3: or **W3**: or | W3 |.
	invariantDefined = regexp.MustCompile(`^[\s|*-]*([A-Z]{1,2}[0-9]{1,2})\**\s*[:|]`)
	invariantInCode  = regexp.MustCompile(`\b([A-Z]{1,2}[0-9]{1,2}):`)
	invariantInTest  = regexp.MustCompile(`[A-Z]{1,2}[0-9]{1,2}`)
)

// checkInvariants holds the section "Numbered invariants" of ARCHITECTURE.md against the code: the line
// that upholds W3 has a comment `W3: ...` (doc.go only lists them), and a test has W3 in its name or in a
// comment.
func checkInvariants(t *tree) []violation {
	defined := map[string]int{}
	var order []string
	inside, exists := false, false
	forEachLine(string(t.text["ARCHITECTURE.md"]), func(number int, line string) {
		if headingLine.MatchString(line) {
			inside = strings.HasSuffix(strings.TrimSpace(line), invariantHeading)
			exists = exists || inside
			return
		}
		if m := invariantDefined.FindStringSubmatch(line); inside && m != nil {
			if defined[m[1]] == 0 {
				order = append(order, m[1])
			}
			defined[m[1]] = number
		}
	})
	report := func(line int, format string, args ...any) violation {
		return violation{
			rule: "invariants", subject: "ARCHITECTURE.md", line: line, measure: 1,
			text: fmt.Sprintf(format, args...),
		}
	}
	if exists && len(order) == 0 {
		return []violation{report(0, "the section %q defines none (W1: ...)", invariantHeading)}
	}
	code, tests := map[string]bool{}, map[string]bool{}
	for _, f := range t.files {
		if !strings.HasPrefix(f.path, "internal/tidy/") {
			f.collectInvariants(code, tests)
		}
	}
	var found []violation
	for _, name := range order {
		if !code[name] {
			found = append(found, report(defined[name], "no line of code says // %s: ... where it is upheld", name))
		}
		if !tests[name] {
			found = append(found, report(defined[name], "no test has %s in its name or in a comment", name))
		}
	}
	return found
}

func (f *goFile) collectInvariants(code, tests map[string]bool) {
	if !f.test && path.Base(f.path) == "doc.go" {
		return
	}
	collect := func(text string) {
		if f.test {
			for _, name := range invariantInTest.FindAllString(text, -1) {
				tests[name] = true
			}
			return
		}
		for _, m := range invariantInCode.FindAllStringSubmatch(text, -1) {
			code[m[1]] = true
		}
	}
	for _, group := range f.syntax.Comments {
		collect(group.Text())
	}
	for _, decl := range f.syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && f.test {
			collect(fn.Name.Name)
		}
	}
}
