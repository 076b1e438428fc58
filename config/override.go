// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// override applies the --set values in their order, then --state.
func (t *Tree) override() Problems {
	var problems Problems
	for i, text := range t.options.Sets {
		t.overridden = append(t.overridden, t.root.clone())
		o := setting{tree: t, src: newSource(t.name, text), text: text}
		o.src.origin = "--set #" + strconv.Itoa(i+1)
		problems = append(problems, o.apply()...)
	}
	if t.options.State != "" {
		src := newSource(t.name, "state="+t.options.State)
		src.origin = "--state"
		value := &node{
			kind: KindString, text: t.options.State, raw: t.options.State, src: src, at: place{1, len("state=") + 1},
		}
		o := setting{tree: t, src: src, path: "state"}
		problems = append(problems, o.put(value)...)
	}
	return problems
}

// clone copies the values below a node; keys are shared.
func (n *node) clone() *node {
	out := *n
	out.entries = slices.Clone(n.entries)
	for i := range out.entries {
		out.entries[i].value = out.entries[i].value.clone()
	}
	out.items = make([]*node, len(n.items))
	for i, item := range n.items {
		out.items[i] = item.clone()
	}
	return &out
}

// maskOverridden covers the secrets of what a --set has replaced or removed: lines of the file still show it.
func (t *Tree) maskOverridden(path string, target any) {
	root, byPath := t.root, t.byPath
	defer func() { t.root, t.byPath = root, byPath }()
	for _, before := range t.overridden {
		t.root, t.byPath = before, map[string]*node{}
		if n := t.find(path); n != nil {
			_ = t.decode(n, reflect.New(reflect.TypeOf(target).Elem()).Interface(), path)
		}
	}
}

// setting is one --set.
type setting struct {
	tree *Tree
	src  *source
	text string
	path string
}

func (o *setting) apply() Problems {
	path, value, found := strings.Cut(o.text, "=")
	o.path = path
	segments := strings.Split(path, ".")
	switch {
	case !found:
		return o.fail(1, "expected PATH=VALUE", "write --set "+path+"=VALUE, or --set "+path+"=null to remove it")
	case strings.TrimSpace(path) != path || path == "":
		return o.fail(1, "expected PATH=VALUE without spaces around PATH", "write for example --set lanes=2")
	}
	if slices.Contains(segments, "") {
		return o.fail(1, "the path has an empty part", "write for example --set writer.batch.size=4MB")
	}
	if problems := o.src.badCharacters(); len(problems) > 0 {
		return o.at(problems)
	}
	n, problems := o.value(value, utf8.RuneCountInString(path)+1)
	if len(problems) > 0 {
		return o.at(problems)
	}
	return o.put(n)
}

// value parses VALUE. No text at all is an empty string: null must be said.
func (o *setting) value(text string, shift int) (*node, Problems) {
	if text == "" {
		return &node{kind: KindString, style: stylePlain, src: o.src, at: place{1, shift + 1}}, nil
	}
	document, err := readDocument(text)
	if err != nil {
		p, _ := syntaxProblem(o.src, shift, err)
		if _, ok := errors.AsType[*secondDocumentError](err); ok {
			p.Message, p.Cure = "more than one value", "give one value per --set"
		}
		return nil, Problems{p}
	}
	if document == nil {
		return &node{kind: KindNull, src: o.src, at: place{1, shift + 1}}, nil
	}
	b := builder{src: o.src, shift: shift}
	n := b.build(document, 0)
	return n, b.problems
}

func (o *setting) at(problems Problems) Problems {
	for i := range problems {
		problems[i].Path = o.path
	}
	return problems
}

func (o *setting) fail(column int, message, cure string) Problems {
	n := &node{src: o.src, at: place{1, column}, raw: o.path, text: o.path, kind: KindString}
	return Problems{n.problem(o.path, message, cure)}
}

