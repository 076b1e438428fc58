// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
)

// shape is the type of an Avro value.
type shape uint8

const (
	shapeNull shape = iota
	shapeBool
	shapeInt
	shapeLong
	shapeFloat
	shapeDouble
	shapeBytes
	shapeString
	shapeFixed
	shapeEnum
	shapeRecord
	shapeArray
	shapeMap
	shapeUnion
)

var primitives = map[string]shape{
	"null": shapeNull, "boolean": shapeBool, "int": shapeInt, "long": shapeLong, "float": shapeFloat,
	"double": shapeDouble, "bytes": shapeBytes, "string": shapeString,
}

// meaning is a logical type.
type meaning uint8

const (
	plain meaning = iota
	date
	millis
	micros
	nanos
	decimal
	uuid
	timeOfDay
)

var meanings = map[string]meaning{
	"date": date, "timestamp-millis": millis, "timestamp-micros": micros, "timestamp-nanos": nanos,
	"local-timestamp-millis": millis, "local-timestamp-micros": micros, "local-timestamp-nanos": nanos,
	"decimal": decimal, "uuid": uuid, "time-millis": timeOfDay, "time-micros": timeOfDay,
}

// kind is one type of the writer's schema.
type kind struct {
	shape   shape
	meaning meaning
	// precision and scale are a decimal's, and size that of a fixed.
	precision, scale uint8
	size             int
	symbols          []string
	// names and parts are the fields of a record, the branches of a union, or what an array or map holds.
	names []string
	parts []*kind
}

// field is a field of the file's records.
type field struct {
	name string
	*kind
	// cell is where values go in a row, and to what they become there.
	cell int
	to   forebay.Type
}

const (
	fixedMax    = 1 << 20
	nestedMax   = 64
	uuidSize    = 16
	decimalSize = 16
)

// parser reads a schema. Named types may be used again by their names.
type parser struct {
	named map[string]*kind
}

var errNotRecord = errors.New("its schema is not a record, whose fields could be columns")

// parseSchema reads the schema of a file as the fields of its records.
func parseSchema(text []byte) (fields []field, err error) {
	p := parser{named: make(map[string]*kind)}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("its schema is not JSON: %w", err)
	}
	root, err := p.parse(tree, "", 0)
	if err != nil {
		return nil, err
	}
	if root.shape != shapeRecord || len(root.parts) == 0 {
		return nil, errNotRecord
	}
	var problems []error
	for i, k := range root.parts {
		f := field{name: root.names[i], kind: k}
		if _, why := f.single(); why != "" {
			problems = append(problems, fmt.Errorf("field %q %s", f.name, why))
		}
		fields = append(fields, f)
	}
	return fields, errors.Join(problems...)
}

func (p *parser) parse(tree any, space string, depth int) (*kind, error) {
	if depth > nestedMax {
		return nil, errors.New("its schema is nested too deeply")
	}
	switch tree := tree.(type) {
	case string:
		return p.find(tree, space)
	case []any:
		union := &kind{shape: shapeUnion}
		for _, branch := range tree {
			k, err := p.parse(branch, space, depth+1)
			if err != nil {
				return nil, err
			}
			union.parts = append(union.parts, k)
		}
		if len(union.parts) == 0 {
			return nil, errors.New("its schema has a union of nothing")
		}
		return union, nil
	case map[string]any:
		return p.parseObject(tree, space, depth)
	default:
		return nil, errors.New("its schema has a type that is neither a name, an object nor a list")
	}
}

func (p *parser) find(name, space string) (*kind, error) {
	if s, is := primitives[name]; is {
		return &kind{shape: s}, nil
	}
	for _, full := range []string{space + "." + name, name} {
		if k, known := p.named[full]; known {
			return k, nil
		}
	}
	return nil, fmt.Errorf("its schema uses the type %q, which it does not define", name)
}

