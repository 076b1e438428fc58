// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *checker) unary(n *ast.UnaryNode) *operand {
	o := c.check(n.Node)
	switch n.Operator {
	case "!", "not":
		if !c.wants(o, kindBool, "what "+n.Operator+" negates") {
			return badOperand(n.Location())
		}
		return c.negation(o)
	default:
		return c.signed(n, o)
	}
}

func (c *checker) negation(o *operand) *operand {
	get := o.truth
	return &operand{
		kind: kindBool, slot: -1, lowered: o.lowered, tree: c.machine.call("not", dynamicNot, o.tree),
		truth: func(f *frame) truth {
			switch get(f) {
			case yes:
				return no
			case no:
				return yes
			default:
				return unknown
			}
		},
	}
}

// signed is + or - in front of a number.
func (c *checker) signed(n *ast.UnaryNode, o *operand) *operand {
	switch {
	case o.kind == kindBad:
		return o
	case !o.kind.number() && o.kind != kindNil && o.kind != kindAny && (o.kind != kindDuration):
		return c.bad(n.Location(), conversionTo(kindFloat, o), "%s needs a number, not %s", n.Operator, o.article())
	case n.Operator == "+", o.kind == kindNil:
		result := *o
		result.slot = -1
		return &result
	}
	var result *operand
	switch v := o.constant.(type) {
	case int64:
		result = literal(-v)
	case float64:
		result = literal(-v)
	default:
		result = &operand{kind: o.kind, slot: -1, lowered: o.lowered}
		getInt, getFloat := o.int, o.float
		result.int = func(f *frame) (int64, bool) {
			v, ok := getInt(f)
			if ok && v == -v && v != 0 {
				f.refuse(CodeOverflow, "-(%d) does not fit 64 bits", v)
				return 0, false
			}
			return -v, ok
		}
		result.float = func(f *frame) (float64, bool) {
			v, ok := getFloat(f)
			return -v, ok
		}
		result.value = o.negated()
	}
	result.tree = c.machine.call("negate", dynamicNegate, o.tree)
	return result
}

func (c *checker) binary(n *ast.BinaryNode) *operand {
	switch n.Operator {
	case "in":
		return c.in(n)
	case "..":
		return c.bad(n.Location(), "write x in 1..5", "a range stands only behind in")
	case "matches":
		return c.matches(n)
	}
	l, r := c.check(n.Left), c.check(n.Right)
	if l.kind == kindBad || r.kind == kindBad {
		return badOperand(n.Location())
	}
	switch n.Operator {
	case "==", "!=":
		if l.isLiteralNil() || r.isLiteralNil() {
			return c.nilTest(n, l, r)
		}
		return c.comparison(n, l, r)
	case "<", "<=", ">", ">=":
		return c.comparison(n, l, r)
	case "and", "&&", "or", "||":
		return c.logic(n, l, r)
	case "??":
		return c.coalesce(n.Location(), []*operand{l, r})
	case "contains", "startsWith", "endsWith":
		return c.textTest(n, l, r)
	case "+", "-", "*", "/", "%", "**", "^":
		return c.arithmetic(n, l, r)
	default:
		return c.bad(n.Location(), "", "the operator %s is not supported", n.Operator)
	}
}

// nilTest is == nil and != nil.
func (c *checker) nilTest(n *ast.BinaryNode, l, r *operand) *operand {
	o := l
	if l.isLiteralNil() {
		o = r
	}
	name, fn := "isNil", dynamicIsNil
	wanted := n.Operator == "=="
	if !wanted {
		name, fn = "isNotNil", dynamicIsNotNil
	}
	result := &operand{kind: kindBool, slot: -1, lowered: o.lowered, tree: c.machine.call(name, fn, o.tree)}
	if o.path != nil {
		result.truth, result.tree = c.nullTest(o.path, wanted)
		return result
	}
	if slot := o.slot; slot >= 0 && o.kind != kindJSON {
		if wanted {
			result.truth = func(f *frame) truth { return truthOf(f.cells[slot].IsNull()) }
		} else {
			result.truth = func(f *frame) truth { return truthOf(!f.cells[slot].IsNull()) }
		}
		return result
	}
	null := o.isNull()
	result.truth = func(f *frame) truth { return truthOf(null(f) == wanted) }
	return result
}

// isNull tests whether the operand gives null.
func (o *operand) isNull() func(f *frame) bool {
	switch {
	case o.kind == kindNil:
		return func(*frame) bool { return true }
	case o.kind == kindBool:
		get := o.truth
		return func(f *frame) bool { return get(f) == unknown }
	case o.kind.inInt():
		get := o.int
		return func(f *frame) bool { _, ok := get(f); return !ok }
	case o.kind == kindFloat:
		get := o.float
		return func(f *frame) bool { _, ok := get(f); return !ok }
	case o.kind == kindDecimal:
		get := o.decimal
		return func(f *frame) bool { _, ok := get(f); return !ok }
	case o.kind == kindAny:
		get := o.value
		return func(f *frame) bool { return get(f).isNull() }
	default:
		get := o.text
		return func(f *frame) bool { _, ok := get(f); return !ok }
	}
}

