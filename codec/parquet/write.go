// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

const (
	// pageSize is from which size on a page ends, before it is packed, and pageRows after how many rows. Pages of files
	// with many columns or small row groups are smaller, down to pageSizeMin.
	pageSize    = 256 << 10
	pageSizeMin = 8 << 10
	pageRows    = 1 << 16
	// measureRows and measureBytes are after how many rows and bytes of texts the memory of a row group is measured.
	measureRows  = 256
	measureBytes = 32 << 10
	// valueMax is the largest value that can be written; a page must hold it.
	valueMax = pageMax / 2
)

// Encoding implements codec.Writable.
func (f Format) Encoding(layout *forebay.Layout) (*codec.Encoding, error) {
	if _, err := f.Info(); err != nil {
		return nil, forebay.Errorf("write parquet", forebay.ClassMisconfigured, "%w", err)
	}
	if layout == nil || layout.Schema.Len() == 0 {
		e := forebay.Errorf("write parquet", forebay.ClassMisconfigured, "the records have no typed rows")
		e.Cure = "give the source a format with columns, or the sink the format raw"
		return nil, e
	}
	begin := func(w io.Writer) (codec.BulkEncoder, error) {
		e := &encoder{
			groupRows: f.rowGroupRows(), groupSize: int64(f.rowGroup()), out: w, packer: packer{compression: f.compression()},
		}
		e.meta = format.FileMetaData{Version: 2, CreatedBy: "forebay", Schema: schemaOf(layout.Schema)}
		e.columns = make([]columnWriter, layout.Schema.Len())
		size := int(f.rowGroup()) / (2 * len(e.columns))
		for i := range e.columns {
			e.columns[i].pageSize = min(max(size, pageSizeMin), pageSize)
			e.columns[i].init(layout.Schema.Column(i), layout.Slots[i])
			e.columns[i].indexing = f.dictionary() && layout.Schema.Column(i).Type.Kind == forebay.KindString
			e.columns[i].packer = &e.packer
			order := format.ColumnOrder{Value: &format.TypeDefinedOrder{}}
			e.meta.ColumnOrders = append(e.meta.ColumnOrders, order)
		}
		return e, nil
	}
	return &codec.Encoding{Extension: ".parquet", NewBulk: begin}, nil
}

// encoder implements codec.BulkEncoder. Pages are encoded as they fill, and kept until their row group is complete,
// because the columns of a row group lie one behind the other.
type encoder struct {
	groupRows int
	groupSize int64

	out     io.Writer
	packer  packer
	columns []columnWriter
	meta    format.FileMetaData
	written int64
	failed  error

	// rows are those of the open row group, and size what it has so far.
	rows int
	size int64
	// held is the memory that all takes, of which noted is what the footer will say of row groups, and loose are the
	// bytes that came since that was measured.
	held, noted int64
	loose       int
}

// Append implements codec.BulkEncoder.
func (e *encoder) Append(b *forebay.Batch, i int) error {
	if e.failed != nil {
		return e.failed
	}
	cells, slab := b.Cells(i), b.Slab()
	if len(slab) > valueMax {
		if err := e.tooLarge(cells); err != nil {
			return err
		}
	}
	for k := range e.columns {
		c := &e.columns[k]
		cell := cells[c.slot]
		if _, size := cell.Span(); !c.fixed {
			e.loose += size
		}
		if err := c.add(cell, slab); err != nil {
			return e.fail(err)
		}
	}
	e.rows++
	if e.loose < measureBytes && e.rows%measureRows != 0 && e.rows < e.groupRows {
		return nil
	}
	e.measure()
	if e.rows >= e.groupRows || e.size >= e.groupSize {
		return e.endGroup()
	}
	return nil
}

// tooLarge refuses a row with a value that no page could hold.
func (e *encoder) tooLarge(cells []forebay.Cell) error {
	for k := range e.columns {
		cell := cells[e.columns[k].slot]
		if _, size := cell.Span(); cell.Kind().InSlab() && size > valueMax {
			err := forebay.Errorf("write parquet", forebay.ClassRejected, "the value of column %q has %d bytes, more than %d",
				e.columns[k].name, size, valueMax)
			err.Code = codec.CodeTooLong
			return err
		}
	}
	return nil
}

func (e *encoder) measure() {
	e.size, e.held, e.loose = 0, e.packer.held()+e.noted, 0
	for k := range e.columns {
		e.size += e.columns[k].size()
		e.held += e.columns[k].held()
	}
}

// endGroup writes the open row group.
func (e *encoder) endGroup() error {
	if e.rows == 0 {
		return nil
	}
	g := format.RowGroup{
		NumRows: int64(e.rows), Ordinal: int16(len(e.meta.RowGroups)), Columns: make([]format.ColumnChunk, 0, len(e.columns)),
	}
	if len(e.meta.RowGroups) >= groupsWritten {
		return e.fail(fmt.Errorf("a file cannot have more than %d row groups", groupsWritten))
	}
	if err := e.begin(); err != nil {
		return err
	}
	g.FileOffset = e.written
	for k := range e.columns {
		c := &e.columns[k]
		chunk, err := c.end(e.written)
		if err == nil {
			err = e.write(c.dictPage)
		}
		for _, page := range c.pages {
			if err == nil {
				err = e.write(page)
			}
		}
		if err != nil {
			return e.fail(err)
		}
		g.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		g.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		g.Columns = append(g.Columns, chunk)
		e.noted += chunkMemory + int64(len(chunk.MetaData.Statistics.MinValue)+len(chunk.MetaData.Statistics.MaxValue))
		c.reset()
	}
	e.meta.RowGroups = append(e.meta.RowGroups, g)
	e.meta.NumRows += g.NumRows
	e.rows = 0
	e.measure()
	return nil
}

// chunkMemory is about what is held of a column of a row group that is written, for the footer.
const chunkMemory = 1 << 10

// groupsWritten bounds the row groups of a file: their numbers have 16 bits.
const groupsWritten = 1<<15 - 1

// begin writes what a file begins with.
func (e *encoder) begin() error {
	if e.written > 0 {
		return nil
	}
	if err := e.write([]byte(magic)); err != nil {
		return e.fail(err)
	}
	return nil
}

func (e *encoder) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	n, err := e.out.Write(p)
	e.written += int64(n)
	return err
}

func (e *encoder) fail(err error) error {
	if _, classed := errors.AsType[*forebay.Error](err); !classed {
		err = fmt.Errorf("write parquet: %w", err)
	}
	e.failed = err
	return err
}

// Written implements codec.BulkEncoder.
func (e *encoder) Written() forebay.Bytes { return forebay.Bytes(e.written) }

// Buffered implements codec.BulkEncoder.
func (e *encoder) Buffered() forebay.Bytes { return forebay.Bytes(e.held + int64(e.loose)) }

// Close implements codec.BulkEncoder.
func (e *encoder) Close() error {
	if e.failed != nil {
		return e.failed
	}
	if err := e.endGroup(); err != nil {
		return err
	}
	if err := e.begin(); err != nil {
		return err
	}
	foot, err := thrift.Marshal(new(thrift.CompactProtocol), &e.meta)
	if err != nil {
		return e.fail(err)
	}
	size := len(foot)
	foot = append(foot, byte(size), byte(size>>8), byte(size>>16), byte(size>>24))
	if err := e.write(append(foot, magic...)); err != nil {
		return e.fail(err)
	}
	e.failed, e.columns, e.packer, e.held, e.loose = forebay.ErrClosed, nil, packer{}, 0, 0
	return nil
}
