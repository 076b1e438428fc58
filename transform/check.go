// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/nearest"
)

// checker walks a parsed expression once. X3: it finds the type of every part and builds its two forms: closures,
// and a tree for expr-lang's machine in which every operator and function is a null-safe call.
type checker struct {
	expr string
	// layout is nil where records are JSON.
	layout   *forebay.Layout
	problems []*ExprError
	machine  *machine
	// variables are those of let that are visible, innermost last.
	variables []variable
	// predicates counts the predicates around the current node.
	predicates int
	temporary  int
	impure     bool
	// broken are columns that an earlier assignment failed to make.
	broken map[string]bool
}

type variable struct {
	name, tree string
	kind       kind
	column     forebay.Type
}

// parse reads the expression's text.
func (c *checker) parse() (ast.Node, bool) {
	if !utf8.ValidString(c.expr) {
		at := strings.IndexFunc(c.expr, func(r rune) bool { return r == utf8.RuneError })
		c.problems = append(c.problems, &ExprError{
			Expr: c.expr, Offset: at, Length: 1, Message: "the expression is not valid UTF-8",
		})
		return nil, false
	}
	tree, err := parser.Parse(c.expr)
	if err == nil {
		return tree.Node, true
	}
	problem := &ExprError{Message: err.Error()}
	at := file.Location{}
	if e, ok := errors.AsType[*file.Error](err); ok {
		problem.Message, at = e.Message, e.Location
	}
	problem.Message, problem.Cure = syntaxMessage(problem.Message)
	if strings.TrimSpace(c.expr) == "" {
		problem.Message, problem.Cure = "the expression is empty", "write one such as dep_time != nil"
	}
	c.place(problem, at)
	c.problems = append(c.problems, problem)
	return nil, false
}

var tokenPattern = regexp.MustCompile(`\b(?:Operator|Identifier|Bracket|Number|String)\(("(?:[^"\\]|\\.)*")\)`)

// syntaxMessage puts the parser's words into ours.
func syntaxMessage(message string) (text, cure string) {
	text = tokenPattern.ReplaceAllString(message, "$1")
	text = strings.ReplaceAll(text, "unexpected token EOF", "the expression ends too early")
	switch {
	case strings.Contains(text, "value out of range"), strings.Contains(text, "literal is too large"):
		return "the number is too large", "an int has 64 bits"
	case strings.Contains(text, "cannot be mixed"):
		return "?? cannot be mixed with other operators", "put one of them into parentheses, such as (a ?? 0) + 1"
	case text != "":
		text = strings.ToLower(text[:1]) + text[1:]
	}
	switch {
	case strings.HasSuffix(text, `unexpected token "="`):
		cure = "write == to compare"
	case strings.HasSuffix(text, `unexpected token "AND"`), strings.HasSuffix(text, `unexpected token "OR"`),
		strings.HasSuffix(text, `unexpected token "NOT"`), strings.HasSuffix(text, `unexpected token "IN"`):
		cure = "write and, or, not, in in lower case"
	case strings.HasSuffix(text, `unexpected token "is"`), strings.HasSuffix(text, `unexpected token "IS"`):
		cure = "write == nil or != nil"
	}
	return text, cure
}

// place turns the parser's place, in characters, into bytes.
func (c *checker) place(e *ExprError, at file.Location) {
	e.Expr = c.expr
	from, to, n := len(c.expr), len(c.expr), 0
	for i := range c.expr {
		if n == at.From {
			from = i
		}
		if n == at.To {
			to = i
			break
		}
		n++
	}
	e.Offset, e.Length = from, max(to-from, min(1, len(c.expr)-from))
}

// bad notes a problem and returns an operand that causes no more.
func (c *checker) bad(at file.Location, cure, format string, args ...any) *operand {
	return c.report(at, &ExprError{Message: fmt.Sprintf(format, args...), Cure: cure})
}

func (c *checker) report(at file.Location, e *ExprError) *operand {
	c.place(e, at)
	c.problems = append(c.problems, e)
	return badOperand(at)
}

func badOperand(at file.Location) *operand {
	return &operand{kind: kindBad, at: at, slot: -1, tree: &ast.NilNode{}}
}

