// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Unmarshaler is a type that reads its own value, such as one that is exactly one of several things.
// It is called with a value that is given and not null. The value is valid during the call only.
type Unmarshaler interface {
	UnmarshalConfig(value *Value) Problems
}

// Decode fills the struct that target points to from the value at the path; "" is the whole file. Keys that
// are left out take their default tag, or keep what target holds. A path that the file does not have decodes
// as if it were empty.
//
// Errors: everything that is wrong, in the order of the file. The target is then filled as far as possible.
func (t *Tree) Decode(path string, target any) Problems {
	t.maskOverridden(path, target)
	n := t.root
	if path != "" {
		if n = t.find(path); n == nil {
			n = &node{kind: KindMapping, src: t.src, at: t.root.at, partial: t.root.partial}
		}
	}
	return t.decode(n, target, path)
}

func (t *Tree) decode(n *node, target any, path string) Problems {
	d := &decoder{tree: t}
	d.pointer(n, target, path)
	d.finish()
	d.problems.Sort()
	return d.problems
}

// find goes down a path by the longest key, like --set.
func (t *Tree) find(path string) *node {
	if n := t.byPath[path]; n != nil {
		return n
	}
	n := t.root
	for path != "" {
		longest := -1
		for i, e := range n.entries {
			if (e.name == path || strings.HasPrefix(path, e.name+".")) &&
				(longest < 0 || len(e.name) > len(n.entries[longest].name)) {
				longest = i
			}
		}
		if longest >= 0 {
			path = strings.TrimPrefix(path[len(n.entries[longest].name):], ".")
			n = n.entries[longest].value
			continue
		}
		first, rest, _ := strings.Cut(path, ".")
		index, err := strconv.Atoi(first)
		if err != nil || index < 0 || index >= len(n.items) {
			return nil
		}
		n, path = n.items[index], rest
	}
	return n
}

// decoder fills Go values from nodes and gathers the problems.
type decoder struct {
	tree     *Tree
	problems Problems
	visited  []visited
}

func (d *decoder) report(problems ...Problem) {
	d.problems = append(d.problems, problems...)
}

func (d *decoder) pointer(n *node, target any, path string) {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic(fmt.Sprintf("config: Decode needs a pointer, got %T", target))
	}
	d.value(n, v.Elem(), &structField{typ: v.Type().Elem(), key: lastSegment(path)}, path)
}

// value decodes one node. field holds the tags that apply.
func (d *decoder) value(n *node, to reflect.Value, field *structField, path string) {
	d.tree.byPath[path] = n
	if field.secret {
		d.tree.mask(n)
	}
	typ := to.Type()
	if typ.Kind() == reflect.Pointer {
		if n.kind == KindNull || n.removed {
			d.missing(n, field, path)
			return
		}
		if to.IsNil() {
			to.Set(reflect.New(typ.Elem()))
		}
		d.value(n, to.Elem(), field, path)
		return
	}
	switch {
	case n.kind == KindNull && n.partial:
	case n.kind == KindNull && !takesNull(typ):
		d.missing(n, field, path)
	case isUnmarshaler(typ):
		v := &Value{tree: d.tree, node: n, path: path, decoder: d}
		d.report(to.Addr().Interface().(Unmarshaler).UnmarshalConfig(v)...)
	case n.partial && n.scalar():
	case typ == bytesType || typ == durationType:
		d.scalar(n, to, field, path)
	case isTextUnmarshaler(typ):
		d.text(n, to, field, path)
	case typ.Kind() == reflect.Struct:
		d.structure(n, to, path)
	case typ.Kind() == reflect.Slice:
		d.list(n, to, field, path)
	case typ.Kind() == reflect.Map:
		d.mapping(n, to, field, path)
	case typ.Kind() == reflect.Interface:
		d.choice(n, to, field, path)
	default:
		d.scalar(n, to, field, path)
	}
}

// takesNull says that a struct is visited also where nothing is given, for its defaults and required keys.
func takesNull(typ reflect.Type) bool {
	return nested(typ) != nil
}

// missing is a required key without a value.
func (d *decoder) missing(n *node, field *structField, path string) {
	if field.required {
		d.report(n.keyOrSelf().problem(path, fmt.Sprintf("%s has no value", name(path)), cureExample(field)))
	}
}