// put stores the value at the path; null removes what is there.
func (o *setting) put(value *node) Problems {
	if value.kind == KindNull && value.style == stylePlain {
		value.removed = true
	}
	segments := strings.Split(o.path, ".")
	at := o.tree.root
	for i := 0; ; {
		rest := segments[i:]
		if at.kind == KindNull {
			emptyContainer(at, rest[0])
		}
		switch at.kind {
		case KindMapping:
			next, used := o.descend(at, rest, value)
			if next == nil {
				return nil
			}
			at, i = next, i+used
		case KindList:
			next, problems := o.item(at, rest, value)
			if next == nil || problems != nil {
				return problems
			}
			at, i = next, i+1
		case KindNull, KindBool, KindInt, KindFloat, KindString:
			parent := strings.Join(segments[:i], ".")
			return o.fail(1, fmt.Sprintf("%s holds %s and so has no %q", parent, at.describe(), rest[0]),
				fmt.Sprintf("set %s itself", parent))
		}
	}
}

// emptyContainer turns a missing value into a list for the index 0, else into a mapping.
func emptyContainer(n *node, first string) {
	n.kind, n.removed, n.raw, n.text = KindMapping, false, "", ""
	if first == "0" {
		n.kind = KindList
	}
}

// keyNode is a key that stands in the path of the --set.
func (o *setting) keyNode(rest []string, name string) *node {
	tail := utf8.RuneCountInString(strings.Join(rest, "."))
	column := utf8.RuneCountInString(o.path) - tail + 1
	return &node{kind: KindString, text: name, raw: name, src: o.src, at: place{1, column}}
}

// descend goes down by the longest key that begins the rest of the path, or stores the value and gives nil.
func (o *setting) descend(at *node, rest []string, value *node) (next *node, used int) {
	whole := strings.Join(rest, ".")
	longest := -1
	for i, e := range at.entries {
		if (e.name == whole || strings.HasPrefix(whole, e.name+".")) &&
			(longest < 0 || len(e.name) > len(at.entries[longest].name)) {
			longest = i
		}
	}
	if longest >= 0 && at.entries[longest].name != whole {
		return at.entries[longest].value, strings.Count(at.entries[longest].name, ".") + 1
	}
	// What is set as a whole replaces also its parts that are given as dotted keys.
	kept := at.entries[:0]
	for i, e := range at.entries {
		if i == longest || !strings.HasPrefix(e.name, whole+".") {
			kept = append(kept, e)
		}
	}
	at.entries = kept
	if longest < 0 {
		if len(rest) > 1 && !value.removed {
			key := o.keyNode(rest, rest[0])
			value := &node{kind: KindNull, src: o.src, at: key.at, key: key}
			at.entries = append(at.entries, entry{name: rest[0], key: key, value: value})
			return value, 1
		}
		value.key = o.keyNode(rest, whole)
		at.entries = append(at.entries, entry{name: whole, key: value.key, value: value})
		return nil, 0
	}
	for i := range at.entries {
		if at.entries[i].name == whole {
			value.key = o.keyNode(rest, whole)
			at.entries[i].key, at.entries[i].value = value.key, value
		}
	}
	return nil, 0
}

// item goes down into a list, or stores the value and gives nil. The index behind the last item appends.
func (o *setting) item(at *node, rest []string, value *node) (*node, Problems) {
	column := utf8.RuneCountInString(o.path) - utf8.RuneCountInString(strings.Join(rest, ".")) + 1
	index, err := strconv.Atoi(rest[0])
	if err != nil || index < 0 || rest[0] != strconv.Itoa(index) {
		return nil, o.fail(column, fmt.Sprintf("%q is no index of a list", rest[0]),
			fmt.Sprintf("write a number from 0 to %d", len(at.items)))
	}
	if index > len(at.items) || index == len(at.items) && value.removed {
		return nil, o.fail(column, fmt.Sprintf("the list has %s, counted from 0", count(len(at.items), "item")),
			fmt.Sprintf("index %d adds one", len(at.items)))
	}
	if index == len(at.items) {
		at.items = append(at.items, &node{kind: KindNull, src: o.src, at: place{1, column}})
	}
	if len(rest) > 1 {
		return at.items[index], nil
	}
	if value.removed {
		at.items = append(at.items[:index:index], at.items[index+1:]...)
		return nil, nil
	}
	at.items[index] = value
	return nil, nil
}
