// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

// Printer is an Unmarshaler that says what it holds, for Print. Without it Print shows what the file says.
type Printer interface {
	PrintConfig() []Printed
}

// Printed is one key of a Printer. Value is anything that Print takes; nil prints as {}.
type Printed struct {
	Key   string
	Value any
}

// Print shows a decoded struct as a file with a comment for each key. path is where the struct was decoded from;
// scalars that came from outside are printed as the references that the file has, secrets as ***.
func (t *Tree) Print(path string, v any) []byte {
	w := printer{tree: t}
	_, lines := w.value(reflect.ValueOf(v), &structField{}, path)
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

type printer struct {
	tree *Tree
}

// value gives a value as the rest of its key's line, or as lines of their own.
func (w *printer) value(v reflect.Value, f *structField, path string) (inline string, lines []string) {
	if !v.IsValid() {
		return "{}", nil
	}
	if n := w.tree.byPath[path]; n != nil && n.scalar() && (n.secret || n.whole || f.secret) {
		return quoteReference(n), nil
	}
	typ := v.Type()
	if f.secret && !v.IsZero() {
		return masked, nil
	}
	switch x := v.Interface().(type) {
	case Text:
		return w.text(x.Value, path), nil
	case time.Duration:
		return w.unlimited(v, f, formatDuration(x)), nil
	case forebay.Bytes:
		return w.unlimited(v, f, x.String()), nil
	case Printer:
		return w.printed(x.PrintConfig(), path)
	}
	if isUnmarshaler(typ) {
		if n := w.tree.byPath[path]; n != nil {
			return w.node(n)
		}
		return "null", nil
	}
	if m, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok && isTextUnmarshaler(typ) {
		text, err := m.MarshalText()
		if err != nil {
			return "null", nil
		}
		return w.text(string(text), path), nil
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Interface:
		return w.indirect(v, f, path)
	case reflect.Struct:
		return w.structure(v, path)
	case reflect.Slice:
		return w.list(v, f, path)
	case reflect.Map:
		return w.mapping(v, f, path)
	case reflect.String:
		return w.text(v.String(), path), nil
	default:
		return w.unlimited(v, f, fmt.Sprint(v.Interface())), nil
	}
}

// text prints a string. One that no scalar of the file became is searched for what came from outside.
func (w *printer) text(text, path string) string {
	if w.tree.byPath[path] == nil {
		if covered := w.tree.Redact(text); covered != text {
			return quotePlain(covered)
		}
	}
	return quote(text)
}

func (w *printer) unlimited(v reflect.Value, f *structField, text string) string {
	if f.unlimited && v.CanInt() && v.Int() == forebay.Unlimited {
		return "unlimited"
	}
	return text
}

// indirect follows a pointer, or prints what an interface-typed field holds under the name of its choice.
func (w *printer) indirect(v reflect.Value, f *structField, path string) (inline string, lines []string) {
	if v.IsNil() {
		return "null", nil
	}
	if v.Kind() == reflect.Pointer {
		return w.value(v.Elem(), f, path)
	}
	if n := w.tree.byPath[path]; n != nil && v.NumMethod() == 0 {
		return w.node(n)
	}
	held := reflect.Indirect(v.Elem())
	if w.tree.options.Choices != nil {
		for _, c := range w.tree.options.Choices(v.Type()) {
			if reflect.TypeOf(c.New()).Elem() == held.Type() {
				return w.printed([]Printed{{c.Name, held.Interface()}}, path)
			}
		}
	}
	return w.value(held, f, path)
}

func (w *printer) structure(v reflect.Value, path string) (inline string, lines []string) {
	for _, f := range w.tree.info(v.Type()).fields {
		field := v.FieldByIndex(f.index)
		if f.doc != "" {
			lines = append(lines, "# "+strings.ReplaceAll(f.doc, "\n", " "))
		}
		if w.unset(field, f, joinPath(path, f.key)) {
			lines = append(lines, strings.TrimSuffix("# "+f.key+": "+strings.Join(f.enum, " | "), " "))
			continue
		}
		text, block := w.value(field, f, joinPath(path, f.key))
		entry := keyLines(f.key, text, block)
		if f.hasDefault && text != "" && (text == f.fallback || text == quote(f.fallback)) {
			entry[0] += "  # default"
		}
		lines = append(lines, entry...)
	}
	if len(lines) == 0 {
		return "{}", nil
	}
	return "", lines
}

// unset is a field that neither the file nor a default gives; it is shown as a comment.
func (w *printer) unset(v reflect.Value, f *structField, path string) bool {
	return v.IsZero() && !f.hasDefault && nested(f.typ) == nil && w.tree.byPath[path] == nil
}

// keyLines is a key with its value, the block indented.
func keyLines(key, inline string, block []string) []string {
	if len(block) == 0 {
		return []string{key + ": " + inline}
	}
	out := []string{key + ":"}
	for _, line := range block {
		out = append(out, "  "+line)
	}
	return out
}

func (w *printer) printed(entries []Printed, path string) (inline string, lines []string) {
	for _, e := range entries {
		text, block := w.value(reflect.ValueOf(e.Value), &structField{}, joinPath(path, e.Key))
		lines = append(lines, keyLines(quotePlain(e.Key), text, block)...)
	}
	if len(lines) == 0 {
		return "{}", nil
	}
	return "", lines
}

func (w *printer) list(v reflect.Value, f *structField, path string) (inline string, lines []string) {
	if elem := v.Type().Elem(); elem.Kind() == reflect.Struct && nested(elem) != nil && w.tree.info(elem).key != nil {
		return w.keyed(v, path)
	}
	texts := make([]string, v.Len())
	blocks := make([][]string, v.Len())
	flow := true
	for i := range v.Len() {
		texts[i], blocks[i] = w.value(v.Index(i), &structField{secret: f.secret}, joinPath(path, strconv.Itoa(i)))
		flow = flow && len(blocks[i]) == 0
	}
	return joinItems(texts, blocks, flow)
}

// keyed prints a list of structs that are the entries of a mapping.
func (w *printer) keyed(v reflect.Value, path string) (inline string, lines []string) {
	info := w.tree.info(v.Type().Elem())
	for i := range v.Len() {
		item := v.Index(i)
		key := item.FieldByIndex(info.key.index).String()
		at := joinPath(path, key)
		var text string
		var block []string
		if info.value != nil {
			text, block = w.value(item.FieldByIndex(info.value.index), info.value, at)
		} else {
			text, block = w.structure(item, at)
		}
		lines = append(lines, keyLines(quotePlain(key), text, block)...)
	}
	if len(lines) == 0 {
		return "{}", nil
	}
	return "", lines
}

func joinItems(texts []string, blocks [][]string, flow bool) (inline string, lines []string) {
	if flow {
		for i, text := range texts {
			if strings.ContainsAny(text, ",[]{}") && !strings.HasPrefix(text, "'") && !strings.HasPrefix(text, `"`) &&
				text != "{}" {
				texts[i] = quoteSingle(text)
			}
		}
		return "[" + strings.Join(texts, ", ") + "]", nil
	}
	for i, text := range texts {
		if len(blocks[i]) == 0 {
			lines = append(lines, "- "+text)
			continue
		}
		for j, line := range blocks[i] {
			if j == 0 {
				lines = append(lines, "- "+line)
			} else {
				lines = append(lines, "  "+line)
			}
		}
	}
	return "", lines
}

func (w *printer) mapping(v reflect.Value, f *structField, path string) (inline string, lines []string) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		text, block := w.value(v.MapIndex(key), &structField{secret: f.secret}, joinPath(path, key.String()))
		lines = append(lines, keyLines(quotePlain(key.String()), text, block)...)
	}
	if len(lines) == 0 {
		return "{}", nil
	}
	return "", lines
}

