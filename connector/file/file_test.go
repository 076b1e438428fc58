// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/file"
)

func write(tb testing.TB, dir, name, content string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func start(tb testing.TB, s file.Source, env forebay.SourceContext) forebay.Feed {
	tb.Helper()
	f, err := s.Start(tb.Context(), env)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

func splits(tb testing.TB, f forebay.Feed) []forebay.Split {
	tb.Helper()
	s, err := f.Splits(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func ids(splits []forebay.Split) (out []string) {
	for _, s := range splits {
		out = append(out, filepath.Base(s.ID))
	}
	return out
}

// item is a record or a reject, as what it is and where it was.
type item struct {
	Offset int64
	Text   string
}

// readSplit reads a split to its end, opened anew after each batch for which reopen says so.
func readSplit(f forebay.Feed, split forebay.Split, reopen func() bool) (items []item, err error) {
	return readInto(forebay.NewBatch(), f, split, reopen)
}

// readInto is readSplit with a batch that is used again: a new one for each tiny range costs most of a test.
func readInto(b *forebay.Batch, f forebay.Feed, split forebay.Split, reopen func() bool) (items []item, err error) {
	at := forebay.Position{}
	ctx := context.Background()
	r, err := f.Open(ctx, split, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	width := 0
	if f.Schema() != nil {
		width = f.Schema().Len()
	}
	for {
		b.Reset(split, width)
		if err := r.Read(ctx, b); errors.Is(err, io.EOF) {
			if !b.Position().Finished || b.Len() > 0 {
				return nil, fmt.Errorf("the end came with %d records at %v", b.Len(), b.Position())
			}
			return items, nil
		} else if err != nil {
			return items, err
		}
		items = append(items, itemsOf(b)...)
		if at = b.Position(); reopen() {
			if err := r.Close(); err != nil {
				return nil, err
			}
			if r, err = f.Open(ctx, split, at); err != nil {
				return nil, err
			}
		}
	}
}

func itemsOf(b *forebay.Batch) (items []item) {
	for i, value := range b.All() {
		items = append(items, item{b.Record(i).Offset, string(value)})
	}
	for _, r := range b.Rejects() {
		items = append(items, item{r.Offset, r.Place + " " + r.Code + " " + string(r.Value)})
	}
	slices.SortStableFunc(items, func(a, b item) int { return int(a.Offset - b.Offset) })
	return items
}

func never() bool { return false }

func readAll(tb testing.TB, f forebay.Feed) (items []item) {
	tb.Helper()
	b := forebay.NewBatch()
	for _, split := range splits(tb, f) {
		more, err := readInto(b, f, split, never)
		if err != nil {
			tb.Fatal(err)
		}
		items = append(items, more...)
	}
	return items
}

func gzipOf(tb testing.TB, text string) string {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

func zstdOf(tb testing.TB, text string) string {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

var no = false

// TestRangesHoldEachRecordOnce draws files and grids, tiny ones too: the ranges together give what the file
// as one split gives, in order (F3), also when opened anew at each batch (F1), and with the same places.
func TestRangesHoldEachRecordOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	formats := map[string]codec.Format{
		"csv": csv.Format{Multiline: &no}, "ndjson": ndjson.Format{}, "raw": raw.Format{},
		"zero": raw.Format{Delimiter: `\0`},
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"csv", "ndjson", "raw", "zero"}).Draw(rt, "format")
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{
			"1,x", "22,\"y\"", "", "3,z,wrong", "\"4", "{\"a\":1}", "{}", "{\"a\":", strings.Repeat("5,long", 30), "\r", "\x00",
		}), 0, 30).Draw(rt, "lines")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "line end")
		text := "a,b" + end + strings.Join(lines, end)
		if rapid.Bool().Draw(rt, "final line break") {
			text += end
		}
		path := write(t, dir, "data", text)
		s := file.Source{Path: path, Format: formats[name], Order: "none", MaxRecord: 100}
		whole := s
		whole.Order = "file"
		ordered := start(t, whole, forebay.SourceContext{SplitOrderMatters: true})
		want := readAll(t, ordered)
		s.Range = forebay.Bytes(rapid.IntRange(1, 100).Draw(rt, "range"))
		f := start(t, s, forebay.SourceContext{SplitOrderMatters: true})
		if n := (len(text) + int(s.Range) - 1) / int(s.Range); len(splits(t, f)) != n {
			rt.Fatalf("%d splits of %d bytes with ranges of %d", len(splits(t, f)), len(text), s.Range)
		}
		if diff := cmp.Diff(want, readAll(t, f)); diff != "" {
			rt.Fatalf("ranges of %d, %q (-whole +ranges):\n%s", s.Range, text, diff)
		}
		var again []item
		b := forebay.NewBatch()
		for _, split := range splits(t, f) {
			more, err := readInto(b, f, split, func() bool { return true })
			if err != nil {
				rt.Fatal(err)
			}
			again = append(again, more...)
		}
		if diff := cmp.Diff(want, again); diff != "" {
			rt.Fatalf("ranges of %d, opened anew (-whole +ranges):\n%s", s.Range, diff)
		}
	})
}

