// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

var (
	errEnds  = errors.New("the page ends before its last value")
	errForm  = errors.New("the page's encoding is wrong")
	errCount = errors.New("the page holds another number of values than it says")
)

// unpack reads n integers of width bits, least significant bit first, and appends them. src must hold them.
func unpack(dst []uint64, src []byte, width, n int) []uint64 {
	if width == 0 {
		for range n {
			dst = append(dst, 0)
		}
		return dst
	}
	mask := ^uint64(0) >> (64 - width)
	for i := range n {
		bit := i * width
		at, shift := bit>>3, bit&7
		var v uint64
		if at+8 <= len(src) {
			v = binary.LittleEndian.Uint64(src[at:]) >> shift
			if shift+width > 64 {
				v |= uint64(src[at+8]) << (64 - shift)
			}
		} else {
			for k := at; k < len(src) && (k-at)*8 < shift+width; k++ {
				if s := (k-at)*8 - shift; s >= 0 {
					v |= uint64(src[k]) << s
				} else {
					v |= uint64(src[k]) >> -s
				}
			}
		}
		dst = append(dst, v&mask)
	}
	return dst
}

// hybrid reads exactly n integers of the run-length and bit-packed encoding. Writers may leave out runs of no bits.
func hybrid[T uint8 | uint32](dst []T, src []byte, width, n int) ([]T, error) {
	dst = dst[:0]
	if width > 32 {
		return dst, errForm
	}
	valueSize := (width + 7) / 8
	for len(dst) < n {
		if width == 0 && len(src) == 0 {
			return append(dst, make([]T, n-len(dst))...), nil
		}
		head, size := binary.Uvarint(src)
		if size <= 0 {
			return dst, errEnds
		}
		src = src[size:]
		left := n - len(dst)
		if head&1 == 0 {
			count := head >> 1
			if len(src) < valueSize || count == 0 {
				return dst, errEnds
			}
			var v uint32
			for k := range valueSize {
				v |= uint32(src[k]) << (8 * k)
			}
			src = src[valueSize:]
			for range min(count, uint64(left)) {
				dst = append(dst, T(v))
			}
			continue
		}
		groups := head >> 1
		if groups == 0 {
			return dst, errForm
		}
		count := left
		if groups < uint64(left+7)/8 {
			count = int(groups) * 8
		}
		need := (count*width + 7) / 8
		if len(src) < need {
			return dst, errEnds
		}
		dst = unpackSmall(dst, src, width, count)
		if groups > uint64(len(src)) {
			src = nil
		} else {
			src = src[min(int(groups)*width, len(src)):]
		}
	}
	return dst, nil
}

// unpackSmall is unpack for widths of at most 32.
func unpackSmall[T uint8 | uint32](dst []T, src []byte, width, n int) []T {
	if width == 0 {
		for range n {
			dst = append(dst, 0)
		}
		return dst
	}
	mask := uint64(1)<<width - 1
	var held uint64
	var have, at int
	for range n {
		for have < width {
			if at+4 <= len(src) {
				held |= uint64(binary.LittleEndian.Uint32(src[at:])) << have
				have, at = have+32, at+4
				continue
			}
			held |= uint64(src[at]) << have
			have, at = have+8, at+1
		}
		dst = append(dst, T(held&mask))
		held >>= width
		have -= width
	}
	return dst
}

const (
	deltaBlockMax = 1 << 20
	deltaMiniMax  = 1 << 12
)

// delta reads n integers of the delta encoding, in 32 or 64 bits, and returns what follows them.
func (v *values) delta(src []byte, n int, narrow bool) (ints []int64, rest []byte, err error) {
	d := deltas{src: src}
	block, minis, total, first := d.uvarint(), d.uvarint(), d.uvarint(), d.varint()
	switch {
	case d.short:
		return nil, nil, errEnds
	case block == 0 || block > deltaBlockMax || minis == 0 || minis > deltaMiniMax || block%minis != 0:
		return nil, nil, errForm
	case total != uint64(n):
		return nil, nil, errCount
	}
	perMini := int(block / minis)
	ints = v.ints[:0]
	if n > 0 {
		ints = append(ints, first)
	}
	for len(ints) < n {
		least := d.varint()
		widths := d.take(int(minis))
		for _, width := range widths {
			if len(ints) >= n {
				break
			}
			if width > 64 {
				return nil, nil, errForm
			}
			count := min(perMini, n-len(ints))
			packed := d.take((perMini*int(width) + 7) / 8)
			if d.short {
				return nil, nil, errEnds
			}
			v.unpacked = unpack(v.unpacked[:0], packed, int(width), count)
			last := ints[len(ints)-1]
			for _, u := range v.unpacked {
				if last += least + int64(u); narrow {
					last = int64(int32(last))
				}
				ints = append(ints, last)
			}
		}
		if d.short {
			return nil, nil, errEnds
		}
	}
	v.ints = ints
	return ints, d.src, nil
}

type deltas struct {
	src   []byte
	short bool
}

func (d *deltas) uvarint() uint64 {
	u, size := binary.Uvarint(d.src)
	if size <= 0 {
		d.short = true
		return 0
	}
	d.src = d.src[size:]
	return u
}

func (d *deltas) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *deltas) take(n int) []byte {
	if n > len(d.src) {
		d.short = true
		n = 0
	}
	out := d.src[:n]
	d.src = d.src[n:]
	return out
}

// widthOf is how many bits numbers up to n take.
func widthOf(n int) int { return bits.Len(uint(n)) }
