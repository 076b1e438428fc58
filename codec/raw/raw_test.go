// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

func decode(tb testing.TB, f Format, needsRows bool, in io.Reader) (values, rejects []string) {
	tb.Helper()
	dec, err := f.Start(tb.Context(), codec.Env{NeedsRows: needsRows, MaxRecord: 10})
	if err != nil {
		tb.Fatal(err)
	}
	s := codec.NewStream(in, dec.NewDecoder(), codec.StreamConfig{Name: "x", Eager: true, MaxRecord: 10})
	if err := s.Begin(tb.Context(), forebay.Position{}); err != nil {
		tb.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{}, map[bool]int{true: 1}[needsRows])
		if err := s.Read(tb.Context(), b); errors.Is(err, io.EOF) {
			return values, rejects
		} else if err != nil {
			tb.Fatal(err)
		}
		for i, value := range b.All() {
			values = append(values, string(value))
			if needsRows && b.Row(i).Text("value") != string(value) {
				tb.Errorf("the row of %q has %q", value, b.Row(i).Text("value"))
			}
		}
		for _, r := range b.Rejects() {
			rejects = append(rejects, fmt.Sprintf("%s %s %q", r.Place, r.Code, r.Value))
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		delimiter, text string
		want, wrong     []string
	}{
		{"", "", nil, nil},
		{"", "a\n\nb\r\n\r\nc\r", []string{"a", "", "b", "", "c"}, nil},
		{
			"", "a\n0123456789\r\n01234567890\r\nb\n" + strings.Repeat("y", 50) + "\nc",
			[]string{"a", "0123456789", "b", "c"},
			[]string{`x:3:1 record-too-long "0123456789"`, `x:5:1 record-too-long "yyyyyyyyyy"`},
		},
		{`\0`, "a\nb\x00\x00c\r\n", []string{"a\nb", "", "c\r\n"}, nil},
		{";", "a;b\n;0123456789\n;d", []string{"a", "b\n", "d"}, []string{`x:2:1 record-too-long "0123456789"`}},
	} {
		for _, needsRows := range []bool{false, true} {
			for name, in := range map[string]io.Reader{
				"whole": strings.NewReader(test.text), "bytes": iotest.OneByteReader(strings.NewReader(test.text)),
			} {
				values, rejects := decode(t, Format{Delimiter: test.delimiter}, needsRows, in)
				if diff := cmp.Diff(test.want, values); diff != "" {
					t.Errorf("%q %s: values (-want +got):\n%s", test.text, name, diff)
				}
				if diff := cmp.Diff(test.wrong, rejects); diff != "" {
					t.Errorf("%q %s: rejects (-want +got):\n%s", test.text, name, diff)
				}
			}
		}
	}
	if _, err := (Format{Delimiter: "ab"}).Info(); err == nil {
		t.Error("a delimiter of two characters passes")
	}
}

func BenchmarkLines(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 199)+"\n"), 50_000)
	dec, err := Format{}.Start(b.Context(), codec.Env{})
	if err != nil {
		b.Fatal(err)
	}
	batch := forebay.NewBatch()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s := codec.NewStream(bytes.NewReader(text), dec.NewDecoder(), codec.StreamConfig{})
		if err := s.Begin(b.Context(), forebay.Position{}); err != nil {
			b.Fatal(err)
		}
		records := 0
		for {
			batch.Reset(forebay.Split{}, 0)
			if err := s.Read(b.Context(), batch); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			records += batch.Len()
		}
		if records != 50_000 {
			b.Fatal(records)
		}
	}
	b.ReportMetric(float64(b.N)*50_000/b.Elapsed().Seconds(), "records/s")
}