func (p *parser) parseObject(o map[string]any, space string, depth int) (k *kind, err error) {
	name, _ := o["name"].(string)
	if s, given := o["namespace"].(string); given {
		space = s
	}
	k = &kind{}
	define := func(s shape) {
		k.shape = s
		p.named[name], p.named[space+"."+name] = k, k
	}
	switch typ, _ := o["type"].(string); typ {
	case "record", "error":
		define(shapeRecord)
		err = p.parseFields(k, o, space, depth)
	case "enum":
		define(shapeEnum)
		symbols, _ := o["symbols"].([]any)
		for _, s := range symbols {
			text, _ := s.(string)
			k.symbols = append(k.symbols, text)
		}
	case "fixed":
		define(shapeFixed)
		size, _ := o["size"].(float64)
		if k.size = int(size); size < 0 || size > fixedMax {
			return nil, fmt.Errorf("its schema has a fixed type %q of %v bytes", name, size)
		}
	case "array", "map":
		k.shape = shapeArray
		inner := o["items"]
		if typ == "map" {
			k.shape, inner = shapeMap, o["values"]
		}
		var part *kind
		part, err = p.parse(inner, space, depth+1)
		k.parts = []*kind{part}
	default:
		if k, err = p.parse(o["type"], space, depth+1); err == nil {
			same := *k // a logical type is of this place alone
			k = &same
		}
	}
	if err != nil {
		return nil, err
	}
	return k, k.setMeaning(o)
}

func (p *parser) parseFields(k *kind, o map[string]any, space string, depth int) error {
	fields, _ := o["fields"].([]any)
	for _, f := range fields {
		object, _ := f.(map[string]any)
		name, _ := object["name"].(string)
		part, err := p.parse(object["type"], space, depth+1)
		if err != nil {
			return err
		}
		k.names, k.parts = append(k.names, name), append(k.parts, part)
	}
	return nil
}

// setMeaning reads the logical type. One that does not fit its type is ignored, as the format demands.
func (k *kind) setMeaning(o map[string]any) error {
	name, _ := o["logicalType"].(string)
	m := meanings[name]
	switch s := k.shape; {
	case m == date && s == shapeInt, s == shapeLong && (m == millis || m == micros || m == nanos),
		m == timeOfDay && (s == shapeInt || s == shapeLong), m == uuid && s == shapeString,
		m == uuid && s == shapeFixed && k.size == uuidSize:
		k.meaning = m
	case m == decimal && (s == shapeBytes || s == shapeFixed):
		precision, _ := o["precision"].(float64)
		scale, _ := o["scale"].(float64)
		if precision < 1 || precision > forebay.DecimalPrecisionMax || scale < 0 || scale > precision {
			return fmt.Errorf("its schema has a decimal(%v, %v), and the precision must be 1 to %d and the scale 0 up to it",
				precision, scale, forebay.DecimalPrecisionMax)
		}
		k.meaning, k.precision, k.scale = decimal, uint8(precision), uint8(scale)
	}
	return nil
}

// single is the kind of the values that are not null, nil where they are of several.
func (k *kind) single() (one *kind, why string) {
	one = k
	if k.shape == shapeUnion {
		one = nil
		for _, branch := range k.parts {
			if branch.shape == shapeNull {
				continue
			}
			if one != nil {
				return nil, ""
			}
			one = branch
		}
	}
	if one != nil && one.meaning == timeOfDay {
		return one, "is a time of day, for which there is no type"
	}
	return one, ""
}

// column is the type of the column that the values become.
func (k *kind) column() forebay.Type {
	one, _ := k.single()
	if one == nil {
		return forebay.JSON
	}
	switch one.meaning {
	case date:
		return forebay.Date
	case millis, micros, nanos:
		return forebay.Timestamp
	case decimal:
		return forebay.DecimalOf(one.precision, one.scale)
	case uuid:
		return forebay.String
	default:
	}
	switch one.shape {
	case shapeBool:
		return forebay.Bool
	case shapeInt:
		return forebay.Int32
	case shapeLong:
		return forebay.Int64
	case shapeFloat:
		return forebay.Float32
	case shapeDouble:
		return forebay.Float64
	case shapeBytes, shapeFixed:
		return forebay.Binary
	case shapeString, shapeEnum, shapeNull:
		return forebay.String
	default:
		return forebay.JSON
	}
}
