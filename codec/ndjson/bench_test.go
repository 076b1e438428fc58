// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// BenchmarkRecords reads records of 200 bytes with 8 fields from memory, as bytes and as rows.
func BenchmarkRecords(b *testing.B) {
	const records = 20_000
	var text bytes.Buffer
	for i := range records {
		fmt.Fprintf(&text, `{"id":%d,"user":"user-%06d","amount":%d.%02d,"active":%t,"at":"2024-05-%02dT10:%02d:00Z",`+
			`"country":"DE","note":"a sentence that somebody wrote about nothing in particular here","count":%d}`+"\n",
			1_000_000+i, i%1000, i%500, i%100, i%3 == 0, i%28+1, i%60, -i%70)
	}
	schema := schemaOf("id int64;user string;amount float64;active bool;at timestamp;country string;note " +
		"string;count int64")
	for _, test := range []struct {
		name   string
		format Format
		width  int
	}{{"rows=false", Format{}, 0}, {"rows=true", Format{Schema: schema}, len(schema)}} {
		b.Run(test.name, func(b *testing.B) {
			dec, err := start(b, test.format, false, "")
			if err != nil {
				b.Fatal(err)
			}
			batch := forebay.NewBatch()
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			begin := cpu()
			for b.Loop() {
				s := codec.NewStream(bytes.NewReader(text.Bytes()), dec.NewDecoder(), codec.StreamConfig{})
				if err := s.Begin(b.Context(), forebay.Position{}); err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					batch.Reset(forebay.Split{}, test.width)
					if err := s.Read(b.Context(), batch); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
					n += batch.Len()
				}
				if n != records {
					b.Fatal(n, batch.Rejects())
				}
			}
			b.ReportMetric(float64(cpu()-begin)/float64(b.N)/records, "cpu-ns/record")
		})
	}
}

// cpu is the processor time of the process in nanoseconds; wall time says little on a busy machine.
func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
