// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
)

// Choice is one thing that an interface-typed field can be. The file says its name alone, or its name with
// keys: `format: csv`, or `format: { csv: { header: false } }`.
type Choice struct {
	Name string
	Doc  string
	New  func() any // a pointer to a new struct that holds its defaults
}

// choice decodes into an interface-typed field.
func (d *decoder) choice(n *node, to reflect.Value, field *structField, path string) {
	var choices []Choice
	if d.tree.options.Choices != nil {
		choices = d.tree.options.Choices(to.Type())
	}
	if len(choices) == 0 {
		if to.Type().NumMethod() > 0 {
			panic(fmt.Sprintf("config: %s: no choices for %s", path, to.Type()))
		}
		if plain := n.plain(); plain != nil {
			to.Set(reflect.ValueOf(plain))
		}
		return
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = c.Name
	}
	v := &Value{tree: d.tree, node: n, path: path, decoder: d}
	e, problems := v.one(oneOf{what: field.key, names: names, bare: true})
	d.report(problems...)
	for _, c := range choices {
		if e.Value == nil || c.Name != e.Name {
			continue
		}
		target := c.New()
		d.pointer(e.Value.node, target, e.Value.path)
		pointer := reflect.ValueOf(target)
		if pointer.Elem().Type().Implements(to.Type()) {
			to.Set(pointer.Elem())
		} else {
			to.Set(pointer)
		}
	}
}

// plain is the node as untyped Go values: nil, bool, int64, float64, string, []any, map[string]any.
func (n *node) plain() any {
	switch n.kind {
	case KindNull:
		return nil
	case KindBool:
		return n.text[0] == 't' || n.text[0] == 'T'
	case KindInt:
		if i, err := parseInt(n.text); err == nil {
			return i
		}
		return n.text
	case KindFloat:
		if f, err := parseFloat(n.text); err == nil {
			return f
		}
		return n.text
	case KindString:
		return n.text
	case KindList:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.plain()
		}
		return out
	case KindMapping:
	}
	out := make(map[string]any, len(n.entries))
	for _, e := range n.entries {
		if !e.value.removed {
			out[e.name] = e.value.plain()
		}
	}
	return out
}
