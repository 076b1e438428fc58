// SPDX-License-Identifier: Apache-2.0

package swar

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

func TestWordsAgreeWithBytes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for other := range 256 {
			// The neighbours would show a carry from one byte to the next.
			text := []byte{byte(other), byte(c), byte(other), byte(c), byte(c), byte(other), byte(other), byte(c)}
			var match, special, digits uint64
			run := true
			for i, b := range text {
				if b == byte(c) {
					match |= 1 << i
				}
				if b < ' ' || b >= 0x80 || b == '"' || b == '\\' {
					special |= 1 << i
				}
				if run = run && b >= '0' && b <= '9'; run {
					digits++
				}
			}
			w := Load(text, 0)
			if got := Pack(Match(w, Repeat(byte(c)))); got != match {
				t.Fatalf("match of %q in %q: %b, want %b", byte(c), text, got, match)
			}
			if got := Pack(Special(w)); got != special {
				t.Fatalf("special in %q: %b, want %b", text, got, special)
			}
			if got := FirstSpecial(w); (got == 0) != (special == 0) || got != 0 && First(got) != First(Special(w)) {
				t.Fatalf("first special in %q: %x, want %x", text, got, Special(w))
			}
			if got := Run(w); got != int(digits) {
				t.Fatalf("digits of %q: %d, want %d", text, got, digits)
			}
		}
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 8; n++ {
		for v := uint64(0); v < 100_000_000; v = v*13/10 + 1 {
			text := fmt.Appendf(nil, "%0*d", n, v)
			if len(text) > n {
				break
			}
			got, ok := Digits(LoadUpTo(append(text, "9x\xff,\x00\x80999"...), 0), n)
			if !ok || got != v {
				t.Fatalf("%q of %d digits: %d, %v", text, n, got, ok)
			}
			for i := range n {
				for c := range 256 {
					wrong := []byte(strconv.FormatUint(v+100_000_000, 10)[9-n:])
					wrong[i] = byte(c)
					if _, ok := Digits(LoadUpTo(wrong, 0), n); ok != (c >= '0' && c <= '9') {
						t.Fatalf("%q: %v", wrong, ok)
					}
				}
			}
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for seconds := range 24 * 3600 {
		text := time.Unix(int64(seconds), 0).UTC().Format(time.TimeOnly)
		if got, ok := Clock(Load([]byte(text), 0)); !ok || got != int64(seconds) {
			t.Fatalf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"24:00:00", "00:60:00", "00:00:60", "1a:00:00", "00.00:00", "00:00;00", "0\xb0:00:00", "00:00:0 ",
	} {
		if got, ok := Clock(Load([]byte(text), 0)); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestLoadUpToReadsNothingBehindTheEnd(t *testing.T) {
	t.Parallel()
	text := []byte("abcdefghij")
	for i := range len(text) + 1 {
		var want uint64
		for k := 7; k >= 0; k-- {
			want <<= 8
			if i+k < len(text) {
				want |= uint64(text[i+k])
			}
		}
		if got := LoadUpTo(text, i); got != want {
			t.Errorf("from %d: %x, want %x", i, got, want)
		}
	}
}
