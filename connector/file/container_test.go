// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/avro"
	"github.com/forebay-io/forebay/codec/parquet"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/file"
)

func TestRowGroupsAreSplitsWhereTheOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rows, _ := conformanceParquet(t, 3000)
	write(t, dir, "a.parquet", string(rows))
	empty, _ := conformanceParquet(t, 0)
	write(t, dir, "b.parquet", string(empty))
	s := file.Source{Path: dir, Format: parquet.Format{}}
	first := start(t, s, forebay.SourceContext{})
	want := []string{"a.parquet#rg0", "a.parquet#rg1", "a.parquet#rg2", "b.parquet"}
	if got := ids(splits(t, first)); !slices.Equal(got, want) {
		t.Errorf("splits %v, want %v", got, want)
	}
	if n := len(readAll(t, first)); n != 3000 {
		t.Errorf("%d records", n)
	}
	var sizes []int64
	for _, split := range splits(t, first) {
		sizes = append(sizes, split.Size)
	}
	if !slices.Equal(sizes, []int64{1300, 1300, 400, 0}) {
		t.Errorf("sizes %v", sizes)
	}
	ordered := start(t, s, forebay.SourceContext{SplitOrderMatters: true})
	if got := ids(splits(t, ordered)); !slices.Equal(got, []string{"a.parquet", "b.parquet"}) {
		t.Errorf("in order: %v", got)
	}
	if n := len(readAll(t, ordered)); n != 3000 {
		t.Errorf("%d records in order", n)
	}
	// A file that was written again has another footer, also where its beginning and size are the same.
	other := append([]byte(nil), rows...)
	foot := bytes.LastIndex(other, []byte("forebay"))
	other[foot] = 'F'
	write(t, dir, "a.parquet", string(other))
	again := start(t, s, forebay.SourceContext{Memory: first.Memory()})
	if splits(t, again)[0].Fingerprint == splits(t, first)[0].Fingerprint {
		t.Error("a file with another footer has the same fingerprint")
	}
	write(t, dir, "a.parquet", string(rows)+"PAR1")
	_, err := s.Start(t.Context(), forebay.SourceContext{Memory: first.Memory()})
	if err == nil || !strings.Contains(err.Error(), "file-changed") {
		t.Errorf("grown: %v", err)
	}
	_, err = s.Start(t.Context(), forebay.SourceContext{})
	if err == nil || !strings.Contains(err.Error(), "file-corrupt") || !strings.Contains(err.Error(), "a.parquet") {
		t.Errorf("damaged: %v", err)
	}
	s.Compression = "gzip"
	if _, err := s.Info(); err == nil || !strings.Contains(err.Error(), "compression") {
		t.Errorf("compressed: %v", err)
	}
	s.Compression, s.Path = "", write(t, dir, "c.parquet.gz", gzipOf(t, string(rows)))
	_, err = s.Start(t.Context(), forebay.SourceContext{})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("compressed: %v", err)
	}
}

// TestADamagedRowGroupStopsBehindTheRowsBeforeIt names the file and the row group.
func TestADamagedRowGroupStopsBehindTheRowsBeforeIt(t *testing.T) {
	t.Parallel()
	rows, _ := conformanceParquet(t, 3000)
	rows[len(rows)/2] ^= 0x55
	s := file.Source{Path: write(t, t.TempDir(), "a.parquet", string(rows)), Format: parquet.Format{}}
	f := start(t, s, forebay.SourceContext{SplitOrderMatters: true})
	read, err := readSplit(f, splits(t, f)[0], never)
	if forebay.ClassOf(err) != forebay.ClassCorrupt || !strings.Contains(err.Error(), "a.parquet, row group 1") {
		t.Errorf("got %v", err)
	}
	if len(read) < 1300 {
		t.Errorf("%d records before it", len(read))
	}
}

func TestFilesWithBlocksInABucket(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	rows, rejects := conformanceParquet(t, 3000)
	packed, err := os.ReadFile("../../codec/avro/testdata/snappy.avro")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source           file.Source
		records, rejects int
	}{
		"parquet": {
			source: file.Source{
				Path: r.put(t, "a/rows.parquet", string(rows)), Format: parquet.Format{}, MaxRecord: 1000,
			},
			records: 3000 - rejects, rejects: rejects,
		},
		"avro": {source: file.Source{Path: r.put(t, "b/rows.avro", string(packed)), Format: avro.Format{}}, records: 40},
	} {
		c.source.S3 = r.config
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source:  func(connectortest.T) forebay.Source { return c.source },
				Context: forebay.SourceContext{NeedsRows: true, Lanes: 2},
				Claims:  connectortest.SourceClaims{Bounded: true, Replayable: true, Typed: true},
				Records: c.records, Rejects: c.rejects,
			})
		})
	}
}

// storedRows reads the published parts of a suite's records, a list for each.
func storedRows(t connectortest.T, dir string) (lists [][]connectortest.Stored, err error) {
	t.Helper()
	for _, path := range published(t, dir) {
		var list []connectortest.Stored
		s := file.Source{Path: path, Format: parquet.Format{}}
		f, err := s.Start(context.Background(), forebay.SourceContext{SplitOrderMatters: true})
		if err != nil {
			return nil, err
		}
		split, err := f.Splits(context.Background())
		if err != nil {
			return nil, err
		}
		r, err := f.Open(context.Background(), split[0], forebay.Position{})
		if err != nil {
			return nil, err
		}
		b := forebay.NewBatch()
		for {
			b.Reset(split[0], f.Schema().Len())
			if err := r.Read(context.Background(), b); err != nil || b.Len() == 0 {
				break
			}
			for i := range b.Len() {
				row := b.Row(i)
				list = append(list, connectortest.Stored{ID: row.Cell(0).Int(), Text: string(row.Cell(1).Bytes(b.Slab()))})
			}
		}
		if err := r.Close(); err != nil {
			return nil, fmt.Errorf("close %s: %w", path, err)
		}
		lists = append(lists, list)
	}
	return lists, nil
}

func TestParquetSinkConformance(t *testing.T) {
	t.Parallel()
	connectortest.RunSink(t, connectortest.SinkHarness{
		Claims: connectortest.SinkClaims{Streams: true, Rows: true, TwoPhase: true, Fences: true},
		New: func(t connectortest.T) connectortest.System {
			dir := t.TempDir()
			return connectortest.System{
				Sink: file.Sink{Path: dir, Format: parquet.Format{}},
				Read: func(context.Context) ([][]connectortest.Stored, error) {
					return storedRows(t, dir)
				},
			}
		},
	})
}
