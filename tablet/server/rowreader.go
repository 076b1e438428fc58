// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/forebay-io/forebay"
)

// span is a stretch of a slab.
type span struct{ start, size int }

// rowReader turns stored rows of all shapes that a table has seen into cells of its current schema.
//
// Concurrency: one goroutine.
type rowReader struct {
	descriptor *descriptor
	keys       *forebay.KeyDecoder
	shapes     []*shapeReader // by schema id - 1; made when the first row of a shape comes
}

// shapeReader reads rows of one shape.
type shapeReader struct {
	decoder *forebay.RowDecoder
	widen   []widening
}

// widening is a column whose type is wider now than when the row was written.
type widening struct {
	slot     int
	from, to forebay.Type
}

func newRowReader(d *descriptor) *rowReader {
	return &rowReader{
		descriptor: d, keys: forebay.NewKeyDecoder(d.current, d.columns(d.current, d.key)),
		shapes: make([]*shapeReader, len(d.schemas)),
	}
}

// knows says whether the reader can read rows of this shape.
func (r *rowReader) knows(schemaID uint32) bool {
	return schemaID >= 1 && int(schemaID) <= len(r.shapes)
}

// decode reads a row that lies in the slab. Columns that it does not have are left as they are. The slab is
// returned, grown where a decimal had to be widened.
func (r *rowReader) decode(schemaID uint32, cells []forebay.Cell, slab []byte, row span) ([]byte, error) {
	if !r.knows(schemaID) {
		return slab, forebay.Errorf("read row", forebay.ClassCorrupt, "table %q has no schema %d",
			r.descriptor.name, schemaID)
	}
	shape := r.shapes[schemaID-1]
	if shape == nil {
		var err error
		if shape, err = r.newShape(r.descriptor.schemas[schemaID-1]); err != nil {
			return slab, err
		}
		r.shapes[schemaID-1] = shape
	}
	if err := shape.decoder.Decode(cells, slab, row.start, row.size); err != nil {
		return slab, err
	}
	for _, w := range shape.widen {
		if !cells[w.slot].IsNull() {
			cells[w.slot], slab = forebay.WidenCell(cells[w.slot], w.from, w.to, slab)
		}
	}
	return slab, nil
}

// newShape compiles the reader of a shape: it decodes with the types of that time, straight into the slots of
// today, so that no cell moves.
func (r *rowReader) newShape(written *forebay.Schema) (*shapeReader, error) {
	current := r.descriptor.current
	columns := current.Columns()
	shape := &shapeReader{}
	values := r.descriptor.values(written)
	slots := make([]int, len(values))
	for k, i := range values {
		c := written.Column(i)
		slot := current.Find(c.Name)
		if slot < 0 || !c.Type.WidensTo(columns[slot].Type) {
			return nil, forebay.Errorf("read catalogue", forebay.ClassCorrupt, "table %q: column %q of an older schema is "+
				"not in the current one", r.descriptor.name, c.Name)
		}
		if c.Type != columns[slot].Type {
			shape.widen = append(shape.widen, widening{slot: slot, from: c.Type, to: columns[slot].Type})
		}
		columns[slot].Type = c.Type
		slots[k] = slot
	}
	schema, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, err
	}
	shape.decoder = forebay.NewRowDecoder(schema, slots)
	return shape, nil
}