// logic is three-valued: false and null is false, true or null is true. The right side is evaluated only
// where the left one does not decide.
func (c *checker) logic(n *ast.BinaryNode, l, r *operand) *operand {
	who := "each side of " + n.Operator
	okLeft, okRight := c.wants(l, kindBool, who), c.wants(r, kindBool, who)
	if !okLeft || !okRight {
		return badOperand(n.Location())
	}
	result := &operand{kind: kindBool, slot: -1, lowered: l.lowered && r.lowered}
	left, right := l.truth, r.truth
	decides, fn := no, dynamicAnd
	if n.Operator == "or" || n.Operator == "||" {
		decides, fn = yes, dynamicOr
		result.truth = func(f *frame) truth {
			v := left(f)
			if v == yes {
				return yes
			}
			if w := right(f); w == yes || v == no {
				return w
			}
			return unknown
		}
	} else {
		result.truth = func(f *frame) truth {
			v := left(f)
			if v == no {
				return no
			}
			if w := right(f); w == no || v == yes {
				return w
			}
			return unknown
		}
	}
	// let t = left; t decides ? t : and(t, right)
	c.temporary++
	name := fmt.Sprintf("forebay%d", c.temporary)
	decided, test := "isFalse", isFalse
	if decides == yes {
		decided, test = "isTrue", isTrue
	}
	result.tree = &ast.VariableDeclaratorNode{Name: name, Value: l.tree, Expr: &ast.ConditionalNode{
		Cond: c.machine.call(decided, test, &ast.IdentifierNode{Value: name}),
		Exp1: &ast.IdentifierNode{Value: name},
		Exp2: c.machine.call(map[truth]string{no: "and", yes: "or"}[decides], fn,
			&ast.IdentifierNode{Value: name}, r.tree),
	}}
	return result
}

// coalesce is the first operand that is not null.
func (c *checker) coalesce(at fileLocation, operands []*operand) *operand {
	result, ok := c.unify(at, "the values of ?? and coalesce", operands...)
	if !ok {
		return badOperand(at)
	}
	result.lowered = true
	for _, o := range operands {
		result.lowered = result.lowered && o.lowered
	}
	last := operands[len(operands)-1]
	result.tree = c.treeAs(last, result)
	rest := last.as(result)
	if result.kind == kindAny {
		rest = &operand{kind: kindAny, slot: -1, value: last.values()}
	}
	for i := len(operands) - 2; i >= 0; i-- {
		o := operands[i]
		result.tree = &ast.BinaryNode{Operator: "??", Left: c.treeAs(o, result), Right: result.tree}
		if result.lowered {
			rest = lowerCoalesce(result, o.as(result), rest)
		}
	}
	if result.lowered {
		result.truth, result.int, result.float = rest.truth, rest.int, rest.float
		result.text, result.decimal, result.value = rest.text, rest.decimal, rest.value
		result.lowered = result.kind != kindAny || rest.value != nil
	}
	return result
}

func (c *checker) textTest(n *ast.BinaryNode, l, r *operand) *operand {
	who := "each side of " + n.Operator
	okLeft, okRight := c.wants(l, kindText, who), c.wants(r, kindText, who)
	if !okLeft || !okRight {
		return badOperand(n.Location())
	}
	test := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[n.Operator]
	left, right := l.text, r.text
	return &operand{
		kind: kindBool, slot: -1, lowered: l.lowered && r.lowered && (l.kind != kindAny || r.constant != nil) &&
			(r.kind != kindAny || l.constant != nil),
		tree: c.machine.call(n.Operator, dynamicTextTest(n.Operator, test), l.tree, r.tree),
		truth: func(f *frame) truth {
			a, okLeft := left(f)
			b, okRight := right(f)
			if !okLeft || !okRight {
				return unknown
			}
			return truthOf(test(a, b))
		},
	}
}

// matches takes a constant pattern, which is compiled once.
func (c *checker) matches(n *ast.BinaryNode) *operand {
	l := c.check(n.Left)
	ok := c.wants(l, kindText, "the left side of matches")
	text, constant := n.Right.(*ast.StringNode)
	if !constant {
		return c.bad(n.Right.Location(), `write it in quotes, such as "^N[0-9]+$"`,
			"the pattern of matches must be a constant")
	}
	pattern, err := regexp.Compile(text.Value)
	if err != nil {
		cause := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		return c.bad(text.Location(), "", "the pattern is not a regular expression: %s", cause)
	}
	if !ok {
		return badOperand(n.Location())
	}
	get := l.text
	return &operand{
		kind: kindBool, slot: -1, lowered: l.lowered,
		tree: c.machine.callOwn("matches", dynamicMatches(pattern), l.tree),
		truth: func(f *frame) truth {
			v, ok := get(f)
			if !ok {
				return unknown
			}
			return truthOf(pattern.MatchString(v))
		},
	}
}
