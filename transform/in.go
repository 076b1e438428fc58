// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// in is x in [a, b, c] and x in 1..5. As in SQL, null in anything is null, and a value that is not found in a
// list with a nil is null.
func (c *checker) in(n *ast.BinaryNode) *operand {
	l := c.check(n.Left)
	switch right := n.Right.(type) {
	case *ast.BinaryNode:
		if right.Operator == ".." {
			return c.inRange(n, right, l)
		}
	case *ast.ArrayNode:
		return c.inList(n, right, l)
	}
	r := c.check(n.Right)
	c.openJSON(l, r)
	if l.kind == kindBad || r.kind == kindBad {
		return badOperand(n.Location())
	}
	if !r.kind.dynamic() && r.kind != kindNil {
		return c.bad(n.Right.Location(), `write a list such as ["UA", "AA"], or contains for a part of a text`,
			"what follows in must be a list, not %s", r.article())
	}
	return &operand{kind: kindBool, slot: -1, tree: c.machine.call("in", dynamicIn, l.tree, r.tree)}
}

func (c *checker) inRange(n, bounds *ast.BinaryNode, l *operand) *operand {
	from, to := c.check(bounds.Left), c.check(bounds.Right)
	okLeft := c.wants(l, kindInt, "what stands before in 1..5")
	okFrom, okTo := c.wants(from, kindInt, "the start of a range"), c.wants(to, kindInt, "the end of a range")
	if !okLeft || !okFrom || !okTo {
		return badOperand(n.Location())
	}
	value, least, greatest := l.int, from.int, to.int
	return &operand{
		kind: kindBool, slot: -1,
		lowered: l.lowered && from.lowered && to.lowered && from.kind != kindAny && to.kind != kindAny,
		tree:    c.machine.call("between", dynamicBetween, l.tree, from.tree, to.tree),
		truth: func(f *frame) truth {
			v, okValue := value(f)
			a, b, ok := both(f, least, greatest)
			if !okValue || !ok {
				return unknown
			}
			return truthOf(a <= v && v <= b)
		},
	}
}

func (c *checker) inList(n *ast.BinaryNode, list *ast.ArrayNode, l *operand) *operand {
	items := make([]*operand, len(list.Nodes))
	trees := make([]ast.Node, len(list.Nodes))
	fine := l.kind != kindBad
	for i, node := range list.Nodes {
		items[i] = c.check(node)
		trees[i] = items[i].tree
		fine = fine && items[i].kind != kindBad
		if fine && !inComparable(l, items[i]) {
			fine = false
			c.bad(items[i].at, conversionTo(l.kind, items[i]), "%s cannot be equal to %s", l.article(), items[i].article())
		}
	}
	if !fine {
		return badOperand(n.Location())
	}
	result := &operand{kind: kindBool, slot: -1}
	result.tree = c.machine.call("in", dynamicIn, l.tree, &ast.ArrayNode{Nodes: trees})
	switch {
	case !l.lowered:
	case l.kind == kindInt:
		lowerIn(result, l.int, items)
	case l.kind == kindText:
		lowerIn(result, l.text, items)
	case l.kind == kindAny:
		lowerInValues(result, l.value, items)
	}
	return result
}

// inComparable says whether == could compare the two.
func inComparable(l, item *operand) bool {
	switch {
	case l.kind == kindAny || item.kind == kindAny || l.kind == kindNil || item.kind == kindNil:
		return true
	case l.kind == kindJSON || l.kind.dynamic():
		return false
	case l.kind.number() && item.kind.number():
		return true
	case l.kind == kindDecimal && item.kind.number():
		return true
	default:
		return l.kind == item.kind
	}
}

// listScanMax is up to how many constants a list is walked; a longer one is a map.
const listScanMax = 8

// lowerIn compiles a list of constants of the value's own type.
func lowerIn[T comparable](result *operand, get func(*frame) (T, bool), items []*operand) {
	absent := no
	var values []T
	for _, item := range items {
		if item.isLiteralNil() {
			absent = unknown
			continue
		}
		v, ok := item.constant.(T)
		if !ok {
			return
		}
		values = append(values, v)
	}
	result.lowered = true
	if len(values) <= listScanMax {
		result.truth = func(f *frame) truth {
			v, ok := get(f)
			if !ok {
				return unknown
			}
			if slices.Contains(values, v) {
				return yes
			}
			return absent
		}
		return
	}
	set := make(map[T]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	result.truth = func(f *frame) truth {
		v, ok := get(f)
		if !ok {
			return unknown
		}
		if _, found := set[v]; found {
			return yes
		}
		return absent
	}
}

func lowerCoalesce(result, first, second *operand) *operand {
	o := &operand{kind: result.kind, slot: -1}
	o.truth = func(f *frame) truth {
		if v := first.truth(f); v != unknown {
			return v
		}
		return second.truth(f)
	}
	o.int = firstOf(first.int, second.int)
	o.float = firstOf(first.float, second.float)
	o.text = firstOf(first.text, second.text)
	o.decimal = firstOf(first.decimal, second.decimal)
	if get, rest := first.values(), second.value; result.kind == kindAny && get != nil && rest != nil {
		o.value = func(f *frame) value {
			if v := get(f); !v.isNull() {
				return v
			}
			return rest(f)
		}
	}
	return o
}

func firstOf[T any](first, second func(*frame) (T, bool)) func(*frame) (T, bool) {
	return func(f *frame) (T, bool) {
		if v, ok := first(f); ok {
			return v, true
		}
		return second(f)
	}
}
