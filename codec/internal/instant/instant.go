// SPDX-License-Identifier: Apache-2.0

// Package instant reads timestamps of the usual form fast.
package instant

import (
	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

const (
	dateSize        = len("2006-01-02")
	size            = len("2006-01-02T15:04:05Z")
	microsPerDay    = 24 * 60 * 60 * 1_000_000
	microsPerSecond = 1_000_000
)

// Cache reads timestamps and remembers the date that was read last: neighbours often share it.
//
// Concurrency: one goroutine at a time.
type Cache struct {
	head   uint64
	tail   uint16
	micros int64
}

// NewCache makes one that holds the first day of all.
func NewCache() Cache {
	epoch := []byte("1970-01-01")
	return Cache{head: swar.Load(epoch, 0), tail: tailOf(epoch)}
}

func tailOf(text []byte) uint16 { return uint16(text[8]) | uint16(text[9])<<8 }

// Parse reads a timestamp of the form 2006-01-02T15:04:05Z, also with three or six digits of a fraction, as
// microseconds since 1970. It reports false for any other text, which may be a timestamp all the same.
func (c *Cache) Parse(text []byte) (micros int64, ok bool) {
	var fraction uint64
	switch len(text) {
	default:
		return 0, false
	case size:
	case size + len(".000"):
		// The eight bytes before the Z are those of the fraction and of the seconds before it.
		fraction, ok = swar.Digits(swar.Load(text, size-1-4)>>40, 3)
		if fraction *= 1000; !ok || text[size-1] != '.' {
			return 0, false
		}
	case size + len(".000000"):
		fraction, ok = swar.Digits(swar.Load(text, size-1-1)>>16, 6)
		if !ok || text[size-1] != '.' {
			return 0, false
		}
	}
	if text[dateSize] != 'T' || text[len(text)-1] != 'Z' {
		return 0, false
	}
	seconds, ok := swar.Clock(swar.Load(text, dateSize+1))
	if !ok {
		return 0, false
	}
	if head, tail := swar.Load(text, 0), tailOf(text); head != c.head || tail != c.tail {
		day, _, err := forebay.ParseCell(nil, forebay.Date, text[:dateSize])
		if err != nil {
			return 0, false
		}
		c.head, c.tail, c.micros = head, tail, day.Int()*microsPerDay
	}
	return c.micros + seconds*microsPerSecond + int64(fraction), true
}
