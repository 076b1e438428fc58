// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// bucketRow is a batch of one row.
func bucketRow(t *testing.T, carrier any, at time.Time) *forebay.Batch {
	t.Helper()
	schema := forebay.MustSchema(
		forebay.Column{Name: "carrier", Type: forebay.String}, forebay.Column{Name: "n", Type: forebay.Int64},
		forebay.Column{Name: "at", Type: forebay.Timestamp}, forebay.Column{Name: "day", Type: forebay.Date},
		forebay.Column{Name: "raw", Type: forebay.Binary})
	row := forebay.NewRow(schema)
	for name, value := range map[string]any{"carrier": carrier, "n": int64(-7), "at": at, "day": at} {
		if err := row.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := row.Batch()
	b.Record(0).Time = at.UnixMicro()
	return b
}

func TestBucketOfARecord(t *testing.T) {
	t.Parallel()
	at := time.Date(2013, 7, 4, 23, 5, 9, 999_999_000, time.UTC)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		pattern string
		carrier any
		want    string
	}{
		"nothing":                {"", "UA", ""},
		"a column":               {"{carrier}", "UA", "UA"},
		"columns and text":       {"c={carrier}/n={n}/x", "UA", "c=UA/n=-7/x"},
		"null":                   {"{carrier}", nil, "__null__"},
		"empty":                  {"{carrier}", "", "__empty__"},
		"a value that says null": {"{carrier}", "__null__", "%5F_null__"},
		"a path":                 {"{carrier}/x", "../../etc/a", "%2E.%2F..%2Fetc%2Fa/x"},
		"our own folder":         {"{carrier}", "_forebay", "%5Fforebay"},
		"a percent sign":         {"{carrier}", "a%2F", "a%252F"},
		"a line break":           {"{carrier}", "a\nb\x00", "a%0Ab%00"},
		"other letters":          {"{carrier}", "\u00e4\u4e2d", "\u00e4\u4e2d"},
		"a time of a column":     {"{at:%Y/%m/%d/%H}", "", "2013/07/04/23"},
		"a date":                 {"{day:%Y-%j}", "", "2013-185"},
		"a timestamp as it is":   {"{at}", "", "2013-07-04T23%3A05%3A09.999999Z"},
		"the event time":         {"dt={@event:%Y-%m-%dT%H-%M-%S}", "", "dt=2013-07-04T23-05-09"},
		"the processing time":    {"{@processing:%Y%m%d}", "", "20260102"},
		"braces":                 {"{{a}}", "", "{a}"},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b := bucketRow(t, c.carrier, at)
		buckets, err := p.bucketer(b.Layout())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for range 2 { // the second time with what was remembered
			got, err := buckets.append([]byte("+"), b, 0, now)
			if err != nil || string(got) != "+"+c.want {
				t.Errorf("%s: the bucket is %q (%v), want %q", name, got, err, "+"+c.want)
			}
		}
	}
}

func TestRecordWithoutEventTimeHasABucket(t *testing.T) {
	t.Parallel()
	p, err := ParsePattern("{@event:%Y}")
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 0)
	b.Record(b.Append(0, []byte("x"))).Time = forebay.NoTime
	buckets, err := p.bucketer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := buckets.append(nil, b, 0, time.Time{}); err != nil || string(got) != "__null__" {
		t.Errorf("the bucket is %q (%v)", got, err)
	}
}

func TestBucketThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	p, err := ParsePattern("a/{carrier}")
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]bool{255: true, 256: false, 4000: false} {
		b := bucketRow(t, strings.Repeat("x", size), time.Unix(0, 0))
		buckets, err := p.bucketer(b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		_, err = buckets.append(nil, b, 0, time.Time{})
		if (err == nil) != want || err != nil && forebay.ClassOf(err) != forebay.ClassRejected {
			t.Errorf("a folder of %d bytes: %v, want accepted: %v", size, err, want)
		}
	}
}

func TestWrongPatternsAreRefused(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"{a": "not closed", "a}": "closes nothing", "{}": "no column", "/a": "slash", "a/": "slash", "a//b": "slash",
		"../a": "pass over", "_forebay/x": "pass over", "a/.b": "pass over", "{@now:%Y}": "neither", "{@event}": "format",
		"{a:x}": "none of the characters", "{a:}": "no part of a time", "{a:%q}": "none of", "{a:%": "not closed",
		"{a:%Y%}": "ends in", "a\\b": "cannot be part", "{a:/%Y}": "empty",
	} {
		if _, err := ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}

func TestPatternIsHeldAgainstTheSchema(t *testing.T) {
	t.Parallel()
	schema := bucketRow(t, "", time.Unix(0, 0)).Layout().Schema
	for pattern, want := range map[string]string{
		"{carier}": "did you mean {carrier}?", "{raw}": "names no folder", "{n:%Y}": "no time",
	} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(schema); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
		if err := p.Check(nil); err == nil || !strings.Contains(err.Error(), "typed rows") {
			t.Errorf("%s without rows: %v", pattern, err)
		}
	}
}

// The name of a folder gives the value back, so different values never share one.
func TestEscapingIsReversible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 20),
			rapid.Map(rapid.StringMatching(`[_.%/a=-]{0,12}`), func(s string) []byte { return []byte(s) })).Draw(t, "value")
		name := string(appendEscaped(nil, value))
		if strings.ContainsAny(name, "/\\\x00\n") || name == "" || name[0] == '.' {
			t.Fatalf("%q became %q", value, name)
		}
		if len(value) == 0 {
			if name != emptyFolder {
				t.Fatalf("empty became %q", name)
			}
			return
		}
		if name == emptyFolder || name == nullFolder {
			t.Fatalf("%q became %q", value, name)
		}
		back, err := url.PathUnescape(name)
		if err != nil || !bytes.Equal([]byte(back), value) {
			t.Fatalf("%q became %q, which says %q (%v)", value, name, back, err)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"{a}/x={@event:%Y-%m}", "{{}}", "{a:%Y/%H}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePattern(text)
		if err != nil || p.NeedsRows() {
			return
		}
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, 0)
		b.Append(0, nil)
		buckets, err := p.bucketer(nil)
		if err != nil {
			t.Fatal(err)
		}
		bucket, err := buckets.append(nil, b, 0, time.Unix(0, 0))
		if err != nil || len(bucket) == 0 {
			return
		}
		for folder := range strings.SplitSeq(string(bucket), "/") {
			if folder == "" || folder[0] == '.' || folder == homeFolder {
				t.Fatalf("%q leads to %q", text, bucket)
			}
		}
	})
}