func (d *decoder) structure(n *node, to reflect.Value, path string) {
	info := d.tree.info(to.Type())
	d.visited = append(d.visited, visited{path: path, keys: info.keys()})
	if n.kind != KindMapping && n.kind != KindNull {
		d.report(n.problem(path, fmt.Sprintf("%s needs keys, found %s", name(path), n.describe()), structCure(n, info, path)))
		return
	}
	slots := d.place(n, info, path)
	for _, f := range info.fields {
		d.field(n, to.FieldByIndex(f.index), f, fieldSlot{slots[f], path})
	}
}

// structCure shows how to write the keys; a lone text most likely is the one required key.
func structCure(n *node, info *structInfo, path string) string {
	var required []*structField
	for _, f := range info.fields {
		if f.required {
			required = append(required, f)
		}
	}
	key := lastSegment(path)
	if key == "" || len(info.fields) == 0 {
		return "write keys and values, one per line"
	}
	if len(required) == 1 && n.scalar() && required[0].typ.Kind() == reflect.String {
		return fmt.Sprintf("write %s: { %s: %s }", key, required[0].key, n.shown())
	}
	return fmt.Sprintf("write %s: { %s: ... }", key, info.fields[0].key)
}

// fieldSlot is what the file says about a field, and the path of the struct around it.
type fieldSlot struct {
	slot *slot
	path string
}

func (d *decoder) field(parent *node, to reflect.Value, f *structField, s fieldSlot) {
	path := joinPath(s.path, f.key)
	var n *node
	if s.slot != nil {
		var problems Problems
		n, problems = s.slot.node(path)
		d.report(problems...)
	}
	if n != nil && (n.kind != KindNull || n.partial) {
		d.value(n, to, f, path)
		return
	}
	if f.hasDefault && !d.tree.options.LeaveDefaults && to.IsZero() {
		d.fallback(parent, to, f, path)
		return
	}
	switch {
	case f.required && n != nil:
		d.missing(n, f, path)
	case f.required && !parent.partial:
		d.report(parent.keyOrSelf().problem(path, requiredMessage(s.path, f), cureExample(f)))
	case nested(f.typ) != nil:
		empty := &node{kind: KindMapping, src: parent.src, at: parent.at, key: parent.key, partial: parent.partial}
		d.value(empty, to, f, path)
	}
}

func requiredMessage(path string, f *structField) string {
	return fmt.Sprintf("%s needs %q", name(path), f.key)
}

