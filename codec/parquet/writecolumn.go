// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/forebay-io/forebay"
)

const (
	// dictionaryMax is the size from which on a column goes on without a dictionary, and dictionaryProbe after how many
	// values it does so if half of them were new.
	dictionaryMax   = 1 << 20
	dictionaryProbe = 1 << 12
	// dictionaryEntry is what an entry takes beside its bytes, which are held twice.
	dictionaryEntry = 48
	// boundMax is the size of the largest value that is noted as a bound.
	boundMax = 128
)

// columnWriter encodes one column of the open row group.
type columnWriter struct {
	name     string
	kind     forebay.Type
	slot     int
	physical int64
	width    int
	fixed    bool // values do not differ in size
	packer   *packer
	pageSize int
	// indexing says that values are written by the dictionary.
	indexing bool

	// page are the values of the open page that are not null, as they are, or indexes of them in the dictionary.
	page    []byte
	indexes []uint32
	// levels say which of the page's rows have a value; they are kept from the first null on.
	levels []uint8
	// rows are those of the page, and values how many have a value.
	rows, values int

	// dict numbers the texts of the row group, and dictBytes are they as they are.
	dict      map[string]uint32
	dictBytes []byte
	// probed are the values that went through the dictionary, and wasted says that it does not pay.
	probed int
	wasted bool

	// pages are complete ones, of packed bytes; dictPage is that of the dictionary once the row group ends.
	pages    [][]byte
	dictPage []byte
	packed   int64
	unpacked int64
	total    int64 // rows of complete pages
	nulls    int64
	plain    bool // a page without the dictionary is among them
	bounds   bounds
}

func (c *columnWriter) init(column forebay.Column, slot int) {
	c.name, c.kind, c.slot = column.Name, column.Type, slot
	c.physical, c.width = physicalOf(column.Type)
	c.fixed = c.physical != physicalBytes
	c.bounds.reset()
}

// add appends one value, and ends the page where it is full.
func (c *columnWriter) add(cell forebay.Cell, slab []byte) error {
	c.rows++
	if cell.IsNull() {
		c.addNull()
	} else {
		if len(c.levels) > 0 {
			c.levels = append(c.levels, 1)
		}
		c.values++
		c.addValue(cell, slab)
	}
	if len(c.page)+4*len(c.indexes) >= c.pageSize || c.rows >= pageRows || c.wasted {
		return c.endPage()
	}
	return nil
}

func (c *columnWriter) addNull() {
	if len(c.levels) == 0 {
		for range c.rows - 1 {
			c.levels = append(c.levels, 1)
		}
	}
	c.levels = append(c.levels, 0)
}

func (c *columnWriter) addValue(cell forebay.Cell, slab []byte) {
	switch c.kind.Kind {
	case forebay.KindBool:
		bit := c.values - 1
		if bit&7 == 0 {
			c.page = append(c.page, 0)
		}
		if cell.Bool() {
			c.page[bit>>3] |= 1 << (bit & 7)
		}
		c.bounds.int(cell.Int() & 1)
	case forebay.KindInt32, forebay.KindDate:
		c.page = binary.LittleEndian.AppendUint32(c.page, uint32(cell.Int()))
		c.bounds.int(cell.Int())
	case forebay.KindInt64, forebay.KindTimestamp:
		c.page = binary.LittleEndian.AppendUint64(c.page, uint64(cell.Int()))
		c.bounds.int(cell.Int())
	case forebay.KindFloat32:
		c.page = binary.LittleEndian.AppendUint32(c.page, math.Float32bits(float32(cell.Float())))
		c.bounds.float(cell.Float())
	case forebay.KindFloat64:
		c.page = binary.LittleEndian.AppendUint64(c.page, math.Float64bits(cell.Float()))
		c.bounds.float(cell.Float())
	case forebay.KindDecimal:
		c.addDecimal(cell.Bytes(slab))
	default:
		c.addBytes(cell.Bytes(slab))
	}
}

func (c *columnWriter) addDecimal(digits []byte) {
	if c.width > 0 {
		c.page = append(c.page, digits[len(digits)-c.width:]...)
		c.bounds.decimal(digits)
		return
	}
	low := forebay.Int128From(digits).Lo
	if c.physical == physicalInt64 {
		c.page = binary.LittleEndian.AppendUint64(c.page, low)
	} else {
		c.page = binary.LittleEndian.AppendUint32(c.page, uint32(low))
	}
	c.bounds.int(int64(low))
}

