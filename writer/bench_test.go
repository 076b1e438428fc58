// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"testing"

	"github.com/forebay-io/forebay"
)

// instant is a target that takes everything at once.
type instant struct{ *fakeBackend }

func (instant) Send(_ context.Context, _ *forebay.Request, done func(forebay.Answer)) {
	done(forebay.Answer{Code: forebay.CodeOK})
}

// BenchmarkAppend is the cost of a row from Append to its receipt. Allocations are those of requests: none belongs
// to a row.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []forebay.Bytes{100 * forebay.KiB, 2 * forebay.MiB} {
		b.Run("batch="+size.String(), func(b *testing.B) {
			w, err := New(instant{newBackend()}, forebay.NewLayout(fakeSchema()), Config{Tuning: Tuning{BatchSize: size}})
			if err != nil {
				b.Fatal(err)
			}
			row := fakeRow(0)
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				if _, err := w.Append(b.Context(), row); err != nil {
					b.Fatal(err)
				}
				rows++
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "records/s")
			if err := w.Shutdown(context.WithoutCancel(b.Context())); err != nil {
				b.Fatal(err)
			}
		})
	}
}
