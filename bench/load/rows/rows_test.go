// SPDX-License-Identifier: Apache-2.0

package rows

import (
	"strings"
	"testing"
)

func TestEachKeyComesOnceInAsManyRowsAsThereAreKeys(t *testing.T) {
	const keys = 1 << 10
	r := New(2*keys, keys)
	seen := map[int]int{}
	for i := range r.N {
		seen[r.Key(i)]++
		if i == keys-1 && len(seen) != keys {
			t.Fatalf("%d keys in the first %d rows", len(seen), keys)
		}
	}
	for key, n := range seen {
		if key < 0 || key >= keys || n != 2 {
			t.Errorf("key %d: %d rows", key, n)
		}
	}
	if n, _ := r.Final(); n != keys {
		t.Errorf("%d rows are left, not %d", n, keys)
	}
}

func TestTheSumDependsOnEveryRowAndNotOnTheirOrder(t *testing.T) {
	r := New(100, 0)
	_, want := r.Final()
	backwards, missing := uint64(0), uint64(0)
	for i := r.N - 1; i >= 0; i-- {
		backwards += Sum(r.Key(i), r.Body(i))
		if i != 50 {
			missing += Sum(r.Key(i), r.Body(i))
		}
	}
	if backwards != want || missing == want {
		t.Errorf("sum %x, backwards %x, without a row %x", want, backwards, missing)
	}
}

func TestRowsNearEachOtherShareNoLetters(t *testing.T) {
	r := New(400, 0)
	text := ""
	for i := range r.N {
		body := r.Body(i)
		if strings.Contains(text, body[:16]) {
			t.Fatalf("row %d begins as letters of a row before it", i)
		}
		text += body
	}
}
