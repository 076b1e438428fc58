// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
)

// Defaults and limits of Source.
const (
	SizeDefault = 200 * forebay.Bytes(1)
	SizeMin     = 16 * forebay.Bytes(1)
	SizeMax     = 16 * forebay.MiB
	SplitsMax   = 4096

	templateDefault = "the quick brown fox jumps over the lazy dog; "
)

// Source makes records up. The zero value gives records of 200 bytes without end.
type Source struct {
	Count    int64         `yaml:"count" doc:"how many records; 0 is without end" default:"0" min:"0"`
	Size     forebay.Bytes `yaml:"size" doc:"bytes of each value, 16B to 16MB; 200B, or none with fields"`
	Seed     uint64        `yaml:"seed" doc:"another seed gives other records" default:"0"`
	Rate     int64         `yaml:"rate" doc:"records per second, all splits; 0 is without limit" default:"0" min:"0"`
	Splits   int           `yaml:"splits" doc:"into how many splits the records are dealt" default:"1" min:"1" max:"4096"`
	Template string        `yaml:"template" doc:"text that fills each value behind its first 16 bytes"`
	Fields   []Field       `yaml:"fields" doc:"makes typed rows with these columns"`
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "generate", Doc: "makes records up from a seed, as fast as asked for",
		Source: func() any { return &Source{} },
	}
}

// size is the number of bytes of each value.
func (s Source) size() int {
	if s.Size == 0 && len(s.Fields) == 0 {
		return int(SizeDefault)
	}
	return int(s.Size)
}

func (s Source) splits() int { return max(s.Splits, 1) }

// Info describes the source without touching anything.
//
// Errors: misconfigured, with everything that is wrong.
func (s Source) Info() (forebay.SourceInfo, error) {
	info := forebay.SourceInfo{
		Connector:  "generate",
		Bounded:    s.Count > 0,
		Replayable: true,
		Blocks:     s.Rate > 0,
		Typed:      len(s.Fields) > 0,
		Identity: []forebay.Setting{
			{Name: "seed", Value: fmt.Sprint(s.Seed)},
			{Name: "count", Value: fmt.Sprint(s.Count)},
			{Name: "splits", Value: fmt.Sprint(s.splits())},
			{Name: "size", Value: forebay.Bytes(s.size()).String()},
			{Name: "content", Value: s.content()},
		},
	}
	if err := s.validate(); err != nil {
		return info, &forebay.Error{Op: "generate", Class: forebay.ClassMisconfigured, Err: err}
	}
	return info, nil
}

// content is a short name of what the records hold beyond seed and size.
func (s Source) content() string {
	h := fnv.New64a()
	h.Write([]byte(s.Template))
	for _, f := range s.Fields {
		h.Write(f.fingerprint())
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func (s Source) validate() error {
	var problems []error
	if s.Count < 0 {
		problems = append(problems, fmt.Errorf("count: %d is below 0; 0 is without end", s.Count))
	}
	if s.Rate < 0 {
		problems = append(problems, fmt.Errorf("rate: %d is below 0; 0 is as fast as possible", s.Rate))
	}
	if s.Splits < 0 || s.Splits > SplitsMax {
		problems = append(problems, fmt.Errorf("splits: %d is outside 1 to %d", s.Splits, SplitsMax))
	}
	if s.Size != 0 && (s.Size < SizeMin || s.Size > SizeMax) {
		problems = append(problems, fmt.Errorf("size: %s is outside %s to %s: the first 16 bytes tell the records apart",
			s.Size, SizeMin, SizeMax))
	}
	if s.Template != "" && s.size() <= int(SizeMin) {
		problems = append(problems, fmt.Errorf("template: values of %d bytes have no room for it; give a size above %s",
			s.size(), SizeMin))
	}
	return errors.Join(append(problems, s.validateFields()...)...)
}

// Sum is the sum of all records, from the closed form; false for a source without end.
func (s Source) Sum() (connector.Sum, bool) {
	if s.Count <= 0 {
		return connector.Sum{}, false
	}
	size := s.size()
	sum := connector.Sum{Records: uint64(s.Count), Bytes: uint64(s.Count) * uint64(size)}
	if size >= int(SizeMin) {
		sum.Low, sum.High = newMark(s.Seed).sums(uint64(s.Count))
	}
	return sum, true
}

// Start compiles the fields; it opens nothing.
//
// Errors: misconfigured, also where typed rows are needed and there are no fields.
func (s Source) Start(_ context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	if env.NeedsRows && len(s.Fields) == 0 {
		err := forebay.Errorf("generate", forebay.ClassMisconfigured,
			"a later step or the sink needs typed rows, and these records are bytes")
		err.Cure = "give fields, such as fields: [{name: id, sequence: {}}]"
		return nil, err
	}
	f := &feed{source: s, size: s.size(), mark: newMark(s.Seed), tile: s.render()}
	if len(s.Fields) > 0 {
		schema, columns, err := s.compileFields()
		if err != nil {
			return nil, &forebay.Error{Op: "generate", Class: forebay.ClassMisconfigured, Err: err}
		}
		f.layout, f.columns = forebay.NewLayout(schema), columns
		f.words = s.wordTable()
		for _, c := range columns {
			f.rowBytes += c.slab
		}
	}
	return f, nil
}

// tileBytes is up to which size copies of the template are kept ready, to be copied many at a time.
const tileBytes = 4096

// render is the value of which each record overwrites the first 16 bytes, several times over.
func (s Source) render() []byte {
	text := s.Template
	if text == "" {
		text = templateDefault
	}
	value := make([]byte, s.size())
	for at := int(SizeMin); at < len(value); at += len(text) {
		copy(value[at:], text)
	}
	if len(value) == 0 {
		return nil
	}
	return bytes.Repeat(value, max(tileBytes/len(value), 1))
}
