// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/forebay-io/forebay"
)

// column makes the values of one field. What it makes for an index follows from its seeds and the index.
type column struct {
	typ  forebay.Type
	fill func(*task, *column)
	// slab is how many bytes of the slab a value takes.
	slab int

	seed, nullSeed uint64
	// nullBelow makes a value null where the null draw is below it.
	nullBelow uint64

	// first and step are of a sequence; first and span of a range, of which span 0 is all of uint64.
	first, step int64
	span        uint64
	base, width float64
	trueBelow   uint64
	words       []wordSpan
}

// wordSpan is a word's place in the word table.
type wordSpan struct{ start, size int }

// task is the rows that a column fills.
type task struct {
	batch *forebay.Batch
	// cells starts at the column's cell of the first row; the next row's is width cells on.
	cells []forebay.Cell
	width int
	rows  int
	// index is that of the first row, and stride what each next one adds.
	index, stride uint64
	// words is where the word table starts in the slab.
	words int
}

// compile fits a valid field to a column. The count of records is 0 without end; words is where the field's
// words start in the word table.
func (f Field) compile(count int64, words int) (column, error) {
	c := column{nullBelow: share(f.Null)}
	switch {
	case f.Sequence != nil:
		c.typ, c.fill, c.first, c.step = forebay.Int64, fillSequence, f.Sequence.Start, f.Sequence.Step
		if c.step == 0 {
			c.step = 1
		}
		return c, c.checkEnd(count)
	case f.Int != nil:
		c.typ, c.fill, c.first = forebay.Int64, fillInt, f.Int.Min
		last := f.Int.Max
		if f.Int.Min == 0 && f.Int.Max == 0 {
			last = IntMaxDefault
		}
		c.span = uint64(last) - uint64(c.first) + 1
	case f.Float != nil:
		c.typ, c.fill, c.base, c.width = forebay.Float64, fillFloat, f.Float.Min, f.Float.Max-f.Float.Min
		if f.Float.Min == 0 && f.Float.Max == 0 {
			c.width = 1
		}
	case f.Bool != nil:
		c.typ, c.fill, c.trueBelow = forebay.Bool, fillBool, share(f.Bool.True)
		if f.Bool.True == 0 {
			c.trueBelow = share(0.5)
		}
	case f.Text != nil:
		c.typ, c.fill, c.slab = forebay.String, fillText, f.Text.Length
		if c.slab == 0 {
			c.slab = TextLengthDefault
		}
	case f.UUID != nil:
		c.typ, c.fill, c.slab = forebay.String, fillUUID, uuidSize
	case f.Timestamp != nil:
		return f.Timestamp.compile(c, count)
	default:
		c.typ, c.fill = forebay.String, fillWords
		for _, word := range f.Words {
			c.words = append(c.words, wordSpan{start: words, size: len(word)})
			words += len(word)
		}
	}
	return c, nil
}

func (t Timestamp) compile(c column, count int64) (column, error) {
	from, to := t.bounds()
	c.typ, c.first = forebay.Timestamp, from
	if t.Step > 0 {
		c.fill, c.step = fillSteps, t.Step.Microseconds()
		return c, c.checkEnd(count)
	}
	c.fill, c.span = fillInstant, uint64(to-from)
	return c, nil
}

// checkEnd refuses a sequence that would leave int64.
func (c *column) checkEnd(count int64) error {
	if count == 0 {
		return nil
	}
	high, low := bits.Mul64(uint64(count-1), magnitude(c.step))
	last := c.first + c.step*(count-1)
	if high != 0 || low > math.MaxInt64 || (c.step > 0) != (last >= c.first) && count > 1 {
		return fmt.Errorf("record %d would leave the range of int64; give a smaller start, step or count", count-1)
	}
	return nil
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// share is the bound below which that share of all uint64 lies.
func share(of float64) uint64 {
	if of >= 1 {
		return math.MaxUint64
	}
	return uint64(of * (1 << 64))
}

// below maps a draw evenly to 0 up to n-1; 0 stands for 2^64.
func below(draw, n uint64) uint64 {
	if n == 0 {
		return draw
	}
	high, _ := bits.Mul64(draw, n)
	return high
}

func fillSequence(t *task, c *column) {
	value, step := c.first+c.step*int64(t.index), c.step*int64(t.stride)
	for at := 0; at < len(t.cells); at += t.width {
		t.cells[at] = forebay.Int64Cell(value)
		value += step
	}
	c.nullify(t)
}

func fillSteps(t *task, c *column) {
	value, step := c.first+c.step*int64(t.index), c.step*int64(t.stride)
	for at := 0; at < len(t.cells); at += t.width {
		t.cells[at] = forebay.TimestampCell(value)
		value += step
	}
	c.nullify(t)
}

func fillInt(t *task, c *column) {
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		t.cells[at] = forebay.Int64Cell(c.first + int64(below(mix(state), c.span)))
		state += t.stride * golden
	}
	c.nullify(t)
}

