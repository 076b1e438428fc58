// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay/tablet/wire"
)

func TestAPoolGivesTheLengthAskedForAndLittleMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := &wire.Pool{}
		var held []*[]byte
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if len(held) > 0 && rapid.Bool().Draw(t, "put") {
				p.Put(held[0])
				held = held[1:]
				continue
			}
			n := rapid.OneOf(rapid.IntRange(0, 1<<12), rapid.IntRange(1<<20, 1<<21)).Draw(t, "length")
			data := p.Get(n)
			if len(*data) != n || cap(*data) > max(2*n, 512) {
				t.Fatalf("asked for %d bytes and got %d of %d", n, len(*data), cap(*data))
			}
			for _, other := range held {
				if n > 0 && len(*other) > 0 && &(*data)[0] == &(*other)[0] {
					t.Fatal("a buffer was given to two")
				}
			}
			held = append(held, data)
		}
	})
}

func TestAPoolTakesBackOnlyItsOwn(t *testing.T) {
	t.Parallel()
	p := &wire.Pool{}
	for _, data := range [][]byte{nil, make([]byte, 10), make([]byte, 700), make([]byte, 1<<27)} {
		p.Put(&data)
	}
	if data := p.Get(600); cap(*data) != 1024 {
		t.Errorf("a buffer of %d bytes came from elsewhere", cap(*data))
	}
	if data := p.Get(1<<26 + 1); len(*data) != 1<<26+1 {
		t.Errorf("%d bytes", len(*data))
	}
}
