// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/codectest"
)

func TestWrittenRowsAreReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		row, schema := codectest.DrawRow(t)
		format := Format{Schema: schema}
		b, _ := row.Batch()
		encoding, err := format.Encoding(b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		text := encoding.Header
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			codectest.Fill(t, row)
			want = append(want, codectest.Text(b, row.Schema(), 0))
			if text, err = encoding.Append(text, b, 0); err != nil {
				t.Fatal(err)
			}
		}
		d, err := format.Start(t.Context(), codec.Env{NeedsRows: true, Samples: codectest.Samples(string(text))})
		if err != nil {
			t.Fatal(err)
		}
		got, rejects := codectest.ReadAll(t, d, string(text))
		if diff := cmp.Diff(want, got); diff != "" || len(rejects) > 0 {
			t.Fatalf("written\n%s\nand read again (-want +got):\n%s\nrejects: %s", text, diff, strings.Join(rejects, "\n"))
		}
	})
}
