// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"reflect"
	"regexp"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/transform"
)

// Explain shows what a plan or a run found wrong with the pipeline at its place in the file: nil for no error,
// the place of the nearest key around it for what has none of its own.
func (p *Pipeline) Explain(err error) Problems {
	return p.explainAt("", err)
}

// explainAt explains an error about the part of the file at a path.
func (p *Pipeline) explainAt(path string, err error) Problems {
	if err == nil {
		return nil
	}
	var out Problems
	for _, l := range leavesOf(err) {
		out = append(out, p.place(path, l))
	}
	out.Sort()
	return out
}

// leaf is one of the things that an error says, without what stands around it.
type leaf struct {
	err    error
	text   string
	op     string
	code   string
	cure   string
	step   int // of Config.Transform, or -1
	inside bool
	sink   bool // it came from the sink
}

// leavesOf takes an error apart.
func leavesOf(err error) []leaf {
	switch x := err.(type) { //nolint:errorlint // each layer is looked at by itself
	case *transform.ExprError, *transform.ColumnError:
		return []leaf{{err: err, text: err.Error(), step: -1}}
	case *forebay.Error:
		return errorLeaves(x)
	case *pipeline.StepError:
		leaves := leavesOf(x.Err)
		for i := range leaves {
			leaves[i].step, leaves[i].inside = x.Index, true
		}
		return leaves
	case *pipeline.SinkError:
		leaves := leavesOf(x.Err)
		for i := range leaves {
			leaves[i].sink = true
		}
		return leaves
	case interface{ Unwrap() []error }:
		var leaves []leaf
		for _, inner := range x.Unwrap() {
			leaves = append(leaves, leavesOf(inner)...)
		}
		return leaves
	}
	inner := errors.Unwrap(err)
	if inner == nil {
		return []leaf{{err: err, text: err.Error(), step: -1}}
	}
	prefix, wrapped := strings.CutSuffix(err.Error(), inner.Error())
	if !wrapped {
		return []leaf{{err: err, text: err.Error(), step: -1}}
	}
	leaves := leavesOf(inner)
	for i := range leaves {
		leaves[i].text = prefix + leaves[i].text
	}
	return leaves
}

func errorLeaves(e *forebay.Error) []leaf {
	if e.Err == nil {
		return []leaf{{err: e, text: e.Class.String(), op: e.Op, code: e.Code, cure: e.Cure, step: -1}}
	}
	leaves := leavesOf(e.Err)
	for i := range leaves {
		l := &leaves[i]
		if l.op == "" {
			l.op = e.Op
		}
		if l.code == "" {
			l.code = e.Code
		}
		if l.cure == "" && len(leaves) == 1 {
			l.cure = e.Cure
		}
	}
	return leaves
}

// place finds where in the file a leaf belongs.
func (p *Pipeline) place(path string, l leaf) Problem {
	switch e := l.err.(type) { //nolint:errorlint // leaves are not wrapped
	case *transform.ExprError:
		return p.expressionProblem(path, l, e)
	case *transform.ColumnError:
		return p.columnProblem(l, e)
	}
	if l.code == "guarantee-impossible" {
		return p.tree.Problem("guarantee", l.text, l.cure)
	}
	message, nearest, cure := cutHints(l.text)
	if cure == "" {
		cure = l.cure
	}
	if path == "" {
		path = p.partOf(l)
	}
	field, rest := p.field(path, message)
	if field == path && strings.Contains(l.op, " ") && l.code != "no-match" {
		rest = l.op + ": " + rest
	}
	out := p.tree.Problem(field, rest, cure)
	if item, found := p.item(field, rest); found {
		out = item.Problem(rest, cure)
	}
	out.Nearest = nearest
	return out
}

// partOf is the part of the file that an operation belongs to.
func (p *Pipeline) partOf(l leaf) string {
	step := p.stepOf(l)
	source, sink := p.file.Source, p.file.Sink
	switch {
	case step != nil:
		return step.path
	case l.inside:
		return eventTimePath
	case l.sink, l.op == sink.name && sink.name != "", l.code == "schema-differs":
		return sink.path
	case l.code == "no-schema":
		return source.path
	case strings.HasSuffix(l.op, source.name) && source.name != "", strings.HasPrefix(l.op, "read "),
		strings.HasPrefix(l.op, "find "):
		return source.path
	default:
		return ""
	}
}

// eventTimePath is where the event time stands in a file.
const eventTimePath = "event_time"

// eventTimeField is the key of the event time that a message is about.
func eventTimeField(message string) string {
	switch {
	case strings.Contains(message, "zone"):
		return eventTimePath + ".zone"
	case strings.Contains(message, "format"):
		return eventTimePath + ".format"
	default:
		return eventTimePath + ".field"
	}
}

// stepOf is the step that a leaf is about, or nil.
func (p *Pipeline) stepOf(l leaf) *step {
	if !l.inside {
		return nil
	}
	at := 0
	for i := range p.file.Transform {
		if p.file.Transform[i].transform == nil {
			continue
		}
		if at == l.step {
			return &p.file.Transform[i]
		}
		at++
	}
	return nil
}

