// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// problemsMax bounds how many mistakes of the text itself are looked for.
const problemsMax = 10

// readSections parses a file. Where the YAML is broken, the top-level section that holds the mistake is blanked
// out and the rest is read, so that mistakes in several sections are all found.
func readSections(src *source, text string) (*yaml.Node, Problems) {
	var problems Problems
	lines := append([]string(nil), src.lines...)
	for {
		document, err := readDocument(text)
		if err == nil {
			return document, problems
		}
		problem, anchor := syntaxProblem(src, 0, err)
		problems = append(problems, problem)
		if second, ok := errors.AsType[*secondDocumentError](err); ok {
			return second.first, problems
		}
		if len(problems) == problemsMax || !blankSection(lines, anchor) {
			return nil, problems
		}
		text = strings.Join(lines, "\n")
	}
}

// readDocument gives nil for a text without a document, and refuses a second one.
func readDocument(text string) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader([]byte(text)))
	if err != nil {
		return nil, err
	}
	var document, second yaml.Node
	if err := loader.Load(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
		return &document, nil
	case err != nil:
		return nil, err
	default:
		return nil, &secondDocumentError{place{second.Line, second.Column}, &document}
	}
}

// secondDocumentError holds the first document, which can be used.
type secondDocumentError struct {
	at    place
	first *yaml.Node
}

func (*secondDocumentError) Error() string { return "a second document" }

// blankSection empties the lines of the top-level section around a line: from the last line before it that
// starts in the first column, up to the next one that does. False means that there was nothing to empty.
func blankSection(lines []string, at int) bool {
	if at < 1 || at > len(lines) {
		return false
	}
	from := at - 1
	for from > 0 && !startsSection(lines[from]) {
		from--
	}
	emptied := false
	for i := from; i < len(lines) && (i == from || !startsSection(lines[i])); i++ {
		emptied = emptied || strings.TrimSpace(lines[i]) != ""
		lines[i] = ""
	}
	return emptied
}

func startsSection(line string) bool {
	return line != "" && !strings.ContainsRune(" \t#-}]", rune(line[0]))
}

// syntaxProblem says in words of the file what the YAML library refused, and which line the mistake begins at.
func syntaxProblem(src *source, shift int, err error) (Problem, int) {
	n := &node{src: src, at: place{1, 1 + shift}}
	if second, ok := errors.AsType[*secondDocumentError](err); ok {
		n.at = second.at
		return n.problem("", "a second document begins here; a file holds one", "move it to a file of its own"),
			second.at.line
	}
	load, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return n.problem("", "this is not YAML: "+err.Error(), ""), 0
	}
	mark, context := markPlace(load.Mark, shift), markPlace(load.ContextMark, shift)
	mark = src.inside(mark, n.at)
	s := syntax{src: src, mark: mark, context: context, load: load}
	n.at, n.raw = mark, ""
	message, cure := s.explain()
	n.at = s.mark
	p := n.problem("", message, cure)
	if s.noticed.line > 0 {
		p.Related = []Related{(&node{src: src, at: s.noticed}).related("noticed here")}
	}
	return p, n.at.line
}

func markPlace(m yaml.Mark, shift int) place {
	at := place{line: m.Line, column: m.Column}
	if at.line == 1 {
		at.column += shift
	}
	return at
}

// syntax explains one error of the YAML library.
type syntax struct {
	src           *source
	mark, context place
	noticed       place
	load          *yaml.LoadError
}

const quoteCure = `put the whole value in quotes: '...', with '' for a quote inside`