// TestPositionsGiveTheSameRecords opens a split anew at batches drawn at random (F1), plain and compressed; the
// offsets are the same each time (B1).
func TestPositionsGiveTheSameRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("\xef\xbb\xbfid,name\r\n")
	for i := range 4000 {
		switch i % 97 {
		case 5:
			fmt.Fprintf(&text, "%d,\"two\nlines, \"\"%d\"\"\"\n", i, i)
		case 50:
			fmt.Fprintf(&text, "%d,wrong,%d\n\n", i, i)
		case 60:
			fmt.Fprintf(&text, "%d,%s\n", i, strings.Repeat("long", i%300))
		default:
			fmt.Fprintf(&text, "%d,name %d\n", i, i)
		}
	}
	content := text.String()
	write(t, dir, "plain.csv", content)
	write(t, dir, "members.csv.gz", gzipOf(t, content[:50_000])+gzipOf(t, content[50_000:]))
	write(t, dir, "z.csv.zst", zstdOf(t, content))
	var want []item
	for _, name := range []string{"plain.csv", "members.csv.gz", "z.csv.zst"} {
		f := start(t, file.Source{Path: filepath.Join(dir, name), Format: csv.Format{}}, forebay.SourceContext{})
		split := splits(t, f)[0]
		got := readAll(t, f)
		for i := range got {
			got[i].Text = strings.ReplaceAll(got[i].Text, name, "plain.csv")
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) != 4000 {
			t.Fatalf("%s has %d records (-plain +got):\n%s", name, len(got), diff)
		}
		for seed := range uint64(3) {
			random := rand.New(rand.NewPCG(seed, 0))
			again, err := readSplit(f, split, func() bool { return random.IntN(3) > 0 })
			if err != nil {
				t.Fatal(err)
			}
			for i := range again {
				again[i].Text = strings.ReplaceAll(again[i].Text, name, "plain.csv")
			}
			if diff := cmp.Diff(want, again); diff != "" {
				t.Fatalf("%s, seed %d (-want +got):\n%s", name, seed, diff)
			}
		}
	}
}

