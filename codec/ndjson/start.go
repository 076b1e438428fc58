// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/instant"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// Start settles the schema: the stored one, the given one, the one that the first rows show where a later
// stage needs rows, or none.
func (f Format) Start(ctx context.Context, env codec.Env) (*codec.Decoding, error) {
	o, err := f.options()
	if err != nil {
		return nil, forebay.Errorf("read ndjson", forebay.ClassMisconfigured, "%w", err)
	}
	maxSize := int(env.MaxRecord)
	if maxSize <= 0 {
		maxSize = int(codec.MaxRecordDefault)
	}
	out := &codec.Decoding{}
	switch {
	case len(o.given) > 0:
		out.Schema, err = forebay.NewSchema(o.given...)
	case env.Memory != nil:
		out.Schema, err = codec.Recall(env.Memory)
		out.Memory = env.Memory
	case env.NeedsRows:
		l := learner{maxSize: maxSize, byName: make(map[string]int)}
		if out.Schema, err = l.learn(ctx, env.Samples); err == nil {
			out.Memory = codec.Remember(out.Schema)
		}
	}
	if err != nil {
		return nil, err
	}
	out.NewDecoder = func() codec.Decoder { return newDecoder(o, out.Schema, maxSize) }
	return out, nil
}

// newDecoder makes the decoder for a schema, nil for records that stay bytes.
func newDecoder(o options, schema *forebay.Schema, maxSize int) *decoder {
	d := &decoder{zone: o.zone, rejectUnknown: o.rejectUnknown, maxSize: maxSize, dates: instant.NewCache()}
	if schema == nil {
		return d
	}
	d.layout, d.columns = forebay.NewLayout(schema), schema.Columns()
	d.byName = make(map[string]int, len(d.columns))
	for k, c := range d.columns {
		d.byName[c.Name] = k
		d.names = append(d.names, c.Name)
		quoted := append(forebay.AppendJSONString(nil, []byte(c.Name)), ':')
		d.prefixes = append(d.prefixes, jsontext.NewPrefix(quoted))
		d.kinds = append(d.kinds, c.Type.Kind)
	}
	d.seen = make([]uint64, (len(d.columns)+63)/64)
	return d
}

// learner collects the fields of the first rows, in the order in which they come.
type learner struct {
	maxSize int
	names   []string
	byName  map[string]int
	fields  []fieldKinds
	rows    int
}

// fieldKinds is what the values of one field were.
type fieldKinds struct {
	texts, numbers codec.Inference
	// text, number, truth and other say which kinds of value occurred.
	text, number, truth, other bool
}

func (l *learner) learn(ctx context.Context, samples func() (codec.Sample, error)) (*forebay.Schema, error) {
	for samples != nil && l.rows < codec.InferenceRows {
		sample, err := samples()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = l.read(ctx, sample)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sample.Name, err)
		}
	}
	if len(l.names) == 0 {
		e := forebay.Errorf("learn the columns", forebay.ClassMisconfigured, "there is no row to learn them from")
		e.Code, e.Cure = "no-rows", "give schema:, or wait until there is a file with rows"
		return nil, e
	}
	columns := make([]forebay.Column, len(l.names))
	for k, name := range l.names {
		columns[k] = forebay.Column{Name: name, Type: l.fields[k].columnType()}
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, forebay.Errorf("learn the columns", forebay.ClassMisconfigured, "%w", err)
	}
	return schema, nil
}

// read takes the rows of one sample. Lines that are not an object are left to the decoder to reject.
func (l *learner) read(ctx context.Context, sample codec.Sample) error {
	stream := codec.NewStream(sample.Reader, newDecoder(options{}, nil, l.maxSize), codec.StreamConfig{
		Name: sample.Name, MaxRecord: forebay.Bytes(l.maxSize),
	})
	if err := stream.Begin(ctx, forebay.Position{}); err != nil {
		return err
	}
	b := forebay.NewBatch()
	for l.rows < codec.InferenceRows {
		b.Reset(forebay.Split{}, 0)
		switch err := stream.Read(ctx, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for i := 0; i < b.Len() && l.rows < codec.InferenceRows; i++ {
			l.rows++
			l.add(b.Value(i))
		}
	}
	return nil
}

// add takes the fields of an object that is known to be well-formed.
func (l *learner) add(s []byte) {
	i, end := jsontext.Space(s, 0, len(s)), len(s)
	i = jsontext.Space(s, i+1, end)
	for i < end && s[i] == '"' {
		behind, _, _ := jsontext.StringEnd(s, i+1, end)
		name, _ := jsontext.Unescape(nil, s[i+1:behind-1])
		i = jsontext.Space(s, jsontext.Space(s, behind, end)+1, end)
		behind, _ = jsontext.ValueEnd(s, i, end, 1)
		l.value(string(name), s[i:behind])
		i = jsontext.Space(s, jsontext.Space(s, behind, end)+1, end)
	}
}

func (l *learner) value(name string, text []byte) {
	k, known := l.byName[name]
	if !known {
		k = len(l.names)
		l.byName[name] = k
		l.names = append(l.names, name)
		l.fields = append(l.fields, fieldKinds{})
	}
	f := &l.fields[k]
	switch text[0] {
	case 'n':
	case 't', 'f':
		f.truth = true
	case '"':
		f.text = true
		if value, ok := jsontext.Unescape(nil, text[1:len(text)-1]); ok {
			f.texts.Add(value)
		}
	case '{', '[':
		f.other = true
	default:
		f.number = true
		f.numbers.Add(text)
	}
}

// columnType is the type that holds every value that was seen; json where there are several kinds, or numbers
// that no type holds exactly.
func (f *fieldKinds) columnType() forebay.Type {
	switch {
	case f.other, f.text && f.number, f.text && f.truth, f.number && f.truth:
		return forebay.JSON
	case f.truth:
		return forebay.Bool
	case f.number:
		if t := f.numbers.Type(); t == forebay.Int64 || t == forebay.Float64 {
			return t
		}
		return forebay.JSON
	default:
		if t := f.texts.Type(); t == forebay.Timestamp || t == forebay.Date {
			return t
		}
		return forebay.String
	}
}
