// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// startTime is when the clock of tests stands at first.
const startTime = 1_700_000_000_000_000

// openOn makes a server on a file system that the test may crash.
func openOn(tb testing.TB, fs vfs.FS, config Config) *Server {
	tb.Helper()
	st, err := store.Open(tb.Context(), store.Config{Dir: "state", FS: fs, FreeSpace: plenty})
	if err != nil {
		tb.Fatal(err)
	}
	if config.Now == nil {
		config.Now = func() int64 { return startTime }
	}
	s, err := New(tb.Context(), st, config)
	if err != nil {
		tb.Fatal(err)
	}
	s.owned = true
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func plenty(string) (int64, error) { return 1 << 40, nil }

func open(tb testing.TB) *Server {
	tb.Helper()
	return openOn(tb, vfs.NewMem(), Config{})
}

// openMem is open for tests that open the directory again.
func openMem(tb testing.TB) (*Server, vfs.FS) {
	tb.Helper()
	fs := vfs.NewMem()
	return openOn(tb, fs, Config{}), fs
}

func logSpec(name string) forebay.TableSpec {
	return forebay.TableSpec{Name: name, Schema: forebay.MustSchema(
		forebay.Column{Name: "n", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String},
	)}
}

func keySpec(name string) forebay.TableSpec {
	spec := logSpec(name)
	spec.Key = []string{"n"}
	return spec
}

// opened is a table with an encoder for rows given as text.
type opened struct {
	t       testing.TB
	handle  *handle
	schema  *forebay.Schema
	encoder forebay.Encoder
	layout  *forebay.Layout
}

func openTable(tb testing.TB, s *Server, spec forebay.TableSpec) *opened {
	tb.Helper()
	target, err := s.OpenTable(tb.Context(), spec)
	if err != nil {
		tb.Fatal(err)
	}
	h := target.(*handle)
	schema := h.table.descriptor.Load().current
	if spec.Schema != nil {
		schema = spec.Schema
	}
	layout := forebay.NewLayout(schema)
	e, err := h.Encoder(layout)
	if err != nil {
		tb.Fatal(err)
	}
	return &opened{t: tb, handle: h, schema: schema, encoder: e, layout: layout}
}

// requests encodes rows of one split, each its columns with commas between, after an optional "-" for delete,
// "^" for upsert or "~" for update.
func (o *opened) requests(split string, rows ...string) []forebay.Request {
	o.t.Helper()
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: split}, o.layout.Width())
	b.SetLayout(o.layout)
	out := map[int]*forebay.Request{}
	var order []int
	for k, text := range rows {
		i := b.AppendSpan(int64(k), 0, 0)
		text, deleted := strings.CutPrefix(text, "-")
		if deleted {
			b.Record(i).Op = forebay.OpDelete
		}
		for mark, op := range map[string]forebay.Op{"^": forebay.OpUpsert, "~": forebay.OpUpdate} {
			if rest, found := strings.CutPrefix(text, mark); found {
				text, b.Record(i).Op = rest, op
			}
		}
		for c, value := range strings.Split(text, ",") {
			if value == "" {
				continue
			}
			start := b.AppendText(value)
			if err := b.Row(i).Set(o.schema.Column(c).Name, nil); err != nil {
				o.t.Fatal(err)
			}
			cell, err := b.ParseCell(o.schema.Column(c).Type, start, len(value), nil)
			if err != nil {
				o.t.Fatal(err)
			}
			b.Row(i).SetCell(c, cell)
		}
		tablet, err := o.encoder.Route(b, i)
		if err != nil {
			o.t.Fatal(err)
		}
		r := out[tablet]
		if r == nil {
			r = &forebay.Request{Table: o.handle.table.name, Tablet: tablet, Data: o.encoder.Open(nil)}
			out[tablet] = r
			order = append(order, tablet)
		}
		r.Data = o.encoder.Append(r.Data)
		r.Records++
	}
	var all []forebay.Request
	for _, tablet := range order {
		r := out[tablet]
		r.Data = o.encoder.Seal(r.Data, r.Records)
		all = append(all, *r)
	}
	return all
}

// one is requests for rows that all go to one tablet.
func (o *opened) one(split string, rows ...string) forebay.Request {
	o.t.Helper()
	all := o.requests(split, rows...)
	if len(all) != 1 {
		o.t.Fatalf("%d requests, want one", len(all))
	}
	return all[0]
}

// commit applies a commit and waits for its answer.
func (o *opened) commit(c forebay.Commit) forebay.Answer {
	o.t.Helper()
	return o.handle.Commit(o.t.Context(), &c)(o.t.Context())
}