func fillInstant(t *task, c *column) {
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		t.cells[at] = forebay.TimestampCell(c.first + int64(below(mix(state), c.span)))
		state += t.stride * golden
	}
	c.nullify(t)
}

func fillFloat(t *task, c *column) {
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		unit := float64(mix(state)>>11) / (1 << 53)
		t.cells[at] = forebay.Float64Cell(c.base + unit*c.width)
		state += t.stride * golden
	}
	c.nullify(t)
}

func fillBool(t *task, c *column) {
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		t.cells[at] = forebay.BoolCell(mix(state) <= c.trueBelow)
		state += t.stride * golden
	}
	c.nullify(t)
}

func fillWords(t *task, c *column) {
	state, count := c.seed+t.index*golden, uint64(len(c.words))
	for at := 0; at < len(t.cells); at += t.width {
		word := c.words[below(mix(state), count)]
		t.cells[at] = forebay.SpanCell(forebay.KindString, t.words+word.start, word.size)
		state += t.stride * golden
	}
	c.nullify(t)
}

// Eight random letters at a time: the low half of each byte of a draw, counted from the letter a.
const (
	lettersPerDraw = 8
	letterMask     = 0x0f0f0f0f0f0f0f0f
	letterBase     = 0x6161616161616161
)

// inner sets the further draws of one value apart from those of other indexes.
const inner = 0xd1b54a32d192ed03

func fillText(t *task, c *column) {
	start := int(t.batch.Size())
	slab := t.batch.Extend(c.slab*t.rows + lettersPerDraw)
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		putLetters(slab, c.slab, state)
		t.cells[at] = forebay.SpanCell(forebay.KindString, start, c.slab)
		slab, start = slab[c.slab:], start+c.slab
		state += t.stride * golden
	}
	t.batch.TruncateSlab(start)
	c.nullify(t)
}

// putLetters writes the letters of one value of a size, and up to lettersPerDraw-1 behind it.
func putLetters(text []byte, size int, state uint64) {
	for at := 0; at < size; at += lettersPerDraw {
		binary.LittleEndian.PutUint64(text[at:], mix(state)&letterMask+letterBase)
		state += inner
	}
}

const (
	hexDigits = "0123456789abcdef"
	uuidSize  = 36
)

func fillUUID(t *task, c *column) {
	start := int(t.batch.Size())
	slab := t.batch.Extend(uuidSize * t.rows)
	state := c.seed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		putUUID(slab, mix(state), mix(state+inner))
		t.cells[at] = forebay.SpanCell(forebay.KindString, start, uuidSize)
		slab, start = slab[uuidSize:], start+uuidSize
		state += t.stride * golden
	}
	c.nullify(t)
}

// putUUID writes 122 of the bits as a UUID of version 4.
func putUUID(text []byte, high, low uint64) {
	high = high&^0xf000 | 0x4000
	low = low&^(3<<62) | 2<<62
	at := 0
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			text[at] = '-'
			at++
		}
		text[at] = hexDigits[high>>60]
		at++
		high = high<<4 | low>>60
		low <<= 4
	}
}

// nullify makes the column's share of the values null.
func (c *column) nullify(t *task) {
	if c.nullBelow == 0 {
		return
	}
	state := c.nullSeed + t.index*golden
	for at := 0; at < len(t.cells); at += t.width {
		if mix(state) <= c.nullBelow {
			t.cells[at] = forebay.Null
		}
		state += t.stride * golden
	}
}