// node prints what the file says.
func (w *printer) node(n *node) (inline string, lines []string) {
	switch n.kind {
	case KindNull:
		return "null", nil
	case KindBool, KindInt, KindFloat:
		return quoteReference(n), nil
	case KindString:
		return quoteReference(n), nil
	case KindList:
		texts := make([]string, len(n.items))
		blocks := make([][]string, len(n.items))
		flow := true
		for i, item := range n.items {
			texts[i], blocks[i] = w.node(item)
			flow = flow && len(blocks[i]) == 0
		}
		return joinItems(texts, blocks, flow)
	case KindMapping:
	}
	for _, e := range n.entries {
		if !e.value.removed {
			text, block := w.node(e.value)
			lines = append(lines, keyLines(quotePlain(e.name), text, block)...)
		}
	}
	if len(lines) == 0 {
		return "{}", nil
	}
	return "", lines
}

// quoteReference prints a scalar with its references as they are.
func quoteReference(n *node) string {
	if n.whole || n.kind != KindString {
		return n.raw
	}
	if len(n.pieces) > 0 {
		return quotePlain(n.raw)
	}
	if n.raw != n.text { // covered
		return n.raw
	}
	return quote(n.raw)
}

// quote writes text such that it reads as the same text again.
func quote(text string) string {
	return quotePlain(strings.ReplaceAll(text, "${", "$${"))
}

func quotePlain(text string) string {
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return strconv.Quote(text)
		}
	}
	plain := resolve(text) == KindString && strings.TrimSpace(text) == text &&
		!strings.ContainsAny(text[:1], "-?:,[]{}#&*!|>'\"%@`=<") &&
		!strings.Contains(text, ": ") && !strings.Contains(text, " #") && !strings.HasSuffix(text, ":") &&
		!strings.HasPrefix(text, "---") && !strings.HasPrefix(text, "...")
	if plain {
		return text
	}
	return quoteSingle(text)
}

func quoteSingle(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
