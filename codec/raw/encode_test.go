// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// What was written is read again, record by record; what would be read as two is refused and leaves no trace.
func TestWrittenRecordsAreReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		format := Format{Delimiter: rapid.SampledFrom([]string{"", ";", `\0`}).Draw(rt, "delimiter")}
		d, _ := format.delimiter()
		encoding, err := format.Encoding(nil)
		if err != nil {
			rt.Fatal(err)
		}
		var text []byte
		var want []string
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, 0)
		for i := range rapid.IntRange(0, 5).Draw(rt, "records") {
			value := rapid.StringOfN(rapid.RuneFrom([]rune("ab;\n\x00")), 0, 9, 9).Draw(rt, "value")
			b.Append(int64(i), []byte(value))
			size := len(text)
			text, err = encoding.Append(text, b, i)
			switch inside := strings.IndexByte(value, d) >= 0; {
			case inside != (forebay.ClassOf(err) == forebay.ClassRejected), !inside && err != nil:
				rt.Fatalf("%q: %v", value, err)
			case inside && len(text) != size:
				rt.Fatalf("%q was refused and left %q", value, text[size:])
			case !inside:
				want = append(want, value)
			}
		}
		got, rejects := decode(t, format, false, strings.NewReader(string(text)))
		if !slices.Equal(got, want) || len(rejects) > 0 {
			rt.Fatalf("%q came back as %q, %q", want, got, rejects)
		}
	})
}
