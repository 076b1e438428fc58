// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

const (
	magic          = "PAR1"
	magicEncrypted = "PARE"
	// tailSize is the length of the footer and the magic.
	tailSize = 8
	// tailRead is how much is read of the end at first; most footers fit.
	tailRead = 64 << 10
	// footerMax bounds a footer, and with it what reading one holds.
	footerMax = 64 << 20
	// elementsMax and groupsMax bound what a footer lists; the format's own limit of row groups is lower.
	elementsMax = 1 << 16
	groupsMax   = 1 << 16
)

// element is one node of the schema.
type element struct {
	name       string
	physical   int64 // -1 for a group
	length     int64
	repetition int64
	children   int64
	converted  int64 // -1 where there is none
	scale      int64
	precision  int64
	logical    int64 // the number of the logical type, 0 where there is none
	unit       int64
	utc        bool
	width      int64
	signed     bool
}

// chunk is one column of a row group.
type chunk struct {
	stored int64 // the physical type

	codec      int64
	values     int64
	size       int64
	data, dict int64
	elsewhere  bool
	secret     bool
}

// group is a row group.
type group struct {
	rows   int64
	chunks []chunk
}

// footer is what the end of a file says.
type footer struct {
	elements []element
	groups   []group
}

// readFooter reads and decodes the end of a file.
func readFooter(ctx context.Context, in codec.BlockInput) (*footer, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if in.Size < int64(len(magic)+tailSize) {
		return nil, codec.Corrupt(in.Name, "", "it has %d bytes, fewer than any parquet file", in.Size)
	}
	tail := make([]byte, min(tailRead, in.Size))
	if err := in.ReadAt(tail, in.Size-int64(len(tail))); err != nil {
		return nil, err
	}
	end := tail[len(tail)-tailSize:]
	size := int64(binary.LittleEndian.Uint32(end))
	switch string(end[4:]) {
	case magic:
	case magicEncrypted:
		return nil, forebay.Errorf("read "+in.Name, forebay.ClassMisconfigured, "it is an encrypted parquet file, which "+
			"cannot be read")
	default:
		return nil, codec.Corrupt(in.Name, "footer", "it does not end as a parquet file does; it is none, or was cut off")
	}
	if size > footerMax || size > in.Size-tailSize-int64(len(magic)) {
		return nil, codec.Corrupt(in.Name, "footer", "it says that it has %d bytes; the file has %d", size, in.Size)
	}
	data := tail[:len(tail)-tailSize]
	if size <= int64(len(data)) {
		data = data[int64(len(data))-size:]
	} else {
		data = make([]byte, size)
		if err := in.ReadAt(data, in.Size-tailSize-size); err != nil {
			return nil, err
		}
	}
	f, err := decodeFooter(data)
	if err == nil {
		err = f.check(in.Size)
	}
	if err != nil {
		return nil, codec.Corrupt(in.Name, "footer", "%w", err)
	}
	return f, nil
}

func decodeFooter(data []byte) (*footer, error) {
	f, c := &footer{}, &compact{data: data}
	for id, kind := range c.fields() {
		switch id {
		case 2:
			c.structs(kind, func() {
				f.elements = append(f.elements, c.element())
				c.atMost(len(f.elements), elementsMax)
			})
		case 4:
			c.structs(kind, func() {
				f.groups = append(f.groups, c.group())
				c.atMost(len(f.groups), groupsMax)
			})
		default:
			c.skip(kind)
		}
	}
	return f, c.err
}

// atMost bounds a list: PQ1, few bytes must not become many.
func (c *compact) atMost(n, limit int) {
	if n > limit {
		c.fail(errThriftForm)
	}
}

func (c *compact) element() (e element) {
	e.physical, e.converted = -1, -1
	for id, kind := range c.fields() {
		switch id {
		case 1:
			e.physical = c.number(kind)
		case 2:
			e.length = c.number(kind)
		case 3:
			e.repetition = c.number(kind)
		case 4:
			e.name = string(bytes.ToValidUTF8(c.text(kind), []byte("\xef\xbf\xbd")))
		case 5:
			e.children = c.number(kind)
		case 6:
			e.converted = c.number(kind)
		case 7:
			e.scale = c.number(kind)
		case 8:
			e.precision = c.number(kind)
		case 10:
			c.logical(kind, &e)
		default:
			c.skip(kind)
		}
	}
	return e
}

// logical reads the union of logical types, of which one is set.
func (c *compact) logical(kind byte, e *element) {
	c.begin(kind)
	for id, kind := range c.fields() {
		e.logical = id
		switch id {
		case logicalDecimal:
			c.begin(kind)
			c.pair(func(kind byte) { e.scale = c.number(kind) }, func(kind byte) { e.precision = c.number(kind) })
		case logicalTimestamp:
			c.begin(kind)
			c.pair(func(kind byte) { e.utc = c.truth(kind) }, func(kind byte) { e.unit = c.union(kind) })
		case logicalInt:
			c.begin(kind)
			c.pair(func(kind byte) { e.width = c.number(kind) }, func(kind byte) { e.signed = c.truth(kind) })
		default:
			c.skip(kind)
		}
	}
}

