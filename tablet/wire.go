// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/forebay-io/forebay"
)

// The shapes that travel over the control socket: JSON for everything but rows, which are frames of row batches.

type wireColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type wirePartitionBy struct {
	Column   string `json:"column"`
	Template string `json:"template"`
	Limit    int    `json:"limit,omitempty"`
}

type wireTable struct {
	Name         string       `json:"name"`
	Columns      []wireColumn `json:"columns"`
	Key          []string     `json:"key,omitempty"`
	Tablets      int          `json:"tablets"`
	Version      string       `json:"version,omitempty"`
	DistributeBy []string     `json:"distribute_by,omitempty"`
	Retention    string       `json:"retention,omitempty"`
	ID           uint32       `json:"id,omitempty"`
	SchemaID     uint32       `json:"schema_id,omitempty"`

	PartitionBy *wirePartitionBy `json:"partition_by,omitempty"`
	Partitions  []Partition      `json:"partitions,omitempty"`

	Logs []LogRange `json:"logs,omitempty"`
}

func wireColumns(s *forebay.Schema) []wireColumn {
	if s == nil {
		return nil
	}
	out := make([]wireColumn, s.Len())
	for i, c := range s.Columns() {
		out[i] = wireColumn{Name: c.Name, Type: c.Type.String()}
	}
	return out
}

func schemaOf(columns []wireColumn) (*forebay.Schema, error) {
	out := make([]forebay.Column, len(columns))
	for i, c := range columns {
		t, err := forebay.ParseType(c.Type)
		if err != nil {
			return nil, err
		}
		out[i] = forebay.Column{Name: c.Name, Type: t}
	}
	return forebay.NewSchema(out...)
}

