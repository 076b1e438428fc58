// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path/filepath"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/avro"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/parquet"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
)

type benchCommand struct {
	Audit auditCommand `cmd:"" help:"Count what a table lost, repeated or reordered of its input."`
}

// auditCommand compares an input with a table, row by row.
type auditCommand struct {
	Input    []string `help:"${input}" sep:"none" placeholder:"FILE" xor:"input" required:""`
	Pipeline string   `help:"${audited}" placeholder:"FILE" xor:"input" required:""`
	Set      []string `help:"Change the pipeline file." sep:"none" placeholder:"PATH=VALUE"`
	Table    string   `help:"The table; that of the pipeline's sink where it is left out." placeholder:"NAME"`
	Key      string   `help:"Columns by which the last row wins; the table's key where it is left out." placeholder:"A,B"`
	State    string   `help:"State directory (default that of the pipeline file, else ./forebay-data)." placeholder:"DIR"`
}

// Run audits.
func (c *auditCommand) Run(ctx context.Context, a *app) error {
	inputs, name, err := c.inputs(a)
	if err != nil {
		return err
	}
	if c.Table != "" {
		name = c.Table
	}
	if name == "" {
		return wrong("name it with --table", "which table is to be audited?")
	}
	return a.with(ctx, cmp.Or(c.State, pipeline.StateDefault), func(s *access) error {
		info, err := s.Describe(ctx, name)
		if err != nil {
			return withNames(ctx, s, name, err)
		}
		found, err := c.audit(ctx, s, info, inputs)
		if err != nil {
			return err
		}
		return found.print(a.out)
	}, "bench", "audit")
}

// auditInput is what rows are expected from.
type auditInput struct {
	pipeline string // whose memory the source gets; empty for none
	source   forebay.Source
	steps    []forebay.Transform
	keyed    bool
	lanes    int
}

// inputs are what the flags name, and the table where a pipeline says it.
func (c *auditCommand) inputs(a *app) (inputs []auditInput, name string, err error) {
	if c.Pipeline == "" {
		for _, path := range c.Input {
			format, err := formatOf(path)
			if err != nil {
				return nil, "", err
			}
			inputs = append(inputs, auditInput{source: file.Source{Path: path, Format: format}, keyed: true})
		}
		return inputs, "", nil
	}
	p, problems, err := a.load(c.Pipeline, fileFlags{Set: c.Set})
	if err != nil {
		return nil, "", err
	}
	if len(problems) > 0 {
		return nil, "", &exitError{exitWrong, &fileError{c.Pipeline, problems}}
	}
	info, err := p.Config.Sink.Info()
	if err != nil {
		return nil, "", err
	}
	if sink, ok := p.Config.Sink.(table.Sink); ok {
		name = sink.Name
	}
	c.State = cmp.Or(c.State, p.Config.State)
	return []auditInput{{
		pipeline: p.Config.Name, source: p.Config.Source, steps: p.Config.Transform, keyed: info.Keyed,
		lanes: p.Config.Lanes,
	}}, name, nil
}

// formatOf goes by the ending of a file's name.
func formatOf(path string) (codec.Format, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst")
	switch filepath.Ext(name) {
	case ".csv":
		return csv.Format{}, nil
	case ".ndjson", ".jsonl":
		return ndjson.Format{}, nil
	case ".parquet":
		return parquet.Format{}, nil
	case ".avro":
		return avro.Format{}, nil
	default:
		return nil, wrong("name a .csv, .ndjson, .parquet or .avro file, or give --pipeline",
			"--input %q: the ending says no format", path)
	}
}

// audit reads the input, then the table.
func (c *auditCommand) audit(
	ctx context.Context, s *access, info tablet.TableInfo, inputs []auditInput,
) (finding, error) {
	key := info.Key
	if c.Key != "" {
		var err error
		if key, err = selected(info.Schema, c.Key); err != nil {
			return finding{}, err
		}
	}
	l, err := newLedger(info, key)
	if err != nil {
		return finding{}, err
	}
	l.common = c.Pipeline == ""
	for _, in := range inputs {
		if err := in.read(ctx, s, l); err != nil {
			return finding{}, err
		}
	}
	l.close()
	rows, err := s.Scan(ctx, tablet.ScanRequest{Table: info.Name})
	if err != nil {
		return finding{}, err
	}
	err = l.compare(ctx, rows)
	return l.result(), errors.Join(err, rows.Close())
}

