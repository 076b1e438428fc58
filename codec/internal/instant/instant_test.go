// SPDX-License-Identifier: Apache-2.0

package instant

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// TestParseAgreesWithTheRootPackage gives one cache many texts, some of them wrong, in any order.
func TestParseAgreesWithTheRootPackage(t *testing.T) {
	t.Parallel()
	c := NewCache()
	rapid.Check(t, func(t *rapid.T) {
		zeros := "\x00\x00\x00\x00\x00\x00\x00\x00"
		months := []string{"1970-01-", "2013-01-", "2012-02-", "2013-02-", "0000-00-", zeros}
		text := rapid.SampledFrom(months).Draw(t, "month") +
			rapid.SampledFrom([]string{"01", "02", "11", "29", "32", "\x00\x00", "1 "}).Draw(t, "day") +
			rapid.SampledFrom([]string{"T", " "}).Draw(t, "t") +
			rapid.SampledFrom([]string{"00:00:00", "23:59:59", "24:00:00", "10:1:000"}).Draw(t, "time") +
			rapid.SampledFrom([]string{
				"Z", ".5Z", ".123Z", ".123456Z", ".12 Z", ".12345aZ", ",123Z", "+01:00", ".123z", "z",
			}).Draw(t, "zone")
		want, _, err := forebay.ParseCell(nil, forebay.Timestamp, []byte(text))
		got, ok := c.Parse([]byte(text))
		if ok && (err != nil || got != want.Int()) {
			t.Fatalf("%q is %d, want %v, %v", text, got, want.Int(), err)
		}
		short := len(text) == size || len(text) == size+len(".123") || len(text) == size+len(".123456")
		if usual := err == nil && short && text[dateSize] == 'T' && text[len(text)-1] == 'Z'; usual && !ok {
			t.Fatalf("%q was left to the root package", text)
		}
	})
}