func TestRejectsNameFileLineAndColumn(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "x.csv", "a,b\n1,x\n2,y\nz,y\n4,y\n5\n")
	s := file.Source{
		Path: path, Range: 7,
		Format: csv.Format{Multiline: &no, Schema: codec.Schema{{Name: "a", Type: "int64"}, {Name: "b", Type: "string"}}},
	}
	f := start(t, s, forebay.SourceContext{})
	var places []string
	for _, split := range splits(t, f) {
		r, err := f.Open(t.Context(), split, forebay.Position{})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		b.Reset(split, 2)
		if err := r.Read(t.Context(), b); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, reject := range b.Rejects() {
			places = append(places, fmt.Sprint(reject.Place, reject.Origin, reject.Stage, string(reject.Value)))
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
	}
	id := filepath.ToSlash(path)
	want := []string{
		fmt.Sprintf("%s:4:1{%s#1 12 0}sourcez,y", id, id), fmt.Sprintf("%s:6:2{%s#2 20 0}source5", id, id),
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPathsThatMatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b.ndjson", "a.ndjson", ".hidden.ndjson", "_tmp.ndjson", "c.txt", "x[1].ndjson"} {
		write(t, dir, name, "{}\n")
	}
	if err := os.Mkdir(filepath.Join(dir, "d.ndjson"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		want []string
	}{
		{"a.ndjson", []string{"a.ndjson#0"}},
		{".", []string{"a.ndjson#0", "b.ndjson#0", "c.txt#0", "x[1].ndjson#0"}},
		{"*.ndjson", []string{"_tmp.ndjson#0", "a.ndjson#0", "b.ndjson#0", "x[1].ndjson#0"}},
		{"[ab].*", []string{"a.ndjson#0", "b.ndjson#0"}},
		{"x[1].ndjson", []string{"x[1].ndjson#0"}},
		{".h*", []string{".hidden.ndjson#0"}},
	} {
		f := start(t, file.Source{Path: filepath.Join(dir, test.path), Format: ndjson.Format{}}, forebay.SourceContext{})
		if diff := cmp.Diff(test.want, ids(splits(t, f))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.path, diff)
		}
	}
	for path, want := range map[string]string{
		"nothing.csv": "does not exist", "*.csv": "matches nothing", "d.ndjson": "has no files", "[": "does not " +
			"exist|not a pattern",
	} {
		s := file.Source{Path: filepath.Join(dir, path), Format: ndjson.Format{}}
		_, err := s.Start(t.Context(), forebay.SourceContext{})
		found := err != nil && slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool {
			return strings.Contains(err.Error(), w)
		})
		if !found || forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(err.Error(), "no-match") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLaterRunsKeepTheGridAndRefuseChangedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := strings.Repeat("{\"a\":1}\n", 100)
	write(t, dir, "a.ndjson", content)
	write(t, dir, "z.gz", gzipOf(t, content))
	s := file.Source{Path: dir, Format: ndjson.Format{}, Range: 500}
	first := start(t, s, forebay.SourceContext{})
	if got := ids(splits(t, first)); !slices.Equal(got, []string{"a.ndjson#0", "a.ndjson#1", "z.gz"}) {
		t.Fatal(got)
	}
	memory := first.Memory()
	s.Range = 100
	write(t, dir, "b.ndjson", content)
	write(t, dir, "a.ndjson", content+content) // what was added is not read
	second := start(t, s, forebay.SourceContext{Memory: memory})
	want := []string{"a.ndjson#0", "a.ndjson#1", "b.ndjson#0", "b.ndjson#1", "z.gz"}
	if got := ids(splits(t, second)); !slices.Equal(got, want) {
		t.Errorf("with the stored grid: %v", got)
	}
	if n := len(readAll(t, second)); n != 300 {
		t.Errorf("%d records, want the 300 of three files", n)
	}
	refused := func(what, want string, env forebay.SourceContext) {
		t.Helper()
		env.Memory = memory
		_, err := s.Start(t.Context(), env)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	refused("order", "ranges-not-allowed", forebay.SourceContext{SplitOrderMatters: true})
	write(t, dir, "a.ndjson", content[:400])
	refused("shrunk", "file-changed", forebay.SourceContext{})
	write(t, dir, "a.ndjson", "x"+content)
	refused("begins differently", "file-changed", forebay.SourceContext{})
	write(t, dir, "a.ndjson", content)
	write(t, dir, "z.gz", gzipOf(t, content)+gzipOf(t, content))
	refused("compressed and grown", "file-changed", forebay.SourceContext{})
}

func TestAFileThatShrinksWhileItIsReadStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "a.ndjson", strings.Repeat("{\"a\":1}\n", 100_000))
	f := start(t, file.Source{Path: path, Format: ndjson.Format{}}, forebay.SourceContext{SplitOrderMatters: true})
	split := splits(t, f)[0]
	if err := os.Truncate(path, 400_000); err != nil {
		t.Fatal(err)
	}
	_, err := readSplit(f, split, never)
	if err == nil || !strings.Contains(err.Error(), "file-changed") {
		t.Errorf("read on: %v", err)
	}
	_, err = f.Open(t.Context(), split, forebay.Position{Offset: 500_000})
	if err == nil || !strings.Contains(err.Error(), "file-changed") {
		t.Errorf("opened behind the end: %v", err)
	}
}

