// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// strictFunction runs in expr-lang's machine only. Any null argument makes its result null.
type strictFunction struct {
	usage  string
	params []kind
	least  int
	result kind
	// run is nil where expr-lang's own function of that name does it.
	run dynamicFunc
}

// strictFunctions are expr-lang's functions on texts, lists and maps, and our own.
var strictFunctions = map[string]strictFunction{
	"split":       {"split(text, separator)", []kind{kindText, kindText, kindInt}, 2, kindList, nil},
	"join":        {"join(list, separator)", []kind{kindList, kindText}, 1, kindText, nil},
	"replace":     {"replace(text, old, new)", []kind{kindText, kindText, kindText}, 3, kindText, nil},
	"repeat":      {"repeat(text, times)", []kind{kindText, kindInt}, 2, kindText, nil},
	"trimPrefix":  {"trimPrefix(text, prefix)", []kind{kindText, kindText}, 2, kindText, nil},
	"trimSuffix":  {"trimSuffix(text, suffix)", []kind{kindText, kindText}, 2, kindText, nil},
	"hasPrefix":   {"hasPrefix(text, prefix)", []kind{kindText, kindText}, 2, kindBool, nil},
	"hasSuffix":   {"hasSuffix(text, suffix)", []kind{kindText, kindText}, 2, kindBool, nil},
	"indexOf":     {"indexOf(text, part)", []kind{kindText, kindText}, 2, kindInt, indexOf(strings.Index)},
	"lastIndexOf": {"lastIndexOf(text, part)", []kind{kindText, kindText}, 2, kindInt, indexOf(strings.LastIndex)},
	"toBase64":    {"toBase64(text)", []kind{kindText}, 1, kindText, nil},
	"fromBase64":  {"fromBase64(text)", []kind{kindText}, 1, kindText, nil},
	"toJSON":      {"toJSON(value)", []kind{kindAny}, 1, kindText, toJSON},
	"fromJSON":    {"fromJSON(text)", []kind{kindText}, 1, kindAny, fromJSON},
	"json":        {"json(value)", []kind{kindAny}, 1, kindJSON, asJSON},
	"first":       {"first(list)", []kind{kindList}, 1, kindAny, nil},
	"last":        {"last(list)", []kind{kindList}, 1, kindAny, nil},
	"take":        {"take(list, count)", []kind{kindList, kindInt}, 2, kindList, nil},
	"get":         {"get(map or list, key or index)", []kind{kindAny, kindAny}, 2, kindAny, dynamicMember},
	"keys":        {"keys(map)", []kind{kindMap}, 1, kindList, mapKeys},
	"values":      {"values(map)", []kind{kindMap}, 1, kindList, mapValues},
	"reverse":     {"reverse(list)", []kind{kindList}, 1, kindList, nil},
	"uniq":        {"uniq(list)", []kind{kindList}, 1, kindList, nil},
	"concat":      {"concat(list, list)", []kind{kindList, kindList}, 2, kindList, nil},
	"flatten":     {"flatten(list)", []kind{kindList}, 1, kindList, nil},
	"sort":        {`sort(list) or sort(list, "desc")`, []kind{kindList, kindText}, 1, kindList, nil},
	"mean":        {"mean(list)", []kind{kindList}, 1, kindFloat, nil},
	"median":      {"median(list)", []kind{kindList}, 1, kindFloat, nil},
	"bitand":      {"bitand(a, b)", []kind{kindInt, kindInt}, 2, kindInt, nil},
	"bitor":       {"bitor(a, b)", []kind{kindInt, kindInt}, 2, kindInt, nil},
	"bitxor":      {"bitxor(a, b)", []kind{kindInt, kindInt}, 2, kindInt, nil},
	"bitshl":      {"bitshl(a, places)", []kind{kindInt, kindInt}, 2, kindInt, nil},
	"bitshr":      {"bitshr(a, places)", []kind{kindInt, kindInt}, 2, kindInt, nil},
	"bitnot":      {"bitnot(a)", []kind{kindInt}, 1, kindInt, nil},
}

