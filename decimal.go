// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"cmp"
	"math/bits"
	"strconv"
)

// magnitude is the absolute value of an Int128.
type magnitude struct{ hi, lo uint64 }

// pow10 holds the powers of ten that an Int128 can hold.
var pow10 = func() (powers [DecimalPrecisionMax + 1]magnitude) {
	powers[0].lo = 1
	for i := 1; i < len(powers); i++ {
		powers[i] = powers[i-1].times(10)
	}
	return powers
}()

// digitsUint64Sure is the number of digits that fit a uint64 whatever they are.
const digitsUint64Sure = 19

// times multiplies; the caller knows that the product fits.
func (m magnitude) times(factor uint64) magnitude {
	hi, lo := bits.Mul64(m.lo, factor)
	return magnitude{hi: hi + m.hi*factor, lo: lo}
}

// scaled multiplies by ten to the n; the caller knows that the product fits.
func (m magnitude) scaled(n int) magnitude {
	if n > digitsUint64Sure {
		m = m.times(pow10[digitsUint64Sure].lo)
		n -= digitsUint64Sure
	}
	return m.times(pow10[n].lo)
}

func (m magnitude) less(other magnitude) bool {
	return m.hi < other.hi || m.hi == other.hi && m.lo < other.lo
}

func (m magnitude) signed(negative bool) Int128 {
	v := Int128{Hi: int64(m.hi), Lo: m.lo}
	if negative {
		return v.negated()
	}
	return v
}

func (v Int128) negated() Int128 {
	lo, borrow := bits.Sub64(0, v.Lo, 0)
	hi, _ := bits.Sub64(0, uint64(v.Hi), borrow)
	return Int128{Hi: int64(hi), Lo: lo}
}

func (v Int128) magnitude() magnitude {
	if v.Hi < 0 {
		v = v.negated()
	}
	return magnitude{hi: uint64(v.Hi), lo: v.Lo}
}

// Int128Of is v as an Int128.
func Int128Of(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Compare is negative where v is less than other, 0 where they are equal, else positive.
func (v Int128) Compare(other Int128) int {
	return cmp.Or(cmp.Compare(v.Hi, other.Hi), cmp.Compare(v.Lo, other.Lo))
}

// Fits reports whether the value has at most precision digits.
func (v Int128) Fits(precision uint8) bool {
	return precision <= DecimalPrecisionMax && v.magnitude().less(pow10[precision])
}

// AppendText appends the decimal with this unscaled value and scale: all digits of the scale, such as 12.50.
func (v Int128) AppendText(dst []byte, scale uint8) []byte {
	if v.Hi < 0 {
		dst = append(dst, '-')
	}
	var room [48]byte
	digits := v.magnitude().appendDigits(room[:0])
	if scale == 0 {
		return append(dst, digits...)
	}
	whole := len(digits) - int(scale)
	if whole > 0 {
		dst = append(dst, digits[:whole]...)
		dst = append(dst, '.')
		return append(dst, digits[whole:]...)
	}
	dst = append(dst, '0', '.')
	for ; whole < 0; whole++ {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

func (m magnitude) appendDigits(dst []byte) []byte {
	if m.hi == 0 {
		return strconv.AppendUint(dst, m.lo, 10)
	}
	chunk := pow10[digitsUint64Sure].lo
	high, rest := bits.Div64(m.hi%chunk, m.lo, chunk)
	dst = magnitude{hi: m.hi / chunk, lo: high}.appendDigits(dst)
	from := len(dst)
	for range digitsUint64Sure {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= from; i-- {
		dst[i] = byte('0' + rest%10)
		rest /= 10
	}
	return dst
}

// ParseDecimal reads the unscaled value of a decimal of type t, as ParseCell does.
func ParseDecimal(t Type, text []byte) (Int128, error) {
	v, why := parseDecimal(t, text)
	if why != "" {
		return Int128{}, textError(t, text, why)
	}
	return v, nil
}

const notADecimal = "write a decimal number such as -12.50"

// parseDecimal reads an exact decimal: nothing is rounded.
func parseDecimal(t Type, text []byte) (v Int128, why string) {
	n, ok := splitNumber(text)
	if !ok {
		return Int128{}, notADecimal
	}
	whole, fraction, exponent := n.whole, n.fraction, n.exponent
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	if len(whole) == 0 {
		for len(fraction) > 0 && fraction[0] == '0' {
			fraction, exponent = fraction[1:], exponent-1
		}
	}
	exponent -= len(fraction)
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction, exponent = fraction[:len(fraction)-1], exponent+1
	}
	for len(fraction) == 0 && len(whole) > 0 && whole[len(whole)-1] == '0' {
		whole, exponent = whole[:len(whole)-1], exponent+1
	}
	digits := len(whole) + len(fraction)
	if digits == 0 {
		return Int128{}, ""
	}
	shift := exponent + int(t.Scale)
	if shift < 0 {
		return Int128{}, "it has more digits after the point than the type"
	}
	if digits > DecimalPrecisionMax || digits+shift > int(t.Precision) {
		return Int128{}, "it has more digits before the point than the type"
	}
	m := magnitude{}.withDigits(whole).withDigits(fraction)
	return m.scaled(shift).signed(n.negative), ""
}

// withDigits appends digits to the number's own; the caller knows that they fit.
func (m magnitude) withDigits(digits []byte) magnitude {
	for len(digits) > 0 {
		part := digits[:min(len(digits), digitsUint64Sure)]
		digits = digits[len(part):]
		var n uint64
		for _, c := range part {
			n = n*10 + uint64(c-'0')
		}
		m = m.scaled(len(part))
		lo, carry := bits.Add64(m.lo, n, 0)
		m = magnitude{hi: m.hi + carry, lo: lo}
	}
	return m
}

// numberParts are the parts of a number's text.
type numberParts struct {
	negative        bool
	whole, fraction []byte
	exponent        int
}

// exponentMax bounds exponents; greater ones say as much.
const exponentMax = 1 << 20

// splitNumber takes apart -12.50e3.
func splitNumber(text []byte) (n numberParts, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		n.negative, text = true, text[1:]
	}
	n.whole, text = cutDigits(text)
	if len(text) > 0 && text[0] == '.' {
		n.fraction, text = cutDigits(text[1:])
	}
	if len(n.whole)+len(n.fraction) == 0 {
		return n, false
	}
	if len(text) == 0 {
		return n, true
	}
	if text[0] != 'e' && text[0] != 'E' {
		return n, false
	}
	text = text[1:]
	negative := len(text) > 0 && text[0] == '-'
	if negative || len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	digits, rest := cutDigits(text)
	for _, c := range digits {
		n.exponent = min(n.exponent*10+int(c-'0'), exponentMax)
	}
	if negative {
		n.exponent = -n.exponent
	}
	return n, len(digits) > 0 && len(rest) == 0
}

func cutDigits(text []byte) (digits, rest []byte) {
	for i, c := range text {
		if c-'0' > 9 {
			return text[:i], text[i:]
		}
	}
	return text, nil
}
