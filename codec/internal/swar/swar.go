// SPDX-License-Identifier: Apache-2.0

package swar

import (
	"encoding/binary"
	"math/bits"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	lows  = 0x7f7f7f7f7f7f7f7f
	zeros = 0x3030303030303030 // eight times '0'
)

// Load reads the eight bytes of s at i, which must lie inside it.
func Load(s []byte, i int) uint64 { return binary.LittleEndian.Uint64(s[i : i+8 : i+8]) }

// LoadUpTo reads the at most eight bytes of s from i on; bytes behind its end read as zero.
func LoadUpTo(s []byte, i int) uint64 {
	if i+8 <= len(s) {
		return Load(s, i)
	}
	var w uint64
	for k := len(s) - 1; k >= i; k-- {
		w = w<<8 | uint64(s[k])
	}
	return w
}

// Repeat is the word that holds c eight times.
func Repeat(c byte) uint64 { return ones * uint64(c) }

// Match sets the highest bit of each byte of w that equals the byte that pattern repeats, and no other bit.
func Match(w, pattern uint64) uint64 {
	x := w ^ pattern
	return ^((x&lows + lows) | x | lows)
}

// Pack moves the highest bits of the eight bytes, all other bits being clear, into the lowest eight bits.
func Pack(m uint64) uint64 { return (m >> 7) * 0x0102040810204080 >> 56 }

// First is the index of the first byte whose highest bit is set in m, which must not be zero.
func First(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// HasHigh reports whether a byte of w is not ASCII.
func HasHigh(w uint64) bool { return w&highs != 0 }

// Special sets the highest bit of each byte of w that a JSON string cannot hold as it is, or that needs a
// closer look: a quote, a backslash, a control character, or one that is not ASCII.
func Special(w uint64) uint64 {
	control := ^(w&lows + (0x80-0x20)*ones) // clear where the lower seven bits are at least 0x20
	return (control|w)&highs | Match(w, '"'*ones) | Match(w, '\\'*ones)
}

// FirstSpecial sets the highest bit of the first byte of w that Special is about, and no bit below; those above mean
// nothing. It is what a search needs, for half the price.
func FirstSpecial(w uint64) uint64 {
	// With its second bit flipped, a quote follows the control characters. What a byte borrows from the next one
	// changes only bytes behind the first that counts.
	return ((w ^ 0x02*ones) - 0x21*ones | ((w ^ '\\'*ones) - ones) | w) & highs
}

// Digits reads the number that the first n bytes of w spell, n being 1 to 8. It reports false if one of them
// is not a digit.
func Digits(w uint64, n int) (v uint64, ok bool) {
	shift := uint(64-8*n) & 63
	d := w<<shift ^ uint64(zeros)<<shift
	if (d+0x7676767676767676|d)&highs != 0 {
		return 0, false
	}
	d = d*10 + d>>8
	const pairs = 0x000000ff000000ff
	d = (d&pairs)*(100+1000000<<32) + (d>>16&pairs)*(1+10000<<32)
	return d >> 32, true
}

// Clock reads a time of day such as 15:04:05 from the eight bytes of w, as seconds since midnight.
func Clock(w uint64) (seconds int64, ok bool) {
	const pattern = '0' | '0'<<8 | ':'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56
	d := w ^ pattern
	if (d+0x76767f76767f7676|d)&highs != 0 {
		return 0, false
	}
	d = d*10 + d>>8
	hour, minute, second := d&0xff, d>>24&0xff, d>>48&0xff
	return int64(hour*3600 + minute*60 + second), hour < 24 && minute < 60 && second < 60
}

// Index is the index of the lowest bit that is set in m, which must not be zero.
func Index(m uint64) int { return bits.TrailingZeros64(m) }

// Run is how many of the first bytes of w are digits, 0 to 8.
func Run(w uint64) int {
	d := w ^ zeros
	// What a byte that is no digit carries over changes only bytes behind the first of them.
	return bits.TrailingZeros64((d+0x7676767676767676|d)&highs) >> 3
}