// pair reads a struct with the fields 1 and 2.
func (c *compact) pair(first, second func(kind byte)) {
	for id, kind := range c.fields() {
		switch id {
		case 1:
			first(kind)
		case 2:
			second(kind)
		default:
			c.skip(kind)
		}
	}
}

// union reads which field of a union is set.
func (c *compact) union(kind byte) (set int64) {
	c.begin(kind)
	for id, kind := range c.fields() {
		set = id
		c.skip(kind)
	}
	return set
}

func (c *compact) group() (g group) {
	g.rows = -1
	for id, kind := range c.fields() {
		switch id {
		case 1:
			c.structs(kind, func() {
				g.chunks = append(g.chunks, c.chunk())
				c.atMost(len(g.chunks), elementsMax)
			})
		case 3:
			g.rows = c.number(kind)
		default:
			c.skip(kind)
		}
	}
	return g
}

func (c *compact) chunk() (h chunk) {
	h.stored = -1
	for id, kind := range c.fields() {
		switch id {
		case 1:
			h.elsewhere = len(c.text(kind)) > 0
		case 3:
			c.begin(kind)
			c.chunkData(&h)
		case 8:
			h.secret = true
			c.skip(kind)
		default:
			c.skip(kind)
		}
	}
	if h.stored < 0 && !h.secret {
		c.fail(errThriftForm)
	}
	return h
}

func (c *compact) chunkData(h *chunk) {
	for id, kind := range c.fields() {
		switch id {
		case 1:
			h.stored = c.number(kind)
		case 4:
			h.codec = c.number(kind)
		case 5:
			h.values = c.number(kind)
		case 7:
			h.size = c.number(kind)
		case 9:
			h.data = c.number(kind)
		case 11:
			h.dict = c.number(kind)
		default:
			c.skip(kind)
		}
	}
}

// check compares the row groups with the columns and the file. Chunks of nested columns, which hold other numbers of
// values, are not read.
func (f *footer) check(size int64) error {
	if len(f.elements) == 0 || f.elements[0].physical >= 0 {
		return errors.New("it has no schema")
	}
	tops, leaves := f.tops()
	var rows int64
	for i := range f.groups {
		g := &f.groups[i]
		if rows += g.rows; g.rows < 0 || rows < 0 || rows > rowsMax {
			return fmt.Errorf("row group %d says that it has %d rows", i, g.rows)
		}
		if len(g.chunks) != leaves {
			return fmt.Errorf("row group %d has %d columns and the schema %d", i, len(g.chunks), leaves)
		}
		for _, t := range tops {
			if t.nested {
				continue
			}
			h := &g.chunks[t.leaf]
			switch {
			case h.elsewhere || h.secret || g.rows == 0:
			case h.stored != t.physical:
				return fmt.Errorf("row group %d, column %q has another type than the schema says", i, t.name)
			case h.values != g.rows:
				return fmt.Errorf("row group %d has %d rows and %d values of column %q", i, g.rows, h.values, t.name)
			case h.start() < int64(len(magic)) || h.size < 0 || h.start() > size-h.size:
				return fmt.Errorf("row group %d, column %q does not lie in the file", i, t.name)
			}
		}
	}
	return nil
}

// rowsMax keeps sums of rows far from overflowing.
const rowsMax = 1 << 56

// top is an element right below the root.
type top struct {
	*element
	// leaf is the number of its chunk in a row group; that of its first one where it is nested.
	leaf   int
	nested bool
}

// tops lists the elements right below the root, and counts the leaves of all.
func (f *footer) tops() (tops []top, leaves int) {
	for i := 1; i < len(f.elements); i++ {
		e := &f.elements[i]
		tops = append(tops, top{element: e, leaf: leaves, nested: e.physical < 0 || e.repetition == repeated})
		last := f.subtree(i)
		for ; i <= last; i++ {
			if f.elements[i].physical >= 0 {
				leaves++
			}
		}
		i = last
	}
	return tops, leaves
}

// subtree is the index of the last element below element i.
func (f *footer) subtree(i int) int {
	if f.elements[i].physical >= 0 {
		return i
	}
	left := max(f.elements[i].children, 0)
	for left > 0 && i+1 < len(f.elements) {
		i++
		left--
		if e := &f.elements[i]; e.physical < 0 {
			left = min(left+max(e.children, 0), elementsMax)
		}
	}
	return i
}

// start is where a chunk's first page lies.
func (h *chunk) start() int64 {
	if h.dict > 0 && h.dict < h.data {
		return h.dict
	}
	return h.data
}