func (s *syntax) explain() (message, cure string) {
	text := s.load.Message
	switch {
	case strings.Contains(text, "expected ',' or"):
		return s.unclosedBracket()
	case strings.Contains(text, "unexpected end of stream"), strings.Contains(text, "unexpected document indicator"):
		s.mark = s.context
		return "this quote is never closed", "close it; inside '...' write '' for a quote, inside \"...\" write \\\""
	case strings.Contains(text, "mapping values are not allowed"):
		return s.secondColon()
	case strings.Contains(text, "could not find expected ':'"):
		s.mark = s.context
		return "this line is not \"key: value\"", "write key: value, with a space behind the colon"
	case strings.Contains(text, "tab character"), s.char() == '\t':
		return "a tab cannot indent", "use spaces"
	case strings.Contains(text, "cannot start any token"):
		return "a value cannot begin with " + string(s.char()), quoteCure
	case strings.Contains(text, "unknown anchor"):
		_, anchor, _ := strings.Cut(text, "'")
		anchor, _, _ = strings.Cut(anchor, "'")
		return fmt.Sprintf("*%s repeats the value &%s, which is nowhere", anchor, anchor), "if it is text, " + quoteCure
	case strings.Contains(text, "escape"):
		return "no such escape in double quotes", `write \\ for a backslash, or use single quotes`
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "expected '-' indicator"):
		return s.unexpected()
	case strings.Contains(text, "expected node content"):
		if s.char() == 0 {
			return "the text ends before the closing bracket", "close it"
		}
		return "a value is missing in front of " + string(s.char()), "remove the comma, or quote text with , [ ] { } in it"
	case strings.Contains(text, "comment or line break"):
		return "unexpected text behind | or >", "begin the text on the next line, or " + quoteCure
	default:
		if s.load.ContextMsg != "" {
			text += " " + s.load.ContextMsg
		}
		return "this is not YAML: " + text, ""
	}
}

func (s *syntax) char() rune {
	runes := []rune(s.src.line(s.mark.line))
	if i := s.mark.column - 1; i >= 0 && i < len(runes) {
		return runes[i]
	}
	return 0
}

func (s *syntax) unclosedBracket() (message, cure string) {
	if s.mark.line == s.context.line {
		return "expected a comma or the closing bracket",
			"put commas between the items; a text with , [ ] { } in it needs quotes"
	}
	s.noticed, s.mark = s.mark, s.context
	open, closing := s.char(), "]"
	if open == '{' {
		closing = "}"
	}
	if open != '{' && open != '[' {
		return "a bracket is never closed", "close it"
	}
	if len(s.src.line(s.noticed.line)) == 0 {
		s.noticed = place{}
	}
	return "this " + string(open) + " is never closed", "close it with " + closing
}

// unexpected is text where a key should begin.
func (s *syntax) unexpected() (message, cure string) {
	runes := []rune(s.src.line(s.mark.line))
	before := strings.TrimSpace(string(runes[:min(max(s.mark.column-1, 0), len(runes))]))
	switch c := s.char(); {
	case c == '}' || c == ']':
		return "nothing is open that this " + string(c) + " closes", "remove it"
	case strings.HasSuffix(before, `'`) || strings.HasSuffix(before, `"`):
		return "text behind the closing quote", quoteCure
	case before == "":
		return "this line's indentation fits no line above it", "align it with the keys that it belongs to"
	default:
		return "expected a key", "write key: value"
	}
}

// secondColon is a ": " in a place where the YAML library is inside a value already.
func (s *syntax) secondColon() (message, cure string) {
	runes := []rune(s.src.line(s.mark.line))
	before := string(runes[:min(max(s.mark.column-1, 0), len(runes))])
	if strings.Contains(before, ": ") || strings.HasPrefix(strings.TrimSpace(before), "-") {
		return `a second ": " on one line`, "one key per line; if it belongs to the text, " + quoteCure
	}
	above := s.mark.line - 1
	for above > 0 && strings.TrimSpace(s.src.line(above)) == "" {
		above--
	}
	line := s.src.line(above)
	s.mark.column = len(before) - len(strings.TrimLeft(before, " ")) + 1
	if above == 0 {
		return "a key is not expected here", "write key: value"
	}
	if strings.Contains(line, ":") {
		return "this key is indented under a key that has a value already",
			"align it with the line above, or remove that value"
	}
	s.mark = place{above, len(line) - len(strings.TrimLeft(line, " ")) + 1}
	return `this line is not "key: value"`, "add a colon: " + strings.TrimSpace(line) + ":"
}

// inside moves a place that the YAML library sees behind the text's end to its last character.
func (s *source) inside(at, start place) place {
	if at.line == 0 {
		return start
	}
	last := len(s.lines)
	for last > 1 && strings.TrimSpace(s.line(last)) == "" {
		last--
	}
	if at.line > last {
		return place{last, utf8.RuneCountInString(s.line(last)) + 1}
	}
	return at
}
