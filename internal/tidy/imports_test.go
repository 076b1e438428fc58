// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// importRow is one line of the import table: a package, or all packages of a folder (`codec/*`), and what
// it may import beside the standard library: packages of the repository and modules. The package `tests`
// stands for every _test.go file, which may import that in addition; `all` stands for the whole repository.
type importRow struct {
	pattern string
	may     []string
	line    int
}

const importHeading = "Import table"

var (
	headingLine = regexp.MustCompile(`^#+ `)
	quotedName  = regexp.MustCompile("`([^`]+)`")
)

// parseImportTable finds the Markdown table below the heading "Import table".
func parseImportTable(text []byte) ([]importRow, error) {
	lines := strings.Split(string(text), "\n")
	at := slices.IndexFunc(lines, func(line string) bool {
		return headingLine.MatchString(line) && strings.HasSuffix(strings.TrimSpace(line), importHeading)
	})
	if at < 0 {
		return nil, fmt.Errorf("ARCHITECTURE.md: no heading %q", importHeading)
	}
	var rows []importRow
	header := false
	for i := at + 1; i < len(lines) && !headingLine.MatchString(lines[i]); i++ {
		line := strings.TrimSpace(lines[i])
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(strings.ReplaceAll(line, " ", ""), "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 2 {
			return nil, fmt.Errorf("ARCHITECTURE.md:%d: the import table has two columns, got %d", i+1, len(cells))
		}
		first, second := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])
		if !header {
			if first != "package" || second != "may import" {
				return nil, fmt.Errorf("ARCHITECTURE.md:%d: the import table begins with | package | may import |", i+1)
			}
			header = true
			continue
		}
		row, err := parseImportRow(first, second)
		if err != nil {
			return nil, fmt.Errorf("ARCHITECTURE.md:%d: %w", i+1, err)
		}
		row.line = i + 1
		if slices.ContainsFunc(rows, func(r importRow) bool { return r.pattern == row.pattern }) {
			return nil, fmt.Errorf("ARCHITECTURE.md:%d: a second row for `%s`", i+1, row.pattern)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("ARCHITECTURE.md:%d: no table below %q", at+1, importHeading)
	}
	return rows, nil
}

func parseImportRow(first, second string) (importRow, error) {
	names := quotedName.FindAllStringSubmatch(first, -1)
	if len(names) != 1 {
		return importRow{}, fmt.Errorf("want one package in backticks, got %q", first)
	}
	row := importRow{pattern: names[0][1]}
	for _, name := range quotedName.FindAllStringSubmatch(second, -1) {
		row.may = append(row.may, name[1])
	}
	if len(row.may) == 0 && second != "the standard library only" {
		return row, fmt.Errorf(
			"name what `%s` may import in backticks, or say %q", row.pattern, "the standard library only")
	}
	return row, nil
}

// covers tells whether a pattern of the table names the package.
func covers(pattern, pkg string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, folder+"/")
	}
	return pattern == pkg || pattern == "all" && !external(pkg) || external(pattern) && strings.HasPrefix(pkg, pattern+"/")
}

// external tells a module from a package of the repository: its first element has a dot.
func external(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return pkg != "." && strings.Contains(first, ".")
}

// findRow is the row of the package itself, else the longest pattern that covers it.
func findRow(rows []importRow, pkg string) *importRow {
	var best *importRow
	for i, row := range rows {
		if row.pattern == pkg {
			return &rows[i]
		}
		if covers(row.pattern, pkg) && (best == nil || len(row.pattern) > len(best.pattern)) {
			best = &rows[i]
		}
	}
	return best
}

// fixed rules hold whatever the table says. A rule refuses imports of `what` by all but `by`.
var fixed = []struct {
	what      string
	by        []string
	alsoTests bool // the rule binds _test.go files too
	why       string
}{
	{
		"github.com/cockroachdb/pebble",
		[]string{"internal/store", "internal/fault/lossyfs", "bench/floor/*"},
		false,
		"internal/store is the one place that knows Pebble",
	},
	{
		"internal/store",
		[]string{"checkpoint", "tablet/server", "pipeline", "cmd/*", "internal/sim"},
		false,
		"the store belongs to checkpoint, tablet/server, pipeline and cmd",
	},
	{"connector/connectortest", nil, false, "it is for tests only"},
	{"internal/sim", nil, false, "it is for tests only"},
	{"config", []string{"cmd/*", "test/*", "bench/*"}, false, "config and cmd come last"},
	{"cmd/*", nil, true, "config and cmd come last"},
}