func TestDamagedCompressedFilesNeverEndSilently(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := strings.Repeat("{\"a\":12345}\n", 30_000)
	for name, packed := range map[string]string{"x.gz": gzipOf(t, content), "x.zst": zstdOf(t, content)} {
		for _, test := range []struct{ name, content, want string }{
			{"empty", "", "file-truncated"},
			{"cut", packed[:len(packed)-5], "file-truncated"},
			{"cut in the middle", packed[:len(packed)/2], "file-truncated"},
			{"no such thing", content, "file-corrupt"},
			{"something behind", packed + "trailing garbage", "file-"},
			{"a changed byte", packed[:len(packed)/2] + "\xff\x00\xff\x00" + packed[len(packed)/2+4:], "file-"},
		} {
			if name == "x.zst" && test.name == "empty" {
				continue // zero frames are a valid zstd file
			}
			path := write(t, dir, name, test.content)
			f, err := file.Source{Path: path, Format: ndjson.Format{}}.Start(t.Context(), forebay.SourceContext{})
			if err == nil {
				_, err = readSplit(f, splits(t, f)[0], never)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || forebay.ClassOf(err) != forebay.ClassCorrupt ||
				!strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: %v", name, test.name, err)
			}
		}
	}
}

func TestCompressionGoesByNameThenBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.GZ": gzipOf(t, "{}\n{}\n"), "b": gzipOf(t, "{}\n{}\n"), "c": zstdOf(t, "{}\n{}\n"), "d": "{}\n{}\n", "e": "",
	} {
		path := write(t, dir, name, content)
		f := start(t, file.Source{Path: path, Format: ndjson.Format{}}, forebay.SourceContext{})
		if n := len(readAll(t, f)); n != 2 && name != "e" {
			t.Errorf("%s: %d records", name, n)
		}
	}
	path := write(t, dir, "forced", gzipOf(t, "{}\n"))
	f := start(t, file.Source{Path: path, Format: raw.Format{}, Compression: "none"}, forebay.SourceContext{})
	if got := readAll(t, f); !strings.HasPrefix(got[0].Text, "\x1f\x8b") {
		t.Errorf("compression: none unpacked it: %v", got)
	}
}

func TestInfoListsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := file.Source{
		Compression: "rar", Mode: "twice", Order: "up", Range: -1, MaxRecord: 2 * forebay.GiB,
		Format: csv.Format{Delimiter: "ab"},
	}.Info()
	for _, want := range []string{"path:", "compression:", "mode:", "order:", "range:", "max_record:", "format: " +
		"delimiter:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	info, err := file.Source{Path: "./x/../y.csv", Format: csv.Format{}}.Info()
	if err != nil || info.Identity[0].Value != "y.csv" || !info.Bounded || !info.Replayable || !info.Typed ||
		len(info.Notes) != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	t.Parallel()
	path := write(t, t.TempDir(), "a", "{}\n")
	f := start(t, file.Source{Path: path, Format: ndjson.Format{}}, forebay.SourceContext{})
	r, err := f.Open(t.Context(), splits(t, f)[0], forebay.Position{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(forebay.ErrStopped)
	if err := r.Read(ctx, forebay.NewBatch()); !errors.Is(err, forebay.ErrStopped) {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestRowsOfAMegabyte reads rows of 1 MB with memory near their size.
func TestRowsOfAMegabyte(t *testing.T) {
	var text strings.Builder
	text.WriteString("id,text\n")
	for i := range 24 {
		fmt.Fprintf(&text, "%d,\"%s\"\n", i, strings.Repeat("a "+strings.Repeat("long ", 200)+"\"\"text\"\" ", 1<<10))
	}
	path := write(t, t.TempDir(), "big.csv", text.String())
	text.Reset()
	f := start(t, file.Source{Path: path, Format: csv.Format{}}, forebay.SourceContext{})
	r, err := f.Open(t.Context(), splits(t, f)[0], forebay.Position{})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b, rows, peak := forebay.NewBatch(), 0, uint64(0)
	for {
		b.Reset(splits(t, f)[0], 2)
		if err := r.Read(t.Context(), b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		rows += b.Len()
		runtime.ReadMemStats(&after)
		peak = max(peak, after.HeapInuse)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if rows != 24 || peak > before.HeapInuse+40<<20 {
		t.Errorf("%d rows, heap %d MB, before %d MB", rows, peak>>20, before.HeapInuse>>20)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 150<<20 {
		t.Errorf("%d MB were allocated for 24 rows of 1 MB", allocated>>20)
	} else {
		t.Logf("peak %d MB, allocated %d MB", peak>>20, allocated>>20)
	}
}
