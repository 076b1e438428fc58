// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/instant"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// started is a format with its schema.
type started struct {
	options
	schema  *forebay.Schema
	maxSize int
}

// Start settles the schema: the stored one, the given one, or the one that the first rows show.
func (f Format) Start(ctx context.Context, env codec.Env) (*codec.Decoding, error) {
	o, err := f.options()
	if err != nil {
		return nil, forebay.Errorf("read csv", forebay.ClassMisconfigured, "%w", err)
	}
	st := &started{options: o, maxSize: int(env.MaxRecord)}
	if st.maxSize <= 0 {
		st.maxSize = int(codec.MaxRecordDefault)
	}
	var memory []byte
	switch {
	case env.Memory != nil:
		st.schema, err = codec.Recall(env.Memory)
		memory = env.Memory
	case !o.header && len(o.given) > 0:
		st.schema, err = forebay.NewSchema(o.given...)
	default:
		st.schema, err = st.learn(ctx, env.Samples)
		if err == nil {
			memory = codec.Remember(st.schema)
		}
	}
	if err != nil {
		return nil, err
	}
	return &codec.Decoding{
		Schema: st.schema, Memory: memory,
		NewDecoder: func() codec.Decoder { return st.decoder() },
	}, nil
}

// decoder makes one whose columns are not known before Begin has seen the header.
func (st *started) decoder() *decoder {
	d := &decoder{
		options: st.options, nulls: newNullSet(st.options.nulls), maxSize: st.maxSize,
		pattern: swar.Repeat(st.delimiter), dates: instant.NewCache(),
	}
	if st.schema != nil {
		d.use(st.schema)
	}
	return d
}

// use sets the columns to those of the schema, in its order.
func (d *decoder) use(schema *forebay.Schema) {
	d.layout = forebay.NewLayout(schema)
	d.columns = make([]column, schema.Len())
	for i := range d.columns {
		c := schema.Column(i)
		d.columns[i] = column{slot: i, way: wayOf(c.Type, d.options.nulls), kind: c.Type, name: c.Name}
	}
	d.ends = make([]uint32, len(d.columns))
}

// Begin implements codec.Decoder: it passes over a byte order mark and reads the header.
func (d *decoder) Begin(head []byte, final bool) (p codec.Preamble, ok bool, err error) {
	if p, ok = codec.ByteOrderMark(head, final); !ok || !d.header {
		return p, ok, nil
	}
	names, p, ok, err := d.names(head, p, final)
	if !ok || err != nil || names == nil {
		return p, ok, err
	}
	return p, true, d.match(names)
}

// names reads the first record that is not empty. There are none in an empty input.
func (d *decoder) names(head []byte, p codec.Preamble, final bool) ([]string, codec.Preamble, bool, error) {
	for {
		line := head[p.Size:]
		if size := emptyLine(line); size > 0 {
			p.Size += size
			p.Lines++
			continue
		}
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return nil, codec.Preamble{Size: len(head), Lines: p.Lines}, final, nil
		}
		limit := len(line)
		n := bytes.IndexByte(line, '\n')
		if !d.multiline && n >= 0 {
			limit = n
		}
		r := d.scanFields(line, 0, limit)
		if r.open && !final && (d.multiline || n < 0) {
			return nil, p, false, nil
		}
		if r.unclosed {
			r.wrong = quoteOpen
		}
		if r.wrong != "" {
			e := forebay.Errorf("read the header", forebay.ClassMisconfigured, "line %d: %s", p.Lines+1, r.wrong)
			e.Code = codec.CodeQuote
			return nil, p, true, e
		}
		names := make([]string, len(d.fields))
		for i, f := range d.fields {
			names[i] = string(line[f.start:f.end])
			if f.escaped {
				names[i] = strings.ReplaceAll(names[i], `""`, `"`)
			}
		}
		p.Size += r.next
		p.Lines += r.lines
		if !d.multiline && n >= 0 {
			p.Size++
		}
		return names, p, true, nil
	}
}

func emptyLine(line []byte) int {
	switch {
	case bytes.HasPrefix(line, []byte("\n")):
		return 1
	case bytes.HasPrefix(line, []byte("\r\n")):
		return 2
	default:
		return 0
	}
}

// match orders the columns as the header does. The names of all inputs must be the same; their order is free.
func (d *decoder) match(names []string) error {
	if d.layout == nil {
		schema, err := textSchema(names)
		if err != nil {
			return headerError("%w", err)
		}
		d.use(schema)
		return nil
	}
	schema := d.layout.Schema
	columns := make([]column, len(names))
	var unknown, missing []string
	found := make([]bool, schema.Len())
	for i, name := range names {
		k := schema.Find(name)
		if k < 0 || found[k] {
			unknown = append(unknown, strconv.Quote(name))
			continue
		}
		found[k] = true
		c := schema.Column(k)
		columns[i] = column{slot: k, way: wayOf(c.Type, d.options.nulls), kind: c.Type, name: name}
	}
	for k, is := range found {
		if !is {
			missing = append(missing, strconv.Quote(schema.Column(k).Name))
		}
	}
	switch {
	case len(unknown) > 0 && len(missing) > 0:
		return headerError("it names %s, which the schema does not have, and lacks %s",
			strings.Join(unknown, ", "), strings.Join(missing, ", "))
	case len(unknown) > 0:
		return headerError("it names %s, which the schema does not have, or twice", strings.Join(unknown, ", "))
	case len(missing) > 0:
		return headerError("it lacks %s, which the schema has", strings.Join(missing, ", "))
	}
	d.columns = columns
	return nil
}

