// SPDX-License-Identifier: Apache-2.0

package stdin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector"
)

// Source reads the standard input.
type Source struct {
	Format codec.Format `yaml:"format" doc:"how bytes become records" default:"raw"`
	// In replaces the standard input.
	In io.Reader `yaml:"-"`
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "stdin", Doc: "reads the standard input to its end",
		Source: func() any { return &Source{} },
	}
}

func (s Source) format() codec.Format {
	if s.Format == nil {
		return raw.Format{}
	}
	return s.Format
}

// splitID names the only split.
const splitID = "stdin"

// Info describes the source.
func (s Source) Info() (forebay.SourceInfo, error) {
	format, err := s.format().Info()
	info := forebay.SourceInfo{
		Connector: "stdin",
		Identity:  append([]forebay.Setting{{Name: "format", Value: format.Name}}, format.Identity...),
		Bounded:   true,
		Blocks:    true,
		Typed:     format.Typed,
		JSON:      format.JSON,
		Notes:     []string{"stdin cannot be read again: a crash loses what was on its way, a drain loses nothing"},
	}
	if format.Blocks {
		err = errors.Join(err, fmt.Errorf("format: %s is read from the end of its input, and stdin comes from its "+
			"beginning; read it as a file", format.Name))
	}
	return info, err
}

// Start reads what the format needs to learn its schema from, and keeps it for the reader.
//
// Blocking: until as much came, or the input ended, if the format learns.
func (s Source) Start(ctx context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	in := s.In
	if in == nil {
		in = os.Stdin
	}
	f := &feed{input: newInput(in)}
	f.input.during(ctx)
	first, given := sample{input: f.input}, false
	decoding, err := s.format().Start(ctx, codec.Env{
		Memory: env.Memory, NeedsRows: env.NeedsRows, MaxRecord: codec.MaxRecordDefault,
		Samples: func() (codec.Sample, error) {
			if given {
				return codec.Sample{}, io.EOF
			}
			given = true
			return codec.Sample{Name: splitID, Reader: &first}, nil
		},
	})
	if err != nil {
		f.input.close()
		if errors.Is(err, errInterrupted) {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	first.giveBack()
	f.decoding = decoding
	return f, nil
}

// feed is a started source.
type feed struct {
	input    *input
	decoding *codec.Decoding

	mu     sync.Mutex
	stream *codec.Stream
}

func (f *feed) Schema() *forebay.Schema { return f.decoding.Schema }

func (f *feed) Memory() []byte { return f.decoding.Memory }

func (f *feed) Splits(context.Context) ([]forebay.Split, error) {
	return []forebay.Split{{ID: splitID, Fingerprint: splitID}}, nil
}

// Open begins with what comes, whatever position an earlier process had. Opened again, it goes on.
//
// Errors: lost where that would pass over what was read and is asked for again.
func (f *feed) Open(ctx context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	if split.ID != splitID {
		return nil, forebay.Errorf("open split", forebay.ClassMisconfigured,
			"there is no split %q, only %q", split.ID, splitID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stream == nil {
		f.stream = codec.NewStream(f.input, f.decoding.NewDecoder(), codec.StreamConfig{
			Split: splitID, Name: splitID, Eager: true,
		})
		return &reader{feed: f, stream: f.stream}, nil
	}
	if now := f.stream.Offset(); now != at.Offset {
		err := forebay.Errorf("open split", forebay.ClassLost,
			"stdin was read to byte %d and is asked for byte %d: it cannot go back", now, at.Offset)
		err.Code = "cannot-go-back"
		err.Cure = "write the input to a file and read that"
		return nil, err
	}
	return &reader{feed: f, stream: f.stream, begun: true}, nil
}

func (f *feed) Close() error {
	f.input.close()
	return nil
}

type reader struct {
	feed   *feed
	stream *codec.Stream
	begun  bool
}

// Read hands on what one read of the input gave.
//
// Blocking: until a whole record came, the input ends, or ctx ends.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	r.feed.input.during(ctx)
	if !r.begun {
		if err := r.stream.Begin(ctx, forebay.Position{}); err != nil {
			return r.classify(ctx, err)
		}
		r.begun = true
	}
	return r.classify(ctx, r.stream.Read(ctx, b))
}

// classify tells a wait that was given up, and the end, from an input that failed.
func (r *reader) classify(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if _, classed := errors.AsType[*forebay.Error](err); classed {
		return err
	}
	// What a failed read took is not known, so going on could pass over records.
	return &forebay.Error{Op: "read stdin", Class: forebay.ClassLost, Err: err}
}

func (r *reader) Close() error { return nil }