func (c *columnWriter) addBytes(value []byte) {
	if !c.indexing {
		c.page = binary.LittleEndian.AppendUint32(c.page, uint32(len(value)))
		c.page = append(c.page, value...)
		c.bounds.bytes(value)
		return
	}
	index, known := c.dict[string(value)]
	if !known {
		if c.dict == nil {
			c.dict = make(map[string]uint32)
		}
		index = uint32(len(c.dict))
		c.dict[string(value)] = index
		c.dictBytes = binary.LittleEndian.AppendUint32(c.dictBytes, uint32(len(value)))
		c.dictBytes = append(c.dictBytes, value...)
		c.bounds.bytes(value)
		c.wasted = len(c.dictBytes) > dictionaryMax || c.probed >= dictionaryProbe && len(c.dict) > c.probed/2
	}
	c.indexes = append(c.indexes, index)
	c.probed++
}

// endPage packs the open page.
func (c *columnWriter) endPage() error {
	if c.rows == 0 {
		return nil
	}
	p := c.packer
	body := append(p.body[:0], 0, 0, 0, 0)
	body = appendLevels(body, c.levels, c.rows)
	binary.LittleEndian.PutUint32(body, uint32(len(body)-4))
	header := format.DataPageHeader{
		NumValues: int32(c.rows), Encoding: format.Plain,
		DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
	}
	if c.indexing && len(c.dict) > 0 {
		header.Encoding = format.RLEDictionary
		body = appendIndexes(body, c.indexes, len(c.dict))
	} else {
		body = append(body, c.page...)
		c.plain = true
	}
	p.body = body
	page, err := c.packPage(format.PageHeader{Type: format.DataPage, DataPageHeader: thrift.New(header)}, body)
	c.pages = append(c.pages, page)
	c.total += int64(c.rows)
	c.nulls += int64(c.rows - c.values)
	c.page, c.indexes, c.levels, c.rows, c.values = c.page[:0], c.indexes[:0], c.levels[:0], 0, 0
	if c.wasted {
		// The next row groups begin without one, too.
		c.indexing, c.wasted = false, false
	}
	return err
}

// packPage is a packed page behind its header.
func (c *columnWriter) packPage(h format.PageHeader, body []byte) ([]byte, error) {
	packed, err := c.packer.pack(body)
	if err != nil {
		return nil, err
	}
	h.UncompressedPageSize, h.CompressedPageSize = int32(len(body)), int32(len(packed))
	h.CRC = int32(crc32.ChecksumIEEE(packed))
	head, err := thrift.Marshal(&c.packer.protocol, &h)
	if err != nil {
		return nil, err
	}
	page := append(make([]byte, 0, len(head)+len(packed)), head...)
	c.unpacked += int64(len(head) + len(body))
	c.packed += int64(cap(page))
	return append(page, packed...), nil
}

// end completes the column's pages, which will lie at an offset of the file.
func (c *columnWriter) end(offset int64) (chunk format.ColumnChunk, err error) {
	if err := c.endPage(); err != nil {
		return chunk, err
	}
	m := &chunk.MetaData
	if len(c.dict) > 0 {
		header := format.DictionaryPageHeader{NumValues: int32(len(c.dict)), Encoding: format.Plain}
		page := format.PageHeader{Type: format.DictionaryPage, DictionaryPageHeader: thrift.New(header)}
		if c.dictPage, err = c.packPage(page, c.dictBytes); err != nil {
			return chunk, err
		}
		m.DictionaryPageOffset = offset
		m.Encoding = append(m.Encoding, format.RLEDictionary)
	}
	if c.plain || len(c.dict) > 0 {
		m.Encoding = append(m.Encoding, format.Plain)
	}
	m.Encoding = append(m.Encoding, format.RLE)
	m.Type, m.Codec = format.Type(c.physical), packings[c.packer.compression]
	m.PathInSchema = []string{c.name}
	m.NumValues = c.total
	m.TotalUncompressedSize = c.unpacked
	m.TotalCompressedSize = c.packed
	m.DataPageOffset = offset + int64(len(c.dictPage))
	m.Statistics.NullCount = c.nulls
	m.Statistics.MinValue, m.Statistics.MaxValue = c.bounds.values(c)
	return chunk, nil
}

// reset begins the next row group.
func (c *columnWriter) reset() {
	clear(c.pages)
	c.pages, c.dictPage, c.dictBytes = c.pages[:0], nil, c.dictBytes[:0]
	if clear(c.dict); !c.indexing {
		c.dict, c.dictBytes = nil, nil
	}
	c.probed, c.total, c.nulls, c.packed, c.unpacked, c.plain = 0, 0, 0, 0, 0, false
	c.bounds.reset()
}

