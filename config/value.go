// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
)

// Value is one value of the tree as an Unmarshaler sees it.
type Value struct {
	tree    *Tree
	node    *node
	path    string
	decoder *decoder // nil outside of a Decode
}

// Entry is one key of a mapping.
type Entry struct {
	Name  string
	Key   Text // the key with its place
	Value *Value
}

// Kind is the value's shape.
func (v *Value) Kind() Kind { return v.node.kind }

// Path is the value's field, such as source.file.
func (v *Value) Path() string { return v.path }

// Position is the place of the value's first character.
func (v *Value) Position() Position { return v.node.src.position(v.node.at) }

// Text is a scalar as text; empty for lists and mappings.
func (v *Value) Text() Text {
	if !v.node.scalar() {
		return Text{node: v.node, path: v.path}
	}
	return Text{Value: v.node.text, node: v.node, path: v.path}
}

// Describe names what was found for an error: `text "abc"`, `a list`. It never shows a value from outside.
func (v *Value) Describe() string { return v.node.describe() }

// Decode fills what target points to, as Tree.Decode does. The problems are returned and not kept: pass them on.
func (v *Value) Decode(target any) Problems {
	if v.decoder == nil {
		return v.tree.decode(v.node, target, v.path)
	}
	kept := v.decoder.problems
	v.decoder.problems = nil
	v.decoder.pointer(v.node, target, v.path)
	found := v.decoder.problems
	v.decoder.problems = kept
	return found
}

// Problem is about the value as a whole.
func (v *Value) Problem(message, cure string) Problem {
	return v.node.problem(v.path, redactNode(message, v.node), redactNode(cure, v.node))
}

// Items are a list's values; nil for anything else.
func (v *Value) Items() []*Value {
	out := make([]*Value, len(v.node.items))
	for i, item := range v.node.items {
		out[i] = v.child(item, fmt.Sprint(i))
	}
	return out
}

// Entries are a mapping's keys as they are written, dots included: column names, for example.
func (v *Value) Entries() []Entry {
	out := make([]Entry, 0, len(v.node.entries))
	for _, e := range v.node.entries {
		if !e.value.removed {
			out = append(out, v.entry(e.name, e.key, e.value))
		}
	}
	return out
}

// Split is a mapping's keys cut at their first dot, with everything that one key says joined: `a.b: 1` is one
// entry a, whose value is a mapping with b.
func (v *Value) Split() ([]Entry, Problems) {
	var names []string
	slots := map[string]*slot{}
	var problems Problems
	for _, e := range v.node.entries {
		name, rest, _ := strings.Cut(e.name, ".")
		s := slots[name]
		if s == nil {
			s = &slot{}
			slots[name] = s
			names = append(names, name)
		}
		if rest == "" {
			problems = append(problems, s.add(e, joinPath(v.path, name))...)
			continue
		}
		s.parts = append(s.parts, entry{name: rest, key: cutKey(e.key, rest), value: e.value})
	}
	out := make([]Entry, 0, len(names))
	for _, name := range names {
		s := slots[name]
		n, found := s.node(joinPath(v.path, name))
		problems = append(problems, found...)
		if n.removed {
			continue
		}
		key := n.key
		if key == nil {
			key = n
		}
		out = append(out, v.entry(name, key, n))
	}
	return out, problems
}

// One is the entry of a mapping that must have exactly one key out of names. what is the word for such a key,
// such as connector. The entry's Value is nil where none can be chosen; it can be given beside problems.
func (v *Value) One(what string, names []string) (Entry, Problems) {
	return v.one(oneOf{what: what, names: names})
}

// oneOf is a choice; bare means that the name alone, without keys, will do.
type oneOf struct {
	what  string
	names []string
	bare  bool
}

