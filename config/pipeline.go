// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/avro"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/parquet"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/pipeline"
)

// pipelineFile is what a pipeline file says; Config turns it into what a program would write.
type pipelineFile struct {
	Name string `yaml:"name" required:"true" pattern:"[a-z0-9][a-z0-9_-]{0,62}" doc:"names the state" example:"flights"`

	Source sourceField `yaml:"source" required:"true" doc:"one connector" example:"{ file: { path: f.csv, format: csv } }"`

	EventTime *pipeline.EventTime `yaml:"event_time" doc:"when a record happened; without it there is no watermark"`

	Transform []step `yaml:"transform" doc:"in order: filter, set, drop, keep, rename, cast"`

	Sink sinkField `yaml:"sink" required:"true" doc:"one connector" example:"{ table: { name: flights } }"`

	Guarantee pipeline.Guarantee `yaml:"guarantee" enum:"exactly-once|at-least-once|none" doc:"or the strongest"`

	State string `yaml:"state" default:"./forebay-data" doc:"directory of tables, positions and rejected records"`

	Lanes int `yaml:"lanes" default:"0" min:"0" max:"1024" doc:"0 is the smaller of cores and splits"`

	Memory forebay.Bytes `yaml:"memory" default:"256MB" min:"32MB" doc:"every buffer of the process"`

	Writer writerField `yaml:"writer"`

	Checkpoint pipeline.CheckpointConfig `yaml:"checkpoint"`
	Errors     errorsField               `yaml:"errors"`
	Shutdown   pipeline.ShutdownConfig   `yaml:"shutdown"`
	HTTP       HTTP                      `yaml:"http"`
	Log        Log                       `yaml:"log"`
}

type errorsField struct {
	Rejected rejectedPolicy `yaml:"rejected" default:"dead-letter" enum:"dead-letter|stop|drop" doc:"what becomes of them"`

	Max int64 `yaml:"max" default:"unlimited" unlimited:"true" min:"1" doc:"more rejected records stop the run"`
}

type rejectedPolicy = pipeline.RejectedPolicy

// Log says what a command logs.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug|info|warn|error" doc:"the least that is logged"`
	Format string `yaml:"format" default:"text" enum:"text|json" doc:"text for people, json for machines"`
}

// Loader reads pipeline files.
type Loader struct {
	// Registry are the connectors that a file can name.
	Registry connector.Registry
	// Options say what stands around a file; Choices is filled in.
	Options Options
}

// Pipeline is a pipeline file that was read. It keeps the file's text, so that what a run finds wrong later is
// shown at its place.
//
// Concurrency: one goroutine at a time.
type Pipeline struct {
	// Config is what the file says.
	Config pipeline.Config
	Log    Log
	HTTP   HTTP

	tree   *Tree
	file   pipelineFile
	schema *forebay.Schema
}

// Load reads a pipeline file. The Pipeline is never nil; beside problems, it is good for Plan only, which finds
// what else is wrong.
//
// Errors: everything that is wrong with the text itself, at once.
func (l Loader) Load(name string, text []byte) (*Pipeline, Problems) {
	options := l.Options
	options.Choices = choicesOf(l.Registry)
	tree, problems := Parse(name, text, options)
	p := &Pipeline{tree: tree}
	problems = append(problems, tree.Decode("", &p.file)...)
	p.Config, p.Log, p.HTTP = p.file.config(), p.file.Log, p.file.HTTP
	problems = append(problems, p.HTTP.problems(tree)...)
	if p.file.Source.source != nil {
		_, err := p.file.Source.source.Info()
		problems = problems.with(p.explainAt(p.file.Source.path, err))
	}
	if p.file.Sink.sink != nil {
		_, err := p.file.Sink.sink.Info()
		problems = problems.with(p.explainAt(p.file.Sink.path, err))
	}
	if len(problems) == 0 {
		problems = append(problems, p.Explain(p.Config.Validate())...)
	}
	problems.Sort()
	return p, problems
}

// with adds what a connector says about its settings, but for what decoding them has said already.
func (ps Problems) with(more Problems) Problems {
	out := ps
	for _, m := range more {
		said := slices.ContainsFunc(ps, func(p Problem) bool { return inside(p.Path, m.Path) || inside(m.Path, p.Path) })
		if !said {
			out = append(out, m)
		}
	}
	return out
}

// inside says whether a path is another one or lies below it.
func inside(path, around string) bool {
	return path == around || strings.HasPrefix(path, around+".")
}

// Print shows the pipeline as a file with its defaults and a comment for each key.
func (p *Pipeline) Print() []byte {
	shown := p.file
	c := p.Config.Effective()
	shown.Writer.Memory, shown.Checkpoint = c.WriterMemory, c.Checkpoint
	return p.tree.Print("", shown)
}

