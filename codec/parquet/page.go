// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/forebay-io/forebay/codec"
)

const (
	// pageMax bounds a page, packed and unpacked, and pageRowsMax its values.
	pageMax     = 256 << 20
	pageRowsMax = 1 << 24
	// readMax is how much is read of a column at once, less where there are many: together they read readSum, but each
	// readMin at least.
	readMax = 1 << 20
	readMin = 32 << 10
	readSum = 8 << 20
	// headSize is what is looked at for a page's header first, and headMax bounds one.
	headSize = 512
	headMax  = 4 << 20
)

// Types of pages.
const (
	pageData   = 0
	pageIndex  = 1
	pageDict   = 2
	pageDataV2 = 3
)

// Encodings.
const (
	encodingPlain       = 0
	encodingPlainDict   = 2
	encodingRLE         = 3
	encodingDelta       = 5
	encodingDeltaLength = 6
	encodingDeltaBytes  = 7
	encodingDict        = 8
	encodingSplit       = 9
)

// pageHeader is what stands before a page.
type pageHeader struct {
	kind             int64
	unpacked, packed int64
	crc              uint32
	checked          bool

	values, nulls, rows int64
	encoding            int64
	levelEncoding       int64
	levels, repeats     int64
	plain               bool // the values of a v2 page are not packed
}

func (c *compact) pageHeader() (h pageHeader) {
	h.kind, h.levelEncoding, h.rows = -1, encodingRLE, -1
	for id, kind := range c.fields() {
		switch id {
		case 1:
			h.kind = c.number(kind)
		case 2:
			h.unpacked = c.number(kind)
		case 3:
			h.packed = c.number(kind)
		case 4:
			h.crc, h.checked = uint32(c.number(kind)), true
		case 5, 7, 8:
			c.begin(kind)
			c.pageCounts(&h, id)
		default:
			c.skip(kind)
		}
	}
	return h
}

// pageCounts reads the header of a data page, a dictionary or a data page of the second version.
func (c *compact) pageCounts(h *pageHeader, version int64) {
	for id, kind := range c.fields() {
		switch {
		case id == 1:
			h.values = c.number(kind)
		case version != 8 && id == 2, version == 8 && id == 4:
			h.encoding = c.number(kind)
		case version == 5 && id == 3:
			h.levelEncoding = c.number(kind)
		case version == 8 && id == 2:
			h.nulls = c.number(kind)
		case version == 8 && id == 3:
			h.rows = c.number(kind)
		case version == 8 && id == 5:
			h.levels = c.number(kind)
		case version == 8 && id == 6:
			h.repeats = c.number(kind)
		case version == 8 && id == 7:
			h.plain = !c.truth(kind)
		default:
			c.skip(kind)
		}
	}
}

// columnReader decodes one column of a row group, a page at a time.
type columnReader struct {
	column
	chunk
	// cell is where values go in a row.
	cell int
	in   codec.BlockInput
	// where names the row group, for errors.
	where  string
	unpack *unpacker

	// at is what of the file comes next, and end is behind the chunk. held are bytes of it from at on; they are read
	// ahead bytes at a time.
	at, end int64
	ahead   int64
	buffer  []byte
	held    []byte
	// left are the values of pages to come, and skip how many of them are passed over.
	left, skip int64

	raw    []byte // the page, unpacked
	levels []uint8
	values values
	dict   values
	// hasDict is set once the dictionary was read.
	hasDict bool
	indexes []uint32
	// indexed says that the page's values are indexes of the dictionary.
	indexed bool

	// rows are those of the page, row the next one, and value the next value that is not null.
	rows, row, value int
}

func (c *columnReader) corrupt(format string, args ...any) error {
	return codec.Corrupt(c.in.Name, fmt.Sprintf("%s, column %q", c.where, c.name), format, args...)
}

// look makes n bytes of the file lie in held, or as many as the chunk has.
func (c *columnReader) look(n int64) error {
	n = min(n, c.end-c.at)
	if int64(len(c.held)) >= n {
		return nil
	}
	size := min(max(n, c.ahead), c.end-c.at)
	have := len(c.held)
	if int64(cap(c.buffer)) < size {
		grown := make([]byte, size)
		copy(grown, c.held)
		c.buffer = grown
	} else {
		c.buffer = c.buffer[:cap(c.buffer)]
		copy(c.buffer, c.held)
	}
	c.held = c.buffer[:size]
	if err := c.in.ReadAt(c.held[have:], c.at+int64(have)); err != nil {
		c.held = c.held[:0]
		return err
	}
	return nil
}

func (c *columnReader) take(n int64) []byte {
	out := c.held[:n]
	c.held = c.held[n:]
	c.at += n
	return out
}

// header reads the header of the next page.
func (c *columnReader) header() (h pageHeader, err error) {
	for n := int64(headSize); ; n *= 8 {
		if err := c.look(n); err != nil {
			return h, err
		}
		t := compact{data: c.held}
		h = t.pageHeader()
		if errors.Is(t.err, errThriftEnd) && int64(len(c.held)) < c.end-c.at && n < headMax {
			continue
		}
		if t.err != nil {
			return h, c.corrupt("a page header cannot be read: %w", t.err)
		}
		c.take(int64(t.at))
		return h, c.check(&h)
	}
}