// name is a field as a sentence begins with it.
func name(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// fallback sets the default tag's value. A default that does not fit is a bug of this repository.
func (d *decoder) fallback(parent *node, to reflect.Value, f *structField, path string) {
	n := &node{kind: resolve(f.fallback), text: f.fallback, raw: f.fallback, src: parent.src, at: parent.at}
	if kind := f.typ.Kind(); kind == reflect.Slice || kind == reflect.Map || kind == reflect.Struct {
		document, err := readDocument(f.fallback)
		if err != nil || document == nil {
			panic(fmt.Sprintf("config: %s: the default %q is not YAML", path, f.fallback))
		}
		b := builder{src: newSource("default", f.fallback)}
		n = b.build(document, 0)
	} else if f.typ.Kind() == reflect.String {
		n.kind = KindString
	}
	sub := &decoder{tree: d.tree}
	sub.value(n, to, f, path)
	delete(d.tree.byPath, path)
	if len(sub.problems) > 0 {
		panic(fmt.Sprintf("config: %s: the default %q does not fit: %s", path, f.fallback, sub.problems[0].Message))
	}
}

func (d *decoder) list(n *node, to reflect.Value, field *structField, path string) {
	typ := to.Type()
	if elem := typ.Elem(); elem.Kind() == reflect.Struct && n.kind == KindMapping {
		if info := d.tree.info(elem); info.key != nil {
			d.keyed(n, to, info, path)
			return
		}
	}
	if n.kind != KindList {
		cure := fmt.Sprintf("write %s: [%s]", lastSegment(path), n.shown())
		if !n.scalar() {
			cure = "write one item per line, each beginning with -"
		}
		d.report(n.problem(path, "expected a list, found "+n.describe(), cure))
		return
	}
	out := reflect.MakeSlice(typ, len(n.items), len(n.items))
	inner := &structField{
		typ: typ.Elem(), enum: field.enum, pattern: field.pattern, example: field.example,
		required: true, secret: field.secret,
	}
	for i, item := range n.items {
		d.value(item, out.Index(i), inner, joinPath(path, strconv.Itoa(i)))
	}
	to.Set(out)
	d.limits(n, float64(len(n.items)), field, limitWords{path: path, unit: "items", parse: parseCount})
}

// keyed decodes a mapping into a list of structs that have a field for the key, so that the order is kept.
func (d *decoder) keyed(n *node, to reflect.Value, info *structInfo, path string) {
	out := reflect.MakeSlice(to.Type(), 0, len(n.entries))
	for _, e := range n.entries {
		if e.value.removed {
			continue
		}
		item := reflect.New(info.typ).Elem()
		at := joinPath(path, e.name)
		key := *e.key
		key.text, key.raw, key.kind = e.name, e.name, KindString
		d.value(&key, item.FieldByIndex(info.key.index), info.key, at)
		if info.value != nil {
			d.value(e.value, item.FieldByIndex(info.value.index), info.value, at)
		} else {
			d.structure(e.value, item, at)
		}
		out = reflect.Append(out, item)
	}
	to.Set(out)
}

func (d *decoder) mapping(n *node, to reflect.Value, field *structField, path string) {
	typ := to.Type()
	if typ.Key().Kind() != reflect.String {
		panic(fmt.Sprintf("config: %s: keys of a map must be strings", path))
	}
	if n.kind != KindMapping {
		d.report(n.problem(path, "expected keys and values, found "+n.describe(),
			fmt.Sprintf("write %s: { KEY: VALUE }", lastSegment(path))))
		return
	}
	out := reflect.MakeMapWithSize(typ, len(n.entries))
	for _, e := range n.entries {
		if e.value.removed {
			continue
		}
		inner := &structField{typ: typ.Elem(), enum: field.enum, pattern: field.pattern, key: e.name, secret: field.secret}
		value := reflect.New(typ.Elem()).Elem()
		d.value(e.value, value, inner, joinPath(path, e.name))
		out.SetMapIndex(reflect.ValueOf(e.name).Convert(typ.Key()), value)
	}
	to.Set(out)
	d.limits(n, float64(out.Len()), field, limitWords{path: path, unit: "keys", parse: parseCount})
}

// text decodes a type of the standard library's kind. What its error says may hold the value, so it is
// redacted.
func (d *decoder) text(n *node, to reflect.Value, field *structField, path string) {
	if !n.scalar() {
		d.report(n.problem(path, "expected text, found "+n.describe(), textCure(n, path, cureExample(field))))
		return
	}
	if len(field.enum) > 0 && !slices.Contains(field.enum, n.text) {
		d.notInEnum(n, field, path)
		return
	}
	if err := to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text)); err != nil {
		message := redactNode(err.Error(), n)
		if n.secret && len(n.text) < secretBytesMin || field.secret {
			message = fmt.Sprintf("%q does not fit", n.shown())
		}
		d.report(n.problem(path, message, cureExample(field)))
	}
}

// mask keeps a value out of every excerpt that is shown later.
func (t *Tree) mask(n *node) {
	for _, e := range n.entries { // a secret in braces without quotes is a key
		t.mask(e.key)
		t.mask(e.value)
	}
	for _, item := range n.items {
		t.mask(item)
	}
	if !n.scalar() || n.kind == KindNull || n.whole || slices.Contains(t.maskings, n) {
		return
	}
	t.maskings = append(t.maskings, n)
	from, to := n.at, n.place(len(strings.TrimRight(n.text, "\n")))
	if n.style == styleSingle || n.style == styleDouble {
		to.column++
	}
	for line := from.line; line <= to.line; line++ {
		m := mask{line: line, from: 1, to: 1 << 20}
		if line == from.line {
			m.from = from.column
		}
		if line == to.line {
			m.to = to.column
		}
		if !slices.Contains(n.src.masks, m) {
			n.src.masks = append(n.src.masks, m)
		}
	}
	if n.text != "" { // in front: it is longer than the references in it
		t.secrets = append([]secretValue{{n.text, masked}}, t.secrets...)
	}
	n.raw = masked
}

// masked stands for what must not be shown.
const masked = "***"
