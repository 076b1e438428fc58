// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/forebay-io/forebay/internal/nearest"
)

// function is one that expressions can call.
type function struct {
	// usage is how it is written.
	usage string
	// least and most are the numbers of arguments; most is 0 where there is no limit.
	least, most int
	build       func(c *checker, in *invocation) *operand
}

// invocation is one call of a function.
type invocation struct {
	name string
	at   fileLocation
	args []*operand
}

// functions are all functions but those that take a predicate. A null argument gives null, but for coalesce
// and type.
var functions = map[string]function{
	"coalesce":      {"coalesce(a, b, ...)", 1, 0, (*checker).buildCoalesce},
	"len":           {"len(text)", 1, 1, (*checker).buildLen},
	"upper":         {"upper(text)", 1, 1, (*checker).buildUpper},
	"lower":         {"lower(text)", 1, 1, (*checker).buildLower},
	"trim":          {"trim(text) or trim(text, characters)", 1, 2, (*checker).buildTrim},
	"abs":           {"abs(number)", 1, 1, (*checker).buildAbs},
	"round":         {"round(number)", 1, 1, (*checker).buildRound},
	"floor":         {"floor(number)", 1, 1, (*checker).buildRound},
	"ceil":          {"ceil(number)", 1, 1, (*checker).buildRound},
	"min":           {"min(a, b, ...)", 1, 0, (*checker).buildExtreme},
	"max":           {"max(a, b, ...)", 1, 0, (*checker).buildExtreme},
	"int":           {"int(value)", 1, 1, (*checker).buildInt},
	"float":         {"float(value)", 1, 1, (*checker).buildFloat},
	"string":        {"string(value)", 1, 1, (*checker).buildString},
	"year":          {"year(time) or year(time, zone)", 1, 2, (*checker).buildTimePart},
	"month":         {"month(time) or month(time, zone)", 1, 2, (*checker).buildTimePart},
	"day":           {"day(time) or day(time, zone)", 1, 2, (*checker).buildTimePart},
	"weekday":       {"weekday(time) or weekday(time, zone)", 1, 2, (*checker).buildTimePart},
	"hour":          {"hour(timestamp) or hour(timestamp, zone)", 1, 2, (*checker).buildTimePart},
	"minute":        {"minute(timestamp) or minute(timestamp, zone)", 1, 2, (*checker).buildTimePart},
	"second":        {"second(timestamp) or second(timestamp, zone)", 1, 2, (*checker).buildTimePart},
	"date":          {"date(text), date(timestamp) or date(timestamp, zone)", 1, 2, (*checker).buildDate},
	"timestamp":     {"timestamp(text), timestamp(date) or either with a zone", 1, 2, (*checker).buildTimestamp},
	"format":        {`format(time, "2006-01-02") or format(time, layout, zone)`, 2, 3, (*checker).buildFormat},
	"duration":      {`duration("1h30m")`, 1, 1, (*checker).buildDuration},
	"seconds":       {"seconds(duration)", 1, 1, (*checker).buildSeconds},
	"unix":          {"unix(timestamp)", 1, 1, (*checker).buildUnix},
	"unixMilli":     {"unixMilli(timestamp)", 1, 1, (*checker).buildUnix},
	"fromUnix":      {"fromUnix(seconds)", 1, 1, (*checker).buildFromUnix},
	"fromUnixMilli": {"fromUnixMilli(milliseconds)", 1, 1, (*checker).buildFromUnix},
	"now":           {"now()", 0, 0, (*checker).buildNow},
	"type":          {"type(value)", 1, 1, (*checker).buildType},
}

// callee is a call of a name that is not one of expr-lang's own functions.
func (c *checker) callee(n *ast.CallNode) *operand {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		for _, argument := range n.Arguments {
			c.check(argument)
		}
		return c.bad(n.Location(), "write function(value)", "values have no methods")
	}
	return c.call(n, name.Value, n.Arguments)
}

