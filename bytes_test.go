// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseBytesReadsUnitsAsPowersOf1024(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{
		"0B": 0, "1B": 1, "100B": 100, "1KB": 1024, "1KiB": 1024, "64MB": 64 * MiB, "64MiB": 64 * MiB, "2GB": 2 * GiB,
		"2GiB": 2 * GiB, "5 MB": 5 * MiB, "9223372036854775807B": math.MaxInt64,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q is read as %d (%v), want %d", text, got, err, want)
		}
	}
}

func TestParseBytesSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, why string }{
		{"64", "write 64B, 64KB or 64MB"},
		{"", "not a size"},
		{"MB", "not a size"},
		{"-1MB", "not a size"},
		{"1.5MB", "not a size"},
		{"1.5", "not a size"},
		{"inf", "not a size"},
		{"64kB", "not a size"},
		{"64TB", "not a size"},
		{"9223372036854775808B", "not a size"},
		{"8589934592GB", "not a size"},
	} {
		if got, err := ParseBytes(tc.text); err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%q is read as %d (%v), want an error with %q", tc.text, got, err, tc.why)
		}
	}
}

func TestBytesPrintAsTheyAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := Bytes(rapid.Int64Min(0).Draw(t, "bytes"))
		if shift := rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "unit"); shift > 0 {
			b = b >> shift << shift
		}
		if got, err := ParseBytes(b.String()); err != nil || got != b {
			t.Fatalf("%d prints as %s, which is read as %d (%v)", b, b, got, err)
		}
	})
	for b, want := range map[Bytes]string{0: "0B", 1023: "1023B", 64 * MiB: "64MB", 1536: "1536B", 3 * GiB: "3GB"} {
		if b.String() != want {
			t.Errorf("%d prints as %s, want %s", int64(b), b, want)
		}
	}
}