// MarshalJSON implements json.Marshaler.
func (t TableInfo) MarshalJSON() ([]byte, error) {
	w := wireTable{
		Name: t.Name, Columns: wireColumns(t.Schema), Key: t.Key, Tablets: t.Tablets, Version: t.Version,
		DistributeBy: t.DistributeBy, ID: t.ID, SchemaID: t.SchemaID, Partitions: t.Partitions, Logs: t.Logs,
	}
	if by := t.PartitionBy; by.Column != "" {
		w.PartitionBy = &wirePartitionBy{Column: by.Column, Template: by.Template, Limit: by.Limit}
	}
	if t.Retention != 0 {
		w.Retention = t.Retention.String()
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *TableInfo) UnmarshalJSON(data []byte) error {
	var w wireTable
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	schema, err := schemaOf(w.Columns)
	if err != nil {
		return fmt.Errorf("table %q: %w", w.Name, err)
	}
	var retention time.Duration
	if w.Retention != "" {
		if retention, err = time.ParseDuration(w.Retention); err != nil {
			return fmt.Errorf("table %q: %w", w.Name, err)
		}
	}
	*t = TableInfo{
		TableSpec: forebay.TableSpec{
			Name: w.Name, Schema: schema, Key: w.Key, Tablets: w.Tablets, Version: w.Version,
			DistributeBy: w.DistributeBy, Retention: retention,
		},
		ID: w.ID, SchemaID: w.SchemaID, Partitions: w.Partitions, Logs: w.Logs,
	}
	if by := w.PartitionBy; by != nil {
		t.PartitionBy = forebay.PartitionBy{Column: by.Column, Template: by.Template, Limit: by.Limit}
	}
	return nil
}

// WireError is an error as it travels.
type WireError struct {
	Op      string        `json:"op,omitempty"`
	Class   forebay.Class `json:"class"`
	Code    string        `json:"code,omitempty"`
	Cure    string        `json:"cure,omitempty"`
	Message string        `json:"message"`
}

// ToWire makes an error ready to travel.
func ToWire(err error) WireError {
	w := WireError{Class: forebay.ClassOf(err), Message: err.Error()}
	//nolint:errorlint // only an error that nobody wrapped comes apart
	if e, ok := err.(*forebay.Error); ok {
		w.Op, w.Code, w.Cure = e.Op, e.Code, e.Cure
		if e.Err != nil {
			w.Message = e.Err.Error()
		}
	}
	return w
}

// Err is the error that travelled.
func (w WireError) Err() error {
	op := w.Op
	if op == "" {
		op = "state directory's owner"
	}
	return &forebay.Error{Op: op, Class: w.Class, Code: w.Code, Cure: w.Cure, Err: errors.New(w.Message)}
}

// Marks in place of a frame's size.
const (
	frameEnd   = 0
	frameError = 1<<32 - 1
	// frameMax bounds a frame: a batch with one row of the largest size.
	frameMax = 64 << 20
)

// RowSender writes rows as frames: the columns, then row batches, then the end or an error.
//
// Concurrency: one goroutine.
type RowSender struct {
	out    io.Writer
	layout *forebay.Layout
	rows   *forebay.RowEncoder
	data   []byte
}

// NewRowSender begins a stream of rows with a layout.
func NewRowSender(out io.Writer, layout *forebay.Layout) (*RowSender, error) {
	header, err := json.Marshal(wireColumns(layout.Schema))
	if err != nil {
		return nil, err
	}
	s := &RowSender{out: out, layout: layout, rows: forebay.NewRowEncoder(layout, nil)}
	return s, s.frame(header)
}

func (s *RowSender) frame(data []byte) error {
	if err := s.mark(uint32(len(data))); err != nil {
		return err
	}
	_, err := s.out.Write(data)
	return err
}

func (s *RowSender) mark(n uint32) error {
	_, err := s.out.Write(binary.LittleEndian.AppendUint32(nil, n))
	return err
}

// Send sends the rows of a batch.
func (s *RowSender) Send(b *forebay.Batch) error {
	s.data = forebay.AppendRowBatchHeader(s.data[:0], false)
	for i := range b.Len() {
		s.data = s.rows.AppendSized(s.data, b, i)
	}
	return s.frame(forebay.SealRowBatch(s.data, 0, b.Len(), 0))
}

// End ends the stream; with an error the receiver gets it after the rows.
func (s *RowSender) End(cause error) error {
	if cause == nil {
		return s.mark(frameEnd)
	}
	text, err := json.Marshal(ToWire(cause))
	if err != nil {
		return err
	}
	if err := s.mark(frameError); err != nil {
		return err
	}
	return s.frame(text)
}

// RowReceiver reads what a RowSender sends.
//
// Concurrency: one goroutine.
type RowReceiver struct {
	in     *bufio.Reader
	layout *forebay.Layout
	rows   *forebay.RowDecoder
	data   []byte
	batch  forebay.RowIterator
	open   bool
	ended  bool
}

// NewRowReceiver reads the columns of a stream.
func NewRowReceiver(in io.Reader) (*RowReceiver, error) {
	r := &RowReceiver{in: bufio.NewReader(in)}
	if err := r.frame(); err != nil {
		return nil, err
	}
	if r.ended {
		return nil, errTorn(io.ErrUnexpectedEOF)
	}
	var columns []wireColumn
	if err := json.Unmarshal(r.data, &columns); err != nil {
		return nil, errTorn(err)
	}
	schema, err := schemaOf(columns)
	if err != nil {
		return nil, errTorn(err)
	}
	r.layout, r.rows = forebay.NewLayout(schema), forebay.NewRowDecoder(schema, nil)
	return r, nil
}

// Layout is that of the rows.
func (r *RowReceiver) Layout() *forebay.Layout { return r.layout }

// frame reads the next frame, the end, or the sender's error.
func (r *RowReceiver) frame() error {
	size, err := r.size()
	if err != nil {
		return err
	}
	switch {
	case size == frameEnd:
		r.ended = true
		return nil
	case size != frameError:
		return r.read(size)
	}
	return r.fault()
}

// fault reads the sender's error.
func (r *RowReceiver) fault() error {
	size, err := r.size()
	if err != nil {
		return err
	}
	if err := r.read(size); err != nil {
		return err
	}
	var w WireError
	if err := json.Unmarshal(r.data, &w); err != nil {
		return errTorn(err)
	}
	return w.Err()
}

func (r *RowReceiver) size() (uint32, error) {
	var size [4]byte
	if _, err := io.ReadFull(r.in, size[:]); err != nil {
		return 0, errTorn(err)
	}
	return binary.LittleEndian.Uint32(size[:]), nil
}

func (r *RowReceiver) read(size uint32) error {
	if size > frameMax {
		return errTorn(fmt.Errorf("a frame of %d bytes", size))
	}
	if cap(r.data) < int(size) {
		r.data = make([]byte, size)
	}
	r.data = r.data[:size]
	if _, err := io.ReadFull(r.in, r.data); err != nil {
		return errTorn(err)
	}
	return nil
}

// errTorn is the error of a stream without its end; io.EOF would say that it has one.
func errTorn(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return forebay.Errorf("read rows", forebay.ClassTransient, "the stream of rows broke off: %w", err)
}

// Next fills the batch with the next rows; io.EOF, with an empty batch, is the end.
func (r *RowReceiver) Next(b *forebay.Batch) error {
	b.Reset(forebay.Split{}, r.layout.Width())
	b.SetLayout(r.layout)
	for !b.Full() {
		if !r.open {
			if b.Len() > 0 {
				return nil
			}
			if err := r.frame(); err != nil {
				return err
			}
			if r.ended {
				return io.EOF
			}
			batch, err := forebay.OpenRowBatch(r.data)
			if err != nil {
				return err
			}
			r.batch, r.open = batch.Rows(), true
		}
		if !r.batch.Next() {
			if err := r.batch.Err(); err != nil {
				return err
			}
			r.open = false
			continue
		}
		row := r.batch.Row()
		start := b.AppendBytes(row)
		i := b.AppendSpan(0, start, 0)
		if err := r.rows.Decode(b.Cells(i), b.Slab(), start, len(row)); err != nil {
			return err
		}
	}
	return nil
}
