// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"encoding/binary"
	"fmt"

	"github.com/forebay-io/forebay"
)

// Sum adds up records such that the order does not matter: their number, their bytes, and the first 16 bytes
// of each as two little-endian integers, modulo 2^64. A shorter record counts as if zeros followed it.
type Sum struct { //nolint:recvcheck // adding needs a pointer, printing takes the value
	Records   uint64
	Bytes     uint64
	Low, High uint64
}

// Add adds one record.
func (s *Sum) Add(value []byte) {
	s.Records++
	s.Bytes += uint64(len(value))
	if len(value) >= 16 {
		s.Low += binary.LittleEndian.Uint64(value)
		s.High += binary.LittleEndian.Uint64(value[8:])
		return
	}
	var padded [16]byte
	copy(padded[:], value)
	s.Low += binary.LittleEndian.Uint64(padded[:])
	s.High += binary.LittleEndian.Uint64(padded[8:])
}

// AddBatch adds every record of the batch.
func (s *Sum) AddBatch(b *forebay.Batch) {
	n := b.Len()
	var bytes, low, high uint64
	for i := range n {
		value := b.Value(i)
		if len(value) < 16 {
			var short Sum
			short.Add(value)
			bytes, low, high = bytes+short.Bytes, low+short.Low, high+short.High
			continue
		}
		bytes += uint64(len(value))
		low += binary.LittleEndian.Uint64(value)
		high += binary.LittleEndian.Uint64(value[8:])
	}
	s.Records += uint64(n)
	s.Bytes, s.Low, s.High = s.Bytes+bytes, s.Low+low, s.High+high
}

// Merge adds the records of another sum.
func (s *Sum) Merge(other Sum) {
	s.Records += other.Records
	s.Bytes += other.Bytes
	s.Low += other.Low
	s.High += other.High
}

// String prints the sum for people.
func (s Sum) String() string {
	return fmt.Sprintf("%d records, %d bytes, sums %016x %016x", s.Records, s.Bytes, s.Low, s.High)
}

// Summed is a source that knows the sum of all its records without reading them.
type Summed interface {
	// Sum reports false where the source has no end or its records have no closed form.
	Sum() (Sum, bool)
}

// SumChecker is a sink that compares what it got with a sum.
type SumChecker interface {
	// ExpectSum returns the sink that does so at the end of a run.
	ExpectSum(Sum) forebay.Sink
}

// Expect makes a sink that checks sums compare with what the source knows, where both can; otherwise it
// returns the sink as it is. It is for a pipeline whose steps neither change, add nor remove records.
func Expect(source forebay.Source, sink forebay.Sink) forebay.Sink {
	summed, knows := source.(Summed)
	checker, checks := sink.(SumChecker)
	if !knows || !checks {
		return sink
	}
	if sum, bounded := summed.Sum(); bounded {
		return checker.ExpectSum(sum)
	}
	return sink
}