// call checks a call of a function by its name.
func (c *checker) call(n ast.Node, name string, arguments []ast.Node) *operand {
	if p, ok := predicateFunctions[name]; ok {
		return c.predicateCall(n, p, arguments)
	}
	f, known := functions[name]
	s, strict := strictFunctions[name]
	in := &invocation{name: name, at: n.Location()}
	fine := true
	for _, argument := range arguments {
		o := c.check(argument)
		fine = fine && o.kind != kindBad
		in.args = append(in.args, o)
	}
	switch {
	case known:
		if !c.counts(in, f.usage, f.least, f.most) || !fine {
			return badOperand(in.at)
		}
		if name != "coalesce" {
			c.openJSON(in.args...)
		}
		return f.build(c, in)
	case strict:
		if !c.counts(in, s.usage, s.least, len(s.params)) || !fine {
			return badOperand(in.at)
		}
		c.openJSON(in.args...)
		return c.strictCall(in, s)
	default:
		return c.unknownFunction(in)
	}
}

func (c *checker) unknownFunction(in *invocation) *operand {
	names := append(append(sortedNames(functions), sortedNames(strictFunctions)...), sortedNames(predicateFunctions)...)
	e := &ExprError{Message: fmt.Sprintf("no function is called %q", in.name), Nearest: nearest.Name(in.name, names)}
	if e.Nearest == "" && !c.onJSON() && c.layout.Schema.Find(in.name) >= 0 {
		e.Cure = in.name + " is a column: write it without parentheses"
	}
	return c.report(in.at, e)
}

func (c *checker) counts(in *invocation, usage string, least, most int) bool {
	n := len(in.args)
	if n >= least && (n <= most || most == 0 && least > 0) {
		return true
	}
	c.bad(in.at, "write "+usage, "%s does not take %d argument%s", in.name, n, plural(n))
	return false
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// openJSON turns json arguments into what they hold, which is known at run time only.
func (c *checker) openJSON(operands ...*operand) {
	for _, o := range operands {
		if o.kind == kindJSON || o.kind == kindAny && o.value == nil {
			o.kind, o.lowered = kindAny, false
			o.tree = c.machine.call("open", dynamicOpen, o.tree)
		}
	}
}

// lowered says that all arguments have closures.
func (in *invocation) lowered() bool {
	for _, o := range in.args {
		if !o.lowered {
			return false
		}
	}
	return true
}

func (in *invocation) trees() []ast.Node {
	trees := make([]ast.Node, len(in.args))
	for i, o := range in.args {
		trees[i] = o.tree
	}
	return trees
}

// result is an operand for the call, with the machine's form of it.
func (c *checker) result(in *invocation, k kind, fn dynamicFunc) *operand {
	return &operand{
		kind: k, slot: -1, at: in.at, lowered: in.lowered(), tree: c.machine.callOwn(in.name, strictly(fn), in.trees()...),
	}
}

// strictly answers nil where an argument is nil (X1: as closures do, see both).
func strictly(fn dynamicFunc) dynamicFunc {
	return func(args ...any) (any, error) {
		for _, arg := range args {
			if arg == nil {
				return nil, nil
			}
		}
		return fn(args...)
	}
}

// argument checks the kind of the argument at i.
func (c *checker) argument(in *invocation, i int, kinds ...kind) bool {
	o := in.args[i]
	if o.kind == kindAny && o.lowered {
		c.demandArgument(in, i, kinds)
	}
	if o.kind == kindAny || o.kind == kindNil {
		return true
	}
	names := make([]string, len(kinds))
	for k, want := range kinds {
		if o.kind == want {
			return true
		}
		names[k] = withArticle(want.String())
	}
	c.bad(o.at, conversionTo(kinds[0], o), "%s takes %s, not %s", in.name, strings.Join(names, " or "), o.article())
	return false
}

func (c *checker) buildCoalesce(in *invocation) *operand { return c.coalesce(in.at, in.args) }

func (c *checker) buildType(in *invocation) *operand {
	o := c.result(in, kindText, nil)
	o.lowered = false
	o.tree = c.machine.call("type", dynamicType, in.args[0].tree)
	return o
}