// forbidden pairs: the importer's folder, and what it must never import outside tests. A connector may
// have packages of its own below its folder.
var forbidden = []struct {
	from, to string
	except   []string // importers
}{
	{"tablet", "tablet/server", nil},
	{"connector/*", "connector/*", []string{"connector/all"}},
	{"connector/*", "pipeline", []string{"connector/connectortest"}},
	{"connector/*", "checkpoint", []string{"connector/connectortest"}},
	{"connector/*", "config", nil},
	{".", "*", nil},
}

func checkImports(t *tree) []violation {
	rows, err := parseImportTable(t.text["ARCHITECTURE.md"])
	if err != nil {
		return []violation{{rule: "imports", subject: "ARCHITECTURE.md", measure: 1, text: err.Error()}}
	}
	var found []violation
	used := map[string]bool{}
	tests := findRow(rows, "tests")
	for _, pkg := range t.packages {
		if pkg.files[0].nested {
			continue
		}
		row := findRow(rows, pkg.dir)
		if row == nil {
			found = append(found, violation{
				rule: "imports", subject: pkg.dir, measure: 1,
				text: "the import table of ARCHITECTURE.md has no row for this package: add one",
			})
			continue
		}
		used[row.pattern] = true
		for _, f := range pkg.files {
			found = append(found, f.checkImports(row, tests)...)
		}
	}
	for _, row := range rows {
		if row.pattern != "tests" && !used[row.pattern] {
			found = append(found, violation{
				rule: "imports", subject: "ARCHITECTURE.md", line: row.line, measure: 1,
				text: fmt.Sprintf("the row `%s` of the import table is for no package: remove it", row.pattern),
			})
		}
	}
	return found
}

func (f *goFile) checkImports(row, tests *importRow) []violation {
	var found []violation
	for _, spec := range f.syntax.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		if target == module {
			target = "."
		}
		target, own := strings.CutPrefix(target, module+"/")
		if !own && target != "." && !external(target) {
			continue // the standard library
		}
		names := func(pattern string) bool { return covers(pattern, target) }
		allowed := slices.ContainsFunc(row.may, names) || f.test && tests != nil && slices.ContainsFunc(tests.may, names)
		why := cmp.Or(f.breaksFixed(target), f.breaksForbidden(target))
		switch {
		case target == f.dir && f.test:
			// a test in package x_test imports x
		case why != "":
			found = append(found, f.violation("imports", spec.Pos(), fmt.Sprintf("must not import %s: %s", target, why)))
		case !allowed:
			found = append(found, f.violation("imports", spec.Pos(), fmt.Sprintf(
				"must not import %s: the row `%s` of the import table in ARCHITECTURE.md does not name it",
				target, row.pattern)))
		}
	}
	return found
}

func (f *goFile) breaksFixed(target string) string {
	for _, rule := range fixed {
		if !covers(rule.what, target) || f.test && !rule.alsoTests || rule.what == f.dir {
			continue
		}
		if !slices.ContainsFunc(rule.by, func(pattern string) bool { return covers(pattern, f.dir) }) {
			return rule.why
		}
	}
	return ""
}

// family is the folder of one connector or codec, whose own folders may use each other.
func family(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func (f *goFile) breaksForbidden(target string) string {
	if f.test {
		return ""
	}
	for _, rule := range forbidden {
		ownFolder := rule.from == rule.to && family(target) == family(f.dir)
		if covers(rule.from, f.dir) && (rule.to == "*" || covers(rule.to, target)) &&
			!slices.Contains(rule.except, f.dir) && !ownFolder {
			return fmt.Sprintf("no table can allow this (%s never imports %s)", rule.from, rule.to)
		}
	}
	return ""
}
