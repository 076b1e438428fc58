// SPDX-License-Identifier: Apache-2.0

package part

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/raw"
)

// cpuSeconds is the processor time of this process, the kernel's share included.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
}

// typedBatch is a batch of rows of about 200 bytes as JSON.
func typedBatch(b *testing.B) *forebay.Batch {
	b.Helper()
	schema := forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "carrier", Type: forebay.String},
		forebay.Column{Name: "at", Type: forebay.Timestamp}, forebay.Column{Name: "delay", Type: forebay.Float64},
		forebay.Column{Name: "text", Type: forebay.String})
	batch := forebay.NewBatch()
	batch.Reset(forebay.Split{ID: "s"}, schema.Len())
	batch.SetLayout(forebay.NewLayout(schema))
	text := strings.Repeat("words ", 15)
	for i := range forebay.BatchRecordsMax {
		cells := batch.Cells(batch.Append(int64(i), nil))
		cells[0] = forebay.Int64Cell(int64(i) * 7_777_777)
		cells[1] = forebay.SpanCell(forebay.KindString, batch.AppendText("UA"), 2)
		cells[2] = forebay.TimestampCell(1_700_000_000_000_000 + int64(i)*1_000_003)
		cells[3] = forebay.Float64Cell(float64(i) / 8)
		cells[4] = forebay.SpanCell(forebay.KindString, batch.AppendText(text), len(text))
	}
	return batch
}

func BenchmarkLane(b *testing.B) {
	bytesOnly := forebay.NewBatch()
	bytesOnly.Reset(forebay.Split{ID: "s"}, 0)
	for i := range forebay.BatchRecordsMax {
		bytesOnly.Append(int64(i), []byte(strings.Repeat("words ", 33)))
	}
	rows := typedBatch(b)
	for _, c := range []struct {
		name        string
		format      codec.Writable
		compression Compression
		batch       *forebay.Batch
		bucket      string
	}{
		{"format=raw/compression=none/buckets=1", raw.Format{}, None, bytesOnly, ""},
		{"format=ndjson/compression=none/buckets=1", ndjson.Format{}, None, rows, ""},
		{"format=ndjson/compression=none/buckets=1024", ndjson.Format{}, None, rows, "id={id}"},
		{"format=csv/compression=none/buckets=1", csv.Format{}, None, rows, ""},
		{"format=ndjson/compression=gzip/buckets=1", ndjson.Format{}, Gzip, rows, ""},
		{"format=ndjson/compression=zstd/buckets=1", ndjson.Format{}, Zstd, rows, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			encoding, err := c.format.Encoding(c.batch.Layout())
			if err != nil {
				b.Fatal(err)
			}
			size := 0
			for i := range c.batch.Len() {
				line, err := encoding.Append(nil, c.batch, i)
				if err != nil {
					b.Fatal(err)
				}
				size += len(line)
			}
			pattern, err := ParsePattern(c.bucket)
			if err != nil {
				b.Fatal(err)
			}
			config := Config{Format: c.format, Compression: c.compression, Bucket: pattern, Roll: never(forebay.Unlimited)}
			f := openFixture(b, config, osDisk{}, forebay.LaneContext{Layout: c.batch.Layout()})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			start, written := cpuSeconds(b), 0
			for b.Loop() {
				f.write(b, c.batch)
				if written += size; written%(256<<20) < size {
					f.barrier(b, true)
					b.StopTimer()
					names, err := filepath.Glob(filepath.Join(f.base, "part-*"))
					for _, name := range names {
						err = osDisk{}.Remove(name)
					}
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
			f.barrier(b, true)
			b.ReportMetric(float64(written)/1e6/(cpuSeconds(b)-start), "MB/cpu-s")
		})
	}
}
