// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// BenchmarkFlights reads a month of flights: 19 columns, 92 bytes a row, from memory.
func BenchmarkFlights(b *testing.B) {
	month := flights(b)
	quoted := bytes.ReplaceAll(month, []byte(",EWR,"), []byte(`,"EWR",`))
	for _, test := range []struct {
		name string
		text []byte
	}{{"quotes=none", month}, {"quotes=third", quoted}} {
		b.Run(test.name, func(b *testing.B) { benchmark(b, test.text) })
	}
}

func flights(b *testing.B) []byte {
	b.Helper()
	f, err := os.Open("../../examples/quickstart/flights-2013-01.csv.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	r, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func benchmark(b *testing.B, text []byte) {
	b.Helper()
	dec, err := start(b, Format{}, codec.Env{}, string(text))
	if err != nil {
		b.Fatal(err)
	}
	batch := forebay.NewBatch()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	rows, begin := 0, cpu()
	for b.Loop() {
		rows = 0
		s := codec.NewStream(bytes.NewReader(text), dec.NewDecoder(), codec.StreamConfig{})
		if err := s.Begin(b.Context(), forebay.Position{}); err != nil {
			b.Fatal(err)
		}
		for {
			batch.Reset(forebay.Split{}, dec.Schema.Len())
			if err := s.Read(b.Context(), batch); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			rows += batch.Len()
		}
	}
	if rows != 27_004 {
		b.Fatal(rows)
	}
	b.ReportMetric(float64(cpu()-begin)/float64(b.N)/float64(rows), "cpu-ns/row")
}

// cpu is the processor time of the process in nanoseconds; wall time says little on a busy machine.
func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