// size is what the column adds to its row group, of which the open page is not packed yet.
func (c *columnWriter) size() int64 {
	return c.packed + int64(len(c.page)+4*len(c.indexes)+len(c.dictBytes))
}

// held is the memory that the column takes.
func (c *columnWriter) held() int64 {
	return c.packed + int64(cap(c.page)+4*cap(c.indexes)+cap(c.levels)+cap(c.dictBytes)+len(c.dictBytes)+
		dictionaryEntry*len(c.dict))
}

// appendLevels writes which of the rows have a value; no levels say that all have.
func appendLevels(dst []byte, levels []uint8, rows int) []byte {
	if len(levels) == 0 {
		return append(binary.AppendUvarint(dst, uint64(rows)<<1), 1)
	}
	groups := (rows + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	var octet uint8
	for i, level := range levels {
		octet |= level << (i & 7)
		if i&7 == 7 {
			dst = append(dst, octet)
			octet = 0
		}
	}
	if rows&7 != 0 {
		dst = append(dst, octet)
	}
	return dst
}

// appendIndexes writes indexes of a dictionary with so many entries, in one packed run.
func appendIndexes(dst []byte, indexes []uint32, entries int) []byte {
	width := max(1, widthOf(entries-1))
	groups := (len(indexes) + 7) / 8
	dst = append(dst, byte(width))
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	var held uint64
	have := 0
	for _, index := range indexes {
		held |= uint64(index) << have
		if have += width; have >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(held))
			held >>= 32
			have -= 32
		}
	}
	end := groups*width - (len(indexes)*width-have)/8
	for range end {
		dst = append(dst, byte(held))
		held >>= 8
	}
	return dst
}

// bounds are the least and the greatest value of a row group.
type bounds struct {
	any, unfit         bool
	least, most        int64
	low, high          float64
	smallest, largest  forebay.Int128
	shortest, furthest []byte
}

func (b *bounds) reset() {
	*b = bounds{
		least: math.MaxInt64, most: math.MinInt64, low: math.Inf(1), high: math.Inf(-1),
		shortest: b.shortest[:0], furthest: b.furthest[:0],
	}
}

func (b *bounds) int(v int64) {
	b.any = true
	b.least, b.most = min(b.least, v), max(b.most, v)
}

// float notes a float; columns with NaN have no bounds.
func (b *bounds) float(v float64) {
	b.any = true
	switch {
	case v != v:
		b.unfit = true
	default:
		if v < b.low {
			b.low = v
		}
		if v > b.high {
			b.high = v
		}
	}
}

func (b *bounds) decimal(digits []byte) {
	v := forebay.Int128From(digits)
	if !b.any || v.Compare(b.smallest) < 0 {
		b.smallest = v
	}
	if !b.any || v.Compare(b.largest) > 0 {
		b.largest = v
	}
	b.any = true
}

func (b *bounds) bytes(v []byte) {
	switch {
	case b.unfit:
	case len(v) > boundMax:
		b.unfit = true
	case !b.any:
		b.shortest, b.furthest, b.any = append(b.shortest, v...), append(b.furthest, v...), true
	case bytes.Compare(v, b.shortest) < 0:
		b.shortest = append(b.shortest[:0], v...)
	case bytes.Compare(v, b.furthest) > 0:
		b.furthest = append(b.furthest[:0], v...)
	}
}

// values are the bounds as they are stored, none where there is no value or no order.
func (b *bounds) values(c *columnWriter) (least, most []byte) {
	if !b.any || b.unfit {
		return nil, nil
	}
	ints := func(v int64) []byte {
		switch c.physical {
		case physicalBool:
			return []byte{byte(v)}
		case physicalInt32:
			return binary.LittleEndian.AppendUint32(nil, uint32(v))
		default:
			return binary.LittleEndian.AppendUint64(nil, uint64(v))
		}
	}
	switch {
	case c.physical == physicalFloat || c.physical == physicalDouble:
		// The two zeros are equal, and readers take the bounds for those of both.
		low, high := cmp.Or(b.low, math.Copysign(0, -1)), cmp.Or(b.high, 0)
		if c.physical == physicalFloat {
			return ints32(low), ints32(high)
		}
		return ints(int64(math.Float64bits(low))), ints(int64(math.Float64bits(high)))
	case c.width > 0:
		least, most = b.smallest.Append(nil), b.largest.Append(nil)
		return least[len(least)-c.width:], most[len(most)-c.width:]
	case c.physical == physicalBytes:
		return bytes.Clone(b.shortest), bytes.Clone(b.furthest)
	default:
		return ints(b.least), ints(b.most)
	}
}

func ints32(v float64) []byte {
	return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
}
