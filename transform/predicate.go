// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// predicateFunction is one of expr-lang's functions that run an expression for each item of a list.
type predicateFunction struct {
	usage  string
	result kind
	// condition says that the predicate is a bool; null counts as not true.
	condition bool
	// optional says that the predicate may be left out.
	optional bool
}

var predicateFunctions = map[string]predicateFunction{
	"all":           {"all(list, # > 0)", kindBool, true, false},
	"none":          {"none(list, # > 0)", kindBool, true, false},
	"any":           {"any(list, # > 0)", kindBool, true, false},
	"one":           {"one(list, # > 0)", kindBool, true, false},
	"filter":        {"filter(list, # > 0)", kindList, true, false},
	"map":           {"map(list, .name)", kindList, false, false},
	"find":          {"find(list, # > 0)", kindAny, true, false},
	"findIndex":     {"findIndex(list, # > 0)", kindInt, true, false},
	"findLast":      {"findLast(list, # > 0)", kindAny, true, false},
	"findLastIndex": {"findLastIndex(list, # > 0)", kindInt, true, false},
	"count":         {"count(list, # > 0)", kindInt, true, true},
	"sum":           {"sum(list) or sum(list, .price)", kindAny, false, true},
	"sortBy":        {"sortBy(list, .name)", kindList, false, false},
	"reduce":        {"reduce(list, #acc + #, 0)", kindAny, false, false},
}

// predicateCall is let t = list; t == nil ? nil : name(t, predicate).
func (c *checker) predicateCall(n ast.Node, p predicateFunction, arguments []ast.Node) *operand {
	call, builtIn := n.(*ast.BuiltinNode)
	if !builtIn || len(arguments) == 0 {
		return c.bad(n.Location(), "write "+p.usage, "this call takes a list")
	}
	list := c.check(arguments[0])
	c.openJSON(list)
	fine := c.wants(list, kindList, "the first argument of "+call.Name)
	c.predicates++
	trees := make([]ast.Node, 1, len(arguments)+1)
	for _, argument := range arguments[1:] {
		if predicate, ok := argument.(*ast.PredicateNode); ok {
			argument = predicate.Node
		}
		o := c.check(argument)
		if len(trees) == 1 && p.condition {
			fine = c.wants(o, kindBool, "the condition of "+call.Name) && fine
			o.tree = c.machine.call("isTrue", isTrue, o.tree)
		}
		fine = fine && o.kind != kindBad
		trees = append(trees, o.tree)
	}
	c.predicates--
	if !fine {
		return badOperand(n.Location())
	}
	if call.Name == "count" && len(trees) == 1 {
		trees = append(trees, c.machine.call("isTrue", isTrue, &ast.PointerNode{}))
	}
	c.temporary++
	name := fmt.Sprintf("forebay%d", c.temporary)
	trees[0] = c.machine.call("listOf", listOf, &ast.IdentifierNode{Value: name})
	return &operand{kind: p.result, slot: -1, tree: &ast.VariableDeclaratorNode{
		Name: name, Value: list.tree, Expr: &ast.ConditionalNode{
			Cond: c.machine.call("isNil", dynamicIsNil, &ast.IdentifierNode{Value: name}),
			Exp1: &ast.NilNode{},
			Exp2: c.predicateTree(call.Name, trees),
		},
	}}
}

func (c *checker) predicateTree(name string, trees []ast.Node) ast.Node {
	for i := range trees[1:] {
		if i == 0 {
			trees[1] = &ast.PredicateNode{Node: trees[1]}
		}
	}
	if name != "sum" {
		return &ast.BuiltinNode{Name: name, Arguments: trees}
	}
	items := trees[0]
	if len(trees) > 1 {
		items = &ast.BuiltinNode{Name: "map", Arguments: trees}
	}
	return c.machine.call("sum", dynamicSum, items)
}

func listOf(args ...any) (any, error) {
	if _, ok := args[0].([]any); !ok {
		return nil, wrongArgument("the function", "list", args[0])
	}
	return args[0], nil
}

// dynamicSum adds up what is not null; ints do not wrap.
func dynamicSum(args ...any) (any, error) {
	add := dynamicArithmetic("+")
	var total any = 0
	for _, item := range args[0].([]any) {
		if item == nil {
			continue
		}
		if _, ok := item.(string); ok {
			return nil, wrongArgument("sum", "number", item)
		}
		next, err := add(total, item)
		if err != nil {
			return nil, err
		}
		total = next
	}
	return total, nil
}

func (c *checker) pointer(n *ast.PointerNode) *operand {
	if c.predicates == 0 {
		return c.bad(n.Location(), "write any(list, # > 0)", "# stands only in the condition of a list's function")
	}
	o := &operand{kind: kindAny, slot: -1, tree: &ast.PointerNode{Name: n.Name}}
	switch n.Name {
	case "", "acc":
	case "index":
		o.kind = kindInt
	default:
		return c.bad(n.Location(), "write #, #index or #acc", "#%s is not known", n.Name)
	}
	return o
}
