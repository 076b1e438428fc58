// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

var (
	bytesType           = reflect.TypeFor[forebay.Bytes]()
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	unmarshalerType     = reflect.TypeFor[Unmarshaler]()
)

// structField is one field of a struct that the file can give.
type structField struct {
	key        string
	index      []int
	typ        reflect.Type
	doc        string
	fallback   string
	hasDefault bool
	example    string
	enum       []string
	min, max   string
	pattern    *regexp.Regexp
	required   bool
	unlimited  bool
	secret     bool
}

// structInfo is what the tags of a struct say.
type structInfo struct {
	typ    reflect.Type
	fields []*structField
	names  *nameTree
	key    *structField // yaml:",key": the struct is an entry of a mapping
	value  *structField // yaml:",value"
}

// nameTree holds the fields' keys cut at their dots.
type nameTree struct {
	children map[string]*nameTree
	names    []string
	field    *structField
}

func (t *nameTree) insert(f *structField, typ reflect.Type) {
	for segment := range strings.SplitSeq(f.key, ".") {
		if t.field != nil {
			panic(fmt.Sprintf("config: %s: key %q lies inside key %q", typ, f.key, t.field.key))
		}
		child := t.children[segment]
		if child == nil {
			child = &nameTree{}
			if t.children == nil {
				t.children = map[string]*nameTree{}
			}
			t.children[segment] = child
			t.names = append(t.names, segment)
		}
		t = child
	}
	if t.field != nil || len(t.children) > 0 {
		panic(fmt.Sprintf("config: %s: key %q is taken", typ, f.key))
	}
	t.field = f
}

// info reads a struct's tags once per tree. A wrong tag is a bug of this repository and panics.
func (t *Tree) info(typ reflect.Type) *structInfo {
	if info := t.infos[typ]; info != nil {
		return info
	}
	info := readStruct(typ)
	t.infos[typ] = info
	return info
}

func readStruct(typ reflect.Type) *structInfo {
	info := &structInfo{typ: typ, names: &nameTree{}}
	info.read(typ, nil)
	for _, f := range info.fields {
		info.names.insert(f, typ)
	}
	return info
}

func (info *structInfo) read(typ reflect.Type, index []int) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		tag, tagged := field.Tag.Lookup("yaml")
		path := append(append([]int(nil), index...), i)
		name, option, _ := strings.Cut(tag, ",")
		switch {
		case !tagged && field.Anonymous && field.Type.Kind() == reflect.Struct, option == "inline":
			info.read(field.Type, path)
			continue
		case !tagged || name == "-":
			continue
		case !field.IsExported():
			panic(fmt.Sprintf("config: %s.%s has a yaml tag and is not exported", typ, field.Name))
		}
		f := readField(field, name)
		f.index = path
		switch option {
		case "":
			info.fields = append(info.fields, f)
		case "key":
			info.key = f
		case "value":
			info.value = f
		default:
			panic(fmt.Sprintf("config: %s.%s: unknown option %q in the yaml tag", typ, field.Name, option))
		}
	}
}

func readField(field reflect.StructField, key string) *structField {
	tag := field.Tag
	f := &structField{
		key: key, typ: field.Type, doc: tag.Get("doc"), example: tag.Get("example"),
		min: tag.Get("min"), max: tag.Get("max"),
		required: tag.Get("required") == "true", unlimited: tag.Get("unlimited") == "true",
		secret: tag.Get("secret") == "true",
	}
	f.fallback, f.hasDefault = tag.Lookup("default")
	if enum := tag.Get("enum"); enum != "" {
		f.enum = strings.Split(enum, "|")
	}
	if pattern := tag.Get("pattern"); pattern != "" {
		f.pattern = regexp.MustCompile("^(?:" + pattern + ")$")
	}
	return f
}

// keys lists the struct's keys.
func (info *structInfo) keys() []string {
	out := make([]string, len(info.fields))
	for i, f := range info.fields {
		out[i] = f.key
	}
	return out
}

// isUnmarshaler says that the pointer to typ reads its own value.
func isUnmarshaler(typ reflect.Type) bool {
	return reflect.PointerTo(typ).Implements(unmarshalerType)
}

func isTextUnmarshaler(typ reflect.Type) bool {
	return typ != durationType && reflect.PointerTo(typ).Implements(textUnmarshalerType)
}

// nested is the struct that decoding goes into without being asked, or nil.
func nested(typ reflect.Type) reflect.Type {
	if typ.Kind() == reflect.Struct && !isUnmarshaler(typ) && !isTextUnmarshaler(typ) {
		return typ
	}
	return nil
}