func (v *Value) one(o oneOf) (Entry, Problems) {
	d := v.decoder
	if d == nil {
		d = &decoder{tree: v.tree}
	}
	d.visited = append(d.visited, visited{path: v.path, keys: o.names})
	if o.bare && v.node.scalar() && v.node.kind != KindNull {
		if slices.Contains(o.names, v.node.text) {
			empty := &node{kind: KindMapping, src: v.node.src, at: v.node.at, key: v.node}
			return v.entry(v.node.text, v.node, empty), nil
		}
		p := v.node.problem(v.path, fmt.Sprintf("unknown %s %q", o.what, v.node.shown()), "known: "+strings.Join(o.names,
			", "))
		if !v.node.secret {
			p.Nearest = Nearest(v.node.text, o.names)
		}
		return Entry{}, Problems{p}
	}
	if v.node.kind != KindMapping {
		return Entry{}, v.oneShape(o)
	}
	entries, problems := v.Split()
	var known []Entry
	for _, e := range entries {
		if slices.Contains(o.names, e.Name) {
			known = append(known, e)
			continue
		}
		p := e.Key.node.problem(e.Value.path, fmt.Sprintf("unknown %s %q", o.what, e.Name), "")
		p.unknown = &unknownKey{name: e.Name, whole: e.Name, known: o.names}
		if v.decoder == nil {
			d.word(&p)
		}
		problems = append(problems, p)
	}
	switch {
	case len(known) == 1:
		return known[0], problems
	case len(known) > 1:
		p := known[1].Key.node.problem(v.path, fmt.Sprintf("two %ss, %q and %q: %s takes exactly one",
			o.what, known[0].Name, known[1].Name, name(v.path)), "keep one of the two")
		p.Related = []Related{known[0].Key.node.related("the other one")}
		return Entry{}, append(problems, p)
	case len(problems) > 0 || v.node.partial:
		return Entry{}, problems
	}
	return Entry{}, v.oneShape(o)
}

func (v *Value) oneShape(o oneOf) Problems {
	found := ", found " + v.node.describe()
	if v.node.kind == KindNull || v.node.kind == KindMapping {
		found = ""
	}
	cure := fmt.Sprintf("write %s: { ... }; known: %s", exampleName(v.node, o.names), strings.Join(o.names, ", "))
	at := v.node
	if found == "" {
		at = v.node.keyOrSelf()
	}
	return Problems{at.problem(v.path, fmt.Sprintf("%s needs exactly one %s%s", name(v.path), o.what, found), cure)}
}

func exampleName(n *node, names []string) string {
	if n.scalar() && slices.Contains(names, n.text) && !n.secret {
		return n.text
	}
	if len(names) == 0 {
		return "NAME"
	}
	return names[0]
}

func (v *Value) child(n *node, name string) *Value {
	path := joinPath(v.path, name)
	v.tree.byPath[path] = n
	return &Value{tree: v.tree, node: n, path: path, decoder: v.decoder}
}

func (v *Value) entry(name string, key, value *node) Entry {
	return Entry{
		Name: name, Key: Text{Value: name, node: key, path: joinPath(v.path, name)}, Value: v.child(value, name),
	}
}

// Ordered is a mapping that keeps the order of its keys and their places. Its keys are taken as written: dots
// do not split them.
type Ordered[T any] []Pair[T]

// Pair is one key of an Ordered.
type Pair[T any] struct {
	Key   Text
	Value T
}

// UnmarshalConfig takes a mapping.
func (o *Ordered[T]) UnmarshalConfig(v *Value) Problems {
	if v.node.kind != KindMapping {
		return Problems{v.node.problem(v.path, "expected keys and values, found "+v.node.describe(),
			fmt.Sprintf("write %s: { KEY: VALUE }", lastSegment(v.path)))}
	}
	var problems Problems
	out := make(Ordered[T], 0, len(v.node.entries))
	for _, e := range v.Entries() {
		pair := Pair[T]{Key: e.Key}
		problems = append(problems, e.Value.Decode(&pair.Value)...)
		out = append(out, pair)
	}
	*o = out
	return problems
}

// Value is the value at a path, after Decode also one that dotted keys spell in another way.
func (t *Tree) Value(path string) (*Value, bool) {
	n := t.find(path)
	if n == nil {
		return nil, false
	}
	return &Value{tree: t, node: n, path: path}, true
}

// Problem is about the field at a path; where the file does not have it, about the nearest thing around it.
// What others wrote into the message is redacted.
func (t *Tree) Problem(path, message, cure string) Problem {
	n := t.find(path)
	for around := path; n == nil && around != ""; {
		around = around[:max(strings.LastIndexByte(around, '.'), 0)]
		if around != "" {
			n = t.find(around)
		}
		if n != nil {
			n = n.keyOrSelf()
		}
	}
	message, cure = t.Redact(message), t.Redact(cure)
	if n == nil {
		return Problem{Position: Position{File: t.name}, Path: path, Message: message, Cure: cure}
	}
	return n.problem(path, message, cure)
}