func (c *checker) strictCall(in *invocation, s strictFunction) *operand {
	fine := true
	for i, o := range in.args {
		fine = c.wants(o, s.params[i], "argument "+strconv.Itoa(i+1)+" of "+in.name) && fine
	}
	if !fine {
		return badOperand(in.at)
	}
	run := s.run
	if run == nil {
		run = builtinFunc(in.name)
	}
	result := c.result(in, s.result, func(args ...any) (any, error) {
		for i, arg := range args {
			if !holds(s.params[i], arg) {
				return nil, wrongArgument(in.name, s.params[i].String(), arg)
			}
		}
		return run(args...)
	})
	result.lowered = false
	return result
}

// holds says that a value is of the kind.
func holds(k kind, v any) bool {
	switch k {
	case kindText:
		_, ok := v.(string)
		return ok
	case kindInt:
		_, ok := v.(int)
		return ok
	case kindList:
		_, ok := v.([]any)
		return ok
	case kindMap:
		_, ok := v.(map[string]any)
		return ok
	default:
		return true
	}
}

// builtinFunc is expr-lang's own function.
func builtinFunc(name string) dynamicFunc {
	f := builtin.Builtins[builtin.Index[name]]
	return func(args ...any) (any, error) {
		var value any
		var err error
		switch {
		case f.Fast != nil:
			value = f.Fast(args[0])
		case f.Safe != nil:
			value, _, err = f.Safe(args...)
		default:
			value, err = f.Func(args...)
		}
		if texts, ok := value.([]string); ok {
			list := make([]any, len(texts))
			for i, text := range texts {
				list[i] = text
			}
			value = list
		}
		return value, err
	}
}

// indexOf counts characters, as len does; -1 where the part is not found.
func indexOf(find func(text, part string) int) dynamicFunc {
	return func(args ...any) (any, error) {
		text := args[0].(string)
		at := find(text, args[1].(string))
		if at < 0 {
			return -1, nil
		}
		return utf8.RuneCountInString(text[:at]), nil
	}
}

func mapKeys(args ...any) (any, error) {
	var keys []any
	for _, key := range sortedNames(args[0].(map[string]any)) {
		keys = append(keys, key)
	}
	return keys, nil
}

func mapValues(args ...any) (any, error) {
	m := args[0].(map[string]any)
	var values []any
	for _, key := range sortedNames(m) {
		values = append(values, m[key])
	}
	return values, nil
}

// let names a value for the rest of the expression.
func (c *checker) let(n *ast.VariableDeclaratorNode) *operand {
	value := c.check(n.Value)
	c.temporary++
	v := variable{name: n.Name, tree: fmt.Sprintf("forebay%d", c.temporary), kind: value.kind, column: value.column}
	if v.kind == kindJSON {
		v.kind = kindAny
	}
	if !c.onJSON() && c.layout.Schema.Find(n.Name) >= 0 {
		return c.bad(n.Location(), "take another name", "let %s hides the column of that name", n.Name)
	}
	c.variables = append(c.variables, v)
	body := c.check(n.Expr)
	c.variables = c.variables[:len(c.variables)-1]
	if value.kind == kindBad || body.kind == kindBad {
		return badOperand(n.Location())
	}
	result := &operand{kind: body.kind, column: body.column, slot: -1}
	result.tree = &ast.VariableDeclaratorNode{Name: v.tree, Value: value.tree, Expr: body.tree}
	return result
}

func (c *checker) list(n *ast.ArrayNode) *operand {
	trees, fine := make([]ast.Node, len(n.Nodes)), true
	for i, node := range n.Nodes {
		o := c.check(node)
		trees[i], fine = o.tree, fine && o.kind != kindBad
	}
	if !fine {
		return badOperand(n.Location())
	}
	return &operand{kind: kindList, slot: -1, tree: &ast.ArrayNode{Nodes: trees}}
}

func (c *checker) mapping(n *ast.MapNode) *operand {
	pairs, fine := make([]ast.Node, len(n.Pairs)), true
	for i, node := range n.Pairs {
		pair := node.(*ast.PairNode)
		key, value := c.check(pair.Key), c.check(pair.Value)
		fine = fine && c.wants(key, kindText, "the key of a map") && value.kind != kindBad
		pairs[i] = &ast.PairNode{Key: c.machine.call("mapKey", mapKey, key.tree), Value: value.tree}
	}
	if !fine {
		return badOperand(n.Location())
	}
	return &operand{kind: kindMap, slot: -1, tree: &ast.MapNode{Pairs: pairs}}
}

