// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/forebay-io/forebay"
)

// machine runs expressions in expr-lang's virtual machine. Columns are functions that read the frame, so
// nothing is copied for a record; operators and functions are null-safe calls of the functions in dynamic.go.
//
// Its values are nil, bool, int, float64, string, []byte, []any, map[string]any, and the types below.
type machine struct {
	frame   *frame
	config  *conf.Config
	program *vm.Program
	vm      vm.VM
}

// Values that the machine keeps apart from plain ints.
type (
	dateValue     int64 // days
	instantValue  int64 // microseconds
	durationValue int64 // microseconds
	decimalValue  struct {
		unscaled forebay.Int128
		scale    uint8
	}
	// jsonText is one JSON value as text.
	jsonText string
)

func newMachine(f *frame) *machine {
	m := &machine{frame: f, config: conf.CreateNew()}
	m.config.Optimize = false
	return m
}

// dynamicFunc is a function of the machine.
type dynamicFunc = func(args ...any) (any, error)

// call is the tree that calls fn. Functions of one name must be the same.
func (m *machine) call(name string, fn dynamicFunc, args ...ast.Node) ast.Node {
	m.config.Functions[name] = &builtin.Function{Name: name, Func: fn}
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

// callOwn is call for a function that is made for this place, such as one that holds a regular expression.
func (m *machine) callOwn(name string, fn dynamicFunc, args ...ast.Node) ast.Node {
	return m.call(name+"#"+strconv.Itoa(len(m.config.Functions)), fn, args...)
}

// column is the tree that reads a cell.
func (m *machine) column(slot int, t forebay.Type) ast.Node {
	return m.call("column#"+strconv.Itoa(slot)+t.String(), func(...any) (any, error) {
		return valueOf(m.frame.cells[slot], t, m.frame.slab)
	})
}

// valueOf is a cell as a value of the machine.
func valueOf(c forebay.Cell, t forebay.Type, slab []byte) (any, error) {
	if c.IsNull() {
		return nil, nil
	}
	switch kindOf(t) {
	case kindBool:
		return c.Bool(), nil
	case kindInt:
		return int(c.Int()), nil
	case kindFloat:
		return c.Float(), nil
	case kindText:
		return view(c.Bytes(slab)), nil
	case kindBytes:
		return c.Bytes(slab), nil
	case kindDate:
		return dateValue(c.Int()), nil
	case kindInstant:
		return instantValue(c.Int()), nil
	case kindDecimal:
		return decimalValue{unscaled: forebay.Int128From(c.Bytes(slab)), scale: t.Scale}, nil
	case kindJSON:
		// The JSON value null is null too. The text is parsed where an expression looks into it.
		if text := view(c.Bytes(slab)); text != "null" {
			return jsonText(text), nil
		}
		return nil, nil
	default:
		return nil, fmt.Errorf("a %s cannot be used here", t)
	}
}

// compile makes the program of a tree.
func (m *machine) compile(expr string, tree ast.Node) error {
	program, err := compiler.Compile(&parser.Tree{Node: tree, Source: file.NewSource(expr)}, m.config)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return errors.New(first)
	}
	m.program = program
	return nil
}

// run evaluates the program for the frame's record. A failure is noted in the frame and gives nil.
func (m *machine) run() any {
	value, err := m.vm.Run(m.program, nil)
	if err == nil {
		return value
	}
	if m.frame.fail != nil {
		return nil
	}
	if e, ok := errors.AsType[*RejectError](err); ok {
		m.frame.fail = e
		return nil
	}
	message := err.Error()
	if e, ok := errors.AsType[*file.Error](err); ok {
		message = e.Message
	}
	m.frame.refuse(CodeFailed, "%s", message)
	return nil
}
