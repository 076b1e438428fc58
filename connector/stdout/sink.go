// SPDX-License-Identifier: Apache-2.0

package stdout

import (
	"context"
	"io"
	"os"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/internal/nearest"
)

// The formats of Sink.
const (
	FormatAuto   = "auto"
	FormatNDJSON = "ndjson"
	FormatCSV    = "csv"
	FormatRaw    = "raw"
)

// Sink prints records as lines.
type Sink struct {
	Format string `yaml:"format" doc:"auto: ndjson for rows, raw for bytes" default:"auto" enum:"auto|ndjson|csv|raw"`
	// Out replaces the standard output.
	Out io.Writer `yaml:"-"`
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "stdout", Doc: "prints records as lines on the standard output",
		Sink: func() any { return &Sink{} },
	}
}

// Info describes the sink.
func (s Sink) Info() (forebay.SinkInfo, error) {
	info := forebay.SinkInfo{
		Connector: "stdout", Way: forebay.WayPlain, Name: "stdout",
		NeedsRows: s.Format == FormatCSV, JSON: s.Format == FormatNDJSON,
	}
	switch s.Format {
	case "", FormatAuto, FormatNDJSON, FormatCSV, FormatRaw:
		return info, nil
	default:
		err := forebay.Errorf("stdout", forebay.ClassMisconfigured, "format: %q is none of auto, ndjson, csv, raw", s.Format)
		if near := nearest.Name(s.Format, []string{FormatAuto, FormatNDJSON, FormatCSV, FormatRaw}); near != "" {
			err.Cure = "did you mean " + near + "?"
		}
		return info, err
	}
}

// Start prints nothing yet.
func (s Sink) Start(_ context.Context, env forebay.SinkContext) (forebay.Target, error) {
	info, err := s.Info()
	if err != nil {
		return nil, err
	}
	if info.NeedsRows && env.Schema == nil {
		return nil, forebay.Errorf("stdout", forebay.ClassMisconfigured, "csv needs typed rows, and these records are bytes")
	}
	out := s.Out
	if out == nil {
		out = os.Stdout
	}
	return &target{format: s.Format, output: newOutput(out)}, nil
}

// target is a started sink. It is immutable but for the output.
type target struct {
	format string
	output *output
}

// OpenLane makes the writer of one lane.
func (t *target) OpenLane(context.Context, forebay.LaneContext) (forebay.LaneWriter, error) {
	return &lane{target: t}, nil
}

// Close leaves the output open: it is the process's.
func (t *target) Close() error { return nil }

// handOver is the size from which on a lane hands its lines over.
const handOver = 64 << 10

// lane gathers the lines of one lane.
type lane struct {
	target *target
	lines  []byte

	layout   *forebay.Layout
	encoding *codec.Encoding
	closed   bool
}

// encoding fits the format to a layout, which is nil while records are bytes only.
func (t *target) encoding(layout *forebay.Layout) (*codec.Encoding, error) {
	switch {
	case layout == nil, t.format == FormatRaw:
		return &codec.Encoding{Append: appendLine}, nil
	case t.format == FormatCSV:
		return csv.Format{}.Encoding(layout)
	default:
		return ndjson.Format{}.Encoding(layout)
	}
}

// appendLine is for eyes: unlike files of raw records, a record with a line break in it is printed as it is.
func appendLine(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
	return append(append(dst, b.Value(i)...), '\n'), nil
}

func (l *lane) Write(ctx context.Context, b *forebay.Batch) error {
	if l.closed {
		return forebay.ErrClosed
	}
	var err error
	if l.encoding == nil || l.layout != b.Layout() {
		if l.encoding, err = l.target.encoding(b.Layout()); err != nil {
			return err
		}
		l.layout = b.Layout()
	}
	for i := range b.Len() {
		if l.lines, err = l.encoding.Append(l.lines, b, i); err != nil {
			return err
		}
		if len(l.lines) >= handOver {
			if err := l.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush returns once the output has taken every line.
//
// Errors: those of classify; the lines are then given up, as a lane that restarts gets their records again.
func (l *lane) Flush(ctx context.Context) error {
	if l.closed {
		return forebay.ErrClosed
	}
	if len(l.lines) == 0 {
		return nil
	}
	err := l.target.output.write(ctx, l.encoding.Header, l.lines)
	l.lines = l.lines[:0]
	if cap(l.lines) > 4*handOver {
		l.lines = nil
	}
	return err
}

func (l *lane) Close() error {
	l.closed, l.lines = true, nil
	return nil
}