// read adds every row of the input to the ledger, split by split.
func (in auditInput) read(ctx context.Context, s *access, l *ledger) error {
	env := forebay.SourceContext{NeedsRows: true, SplitOrderMatters: in.keyed, Lanes: in.lanes, Logger: discard()}
	if in.pipeline != "" {
		held, err := s.checkpoints.show(ctx, in.pipeline)
		if e, ok := errors.AsType[*forebay.Error](err); err != nil && (!ok || e.Code != "no-such-pipeline") {
			return err
		}
		env.Memory = held.Memory
	}
	feed, err := in.source.Start(ctx, env)
	if err != nil {
		return err
	}
	err = in.readSplits(ctx, feed, l)
	return errors.Join(err, feed.Close())
}

func (in auditInput) readSplits(ctx context.Context, feed forebay.Feed, l *ledger) error {
	schema := feed.Schema()
	if schema == nil {
		return wrong("", "the input has no columns to compare")
	}
	layout := forebay.NewLayout(schema)
	shape := forebay.Shape{Layout: layout, Width: layout.Width()}
	var steps []forebay.Step
	for _, t := range in.steps {
		step, err := t.Compile(shape)
		if err != nil {
			return err
		}
		steps, shape = append(steps, step), step.Out
	}
	splits, err := feed.Splits(ctx)
	if err != nil {
		return err
	}
	for _, split := range splits {
		reader, err := feed.Open(ctx, split, forebay.Position{})
		if err != nil {
			return err
		}
		l.begin(shape.Layout)
		err = in.readSplit(ctx, splitReader{reader, split, layout, shape.Width, steps}, l)
		if err = errors.Join(err, reader.Close()); err != nil {
			return err
		}
	}
	return nil
}

// splitReader is a split with the steps that its rows go through.
type splitReader struct {
	forebay.Reader
	split  forebay.Split
	layout *forebay.Layout
	width  int
	steps  []forebay.Step
}

func (in auditInput) readSplit(ctx context.Context, r splitReader, l *ledger) error {
	b := forebay.NewBatch()
	for {
		b.Reset(r.split, r.width)
		err := r.Read(ctx, b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b.SetLayout(r.layout)
		for _, step := range r.steps {
			if step.Apply != nil && b.Len() > 0 {
				filtered, err := step.Apply(b)
				if err != nil {
					return err
				}
				l.filtered += int64(filtered)
			}
			b.SetLayout(step.Out.Layout)
		}
		l.rejected += int64(len(b.Rejects()))
		for i := range b.Len() {
			l.expect(b, i)
		}
	}
}

// finding is the result of an audit.
type finding struct {
	read, expected, inTable               int64
	filtered, rejected, replaced          int64
	lost, repeated, reordered, unexpected int64
}

// print prints the counts; anything that differs ends the process with 1.
func (f finding) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "read %d  filtered %d  rejected %d  replaced %d  expected %d  in table %d\n"+
		"lost %d  repeated %d  reordered %d  unexpected %d\n",
		f.read, f.filtered, f.rejected, f.replaced, f.expected, f.inTable,
		f.lost, f.repeated, f.reordered, f.unexpected)
	if err == nil && f.lost+f.repeated+f.reordered+f.unexpected > 0 {
		return &exitError{code: exitFailed}
	}
	return err
}

// rowHasher hashes the columns of a table's rows by their text, so that a value that was widened is the same.
type rowHasher struct {
	seed  maphash.Seed
	types []forebay.Type
	slots []int // -1: the input has no such column
	text  []byte
}

// of fits the hasher to a layout.
func (h *rowHasher) of(layout *forebay.Layout, columns []string) rowHasher {
	out := rowHasher{seed: h.seed, text: h.text}
	for _, name := range columns {
		i := layout.Schema.Find(name)
		if i < 0 {
			out.types, out.slots = append(out.types, forebay.String), append(out.slots, -1)
			continue
		}
		out.types, out.slots = append(out.types, layout.Schema.Column(i).Type), append(out.slots, layout.Slots[i])
	}
	return out
}

func (h *rowHasher) hash(b *forebay.Batch, i int) uint64 {
	cells := b.Cells(i)
	h.text = h.text[:0]
	for k, t := range h.types {
		if h.slots[k] < 0 || cells[h.slots[k]].IsNull() {
			h.text = append(h.text, 0)
			continue
		}
		h.text = append(h.text, 1)
		start := len(h.text)
		h.text = forebay.AppendCell(h.text, t, cells[h.slots[k]], b.Slab())
		h.text = binary.LittleEndian.AppendUint32(h.text, uint32(len(h.text)-start))
	}
	return maphash.Bytes(h.seed, h.text)
}