func (f *pipelineFile) config() pipeline.Config {
	c := pipeline.Config{
		Name: f.Name, State: f.State, Source: f.Source.source, Sink: f.Sink.sink, Guarantee: f.Guarantee, Lanes: f.Lanes,
		Memory: f.Memory, WriterMemory: f.Writer.Memory, Writer: f.Writer.tuning(),
		Checkpoint: f.Checkpoint, EventTime: f.EventTime,
		Errors: pipeline.ErrorsConfig{Rejected: f.Errors.Rejected, Max: f.Errors.Max}, Shutdown: f.Shutdown,
	}
	if c.Errors.Max == forebay.Unlimited {
		c.Errors.Max = 0
	}
	for _, s := range f.Transform {
		if s.transform != nil {
			c.Transform = append(c.Transform, s.transform)
		}
	}
	if len(c.Transform) == 0 && c.Source != nil && c.Sink != nil {
		c.Sink = connector.Expect(c.Source, c.Sink)
	}
	return c
}

// choicesOf says what the interface-typed fields of connectors can be.
func choicesOf(registry connector.Registry) func(reflect.Type) []Choice {
	var sources, sinks []Choice
	for _, s := range registry.Sources() {
		sources = append(sources, Choice{Name: s.Name, Doc: s.Doc, New: s.Source})
	}
	for _, s := range registry.Sinks() {
		sinks = append(sinks, Choice{Name: s.Name, Doc: s.Doc, New: s.Sink})
	}
	formats := []Choice{
		{Name: "avro", Doc: "Avro object container files", New: func() any { return &avro.Format{} }},
		{Name: "csv", Doc: "values with a delimiter", New: func() any { return &csv.Format{} }},
		{Name: "ndjson", Doc: "one JSON object per line", New: func() any { return &ndjson.Format{} }},
		{Name: "parquet", Doc: "Parquet files", New: func() any { return &parquet.Format{} }},
		{Name: "raw", Doc: "lines as they are", New: func() any { return &raw.Format{} }},
	}
	return func(typ reflect.Type) []Choice {
		switch typ {
		case reflect.TypeFor[forebay.Source]():
			return sources
		case reflect.TypeFor[forebay.Sink]():
			return sinks
		case reflect.TypeFor[codec.Format]():
			return formats
		default:
			return nil
		}
	}
}

// sourceField is exactly one source.
type sourceField struct { //nolint:recvcheck // printing is given values
	source forebay.Source
	name   string
	path   string
}

// UnmarshalConfig takes one connector with its keys.
func (f *sourceField) UnmarshalConfig(v *Value) Problems {
	held, e, problems := v.connector(reflect.TypeFor[forebay.Source]())
	if held != nil {
		f.source, f.name, f.path = held.(forebay.Source), e.Name, e.Value.path
	}
	return problems
}

// PrintConfig shows the connector.
func (f sourceField) PrintConfig() []Printed { return []Printed{{Key: f.name, Value: f.source}} }

// sinkField is exactly one sink.
type sinkField struct { //nolint:recvcheck // printing is given values
	sink forebay.Sink
	name string
	path string
}

// UnmarshalConfig takes one connector with its keys.
func (f *sinkField) UnmarshalConfig(v *Value) Problems {
	held, e, problems := v.connector(reflect.TypeFor[forebay.Sink]())
	if held != nil {
		f.sink, f.name, f.path = held.(forebay.Sink), e.Name, e.Value.path
	}
	return problems
}

// PrintConfig shows the connector.
func (f sinkField) PrintConfig() []Printed { return []Printed{{Key: f.name, Value: f.sink}} }

// connector decodes exactly one connector out of the choices for an interface; held is nil where there is none.
func (v *Value) connector(typ reflect.Type) (held any, e Entry, problems Problems) {
	var choices []Choice
	if v.tree.options.Choices != nil {
		choices = v.tree.options.Choices(typ)
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = c.Name
	}
	e, problems = v.One("connector", names)
	if e.Value == nil {
		return nil, e, problems
	}
	for _, c := range choices {
		if c.Name != e.Name {
			continue
		}
		target := c.New()
		problems = append(problems, e.Value.Decode(target)...)
		held = target
		if value := reflect.ValueOf(target).Elem(); value.Type().Implements(typ) {
			held = value.Interface()
		}
	}
	return held, e, problems
}

// PipelineFields describes the keys of a pipeline file, for the reference.
func PipelineFields(registry connector.Registry) []Field {
	return Fields(reflect.TypeFor[pipelineFile](), choicesOf(registry))
}
