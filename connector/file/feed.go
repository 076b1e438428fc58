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
	// ETag is what a bucket calls the content of an object, which then has no Head.
	ETag string `json:"etag,omitempty"`
	// Compression is what the beginning of an object showed, so that it need not be read in each run.
	Compression string `json:"compression,omitempty"`
}

// input is one file.
type input struct {
	place place
	// path opens it; name is what splits and messages call it.
	path, name  string
	compression string
	// size is how much of the file is read, in bytes on disk.
	size int64
	// etag is set for an object in a bucket: it is read only while it has this one.
	etag string
}

// piece is what a split stands for.
type piece struct {
	*input
	// from and until bound where records start. until is 0 for a compressed file.
	from, until int64
	// container is set for a file with blocks, of which from and until are numbers.
	container *container
}

// feed implements forebay.Feed.
type feed struct {
	source   Source
	place    place
	decoding *codec.Decoding
	memory   []byte
	splits   []forebay.Split
	pieces   map[string]piece
}

func start(ctx context.Context, s Source, env forebay.SourceContext) (*feed, error) {
	p, err := s.place(ctx)
	if err != nil {
		return nil, err
	}
	f, err := startAt(ctx, p, s, env)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return f, nil
}

func startAt(ctx context.Context, p place, s Source, env forebay.SourceContext) (*feed, error) {
	files, err := p.list(ctx, s.Path)
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
	inputs := make([]*input, 0, len(files))
	for _, file := range files {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		in, err := m.look(ctx, looking{p, file, s.compression(), format.Blocks, logger})
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	f := &feed{source: s, place: p, pieces: make(map[string]piece)}
	samples := &sampler{ctx: ctx, inputs: inputs, blocks: format.Blocks}
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
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if format.Blocks {
			err = f.cutBlocks(ctx, in, m.Range > 0)
		} else {
			err = f.cut(in, m.Range)
		}
		if err != nil {
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
	case m.Range < 0 && (format.Ranges || format.Blocks) && !ordered:
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

// looking is a file to look at.
type looking struct {
	place      place
	file       found
	configured string
	// blocks says that the format reads files from their end.
	blocks bool
	logger *slog.Logger
}

// look asks for a file's size and beginning, and compares them with what is remembered.
func (m *memory) look(ctx context.Context, l looking) (*input, error) {
	name := l.file.name
	before, known := m.Files[name]
	if m.Files[name].Compression != "" && l.configured == "auto" {
		l.configured = before.Compression
	}
	named := compressionNamed(l.configured, name)
	g, err := l.place.look(ctx, l.file, named == "")
	if err != nil {
		return nil, err
	}
	in := &input{place: l.place, path: l.file.path, name: name, size: g.size, etag: g.etag}
	in.compression = compressionOf(l.configured, name, g.head)
	switch {
	case !known && g.etag == "":
		m.Files[name] = seen{Size: g.size, Head: headOf(g.head)}
		return in, nil
	case !known:
		now := seen{Size: g.size, ETag: g.etag}
		if named == "" {
			now.Compression = in.compression
		}
		m.Files[name] = now
		return in, nil
	case g.etag != "" && (g.etag != before.ETag || g.size != before.Size):
		return nil, misconfigured(advice{"read " + name, codeChanged, startOver},
			"the object is not the one that the pipeline has seen: it had %d bytes with the ETag %s and has %d with %s",
			before.Size, before.ETag, g.size, g.etag)
	case g.etag != "":
		return in, nil
	case g.size < before.Size || headOf(g.head[:min(headSize, before.Size)]) != before.Head ||
		g.size != before.Size && (in.compression != plain || l.blocks):
		return nil, misconfigured(advice{"read " + name, codeChanged, startOver},
			"the file is not the one that the pipeline has seen: it had %d bytes and has %d, or begins differently",
			before.Size, g.size)
	case g.size > before.Size:
		l.logger.Warn("a file has grown since it was first seen; what was added is not read", "file", name,
			"bytes", g.size-before.Size)
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
	if in.etag != "" {
		split.Fingerprint += ":" + in.etag
	}
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
func (f *feed) Close() error { return f.place.close() }

// sampler gives the files one after the other to a format that learns.
type sampler struct {
	ctx    context.Context //nolint:containedctx // a format asks for samples without one, and only while it starts
	inputs []*input
	open   io.Closer
	// blocks says that the format reads files anywhere.
	blocks bool
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
	if s.blocks {
		return s.sampleBlocks(in)
	}
	r, err := in.openFile(s.ctx)
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
