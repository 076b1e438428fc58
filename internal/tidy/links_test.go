// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	markdownLink  = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	functionInGo  = regexp.MustCompile("^`([A-Za-z0-9_./-]+\\.go):([A-Za-z_][A-Za-z0-9_.]*)(?:\\(\\))?`$")
	fileInFolder  = regexp.MustCompile("^`([A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+\\.(?:go|md|sh|yaml))`$")
	schemeOfALink = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// checkLinks resolves relative links, `file:function` references and files that are named with their
// folder, in every Markdown file. Fenced code is not looked at.
func checkLinks(t *tree) []violation {
	declared := map[string]map[string]bool{}
	for _, f := range t.files {
		declared[f.path] = f.declarations()
	}
	var found []violation
	for _, name := range t.names(".md") {
		forEachLine(string(t.text[name]), func(number int, line string) {
			report := func(format string, args ...any) {
				found = append(found, violation{
					rule: "links", subject: name, line: number, measure: 1,
					text: fmt.Sprintf(format, args...),
				})
			}
			for _, span := range codeSpan.FindAllString(line, -1) {
				if m := functionInGo.FindStringSubmatch(span); m != nil {
					switch names, ok := declared[m[1]]; {
					case !ok:
						report("%s: there is no file %s (paths are from the root)", span, m[1])
					case !names[m[2]]:
						report("%s: %s declares no %s", span, m[1], m[2])
					}
				} else if m := fileInFolder.FindStringSubmatch(span); m != nil && !t.has(name, m[1]) {
					report("%s: there is no such file", span)
				}
			}
			for _, m := range markdownLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				if text := t.brokenLink(name, m[1]); text != "" {
					report("link %s: %s", m[1], text)
				}
			}
		})
	}
	return found
}

// has tells whether a file is there, by its path from the root or from the document.
func (t *tree) has(document, name string) bool {
	_, fromRoot := t.text[path.Clean(name)]
	_, fromHere := t.text[path.Join(path.Dir(document), name)]
	return fromRoot || fromHere
}

func (t *tree) brokenLink(document, link string) string {
	if schemeOfALink.MatchString(link) {
		return ""
	}
	target, anchor, _ := strings.Cut(link, "#")
	if strings.HasPrefix(target, "/") {
		return "write it relative to the document"
	}
	file := document
	if target != "" {
		file = path.Join(path.Dir(document), target)
	}
	text, isFile := t.text[file]
	switch {
	case strings.HasPrefix(file, "../"):
		return "leads out of the repository"
	case !isFile && !t.folders[file]:
		return "there is no " + file
	case anchor != "" && strings.HasSuffix(file, ".md") && !anchors(string(text))[anchor]:
		return fmt.Sprintf("%s has no heading #%s", file, anchor)
	}
	return ""
}

// forEachLine calls f for each line outside fenced code.
func forEachLine(text string, f func(number int, line string)) {
	fenced := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			f(i+1, line)
		}
	}
}

// anchors are the names that a Markdown viewer gives to the headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	forEachLine(text, func(_ int, line string) {
		if !headingLine.MatchString(line) {
			return
		}
		var slug strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#"))) {
			switch {
			case r == ' ':
				slug.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				slug.WriteRune(r)
			}
		}
		found[slug.String()] = true
	})
	return found
}

// declarations are the top-level names of a file, methods as Type.Method.
func (f *goFile) declarations() map[string]bool {
	names := map[string]bool{}
	for _, decl := range f.syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			names[functionName(d)] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range s.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
	return names
}