func (p *Pipeline) expressionProblem(path string, l leaf, e *transform.ExprError) Problem {
	if s := p.stepOf(l); s != nil {
		if text, found := s.expression(e.Column, e.Expr); found {
			out := text.Problem(e.Offset, e.Length, e.Message)
			out.Nearest, out.Cure = e.Nearest, e.Cure
			return out
		}
	}
	if field, found := p.tree.Value(eventTimePath + ".field"); found && l.inside && l.step == pipeline.EventTimeIndex {
		out := field.Text().Problem(e.Offset, e.Length, e.Message)
		out.Nearest, out.Cure = e.Nearest, e.Cure
		return out
	}
	path = cmp.Or(path, p.partOf(l))
	part, found := p.tree.Value(path)
	if !found {
		return p.tree.Problem(path, e.Error(), "")
	}
	for _, field := range part.Entries() { // such as the pattern of a bucket
		if text := field.Value.Text(); text.Value == e.Expr {
			out := text.Problem(e.Offset, e.Length, e.Message)
			out.Nearest, out.Cure = e.Nearest, e.Cure
			return out
		}
	}
	return p.tree.Problem(path, e.Error(), "")
}

func (p *Pipeline) columnProblem(l leaf, e *transform.ColumnError) Problem {
	s := p.stepOf(l)
	if s == nil && l.inside {
		return p.tree.Problem(eventTimeField(e.Message), e.Message, e.Cure)
	}
	if s == nil || e.Index >= len(s.columns) || s.columns[e.Index].Value != e.Column {
		out := p.tree.Problem(p.partOf(l), e.Message, e.Cure)
		out.Nearest = e.Nearest
		return out
	}
	text := s.columns[e.Index]
	out := text.Problem(0, len(text.Value), e.Message)
	out.Nearest, out.Cure = e.Nearest, e.Cure
	return out
}

// hint is where a hint begins: a semicolon that ends a part of a sentence.
var hint = regexp.MustCompile(`[^ ]; `)

// cutHints parts a message from what it says behind semicolons: the nearest name and what to do.
func cutHints(text string) (message, nearest, cure string) {
	var parts []string
	for rest := text; ; {
		at := hint.FindStringIndex(rest)
		if at == nil {
			parts = append(parts, rest)
			break
		}
		parts, rest = append(parts, rest[:at[0]+1]), rest[at[1]:]
	}
	message = parts[0]
	var cures []string
	for _, part := range parts[1:] {
		if name, found := strings.CutPrefix(part, "did you mean "); found && nearest == "" {
			nearest = strings.Trim(name, `"?`)
			continue
		}
		cures = append(cures, part)
	}
	return message, nearest, strings.Join(cures, "; ")
}

var fieldName = regexp.MustCompile(`^([a-z0-9_.]+)(?: \("[^"]*"\))?(?:: | (-?[0-9][^ ]*|"[^"]*"): )`)

// field takes the names of fields that lead a message, such as "format: delimiter: ...", and gives the longest
// path that they name.
func (p *Pipeline) field(path, message string) (field, rest string) {
	for {
		match := fieldName.FindStringSubmatch(message)
		if match == nil {
			return path, message
		}
		next, known := p.child(path, match[1])
		if !known {
			return path, message
		}
		path, message = next, message[len(match[0]):]
		if match[2] != "" {
			return path, match[2] + " " + message
		}
	}
}

// child is the path of a field; inside a format, its name stands between.
func (p *Pipeline) child(path, name string) (string, bool) {
	next := joinPath(path, name)
	if p.tree.find(next) != nil {
		return next, true
	}
	at := p.tree.find(path)
	if at != nil && at.kind == KindMapping && len(at.entries) == 1 {
		if inner := joinPath(joinPath(path, at.entries[0].name), name); p.tree.find(inner) != nil {
			return inner, true
		}
	}
	first, _, _ := strings.Cut(name, ".")
	for _, f := range p.fields(path) {
		if f.Key == name || strings.HasPrefix(f.Key, name+".") || f.Key == first && f.Type == "keys" {
			return next, true
		}
	}
	return "", false
}

// fields are the keys that the file, or a connector in it, can have.
func (p *Pipeline) fields(path string) []Field {
	var held any
	switch path {
	case "":
		held = p.file
	case p.file.Source.path:
		held = p.file.Source.source
	case p.file.Sink.path:
		held = p.file.Sink.sink
	default:
		return nil
	}
	return Fields(reflect.TypeOf(held), p.tree.options.Choices)
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// item is the value in a list, or under a key, that a message names in quotes.
func (p *Pipeline) item(path, message string) (*Value, bool) {
	v, found := p.tree.Value(path)
	if !found {
		return nil, false
	}
	for _, match := range quoted.FindAllStringSubmatch(message, -1) {
		for _, e := range v.Entries() {
			if e.Name == match[1] {
				return e.Value, true
			}
		}
		for i := len(v.Items()) - 1; i >= 0; i-- {
			if item := v.Items()[i]; item.Text().Value == match[1] {
				return item, true
			}
		}
	}
	return nil, false
}
