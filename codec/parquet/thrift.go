// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"errors"
	"iter"
)

// compact reads Thrift's compact protocol from bytes. After the first mistake it reads zeros and fields end, so callers
// look at err once. PQ1: whatever it allocates was there as bytes.
type compact struct {
	data []byte
	at   int
	err  error
	// depth is how deep the value lies that is skipped.
	depth int
}

// Types of the compact protocol.
const (
	typeStop   = 0
	typeTrue   = 1
	typeFalse  = 2
	typeByte   = 3
	typeI16    = 4
	typeI32    = 5
	typeI64    = 6
	typeDouble = 7
	typeBinary = 8
	typeList   = 9
	typeSet    = 10
	typeMap    = 11
	typeStruct = 12
	typeUUID   = 13
)

const thriftDepthMax = 32

var (
	errThriftEnd  = errors.New("it ends too early")
	errThriftForm = errors.New("its encoding is wrong")
)

func (c *compact) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.at = len(c.data)
}

func (c *compact) byte() byte {
	if c.at >= len(c.data) {
		c.fail(errThriftEnd)
		return 0
	}
	c.at++
	return c.data[c.at-1]
}

func (c *compact) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := c.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.fail(errThriftForm)
	return 0
}

func (c *compact) int() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes is a binary or string: a part of the data.
func (c *compact) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.data)-c.at) {
		c.fail(errThriftEnd)
		return nil
	}
	c.at += int(n)
	return c.data[c.at-int(n) : c.at]
}

// fields reads the headers of a struct's fields, by id and kind; the loop's body reads or skips the value of each.
func (c *compact) fields() iter.Seq2[int64, byte] {
	return func(yield func(int64, byte) bool) {
		for id := int64(0); ; {
			head := c.byte()
			if c.err != nil || head == typeStop {
				return
			}
			if delta := head >> 4; delta != 0 {
				id += int64(delta)
			} else {
				id = c.int()
			}
			if c.err != nil || !yield(id, head&0xf) {
				return
			}
		}
	}
}

// list reads the header of a list. Each element takes a byte at least.
func (c *compact) list() (kind byte, size int) {
	head := c.byte()
	n := uint64(head >> 4)
	if n == 0xf {
		n = c.uvarint()
	}
	if n > uint64(len(c.data)-c.at) {
		c.fail(errThriftEnd)
		return 0, 0
	}
	return head & 0xf, int(n)
}

// structs reads a list of structs through read, until one is wrong.
func (c *compact) structs(kind byte, read func()) {
	if kind != typeList {
		c.fail(errThriftForm)
		return
	}
	element, size := c.list()
	if element != typeStruct && size > 0 {
		c.fail(errThriftForm)
	}
	for range size {
		if c.err != nil {
			return
		}
		read()
	}
}

// number reads an integer field.
func (c *compact) number(kind byte) int64 {
	switch kind {
	case typeByte:
		return int64(int8(c.byte()))
	case typeI16, typeI32, typeI64:
		return c.int()
	default:
		c.fail(errThriftForm)
		return 0
	}
}

// text reads a string field.
func (c *compact) text(kind byte) []byte {
	if kind != typeBinary {
		c.fail(errThriftForm)
		return nil
	}
	return c.bytes()
}

// truth reads a bool field.
func (c *compact) truth(kind byte) bool {
	if kind != typeTrue && kind != typeFalse {
		c.fail(errThriftForm)
	}
	return kind == typeTrue
}

// begin checks that a field is a struct.
func (c *compact) begin(kind byte) {
	if kind != typeStruct {
		c.fail(errThriftForm)
	}
}

// skip passes over the value of a field.
func (c *compact) skip(kind byte) {
	if c.depth >= thriftDepthMax {
		c.fail(errThriftForm)
		return
	}
	c.depth++
	defer func() { c.depth-- }()
	switch kind {
	case typeTrue, typeFalse:
	case typeByte:
		c.byte()
	case typeI16, typeI32, typeI64:
		c.uvarint()
	case typeDouble:
		c.pass(8)
	case typeUUID:
		c.pass(16)
	case typeBinary:
		c.bytes()
	case typeList, typeSet:
		element, size := c.list()
		for range size {
			if c.err != nil {
				return
			}
			c.skipElement(element)
		}
	case typeMap:
		c.skipMap()
	case typeStruct:
		for _, kind := range c.fields() {
			c.skip(kind)
		}
	default:
		c.fail(errThriftForm)
	}
}

func (c *compact) skipMap() {
	n := c.uvarint()
	if n == 0 {
		return
	}
	kinds := c.byte()
	for ; n > 0 && c.err == nil; n-- {
		c.skipElement(kinds >> 4)
		c.skipElement(kinds & 0xf)
	}
}

// skipElement passes over an element, of which a bool is a byte.
func (c *compact) skipElement(kind byte) {
	if kind == typeTrue || kind == typeFalse {
		kind = typeByte
	}
	c.skip(kind)
}

func (c *compact) pass(n int) {
	if n > len(c.data)-c.at {
		c.fail(errThriftEnd)
		return
	}
	c.at += n
}
