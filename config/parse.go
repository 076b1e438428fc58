// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// nodesMax bounds a file's nodes, counted after aliases are copied; depthMax how deep they nest.
const (
	nodesMax = 100_000
	depthMax = 100
)

// Options say what stands around a file.
type Options struct {
	LookupEnv func(name string) (string, bool)  // ${NAME}; nil: no name is set
	EnvNames  func() []string                   // the names that are set, for "did you mean"; may be nil
	ReadFile  func(path string) ([]byte, error) // ${file:PATH}; nil: refused
	Sets      []string                          // --set PATH=VALUE, in order
	State     string                            // --state DIR; empty: not given
	Choices   func(field reflect.Type) []Choice // what an interface-typed field can be; may be nil

	LeaveDefaults bool // keys that are left out keep the target's value, also where a default tag is
}

// Tree is a parsed file. It is not safe for concurrent use.
type Tree struct {
	name    string
	src     *source
	root    *node
	options Options

	secrets  []secretValue
	infos    map[reflect.Type]*structInfo
	byPath   map[string]*node
	maskings []*node

	overridden []*node // the roots as they were before each --set: secrets in what was replaced stay secrets
}

// Parse reads YAML, applies the overrides and replaces the references. The tree is never nil and holds what
// could be read: decoding it after problems finds the other mistakes too, and does not miss keys that may
// stand in an unreadable part.
//
// Errors: every problem of the text, of the overrides and of the references at once.
func Parse(name string, text []byte, opts Options) (*Tree, Problems) {
	t := &Tree{name: name, options: opts, infos: map[reflect.Type]*structInfo{}, byPath: map[string]*node{}}
	problems := t.parse(strings.TrimPrefix(string(text), "\ufeff"))
	problems = append(problems, t.override()...)
	problems = append(problems, t.replaceReferences()...)
	problems.Sort()
	return t, problems
}

func (t *Tree) parse(text string) Problems {
	t.src = newSource(t.name, text)
	t.root = &node{kind: KindMapping, src: t.src, at: place{1, 1}}
	if problems := t.src.badCharacters(); len(problems) > 0 {
		t.root.partial = true
		return problems
	}
	document, problems := readSections(t.src, text)
	if document == nil {
		t.root.partial = len(problems) > 0
		if len(problems) == 0 {
			problems = Problems{{
				Position: Position{File: t.name}, Message: "the file is empty", Cure: "write at least name, source and sink",
			}}
			t.root.partial = true
		}
		return problems
	}
	b := builder{src: t.src}
	root := b.build(document, 0)
	problems = append(problems, b.problems...)
	if root.kind != KindMapping {
		problems = append(problems, root.problem("", "expected keys and values, found "+root.describe(),
			"begin with name: NAME"))
		t.root.partial = true
		return problems
	}
	root.partial = root.partial || len(problems) > 0
	t.root = root
	return problems
}

// builder turns the YAML library's nodes into ours.
type builder struct {
	src      *source
	shift    int // characters before the text on its first line
	count    int
	open     []*yaml.Node
	path     string
	problems Problems
}

func (b *builder) place(n *yaml.Node) place {
	at := place{line: n.Line, column: n.Column}
	if at.line == 1 {
		at.column += b.shift
	}
	return at
}

func (b *builder) build(n *yaml.Node, depth int) *node {
	out := &node{src: b.src, at: b.place(n)}
	b.count++
	if b.count > nodesMax || depth > depthMax {
		if b.count != nodesMax+2 { // one problem for too many nodes is enough
			b.report(out, fmt.Sprintf("too much: at most %d values, nested at most %d deep", nodesMax, depthMax),
				"aliases count as often as they are used")
		}
		b.count = nodesMax + 1
		out.partial = true
		return out
	}
	switch n.Kind {
	case yaml.AliasNode:
		return b.alias(n, depth)
	case yaml.MappingNode:
		b.mapping(out, n, depth)
	case yaml.SequenceNode:
		out.kind, out.flow = KindList, n.Style&yaml.FlowStyle != 0
		b.skipProperties(out, n)
		b.open = append(b.open, n)
		for i, item := range n.Content {
			out.items = append(out.items, b.inside(strconv.Itoa(i), item, depth+1))
		}
		b.open = b.open[:len(b.open)-1]
	case yaml.DocumentNode:
		if len(n.Content) > 0 {
			return b.build(n.Content[0], depth)
		}
	default:
		b.scalar(out, n)
	}
	return out
}

