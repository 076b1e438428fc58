// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

// Typed appends Go structs through a Writer. The struct's fields are matched to columns once, by their tag
// `forebay:"name"` or their name in lower case; a tag of "-" leaves a field out, and a nil pointer is null.
//
// Concurrency: one goroutine at a time; make one for each.
type Typed[T any] struct {
	writer *Writer
	row    forebay.Row
	fields []typedField
}

type typedField struct {
	index  int
	column string
	set    func(row forebay.Row, column string, v reflect.Value) error
}

// For fits the struct type T to the writer's columns.
//
// Errors: misconfigured, with every field that has no column or whose type does not fit.
func For[T any](w *Writer) (*Typed[T], error) {
	schema := w.Layout().Schema
	fields, err := fieldsOf(reflect.TypeFor[T](), schema)
	if err != nil {
		return nil, err
	}
	return &Typed[T]{writer: w, row: forebay.NewRow(schema), fields: fields}, nil
}

// SchemaFor is the schema of a struct type, and the names of the fields whose tag says key.
func SchemaFor[T any]() (schema *forebay.Schema, key []string, err error) {
	t := reflect.TypeFor[T]()
	var columns []forebay.Column
	for field := range t.Fields() {
		name, isKey, used := columnOf(field)
		if !used {
			continue
		}
		kind, ok := columnType(field.Type)
		if !ok {
			return nil, nil, forebay.Errorf("schema of "+t.String(), forebay.ClassMisconfigured,
				"the field %s has the type %s, which no column can hold", field.Name, field.Type)
		}
		columns = append(columns, forebay.Column{Name: name, Type: kind})
		if isKey {
			key = append(key, name)
		}
	}
	schema, err = forebay.NewSchema(columns...)
	return schema, key, err
}

// Append takes one value; see Writer.Append.
func (t *Typed[T]) Append(ctx context.Context, value T) (Receipt, error) {
	if err := t.fill(&value); err != nil {
		return Receipt{}, err
	}
	return t.writer.Append(ctx, t.row)
}

// Delete removes the row with the key of the value; see Writer.Delete.
func (t *Typed[T]) Delete(ctx context.Context, value T) (Receipt, error) {
	if err := t.fill(&value); err != nil {
		return Receipt{}, err
	}
	return t.writer.Delete(ctx, t.row)
}

func (t *Typed[T]) fill(value *T) error {
	t.row.Clear()
	v := reflect.ValueOf(value).Elem()
	for _, f := range t.fields {
		if err := f.set(t.row, f.column, v.Field(f.index)); err != nil {
			return &forebay.Error{Op: "append", Class: forebay.ClassRejected, Err: err}
		}
	}
	return nil
}

func fieldsOf(t reflect.Type, schema *forebay.Schema) ([]typedField, error) {
	var fields []typedField
	var problems []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, used := columnOf(field)
		if !used {
			continue
		}
		set := setterOf(field.Type)
		switch at := schema.Find(name); {
		case at < 0:
			problems = append(problems, fmt.Sprintf("field %s: the table has no column %q", field.Name, name))
		case set == nil:
			problems = append(problems, fmt.Sprintf("field %s: no column can hold a %s", field.Name, field.Type))
		default:
			fields = append(fields, typedField{index: i, column: name, set: set})
		}
	}
	if len(problems) > 0 {
		return nil, forebay.Errorf("fit "+t.String(), forebay.ClassMisconfigured, "%s", strings.Join(problems, "; "))
	}
	return fields, nil
}

// columnOf reads a field's tag.
func columnOf(f reflect.StructField) (name string, key, used bool) {
	if !f.IsExported() {
		return "", false, false
	}
	name, options, _ := strings.Cut(f.Tag.Get("forebay"), ",")
	if name == "-" {
		return "", false, false
	}
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, options == "key", true
}

var timeType = reflect.TypeFor[time.Time]()

func columnType(t reflect.Type) (forebay.Type, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return forebay.Timestamp, true
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return forebay.Binary, true
	}
	switch t.Kind() {
	case reflect.Bool:
		return forebay.Bool, true
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16:
		return forebay.Int32, true
	case reflect.Int, reflect.Int64, reflect.Uint32:
		return forebay.Int64, true
	case reflect.Float32:
		return forebay.Float32, true
	case reflect.Float64:
		return forebay.Float64, true
	case reflect.String:
		return forebay.String, true
	default:
		return forebay.Type{}, false
	}
}

// setterOf is how a field of the type is written to a column; nil for a type that none can hold.
func setterOf(t reflect.Type) func(forebay.Row, string, reflect.Value) error {
	if t.Kind() == reflect.Pointer {
		inner := setterOf(t.Elem())
		if inner == nil {
			return nil
		}
		return func(row forebay.Row, column string, v reflect.Value) error {
			if v.IsNil() {
				return nil
			}
			return inner(row, column, v.Elem())
		}
	}
	kind, ok := columnType(t)
	if !ok {
		return nil
	}
	switch kind.Kind {
	case forebay.KindInt32, forebay.KindInt64:
		if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint32 {
			return func(row forebay.Row, c string, v reflect.Value) error { return row.SetInt(c, int64(v.Uint())) }
		}
		return func(row forebay.Row, c string, v reflect.Value) error { return row.SetInt(c, v.Int()) }
	case forebay.KindFloat32, forebay.KindFloat64:
		return func(row forebay.Row, c string, v reflect.Value) error { return row.SetFloat(c, v.Float()) }
	case forebay.KindString:
		return func(row forebay.Row, c string, v reflect.Value) error { return row.SetText(c, v.String()) }
	default:
		return func(row forebay.Row, c string, v reflect.Value) error { return row.Set(c, v.Interface()) }
	}
}
