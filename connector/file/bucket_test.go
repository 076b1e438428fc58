// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/test/servers/s3"
)

// remote is a bucket on a real server.
type remote struct {
	server *s3.Server
	config *object.Config
	bucket *object.Bucket
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	r := &remote{server: s3.Start(t)}
	r.server.Bucket(t, "data")
	r.config = &object.Config{
		Endpoint: r.server.URL(), AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Timeout: 5 * time.Second,
	}
	b, err := object.Open(t.Context(), "data", *r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.bucket = b
	t.Cleanup(func() { _ = b.Close() })
	return r
}

// put makes an object, and returns its address.
func (r *remote) put(t *testing.T, key, content string) string {
	t.Helper()
	if err := r.bucket.Put(t.Context(), key, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return object.URL("data", key)
}

func TestConformanceInABucket(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	rows, rejects := conformanceCSV(5000)
	lines := conformanceLines(4000)
	good, values := 5000-rejects, bytes.Split(lines, []byte("\n"))
	text := string(rows)
	for name, c := range map[string]struct {
		source           file.Source
		records, rejects int
		values           [][]byte
	}{
		"csv": {
			source:  file.Source{Path: r.put(t, "a/rows.csv", text), Format: csv.Format{}},
			records: good, rejects: rejects,
		},
		"gzip": {
			source:  file.Source{Path: r.put(t, "b/rows.csv.gz", gzipOf(t, text)), Format: csv.Format{}},
			records: good, rejects: rejects,
		},
		"zstd": {
			source:  file.Source{Path: r.put(t, "c/rows", zstdOf(t, text)), Format: csv.Format{}},
			records: good, rejects: rejects,
		},
		"ranges": {
			source: file.Source{
				Path: r.put(t, "d/lines.txt", string(lines)), Format: raw.Format{}, Range: 64 * forebay.KiB,
			},
			records: 4000, values: values,
		},
	} {
		c.source.S3 = r.config
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source:  func(connectortest.T) forebay.Source { return c.source },
				Context: forebay.SourceContext{NeedsRows: c.values == nil, Lanes: 2},
				Claims:  connectortest.SourceClaims{Bounded: true, Replayable: true, Typed: true},
				Records: c.records, Rejects: c.rejects, Values: c.values,
			})
		})
	}
}

func TestPathsInABucketMeanWhatLocalOnesDo(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	for _, key := range []string{
		"in/b.csv", "in/a.csv", "in/.hidden.csv", "in/_temporary", "in/deep/c.csv", "in/x[1].csv", "in2/d.csv", "top.csv",
	} {
		r.put(t, key, "id\n1\n")
	}
	for path, want := range map[string][]string{
		"in":          {"in/a.csv", "in/b.csv", "in/x[1].csv"},
		"in/":         {"in/a.csv", "in/b.csv", "in/x[1].csv"},
		"":            {"top.csv"},
		"in/a.csv":    {"in/a.csv"},
		"in/*.csv":    {"in/a.csv", "in/b.csv", "in/x[1].csv"},
		"in*/*.csv":   {"in/a.csv", "in/b.csv", "in/x[1].csv", "in2/d.csv"},
		"in/.*.csv":   {"in/.hidden.csv"},
		"in/[ab].csv": {"in/a.csv", "in/b.csv"},
		"in/x[1].csv": {"in/x[1].csv"}, // it exists
		"in/x\\[*":    {"in/x[1].csv"},
		"*/deep/?.*":  {"in/deep/c.csv"},
	} {
		f := start(t, file.Source{Path: "s3://data/" + path, S3: r.config, Format: csv.Format{}}, forebay.SourceContext{})
		var got []string
		for _, split := range splits(t, f) {
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(split.ID, "s3://data/"), "#0"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", path, diff)
		}
	}
	for path, code := range map[string]string{
		"s3://data/nothing": "no-match", "s3://data/in/*.gz": "no-match", "s3://data/in/[": "no-match",
		"s3://other/in": object.CodeNoBucket,
	} {
		s := file.Source{Path: path, S3: r.config, Format: csv.Format{}}
		_, err := s.Start(t.Context(), forebay.SourceContext{})
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(err.Error(), "("+code+")") {
			t.Errorf("%s: %v, want code %s", path, err, code)
		}
	}
}

func TestChangedObjectIsRefused(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	text := "id\n1\n2\n"
	packed := gzipOf(t, text)
	s := file.Source{Path: "s3://data/in", S3: r.config, Format: csv.Format{}}
	r.put(t, "in/a", packed) // what it is, only its beginning says
	r.put(t, "in/b.csv", text)
	first := start(t, s, forebay.SourceContext{})
	want := readAll(t, first)
	memory := forebay.SourceContext{Memory: first.Memory()}
	again := start(t, s, memory)
	if diff := cmp.Diff(want, readAll(t, again)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(splits(t, first), splits(t, again)); diff != "" {
		t.Fatal(diff)
	}
	r.put(t, "in/b.csv", text+"3\n")
	_, err := readSplit(again, splits(t, again)[1], never)
	if err == nil || !strings.Contains(err.Error(), "(file-changed)") {
		t.Errorf("an object that changed after the start: %v", err)
	}
	if _, err := s.Start(t.Context(), memory); err == nil || !strings.Contains(err.Error(), "(file-changed)") {
		t.Errorf("an object that changed between two runs: %v", err)
	}
	r.put(t, "in/b.csv", text)
	if diff := cmp.Diff(want, readAll(t, start(t, s, memory))); diff != "" {
		t.Error(diff)
	}
}

// TestKilledServerIsReadOn kills the server between reads, and starts it again while the next one waits.
func TestKilledServerIsReadOn(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	lines := strings.Repeat(`{"a":"`+strings.Repeat("x", 100)+`"}`+"\n", 20_000)
	r.put(t, "in/a.ndjson", lines)
	r.put(t, "in/b.ndjson.gz", gzipOf(t, lines))
	s := file.Source{Path: "s3://data/in", S3: r.config, Format: ndjson.Format{}}
	f := start(t, s, forebay.SourceContext{})
	for _, split := range splits(t, f) {
		reads := 0
		items, err := readSplit(f, split, func() bool {
			if reads++; reads%3 == 1 && reads < 9 {
				r.server.Restart(t)
			}
			return reads%2 == 0
		})
		if err != nil || len(items) != 20_000 {
			t.Errorf("%s: %d records: %v", split.ID, len(items), err)
		}
	}
}

func TestSettingsOfABucketAreChecked(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]file.Source{
		"belongs to a path in a bucket": {Path: "x.csv", S3: &object.Config{}},
		"is not the address":            {Path: "s3://"},
		"secret_key":                    {Path: "s3://b/k", S3: &object.Config{AccessKey: "a"}},
		"is not a URL":                  {Path: "s3://b/k", S3: &object.Config{Endpoint: "minio:9000"}},
	} {
		s.Format = csv.Format{}
		if _, err := s.Info(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}
