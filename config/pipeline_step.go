// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/transform"
)

// step is one item of transform.
type step struct { //nolint:recvcheck // printing is given values
	transform forebay.Transform
	name      string
	held      any
	path      string
	// exprs are the step's expressions and columns the columns that it names, with their places.
	exprs   []expression
	columns []Text
}

// expression is an expression of a step; column is what a set assigns it to.
type expression struct {
	column string
	text   Text
}

// stepNames are the steps that a file can hold.
var stepNames = []string{"filter", "set", "drop", "keep", "rename", "cast"}

// UnmarshalConfig takes a mapping with exactly one step.
func (s *step) UnmarshalConfig(v *Value) Problems {
	e, problems := v.One("step", stepNames)
	if e.Value == nil {
		return problems
	}
	s.name, s.path = e.Name, e.Value.path
	switch e.Name {
	case "filter":
		problems = append(problems, s.filter(e.Value)...)
	case "set":
		problems = append(problems, s.set(e.Value)...)
	case "drop", "keep":
		problems = append(problems, s.list(e.Value)...)
	case "rename":
		problems = append(problems, s.rename(e.Value)...)
	case "cast":
		problems = append(problems, s.cast(e.Value)...)
	}
	return problems
}

// PrintConfig shows the step.
func (s step) PrintConfig() []Printed {
	if s.name == "" {
		return nil
	}
	return []Printed{{Key: s.name, Value: s.held}}
}

func (s *step) filter(v *Value) Problems {
	if v.Kind() == KindNull {
		return Problems{v.Problem("filter has no expression", "write for example filter: dep_time != nil")}
	}
	var text Text
	if problems := v.Decode(&text); len(problems) > 0 {
		return problems
	}
	s.transform, s.held = transform.FilterStep{Expr: text.Value}, text
	s.exprs = []expression{{text: text}}
	return nil
}

func (s *step) set(v *Value) Problems {
	var assignments Ordered[Text]
	if problems := v.given(&assignments, "set: { route: origin + dest }"); len(problems) > 0 {
		return problems
	}
	s.held = assignments
	var t transform.SetStep
	for _, a := range assignments {
		t.Assignments = append(t.Assignments, transform.Assignment{Name: a.Key.Value, Expr: a.Value.Value})
		s.exprs = append(s.exprs, expression{a.Key.Value, a.Value})
		s.columns = append(s.columns, a.Key)
	}
	s.transform = t
	return nil
}

func (s *step) list(v *Value) Problems {
	var texts []Text
	if problems := v.given(&texts, s.name+": [tailnum]"); len(problems) > 0 {
		return problems
	}
	names := make([]string, len(texts))
	for i, text := range texts {
		names[i] = text.Value
	}
	s.columns, s.held = texts, names
	if s.name == "drop" {
		s.transform = transform.DropStep{Columns: names}
	} else {
		s.transform = transform.KeepStep{Columns: names}
	}
	return nil
}

func (s *step) rename(v *Value) Problems {
	var renamings Ordered[Text]
	if problems := v.given(&renamings, "rename: { dest: destination }"); len(problems) > 0 {
		return problems
	}
	s.held = renamings
	var t transform.RenameStep
	for _, r := range renamings {
		t.Renamings = append(t.Renamings, transform.Renaming{From: r.Key.Value, To: r.Value.Value})
		s.columns = append(s.columns, r.Key)
	}
	s.transform = t
	return nil
}

func (s *step) cast(v *Value) Problems {
	var casts Ordered[castField]
	if problems := v.given(&casts, "cast: { flight: string }"); len(problems) > 0 {
		return problems
	}
	s.held = casts
	var t transform.CastStep
	for _, c := range casts {
		t.Columns = append(t.Columns, transform.CastColumn{Column: c.Key.Value, Type: c.Value.typ, Zone: c.Value.zone})
		s.columns = append(s.columns, c.Key)
	}
	s.transform = t
	return nil
}

// given decodes a value that must not be empty.
func (v *Value) given(target any, example string) Problems {
	if v.Kind() == KindNull {
		return Problems{v.Problem(lastSegment(v.path)+" names no column", "write for example "+example)}
	}
	return v.Decode(target)
}

// castField is the new type of a column: its name, or type and zone.
type castField struct{ typ, zone string }

type castKeys struct {
	Type string `yaml:"type" required:"true" doc:"the new type" example:"timestamp"`
	Zone string `yaml:"zone" doc:"the time zone of text without one" example:"America/New_York"`
}

// UnmarshalConfig takes a type, or keys.
func (c *castField) UnmarshalConfig(v *Value) Problems {
	if v.Kind() == KindMapping {
		var keys castKeys
		problems := v.Decode(&keys)
		c.typ, c.zone = keys.Type, keys.Zone
		if c.typ != "" && len(problems) == 0 {
			problems = append(problems, v.typeProblem(c.typ)...)
		}
		return problems
	}
	var text Text
	if problems := v.Decode(&text); len(problems) > 0 {
		return problems
	}
	c.typ = text.Value
	return v.typeProblem(c.typ)
}

// typeProblem is about a type that does not exist.
func (v *Value) typeProblem(name string) Problems {
	if _, err := forebay.ParseType(name); err == nil {
		return nil
	}
	p := v.Problem("\""+v.Text().Value+"\" is no type", "known: "+joinWords(typeNames, "and"))
	if v.Kind() == KindMapping {
		p = v.Problem("\""+name+"\" is no type", "known: "+joinWords(typeNames, "and"))
	}
	p.Nearest = Nearest(name, typeNames)
	return Problems{p}
}

var typeNames = []string{
	"bool", "int32", "int64", "float32", "float64", "decimal(p, s)", "string", "bytes", "date", "timestamp", "json",
}

// expression finds the text that an expression of the step stands in.
func (s *step) expression(column, expr string) (Text, bool) {
	i := slices.IndexFunc(s.exprs, func(e expression) bool { return e.column == column && e.text.Value == expr })
	if i < 0 {
		return Text{}, false
	}
	return s.exprs[i].text, true
}
