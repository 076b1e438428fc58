// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/forebay-io/forebay"

// tree is the repository as the checks see it. Paths are slash-separated and relative to its root.
type tree struct {
	text     map[string][]byte // every text file that .gitignore does not name
	folders  map[string]bool
	files    []*goFile // without generated ones
	packages []*goPackage
}

type goFile struct {
	path   string
	dir    string
	src    []byte
	fset   *token.FileSet
	syntax *ast.File
	test   bool
	nested bool // belongs to a module of its own
}

// goPackage is the Go code of one folder.
type goPackage struct {
	dir   string // "." is the root
	files []*goFile
}

func (f *goFile) line(p token.Pos) int { return f.fset.Position(p).Line }
func (f *goFile) main() bool           { return f.syntax.Name.Name == "main" }

func (f *goFile) violation(rule string, p token.Pos, text string) violation {
	return violation{rule: rule, subject: f.path, line: f.line(p), measure: 1, text: text}
}

// load reads the tree with one walk. It does not ask git: the result depends on the files alone, and the
// test cache sees every one of them.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{text: map[string][]byte{}, folders: map[string]bool{}}
	ignore, err := readIgnored(fsys)
	if err != nil {
		return nil, err
	}
	var nested []string
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || ignore.matches(name, true)):
			return fs.SkipDir
		case entry.IsDir():
			t.folders[name] = true
			return nil
		case !entry.Type().IsRegular() || ignore.matches(name, false):
			return nil
		}
		if path.Base(name) == "go.mod" && name != "go.mod" {
			nested = append(nested, path.Dir(name)+"/")
		}
		data, err := fs.ReadFile(fsys, name)
		if err == nil && !bytes.ContainsRune(data[:min(len(data), 8192)], 0) {
			t.text[name] = data
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return t, t.parse(nested)
}

func (t *tree) parse(nested []string) error {
	fset := token.NewFileSet()
	byDir := map[string]*goPackage{}
	for _, name := range t.names(".go") {
		if strings.Contains(name, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(fset, name, t.text[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		if ast.IsGenerated(syntax) {
			continue
		}
		f := &goFile{
			path: name, dir: path.Dir(name), src: t.text[name], fset: fset, syntax: syntax,
			test:   strings.HasSuffix(name, "_test.go"),
			nested: slices.ContainsFunc(nested, func(dir string) bool { return strings.HasPrefix(name, dir) }),
		}
		t.files = append(t.files, f)
		if byDir[f.dir] == nil {
			byDir[f.dir] = &goPackage{dir: f.dir}
			t.packages = append(t.packages, byDir[f.dir])
		}
		byDir[f.dir].files = append(byDir[f.dir].files, f)
	}
	return nil
}

// names lists the text files with that suffix in order.
func (t *tree) names(suffix string) []string {
	var names []string
	for name := range t.text {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// importName is the name by which the file knows a package; "" if it does not import it.
func (f *goFile) importName(importPath string) string {
	for _, spec := range f.syntax.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == importPath {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(importPath)
		}
	}
	return ""
}

// ignored is the part of .gitignore that this repository uses: names, globs, and paths from the root.
type ignored []string

func readIgnored(fsys fs.FS) (ignored, error) {
	data, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return nil, fmt.Errorf("read .gitignore: %w", err)
	}
	var patterns ignored
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "!") || strings.Contains(line, "**") {
			return nil, fmt.Errorf(".gitignore:%d: tidy understands names, globs and paths from the root, not %q", i+1, line)
		}
		patterns = append(patterns, line)
	}
	return patterns, nil
}

func (patterns ignored) matches(name string, folder bool) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		glob, foldersOnly := strings.CutSuffix(pattern, "/")
		if foldersOnly && !folder {
			return false
		}
		subject := path.Base(name)
		if strings.Contains(glob, "/") {
			subject, glob = name, strings.TrimPrefix(glob, "/")
		}
		ok, _ := path.Match(glob, subject)
		return ok
	})
}