func headerError(format string, args ...any) error {
	e := forebay.Errorf("read the header", forebay.ClassMisconfigured, format, args...)
	e.Code = "header-mismatch"
	e.Cure = "give files with other columns a pipeline of their own, or header: false if there is no header"
	return e
}

func textSchema(names []string) (*forebay.Schema, error) {
	columns := make([]forebay.Column, len(names))
	for i, name := range names {
		columns[i] = forebay.Column{Name: name, Type: forebay.String}
	}
	return forebay.NewSchema(columns...)
}

// learn reads the header and the types of columns that are not given from the first rows.
func (st *started) learn(ctx context.Context, samples func() (codec.Sample, error)) (*forebay.Schema, error) {
	l := learner{started: st}
	for samples != nil && !l.done() {
		sample, err := samples()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := l.read(ctx, sample); err != nil {
			return nil, fmt.Errorf("%s: %w", sample.Name, err)
		}
	}
	if l.names == nil {
		e := forebay.Errorf("learn the columns", forebay.ClassMisconfigured, "there is no row to learn them from")
		e.Code, e.Cure = "no-rows", "give header: false and schema:, or wait until there is a file with rows"
		return nil, e
	}
	return l.schema()
}

// learner collects what the samples show.
type learner struct {
	*started
	names []string
	// text are the columns, all as text.
	text  *forebay.Schema
	types []codec.Inference
	rows  int
}

// done reports whether nothing is left to be learned.
func (l *learner) done() bool {
	if l.names == nil {
		return false
	}
	for _, name := range l.names {
		if l.givenType(name) == nil {
			return l.rows >= codec.InferenceRows
		}
	}
	return true
}

func (l *learner) givenType(name string) *forebay.Type {
	for i := range l.given {
		if l.given[i].Name == name {
			return &l.given[i].Type
		}
	}
	return nil
}

// read takes the rows of one sample, decoded as text.
func (l *learner) read(ctx context.Context, sample codec.Sample) error {
	st := &started{options: l.options, schema: l.text, maxSize: l.maxSize}
	d := st.decoder()
	stream := codec.NewStream(sample.Reader, &textDecoder{decoder: d}, codec.StreamConfig{
		Name: sample.Name, MaxRecord: forebay.Bytes(l.maxSize),
	})
	if err := stream.Begin(ctx, forebay.Position{}); err != nil {
		return err
	}
	b := forebay.NewBatch()
	for {
		if l.names == nil && d.layout != nil {
			l.text, l.names = d.layout.Schema, d.layout.Schema.Names()
			l.types = make([]codec.Inference, len(l.names))
		}
		if l.done() {
			return nil
		}
		b.Reset(forebay.Split{}, len(d.columns))
		switch err := stream.Read(ctx, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if l.names != nil {
			l.add(b, d)
		}
	}
}

// add takes the values of a batch. A null text that is there as text was quoted.
func (l *learner) add(b *forebay.Batch, d *decoder) {
	for i := 0; i < b.Len() && l.rows < codec.InferenceRows; i++ {
		l.rows++
		for k, c := range b.Cells(i) {
			if text := c.Bytes(b.Slab()); !c.IsNull() && !d.nulls.has(text) {
				l.types[k].Add(text)
			}
		}
	}
}

func (l *learner) schema() (*forebay.Schema, error) {
	columns := make([]forebay.Column, len(l.names))
	for i, name := range l.names {
		columns[i] = forebay.Column{Name: name, Type: l.types[i].Type()}
		if given := l.givenType(name); given != nil {
			columns[i].Type = *given
		}
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, err
	}
	for _, c := range l.given {
		if schema.Find(c.Name) < 0 {
			return nil, headerError("it lacks %q, which schema: gives a type", c.Name)
		}
	}
	return schema, nil
}

// textDecoder learns the number of columns of an input without a header from its first record.
type textDecoder struct{ *decoder }

// Begin implements codec.Decoder.
func (t *textDecoder) Begin(head []byte, final bool) (p codec.Preamble, ok bool, err error) {
	p, ok, err = t.decoder.Begin(head, final)
	if t.header || t.layout != nil || !ok || err != nil {
		return p, ok, err
	}
	names, _, ok, err := t.names(head, p, final)
	if !ok || err != nil || names == nil {
		return p, ok, err
	}
	for i := range names {
		names[i] = "c" + strconv.Itoa(i+1)
	}
	return p, true, t.match(names)
}