// check holds a header against what there is. PQ1: nothing is allocated for sizes that cannot be.
func (c *columnReader) check(h *pageHeader) error {
	switch {
	case h.packed < 0 || h.packed > c.end-c.at:
		return c.corrupt("a page says that it has %d bytes, and %d are left", h.packed, c.end-c.at)
	case h.packed > pageMax || h.unpacked > pageMax:
		return c.corrupt("a page says that it has %d bytes, more than can be read (%d)", max(h.packed, h.unpacked), pageMax)
	case h.unpacked < 0 || h.kind < 0 || h.values < 0 || h.values > pageRowsMax:
		return c.corrupt("a page header is wrong")
	case h.kind == pageDict, h.kind == pageIndex:
		return nil
	case h.values > c.left:
		return c.corrupt("a page says that it has %d values, and %d are left", h.values, c.left)
	case h.kind == pageDataV2 && (h.rows != h.values || h.nulls < 0 || h.nulls > h.values || h.levels < 0 ||
		h.repeats < 0 || h.levels > h.packed || h.repeats > h.packed-h.levels || h.levels+h.repeats > h.unpacked):
		return c.corrupt("a page header is wrong")
	}
	return nil
}

// next decodes the next page that has rows to hand on.
func (c *columnReader) next() error {
	for {
		if c.at >= c.end {
			return c.corrupt("its pages end %d values too early", c.left)
		}
		h, err := c.header()
		if err != nil {
			return err
		}
		passed := h.kind == pageIndex || h.kind == pageDict && c.hasDict
		if data := h.kind == pageData || h.kind == pageDataV2; data {
			c.left -= h.values
			if passed = h.values <= c.skip; passed {
				c.skip -= h.values
			}
		}
		if passed {
			c.pass(h.packed)
			continue
		}
		if err := c.look(h.packed); err != nil {
			return err
		}
		page := c.take(h.packed)
		if h.checked && crc32.ChecksumIEEE(page) != h.crc {
			return c.corrupt("the checksum of a page is wrong")
		}
		switch h.kind {
		case pageDict:
			err = c.readDict(&h, page)
		case pageData:
			err = c.readPage(&h, page)
		case pageDataV2:
			err = c.readPageV2(&h, page)
		default:
			err = errForm
		}
		if err != nil {
			return c.corrupt("a page cannot be read: %w", err)
		}
		if h.kind != pageDict {
			c.rows, c.row, c.value = int(h.values), 0, 0
			c.forward(int(c.skip))
			c.skip = 0
			return nil
		}
	}
}

// pass goes on without reading.
func (c *columnReader) pass(n int64) {
	c.held = c.held[min(n, int64(len(c.held))):]
	c.at += n
}

// forward passes over rows of the page.
func (c *columnReader) forward(rows int) {
	if !c.optional {
		c.value += rows
	} else {
		for _, level := range c.levels[c.row : c.row+rows] {
			c.value += int(level)
		}
	}
	c.row += rows
}

func (c *columnReader) readDict(h *pageHeader, page []byte) error {
	if h.encoding != encodingPlain && h.encoding != encodingPlainDict {
		return errForm
	}
	if c.codec != packedNone {
		// The dictionary stays while pages come and go.
		unpacked, err := c.unpack.unpack(nil, page, c.codec, int(h.unpacked))
		if err != nil {
			return err
		}
		page = unpacked
	} else {
		page = slices.Clone(page)
	}
	c.hasDict = true
	if err := c.dict.plain(&c.column, page, int(h.values)); err != nil {
		return err
	}
	c.dict.judge(&c.column)
	return nil
}

func (c *columnReader) readPage(h *pageHeader, page []byte) (err error) {
	if c.codec != packedNone {
		if c.raw, err = c.unpack.unpack(c.raw, page, c.codec, int(h.unpacked)); err != nil {
			return err
		}
		page = c.raw
	}
	n := int(h.values)
	if c.optional {
		if h.levelEncoding != encodingRLE {
			return fmt.Errorf("levels in encoding %d cannot be read", h.levelEncoding)
		}
		if len(page) < 4 {
			return errEnds
		}
		size := int64(binary.LittleEndian.Uint32(page))
		if page = page[4:]; size > int64(len(page)) {
			return errEnds
		}
		if n, err = c.readLevels(page[:size], n); err != nil {
			return err
		}
		page = page[size:]
	}
	return c.readValues(h.encoding, page, n)
}

func (c *columnReader) readPageV2(h *pageHeader, page []byte) (err error) {
	levels, rest := page[h.repeats:h.repeats+h.levels], page[h.repeats+h.levels:]
	n := int(h.values)
	if c.optional {
		if n, err = c.readLevels(levels, n); err != nil {
			return err
		}
	}
	if c.codec != packedNone && !h.plain && len(rest) > 0 {
		size := int(h.unpacked - h.repeats - h.levels)
		if c.raw, err = c.unpack.unpack(c.raw, rest, c.codec, size); err != nil {
			return err
		}
		rest = c.raw
	}
	return c.readValues(h.encoding, rest, n)
}

// readLevels says which of n rows have a value, and how many do.
func (c *columnReader) readLevels(src []byte, n int) (present int, err error) {
	if c.levels, err = hybrid(c.levels, src, 1, n); err != nil {
		return 0, err
	}
	for _, level := range c.levels {
		if level > 1 {
			return 0, errForm
		}
		present += int(level)
	}
	return present, nil
}
