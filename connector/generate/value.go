// SPDX-License-Identifier: Apache-2.0

package generate

import "encoding/binary"

// mark is what makes the first 16 bytes of each record: see the package's documentation.
type mark struct{ a, b uint64 }

func newMark(seed uint64) mark { return mark{a: mix(seed), b: mix(mix(seed))} }

func (m mark) put(value []byte, index uint64) {
	_ = value[15]
	binary.LittleEndian.PutUint64(value, index+m.a)
	binary.LittleEndian.PutUint64(value[8:], index*index*index+m.b)
}

// sums adds up the marks of the records 0 to n-1, modulo 2^64. The cubes of 0 to n-1 add up to the square of
// the sum of 0 to n-1.
func (m mark) sums(n uint64) (low, high uint64) {
	even, odd := n, n-1
	if n%2 == 1 {
		even, odd = n-1, n
	}
	triangle := even / 2 * odd
	return triangle + n*m.a, triangle*triangle + n*m.b
}

// mix scatters the bits of x such that near ones have nothing in common; mix(0) is 0. It is the last step of
// the generator splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is 2^64 divided by the golden ratio: multiples of it spread evenly.
const golden = 0x9e3779b97f4a7c15
