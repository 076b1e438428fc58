// SPDX-License-Identifier: Apache-2.0

// Package rows is the rows that bench/load writes, as the floor grpcappend has them too: a number and 200 letters.
package rows

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
)

// Bytes is the size of a row: 8 bytes and its letters.
const (
	Bytes  = 8 + letters
	Table  = "rows"
	Number = "id"
	Body   = "body"

	letters = 200
	pool    = 1 << 20
	// step is the golden section of the letters: rows near each other share none, so that nothing compresses.
	step = 647_927
)

// Rows makes N rows with Keys keys, a power of two of which N is a multiple, or with a key each where Keys is 0.
type Rows struct {
	N, Keys int

	letters string
}

// New makes the letters.
func New(n, keys int) *Rows {
	text, random := make([]byte, pool), rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = 'a' + byte(random.Uint32N(26))
	}
	return &Rows{N: n, Keys: keys, letters: string(text)}
}

// Key is that of row i: each key comes once in as many rows as there are keys.
func (r *Rows) Key(i int) int {
	if r.Keys == 0 {
		return i
	}
	return i * 0x9e3779b1 & (r.Keys - 1)
}

// Body is the letters of row i.
func (r *Rows) Body(i int) string {
	at := i * step % (pool - letters)
	return r.letters[at : at+letters]
}

// Last is the first of the rows that are not replaced by later ones.
func (r *Rows) Last() int {
	if r.Keys == 0 {
		return 0
	}
	return r.N - r.Keys
}

// Sum is that of a row; sums are added.
func Sum(key int, body string) uint64 {
	var row [Bytes]byte
	binary.BigEndian.PutUint64(row[:], uint64(key))
	copy(row[8:], body)
	return uint64(crc32.ChecksumIEEE(row[:]))
}

// Final is how many rows a table must hold in the end, and the sum of theirs.
func (r *Rows) Final() (n int, sum uint64) {
	for i := r.Last(); i < r.N; i++ {
		sum += Sum(r.Key(i), r.Body(i))
	}
	return r.N - r.Last(), sum
}
