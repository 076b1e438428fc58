// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/codectest"
)

func TestWrittenRowsAreReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		format := drawFormat(t)
		row, schema := codectest.DrawRow(t)
		format.Schema = schema
		b, _ := row.Batch()
		encoding, err := format.Encoding(b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		text := encoding.Header
		var want []string
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			codectest.Fill(t, row)
			size := len(text)
			text, err = encoding.Append(text, b, 0)
			if err != nil && (forebay.ClassOf(err) != forebay.ClassRejected || len(text) != size) {
				t.Fatal(err)
			}
			if err == nil {
				want = append(want, codectest.Text(b, row.Schema(), 0))
			}
		}
		if len(want) == 0 {
			return
		}
		d, err := format.Start(t.Context(), codec.Env{MaxRecord: 1 << 20, Samples: codectest.Samples(string(text))})
		if err != nil {
			t.Fatal(err)
		}
		got, rejects := codectest.ReadAll(t, d, string(text))
		if diff := cmp.Diff(want, got); diff != "" || len(rejects) > 0 {
			t.Fatalf("written\n%s\nand read again (-want +got):\n%s\nrejects: %s", text, diff, strings.Join(rejects, "\n"))
		}
	})
}

func drawFormat(t *rapid.T) Format {
	header := rapid.Bool().Draw(t, "header")
	return Format{
		Header: &header, Delimiter: rapid.SampledFrom([]string{"", ";", `\t`}).Draw(t, "delimiter"),
		Null: rapid.SampledFrom([][]string{nil, {}, {""}, {"NULL"}, {"-", "a"}}).Draw(t, "null"),
	}
}