// write commits rows without an owner.
func (o *opened) write(split string, rows ...string) {
	o.t.Helper()
	if a := o.commit(forebay.Commit{Requests: o.requests(split, rows...)}); a.Code != forebay.CodeOK {
		o.t.Fatalf("commit was answered %d %s", a.Code, a.Message)
	}
}

// rowText prints a row as requests reads it.
func rowText(b *forebay.Batch, i int) string {
	var out []byte
	if b.Record(i).Op == forebay.OpDelete {
		out = append(out, '-')
	}
	for c := range b.Layout().Schema.Len() {
		if c > 0 {
			out = append(out, ',')
		}
		if cell := b.Row(i).Cell(c); !cell.IsNull() {
			out = forebay.AppendCell(out, b.Layout().Schema.Column(c).Type, cell, b.Slab())
		}
	}
	return string(out)
}

// scan reads all rows.
func scan(tb testing.TB, s tablet.Reader, r ScanRequest) []string {
	tb.Helper()
	sc, err := s.Scan(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := sc.Close(); err != nil {
			tb.Error(err)
		}
	}()
	var rows []string
	b := forebay.NewBatch()
	for {
		err := sc.Next(tb.Context(), b)
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			tb.Fatal(err)
		}
		for i := range b.Len() {
			rows = append(rows, rowText(b, i))
		}
	}
}

func count(tb testing.TB, s *Server, name string) int64 {
	tb.Helper()
	n, err := s.Count(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func diff(tb testing.TB, what string, got, want any) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Errorf("%s: -want +got\n%s", what, d)
	}
}

func TestLogTableGivesRowsBackByTabletAndOffset(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	o.write("a", "1,one", "2,", "3,three")
	o.write("a", "4,four")
	diff(t, "rows", scan(t, s, ScanRequest{Table: "clicks"}), []string{"1,one", "2,", "3,three", "4,four"})
	diff(t, "count", count(t, s, "clicks"), int64(4))
	var all []forebay.Request
	for i := range 20 {
		all = append(all, o.requests(fmt.Sprint("split", i), fmt.Sprintf("%d,x", 100+i))...)
	}
	if a := o.commit(forebay.Commit{Requests: all}); a.Code != forebay.CodeOK {
		t.Fatal(a)
	}
	diff(t, "count", count(t, s, "clicks"), int64(24))
	used := 0
	for _, tb := range o.handle.table.list() {
		if tb.state.end > 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("21 splits went to %d tablets", used)
	}
}

func TestKeyTableGivesRowsBackInKeyOrderOverAllTablets(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, keySpec("users"))
	o.write("a", "5,e", "1,a", "9,i", "2,b", "9,last", "7,gone", "-7,")
	got := scan(t, s, ScanRequest{Table: "users"})
	diff(t, "rows", got, []string{"1,a", "2,b", "5,e", "9,last"})
	o.write("a", "3,c", "-1,", "4,d")
	diff(t, "rows", scan(t, s, ScanRequest{Table: "users"}), []string{"2,b", "3,c", "4,d", "5,e", "9,last"})
	diff(t, "count", count(t, s, "users"), int64(5))
}

func TestScanSelectsFiltersAndLimits(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, keySpec("users"))
	var rows []string
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("%d,t%d", i, i))
	}
	o.write("a", rows...)
	odd := func(b *forebay.Batch, i int) bool { return b.Cells(i)[0].Int()%2 == 1 }
	got := scan(t, s, ScanRequest{Table: "users", Select: []string{"text"}, Where: odd, Limit: 3})
	diff(t, "rows", got, []string{"t1", "t3", "t5"})
	if got := scan(t, s, ScanRequest{Table: "users", Where: odd}); len(got) != 1500 {
		t.Errorf("%d odd rows, want 1500", len(got))
	}
	_, err := s.Scan(t.Context(), ScanRequest{Table: "users", Select: []string{"nobody"}})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("select of an unknown column: %v", err)
	}
}

func TestGetFindsOneRow(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, keySpec("users"))
	o.write("a", "1,a", "2,b")
	key := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "n", Type: forebay.Int64}))
	b := forebay.NewBatch()
	for n, want := range map[int64]string{1: "1,a", 2: "2,b", 3: ""} {
		if err := key.SetInt("n", n); err != nil {
			t.Fatal(err)
		}
		found, err := s.Get(context.Background(), "users", key, b)
		if err != nil || found != (want != "") {
			t.Fatalf("get %d: %v, %v", n, found, err)
		}
		if found {
			diff(t, "row", rowText(b, 0), want)
		}
	}
}