// check finds type and forms of a node.
func (c *checker) check(n ast.Node) *operand {
	o := c.checkNode(n)
	o.at = n.Location()
	return o
}

func (c *checker) checkNode(n ast.Node) *operand {
	switch n := n.(type) {
	case *ast.NilNode:
		o := (&operand{kind: kindNil, slot: -1}).nulls()
		o.tree = &ast.NilNode{}
		return o
	case *ast.IntegerNode:
		return withTree(literal(int64(n.Value)), &ast.IntegerNode{Value: n.Value})
	case *ast.FloatNode:
		return withTree(literal(n.Value), &ast.FloatNode{Value: n.Value})
	case *ast.BoolNode:
		return withTree(literal(n.Value), &ast.BoolNode{Value: n.Value})
	case *ast.StringNode:
		if !utf8.ValidString(n.Value) {
			return c.report(n.Location(), &ExprError{Message: "the text is not valid UTF-8"})
		}
		return withTree(literal(n.Value), &ast.StringNode{Value: n.Value})
	case *ast.BytesNode:
		o := literal(string(n.Value))
		o.kind, o.constant = kindBytes, nil
		return withTree(o, &ast.ConstantNode{Value: n.Value})
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		return c.callee(n)
	case *ast.ChainNode:
		return c.check(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.list(n)
	case *ast.MapNode:
		return c.mapping(n)
	case *ast.SequenceNode:
		return c.bad(n.Location(), "write one expression", "several expressions have no one value")
	default:
		return c.bad(n.Location(), "", "this is not supported here")
	}
}

func withTree(o *operand, tree ast.Node) *operand {
	o.tree = tree
	return o
}

// envName is expr-lang's word for all names at once; $env["a b"] reads a column whose name is no identifier.
const envName = "$env"

func (c *checker) identifier(n *ast.IdentifierNode) *operand {
	for _, v := range slices.Backward(c.variables) {
		if v.name == n.Value {
			return &operand{kind: v.kind, column: v.column, slot: -1, tree: &ast.IdentifierNode{Value: v.tree}}
		}
	}
	if n.Value == envName {
		return c.bad(n.Location(), `write $env["column name"]`, "%s alone is not a value", envName)
	}
	return c.column(n.Value, n.Location())
}

// column reads the named column, or field.
func (c *checker) column(name string, at file.Location) *operand {
	if c.onJSON() {
		return c.field(at, name)
	}
	if c.broken[name] {
		return badOperand(at)
	}
	i := c.layout.Schema.Find(name)
	if i < 0 {
		return c.unknownName(name, at)
	}
	slot, t := c.layout.Slots[i], c.layout.Schema.Column(i).Type
	o := columnOperand(slot, t)
	o.tree = c.machine.column(slot, t)
	return o
}

func (c *checker) unknownName(name string, at file.Location) *operand {
	e := &ExprError{Message: fmt.Sprintf("no column is called %q", name)}
	switch strings.ToLower(name) {
	case "null", "none", "nil":
		e.Cure = "write nil"
	case "true", "false":
		e.Cure = "write " + strings.ToLower(name)
	default:
		known := c.layout.Schema.Names()
		for _, v := range c.variables {
			known = append(known, v.name)
		}
		if e.Nearest = nearest.Name(name, known); e.Nearest == "" {
			e.Cure = columnsHint(c.layout.Schema)
			if _, function := functions[name]; function {
				e.Cure = fmt.Sprintf("the function %s needs arguments: %s(...)", name, name)
			}
		}
	}
	return c.report(at, e)
}

// conditional is cond ? a : b. As in SQL's CASE, a condition that is null counts as not true.
func (c *checker) conditional(n *ast.ConditionalNode) *operand {
	cond, then, otherwise := c.check(n.Cond), c.check(n.Exp1), c.check(n.Exp2)
	if !c.wants(cond, kindBool, "the condition before ?") {
		return badOperand(n.Location())
	}
	result, ok := c.unify(n.Location(), "the two results of ? :", then, otherwise)
	if !ok {
		return badOperand(n.Location())
	}
	result.tree = &ast.ConditionalNode{
		Ternary: true, Cond: c.machine.call("isTrue", isTrue, cond.tree),
		Exp1: c.treeAs(then, result), Exp2: c.treeAs(otherwise, result),
	}
	if result.lowered = cond.lowered && then.lowered && otherwise.lowered; result.lowered {
		lowerConditional(result, cond.truth, then.as(result), otherwise.as(result))
	}
	return result
}

func lowerConditional(result *operand, cond boolFunc, then, otherwise *operand) {
	result.truth = func(f *frame) truth {
		if cond(f) == yes {
			return then.truth(f)
		}
		return otherwise.truth(f)
	}
	result.int = func(f *frame) (int64, bool) {
		if cond(f) == yes {
			return then.int(f)
		}
		return otherwise.int(f)
	}
	result.float = func(f *frame) (float64, bool) {
		if cond(f) == yes {
			return then.float(f)
		}
		return otherwise.float(f)
	}
	result.text = func(f *frame) (string, bool) {
		if cond(f) == yes {
			return then.text(f)
		}
		return otherwise.text(f)
	}
	result.decimal = func(f *frame) (forebay.Int128, bool) {
		if cond(f) == yes {
			return then.decimal(f)
		}
		return otherwise.decimal(f)
	}
	if result.kind != kindAny {
		return
	}
	first, second := then.values(), otherwise.values()
	result.lowered = first != nil && second != nil
	result.value = func(f *frame) value {
		if cond(f) == yes {
			return first(f)
		}
		return second(f)
	}
}

// as is the operand in the kind of another: an int as a float. Nil has every closure.
func (o *operand) as(want *operand) *operand {
	switch {
	case o.kind == kindInt && want.kind == kindFloat:
		return &operand{kind: kindFloat, slot: -1, lowered: o.lowered, float: o.toFloat()}
	default:
		return o
	}
}

// treeAs is the operand's tree in the kind of another.
func (c *checker) treeAs(o, want *operand) ast.Node {
	if o.kind == kindInt && want.kind == kindFloat {
		return c.machine.call("toFloat", dynamicToFloat, o.tree)
	}
	return o.tree
}

// unify finds the one kind that all operands can have.
func (c *checker) unify(at file.Location, what string, operands ...*operand) (result *operand, ok bool) {
	result = &operand{kind: kindNil, slot: -1}
	for _, o := range operands {
		switch {
		case o.kind == kindBad:
			return nil, false
		case o.kind == kindNil, result.kind == kindAny:
		case result.kind == kindNil, o.kind == kindAny:
			result.kind, result.column = o.kind, o.column
		case result.kind.number() && o.kind.number():
			if o.kind != result.kind {
				result.kind = kindFloat
			}
			if o.column != result.column {
				result.column = forebay.Type{}
			}
		case result.kind != o.kind || o.kind == kindDecimal && o.column != result.column:
			c.bad(at, "convert one of them", "%s must have one type, not %s and %s", what, result.typeName(), o.typeName())
			return nil, false
		}
	}
	if result.kind.number() {
		result.column = forebay.Type{}
	}
	return result, true
}

func (o *operand) typeName() string {
	if o.kind == kindDecimal {
		return o.column.String()
	}
	return o.kind.String()
}

// wants reports whether the operand can be used as the kind; values known at run time only always can.
func (c *checker) wants(o *operand, want kind, who string) bool {
	switch {
	case o.kind == kindBad:
		return false
	case o.kind == kindAny && o.value != nil:
		o.demand(want, who+" must be")
		return true
	case o.kind == want, o.kind == kindNil, o.kind == kindAny, want == kindAny, want == kindFloat && o.kind == kindInt:
		return true
	}
	c.bad(o.at, conversionTo(want, o), "%s must be %s, not %s", who, withArticle(want.String()), o.article())
	return false
}

// conversionTo is how an operand becomes the wanted kind.
func conversionTo(want kind, o *operand) string {
	switch {
	case want == kindText && (o.kind == kindBytes || !o.kind.inText()) && !o.kind.dynamic():
		return "convert it with string(...)"
	case want == kindInt && (o.kind == kindText || o.kind == kindFloat || o.kind == kindDecimal):
		return "convert it with int(...)"
	case want == kindFloat && (o.kind == kindText || o.kind == kindDecimal):
		return "convert it with float(...)"
	case want == kindBool:
		return "compare it, such as with == or != nil"
	default:
		return ""
	}
}