func mapKey(args ...any) (any, error) { return textArgument("the key of a map", args[0]) }

// member is a.b and a[b]: null where there is nothing. $env["a b"] is the column of that name.
func (c *checker) member(n *ast.MemberNode) *operand {
	if base, ok := n.Node.(*ast.IdentifierNode); ok && base.Value == envName {
		if name, ok := n.Property.(*ast.StringNode); ok {
			return c.column(name.Value, n.Property.Location())
		}
		return c.identifier(base)
	}
	o := c.check(n.Node)
	if inner, found := c.inner(n, o); found {
		return inner
	}
	property := c.check(n.Property)
	switch {
	case o.kind == kindBad || property.kind == kindBad:
		return badOperand(n.Location())
	case o.kind != kindJSON && !o.kind.dynamic() && o.kind != kindNil:
		return c.bad(n.Location(), "", "%s has no fields", o.article())
	case property.kind != kindText && property.kind != kindInt && property.kind != kindAny && property.kind != kindNil:
		return c.bad(n.Location(), "", "a field is named by a string or an int, not %s", property.article())
	}
	c.openJSON(o)
	return &operand{kind: kindAny, slot: -1, tree: c.machine.call("member", strictly(dynamicMember),
		o.tree, property.tree)}
}

func dynamicMember(args ...any) (any, error) {
	switch of := args[0].(type) {
	case map[string]any:
		key, err := textArgument("a field of a map", args[1])
		return of[key], err
	case []any:
		i, ok := args[1].(int)
		if !ok {
			return nil, wrongArgument("a place in a list", "int", args[1])
		}
		if i < 0 {
			i += len(of)
		}
		if i < 0 || i >= len(of) {
			return nil, nil
		}
		return of[i], nil
	default:
		return nil, rejectf(CodeWrongType, "%s has no fields", withArticle(typeName(of)))
	}
}

// slice is text[from:to] in characters, and list[from:to]; bounds outside are moved to the ends.
func (c *checker) slice(n *ast.SliceNode) *operand {
	o := c.check(n.Node)
	fine := o.kind != kindBad
	trees := []ast.Node{o.tree, &ast.IntegerNode{Value: 0}, &ast.IntegerNode{Value: math.MaxInt}}
	for i, bound := range []ast.Node{n.From, n.To} {
		if bound == nil {
			continue
		}
		b := c.check(bound)
		fine = c.wants(b, kindInt, "a bound of [from:to]") && fine
		trees[i+1] = b.tree
	}
	result := o.kind
	switch o.kind {
	case kindText, kindList, kindAny, kindNil, kindBad:
	case kindJSON:
		result = kindAny
		c.openJSON(o)
		trees[0] = o.tree
	default:
		return c.bad(n.Location(), conversionTo(kindText, o), "[from:to] takes a string or a list, not %s", o.article())
	}
	if !fine {
		return badOperand(n.Location())
	}
	return &operand{kind: result, slot: -1, tree: c.machine.call("slice", strictly(dynamicSlice), trees...)}
}

func dynamicSlice(args ...any) (any, error) {
	from, okFrom := args[1].(int)
	to, okTo := args[2].(int)
	if !okFrom || !okTo {
		return nil, rejectf(CodeWrongType, "a bound of [from:to] must be an int")
	}
	switch v := args[0].(type) {
	case string:
		runes := []rune(v)
		from, to = bounds(from, to, len(runes))
		return string(runes[from:to]), nil
	case []any:
		from, to = bounds(from, to, len(v))
		return v[from:to], nil
	default:
		return nil, wrongArgument("[from:to]", "string or list", v)
	}
}

func bounds(from, to, size int) (int, int) {
	if from < 0 {
		from = max(0, from+size)
	}
	if to < 0 {
		to = max(0, to+size)
	}
	from, to = min(from, size), min(to, size)
	return min(from, to), to
}

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