// inside builds a value under a key or an index.
func (b *builder) inside(name string, n *yaml.Node, depth int) *node {
	around := b.path
	b.path = joinPath(around, name)
	out := b.build(n, depth)
	b.path = around
	return out
}

// report is a problem of the value that is being built.
func (b *builder) report(n *node, message, cure string) {
	b.problems = append(b.problems, n.problem(b.path, message, cure))
}

func (b *builder) alias(n *yaml.Node, depth int) *node {
	if slices.Contains(b.open, n.Alias) {
		out := &node{src: b.src, at: b.place(n), raw: "*" + n.Value}
		b.report(out, "*"+n.Value+" stands inside the value that it repeats", "write the value out")
		return out
	}
	return b.build(n.Alias, depth+1)
}

func (b *builder) mapping(out *node, n *yaml.Node, depth int) {
	out.kind, out.flow = KindMapping, n.Style&yaml.FlowStyle != 0
	b.skipProperties(out, n)
	b.open = append(b.open, n)
	first := map[string]*node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := b.build(n.Content[i], depth+1)
		value := b.inside(key.text, n.Content[i+1], depth+1)
		value.key = key
		switch {
		case n.Content[i].Tag == "!!merge":
			b.report(key, "merge keys (<<) are not supported",
				"repeat the keys, or give the whole value as an alias: key: *name")
		case !key.scalar():
			b.report(key, "a key must be one word, found "+key.describe(), "write key: value")
		case first[key.text] != nil:
			b.problems = append(b.problems, duplicate(key, first[key.text], joinPath(b.path, key.text)))
		default:
			first[key.text] = key
			out.entries = append(out.entries, entry{name: key.text, key: key, value: value})
		}
	}
	b.open = b.open[:len(b.open)-1]
}

// duplicate is the problem of a key that is given twice.
func duplicate(second, first *node, path string) Problem {
	message := fmt.Sprintf("%q is given twice", first.raw)
	if first.raw != second.raw {
		message = path + " is given twice, in two spellings"
	}
	p := second.problem(path, message, "keep one of the two")
	p.Related = []Related{first.related("first given here")}
	return p
}

func (b *builder) scalar(out *node, n *yaml.Node) {
	out.text, out.raw = n.Value, n.Value
	b.skipProperties(out, n)
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		out.style = styleSingle
	case n.Style&yaml.DoubleQuotedStyle != 0:
		out.style = styleDouble
	case n.Style&yaml.LiteralStyle != 0:
		out.style = styleLiteral
	case n.Style&yaml.FoldedStyle != 0:
		out.style = styleFolded
	}
	out.kind = KindString
	if out.style == stylePlain && n.Style&yaml.TaggedStyle == 0 && n.Tag != "!" {
		out.kind = resolve(n.Value)
	}
}

// skipProperties moves a node's place behind its anchor and tag, and refuses tags of our file that mean nothing.
func (b *builder) skipProperties(out *node, n *yaml.Node) {
	if n.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(n.ShortTag(), "!!") {
		b.report(out, "tags such as "+n.Tag+" are not supported", "remove the tag, or put the text in quotes")
	}
	runes := b.src.characters(out.at.line)
	i := out.at.column - 1
	for i >= 0 && i < len(runes) && (runes[i] == '&' || runes[i] == '!') {
		for i < len(runes) && runes[i] != ' ' && runes[i] != '\t' {
			i++
		}
		for i < len(runes) && (runes[i] == ' ' || runes[i] == '\t') {
			i++
		}
	}
	if i < len(runes) {
		out.at.column = i + 1
	}
}

// badCharacters finds what no YAML text may hold: invalid UTF-8 and control characters.
func (s *source) badCharacters() Problems {
	var problems Problems
	for i, line := range s.lines {
		column := 0
		for j := 0; j < len(line); {
			r, size := utf8.DecodeRuneInString(line[j:])
			column++
			message := ""
			switch {
			case r == utf8.RuneError && size == 1:
				message = fmt.Sprintf("byte 0x%02X is not UTF-8", line[j])
			case r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff || r == 0xfeff:
				message = fmt.Sprintf("control character U+%04X", r)
			}
			j += size
			if message != "" {
				n := &node{src: s, at: place{i + 1, column}}
				problems = append(problems, n.problem("", message, "remove it, or write it as an escape in double quotes"))
			}
			if len(problems) == problemsMax {
				return problems
			}
		}
	}
	return problems
}

// Name is the file's name as it was given to Parse.
func (t *Tree) Name() string { return t.name }

// Root is the whole file, for a caller that walks it by hand.
func (t *Tree) Root() *Value {
	return &Value{tree: t, node: t.root, path: ""}
}
