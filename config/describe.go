// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
)

// Field describes one key for the reference and for editors.
type Field struct {
	Key       string
	Type      string // text, bool, int, number, size, duration, list of ..., map of ..., keys, or a type's own name
	Doc       string
	Default   string
	Example   string
	Enum      []string
	Min, Max  string
	Pattern   string
	Required  bool
	Unlimited bool
	Secret    bool
	Fields    []Field // of a struct, or of a list's or map's structs
	Choices   []Choice
}

// Describer is an Unmarshaler that says what it takes, for the reference.
type Describer interface {
	DescribeConfig() (typeName string, fields []Field)
}

// Fields lists the keys of a struct type, or of a pointer to one, in the order of the struct. choices says what
// interface-typed fields can be; it may be nil.
func Fields(typ reflect.Type, choices func(reflect.Type) []Choice) []Field {
	w := describer{choices: choices}
	return w.fields(typ)
}

type describer struct {
	choices func(reflect.Type) []Choice
	open    []reflect.Type
}

func (w *describer) fields(typ reflect.Type) []Field {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if slices.Contains(w.open, typ) {
		return nil
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	w.open = append(w.open, typ)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	info := readStruct(typ)
	out := make([]Field, 0, len(info.fields))
	for _, f := range info.fields {
		out = append(out, w.field(f))
	}
	return out
}

func (w *describer) field(f *structField) Field {
	out := Field{
		Key: f.key, Doc: f.doc, Default: f.fallback, Example: f.example, Enum: f.enum, Min: f.min, Max: f.max,
		Required: f.required, Unlimited: f.unlimited, Secret: f.secret,
	}
	if f.pattern != nil {
		pattern := f.pattern.String()
		out.Pattern = pattern[len("^(?:") : len(pattern)-len(")$")]
	}
	out.Type, out.Fields, out.Choices = w.typ(f.typ)
	return out
}

func (w *describer) typ(typ reflect.Type) (name string, fields []Field, choices []Choice) {
	switch {
	case typ.Kind() == reflect.Pointer:
		return w.typ(typ.Elem())
	case typ == bytesType:
		return "size", nil, nil
	case typ == durationType:
		return "duration", nil, nil
	}
	if d, ok := reflect.TypeAssert[Describer](reflect.New(typ)); ok {
		name, fields = d.DescribeConfig()
		return name, fields, nil
	}
	if isUnmarshaler(typ) || isTextUnmarshaler(typ) {
		return lowerName(typ), nil, nil
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "bool", nil, nil
	case reflect.String:
		return "text", nil, nil
	case reflect.Float32, reflect.Float64:
		return "number", nil, nil
	case reflect.Slice:
		inner, fields, choices := w.typ(typ.Elem())
		return "list of " + inner, fields, choices
	case reflect.Map:
		inner, fields, choices := w.typ(typ.Elem())
		return "map of " + inner, fields, choices
	case reflect.Struct:
		return "keys", w.fields(typ), nil
	case reflect.Interface:
		if w.choices != nil {
			choices = w.choices(typ)
		}
		if len(choices) == 0 {
			return "any", nil, nil
		}
		return lowerName(typ), nil, choices
	default:
		return "int", nil, nil
	}
}

func lowerName(typ reflect.Type) string {
	name := []rune(typ.Name())
	if len(name) == 0 {
		return "value"
	}
	if name[0] >= 'A' && name[0] <= 'Z' {
		name[0] += 'a' - 'A'
	}
	return string(name)
}

// DescribeConfig says that a Text is text.
func (t *Text) DescribeConfig() (typeName string, fields []Field) { return "text", nil }

// DescribeConfig describes the values of the mapping.
func (o *Ordered[T]) DescribeConfig() (typeName string, fields []Field) {
	w := describer{}
	name, fields, _ := w.typ(reflect.TypeFor[T]())
	return "map of " + name, fields
}
