// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/parquet"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/file"
)

// published lists the parts that a reader sees below a folder, in the order in which one lane made them.
func published(t connectortest.T, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "_"):
			return fs.SkipDir
		case !d.IsDir():
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list %s: %v", dir, err)
	}
	number := func(path string) int {
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
		if err != nil {
			t.Fatalf("the name %s does not end in a number", path)
		}
		return n
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a, b))
	})
	return paths
}

// content reads a part.
func content(t connectortest.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			var out bytes.Buffer
			_, err = out.ReadFrom(z)
			data = out.Bytes()
		}
	}
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return data
}

func TestSinkConformance(t *testing.T) {
	t.Parallel()
	for name, sink := range map[string]file.Sink{
		"plain": {}, "gzip": {Compression: "gzip"}, "each checkpoint": {Roll: file.Roll{Checkpoint: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSink(t, connectortest.SinkHarness{
				Claims: connectortest.SinkClaims{Streams: true, TwoPhase: true, Fences: true, Holds: !sink.Roll.Checkpoint},
				New: func(t connectortest.T) connectortest.System {
					sink, dir := sink, t.TempDir()
					sink.Path, sink.Format = dir, raw.Format{}
					return connectortest.System{
						Sink: sink,
						Unpublished: func(context.Context) ([]string, error) {
							return filepath.Glob(filepath.Join(dir, "_forebay", "*", "e*", "*"))
						},
						Read: func(context.Context) ([][]connectortest.Stored, error) {
							var lists [][]connectortest.Stored
							for _, path := range published(t, dir) {
								var list []connectortest.Stored
								for line := range bytes.Lines(content(t, path)) {
									s, err := connectortest.ParseLine(strings.TrimSuffix(string(line), "\n"))
									if err != nil {
										return nil, err
									}
									list = append(list, s)
								}
								lists = append(lists, list)
							}
							return lists, nil
						},
					}
				},
			})
		})
	}
}

func TestWrongSinkSettingsAreRefusedTogether(t *testing.T) {
	t.Parallel()
	s := file.Sink{
		Compression: "lz4", Bucket: "{a", Prefix: "_x", Suffix: "a/b", OpenMax: -1, Roll: file.Roll{Size: -1},
	}
	_, err := s.Info()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"path:", "compression:", "bucket:", "prefix:", "suffix:", "roll:", "open_max:", "format:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
}

func TestSinkSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(forebay.Column{Name: "carrier", Type: forebay.String})
	for name, c := range map[string]struct {
		sink  file.Sink
		rows  bool
		wrong string
	}{
		"bytes":              {sink: file.Sink{Format: raw.Format{}}},
		"csv":                {sink: file.Sink{Format: csv.Format{}}, rows: true},
		"bucket of a column": {sink: file.Sink{Bucket: "{carrier}"}, rows: true},
		"bucket of a time":   {sink: file.Sink{Bucket: "{@event:%Y}"}},
		"bucket of nothing":  {sink: file.Sink{Bucket: "{carier}"}, rows: true, wrong: "did you mean {carrier}?"},
		"format of no time":  {sink: file.Sink{Bucket: "{carrier:%Y}"}, rows: true, wrong: "no time"},
	} {
		c.sink.Path = t.TempDir()
		if c.sink.Format == nil {
			c.sink.Format = raw.Format{}
		}
		info, err := c.sink.Info()
		if err != nil || info.NeedsRows != c.rows || info.Way != forebay.WayTwoPhase {
			t.Errorf("%s: needs rows %v, way %d (%v), want %v", name, info.NeedsRows, info.Way, err, c.rows)
			continue
		}
		err = info.Schema(schema)
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: the schema is judged %v, want %q", name, err, c.wrong)
		}
		_, started := c.sink.Start(t.Context(), forebay.SinkContext{Pipeline: "p", Schema: schema})
		if (started != nil) != (err != nil) {
			t.Errorf("%s: start says %v, check %v", name, started, err)
		}
	}
}

func TestBulkFormatIsNotCompressedAgain(t *testing.T) {
	t.Parallel()
	s := file.Sink{Path: t.TempDir(), Format: parquet.Format{}, Compression: "gzip"}
	_, err := s.Info()
	if err == nil || !strings.Contains(err.Error(), "compression: parquet files are compressed inside; leave it out") {
		t.Errorf("parquet with gzip: %v", err)
	}
	s.Compression = "none"
	if _, err := s.Info(); err != nil {
		t.Errorf("parquet with none: %v", err)
	}
}

func TestPathsThatLookLikeAnAddressAreRefused(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"gs://b/x":         `"gs", which is not known; write a path on this machine, or s3://bucket/prefix`,
		"hdfs://n:9000/x":  `"hdfs", which is not known`,
		"http://h/x.csv":   `"http", which is not known`,
		"s3:/b/x":          `did you mean "s3://b/x"?`,
		"S3://b/x":         `did you mean "s3://b/x"?`,
		"s3a://b/x":        `did you mean "s3://b/x"?`,
		"file:///tmp/x":    `did you mean "/tmp/x"?`,
		"s3://b/x":         "",
		"out":              "",
		"/data/a:/b":       "",
		"./gs://b":         "",
		"C:/data":          "",
		"dt=2024-01-01:/x": "",
		"1a:/x":            "",
		"a:b":              "",
	} {
		_, errSink := file.Sink{Path: path, Format: raw.Format{}}.Info()
		_, errSource := file.Source{Path: path, Format: raw.Format{}}.Info()
		for end, err := range map[string]error{"sink": errSink, "source": errSource} {
			if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %s: %v, want %q", end, path, err, want)
			}
		}
	}
}

func TestSinkSaysThatItNeedsTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bucket, late string
		want         bool
	}{
		{"", "", false},
		{"{@processing:%Y}", "", false},
		{"{@event:%Y}", "", true},
		{"", "late", true},
		{"{@processing:%Y}", "late/{@processing:%Y}", true},
	} {
		info, err := file.Sink{Path: "out", Format: raw.Format{}, Bucket: c.bucket, Late: c.late}.Info()
		if err != nil || info.Times != c.want {
			t.Errorf("bucket %q, late %q: needs times %v (%v), want %v", c.bucket, c.late, info.Times, err, c.want)
		}
	}
}
