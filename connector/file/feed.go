// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// headSize is how much of a file's beginning tells whether it still is the same one.
const headSize = 4096

// memoryVersion is raised when the meaning of memory changes.
const memoryVersion = 1

// memory is what the state of a pipeline keeps for this source.
type memory struct {
	Version int `json:"version"`
	// Range is the size of ranges, 0 if files are not cut.
	Range int64 `json:"range,omitempty"`
	// Files are those that were seen, by path.
	Files map[string]seen `json:"files"`
	// Format is the format's own memory.
	Format json.RawMessage `json:"format,omitempty"`
}

// seen is a file as it was when the pipeline first saw it.
type seen struct {
	Size int64  `json:"size"`
	Head string `json:"head"`
}

// input is one file.
type input struct {
	// path opens it; name is what splits and messages call it.
	path, name  string
	compression string
	// size is how much of the file is read, in bytes on disk.
	size int64
}

// piece is what a split stands for.
type piece struct {
	*input
	// from and until bound where records start. until is 0 for a compressed file.
	from, until int64
}

// feed implements forebay.Feed.
type feed struct {
	source   Source
	decoding *codec.Decoding
	memory   []byte
	splits   []forebay.Split
	pieces   map[string]piece
}

func start(ctx context.Context, s Source, env forebay.SourceContext) (*feed, error) {
	paths, err := expand(s.Path)
	if err != nil {
		return nil, err
	}
	m, err := recall(env.Memory)
	if err != nil {
		return nil, err
	}
	format, _ := s.Format.Info()
	if err := m.settleRange(s, format, env); err != nil {
		return nil, err
	}
	logger := env.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	inputs := make([]*input, 0, len(paths))
	for _, path := range paths {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		in, err := m.look(path, s.compression(), logger)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	f := &feed{source: s, pieces: make(map[string]piece)}
	samples := &sampler{inputs: inputs}
	f.decoding, err = s.Format.Start(ctx, codec.Env{
		Memory: m.Format, NeedsRows: env.NeedsRows, MaxRecord: s.MaxRecord, Samples: samples.next,
	})
	if err = errors.Join(err, samples.close()); err != nil {
		return nil, err
	}
	m.Format = f.decoding.Memory
	if f.memory, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("remember the files: %w", err)
	}
	for _, in := range inputs {
		if err := f.cut(in, m.Range); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func recall(data []byte) (*memory, error) {
	m := &memory{Version: memoryVersion, Files: make(map[string]seen), Range: -1}
	if data == nil {
		return m, nil
	}
	m.Range = 0
	if err := json.Unmarshal(data, m); err != nil {
		return nil, forebay.Errorf("read what the state holds of the source", forebay.ClassCorrupt, "%w", err)
	}
	if m.Version != memoryVersion {
		return nil, misconfigured(advice{"read what the state holds of the source", "", ""},
			"it has version %d, and this program knows version %d", m.Version, memoryVersion)
	}
	return m, nil
}

// settleRange decides in the first run whether files are cut, and holds later runs to it: a position belongs
// to a split, so borders never move.
func (m *memory) settleRange(s Source, format codec.Info, env forebay.SourceContext) error {
	ordered := env.SplitOrderMatters && s.Order != "none"
	switch {
	case m.Range < 0 && format.Ranges && !ordered:
		m.Range = int64(s.rangeSize())
	case m.Range < 0:
		m.Range = 0
	case m.Range > 0 && ordered:
		return misconfigured(advice{
			"start source file", codeGridChanged, "set order: none, or give the pipeline another name to start over",
		},
			"the state has read files in ranges of %s, and now the order within a file matters to the target",
			forebay.Bytes(m.Range))
	}
	return nil
}

// look opens a file for its size and beginning, and compares them with what is remembered.
func (m *memory) look(path, configured string, logger *slog.Logger) (*input, error) {
	name := splitPath(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, systemError("read "+name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, systemError("read "+name, err)
	}
	head := make([]byte, min(headSize, info.Size()))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, systemError("read "+name, err)
	}
	in := &input{path: path, name: name, compression: compressionOf(configured, name, head), size: info.Size()}
	before, known := m.Files[name]
	if !known {
		m.Files[name] = seen{Size: in.size, Head: headOf(head)}
		return in, nil
	}
	if in.size < before.Size || headOf(head[:min(headSize, before.Size)]) != before.Head ||
		in.size != before.Size && in.compression != plain {
		return nil, misconfigured(advice{"read " + name, codeChanged, startOver},
			"the file is not the one that the pipeline has seen: it had %d bytes and has %d, or begins differently",
			before.Size, in.size)
	}
	if in.size > before.Size {
		logger.Warn("a file has grown since it was first seen; what was added is not read", "file", name,
			"bytes", in.size-before.Size)
	}
	in.size = before.Size
	return in, nil
}

func headOf(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:8])
}

// cut makes the splits of a file.
func (f *feed) cut(in *input, grid int64) error {
	split := forebay.Split{ID: in.name, Fingerprint: "file:" + in.name + ":" + in.compression}
	if in.compression != plain {
		return f.add(split, piece{input: in})
	}
	if grid == 0 {
		split.Size = in.size
		return f.add(split, piece{input: in, until: in.size})
	}
	if in.size/grid >= rangesMax {
		return misconfigured(advice{"read " + in.name, codeTooMany, "set a larger range and start over"},
			"ranges of %s would cut its %d bytes into more than %d splits", forebay.Bytes(grid), in.size, rangesMax)
	}
	for from := int64(0); from == 0 || from < in.size; from += grid {
		split.ID = in.name + "#" + strconv.FormatInt(from/grid, 10)
		until := min(from+grid, in.size)
		split.Size = until - from
		if err := f.add(split, piece{input: in, from: from, until: until}); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) add(split forebay.Split, p piece) error {
	if other, twice := f.pieces[split.ID]; twice {
		return misconfigured(advice{"read " + p.name, codeTooMany, "rename one of them"},
			"its split %q has the same name as one of %s", split.ID, other.name)
	}
	f.pieces[split.ID] = p
	f.splits = append(f.splits, split)
	return nil
}

// Schema implements forebay.Feed.
func (f *feed) Schema() *forebay.Schema { return f.decoding.Schema }

// Memory implements forebay.Feed. It also holds files that appeared since the first run.
func (f *feed) Memory() []byte { return f.memory }

// Splits implements forebay.Feed: files in the order of their names, and their ranges in theirs.
func (f *feed) Splits(context.Context) ([]forebay.Split, error) { return f.splits, nil }

// Close implements forebay.Feed.
func (f *feed) Close() error { return nil }

// sampler gives the files one after the other to a format that learns.
type sampler struct {
	inputs []*input
	open   io.Closer
}

func (s *sampler) next() (codec.Sample, error) {
	if err := s.close(); err != nil {
		return codec.Sample{}, err
	}
	if len(s.inputs) == 0 {
		return codec.Sample{}, io.EOF
	}
	in := s.inputs[0]
	s.inputs = s.inputs[1:]
	r, err := in.openFile()
	if err != nil {
		return codec.Sample{}, err
	}
	s.open = r
	return codec.Sample{Name: in.name, Reader: r}, nil
}

func (s *sampler) close() error {
	if s.open == nil {
		return nil
	}
	err := s.open.Close()
	s.open = nil
	return err
}
