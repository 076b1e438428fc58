// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

func columns(text string) *forebay.Schema {
	var out []forebay.Column
	for part := range strings.SplitSeq(text, ", ") {
		name, kind, _ := strings.Cut(part, " ")
		t, err := forebay.ParseType(strings.ReplaceAll(kind, ";", ","))
		if err != nil {
			panic(err)
		}
		out = append(out, forebay.Column{Name: name, Type: t})
	}
	return forebay.MustSchema(out...)
}

func TestCompatibleChangesKeepOldRowsReadable(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	spec := forebay.TableSpec{
		Name: "events", Schema: columns("n int32, f float32, d decimal(5;2), gone string, k string"), Key: []string{"k"},
	}
	old := openTable(t, s, spec)
	old.write("a", "1,0.5,1.25,x,a")
	spec.Schema = columns("extra bool, k string, d decimal(9;3), n int64, f float64")
	o := openTable(t, s, spec)
	o.write("a", "true,b,99.125,5000000000,0.1")
	// A writer that was there before the change goes on.
	old.write("a", "2,,,y,c")
	want := []string{"1,0.5,1.250,x,a,", "5000000000,0.1,99.125,,b,true", "2,,,y,c,"}
	diff(t, "rows", scan(t, s, ScanRequest{Table: "events"}), want)
	s = reopen(t, s, fs)
	diff(t, "rows of a later process", scan(t, s, ScanRequest{Table: "events"}), want)
	info, err := s.Describe(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "schema", info.Schema.String(),
		"n int64, f float64, d decimal(9, 3), gone string, k string, extra bool")
	again := openTable(t, s, spec)
	if after, err := s.Describe(t.Context(), "events"); err != nil || after.SchemaID != info.SchemaID {
		t.Errorf("opening the table again changed its schema: %d, %v", after.SchemaID, err)
	}
	again.write("a", "false,b,1,1,1")
	diff(t, "count", count(t, s, "events"), int64(3))
}

func TestIncompatibleChangesAreRefusedWithBothSides(t *testing.T) {
	t.Parallel()
	s := open(t)
	base := func() forebay.TableSpec {
		return forebay.TableSpec{
			Name: "events", Schema: columns("a int64, b string, v int64"), Key: []string{"a"}, Version: "v", Tablets: 2,
		}
	}
	openTable(t, s, base())
	shaped := func(text string) func(*forebay.TableSpec) {
		return func(spec *forebay.TableSpec) { spec.Schema = columns(text) }
	}
	for name, c := range map[string]struct {
		change func(spec *forebay.TableSpec)
		both   []string
	}{
		"narrower type":     {shaped("a int64, b string, v int32"), []string{"v int64", "v int32"}},
		"other type":        {shaped("a int64, b bool, v int64"), []string{"b string", "b bool"}},
		"type of the key":   {shaped("a string, b string, v int64"), []string{"a int64", "a string"}},
		"without the key":   {func(spec *forebay.TableSpec) { spec.Key = nil; spec.Version = "" }, []string{"[a]", "none"}},
		"other key":         {func(spec *forebay.TableSpec) { spec.Key = []string{"a", "b"} }, []string{"[a]", "[a, b]"}},
		"other tablets":     {func(spec *forebay.TableSpec) { spec.Tablets = 8 }, []string{"2 tablets", "8"}},
		"other version":     {func(spec *forebay.TableSpec) { spec.Version = "b" }, []string{`"v"`, `"b"`}},
		"no version":        {func(spec *forebay.TableSpec) { spec.Version = "" }, []string{`"v"`, "none"}},
		"missing key":       {shaped("b string, v int64"), []string{`"a"`}},
		"distribute_by too": {func(spec *forebay.TableSpec) { spec.DistributeBy = []string{"b"} }, []string{"[b]", "none"}},
	} {
		spec := base()
		c.change(&spec)
		_, err := s.OpenTable(t.Context(), spec)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil {
			t.Errorf("%s: %v, want misconfigured", name, err)
			continue
		}
		for _, side := range c.both {
			if !strings.Contains(err.Error(), side) {
				t.Errorf("%s: %q does not show %q", name, err, side)
			}
		}
	}
	info, err := s.Describe(t.Context(), "events")
	if err != nil || info.SchemaID != 1 {
		t.Errorf("a refused change left a trace: schema %d, %v", info.SchemaID, err)
	}
}

func TestWrongTablesAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	s := open(t)
	good := func() forebay.TableSpec { return keySpec("x") }
	for name, change := range map[string]func(spec *forebay.TableSpec){
		"no name":              func(spec *forebay.TableSpec) { spec.Name = "" },
		"long name":            func(spec *forebay.TableSpec) { spec.Name = strings.Repeat("x", 129) },
		"wrong letter":         func(spec *forebay.TableSpec) { spec.Name = "a b" },
		"our name":             func(spec *forebay.TableSpec) { spec.Name = "_x" },
		"dead letters":         func(spec *forebay.TableSpec) { spec.Name = "_dlq.x" },
		"no schema":            func(spec *forebay.TableSpec) { spec.Schema = nil },
		"unknown key":          func(spec *forebay.TableSpec) { spec.Key = []string{"nobody"} },
		"key twice":            func(spec *forebay.TableSpec) { spec.Key = []string{"n", "n"} },
		"float key":            func(spec *forebay.TableSpec) { spec.Schema = columns("n float64") },
		"too many tablets":     func(spec *forebay.TableSpec) { spec.Tablets = 2000 },
		"negative tablets":     func(spec *forebay.TableSpec) { spec.Tablets = -1 },
		"version of log table": func(spec *forebay.TableSpec) { spec.Key, spec.Version = nil, "n" },
		"version in the key":   func(spec *forebay.TableSpec) { spec.Version = "n" },
		"unknown version":      func(spec *forebay.TableSpec) { spec.Version = "nobody" },
		"unknown distribution": func(spec *forebay.TableSpec) { spec.Key, spec.DistributeBy = nil, []string{"nobody"} },
		"distributed keys":     func(spec *forebay.TableSpec) { spec.DistributeBy = []string{"text"} },
		"negative retention":   func(spec *forebay.TableSpec) { spec.Retention = -time.Second },
	} {
		spec := good()
		change(&spec)
		if _, err := s.OpenTable(t.Context(), spec); forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil {
			t.Errorf("%s: %v, want misconfigured", name, err)
		}
	}
	if tables, err := s.Tables(t.Context()); err != nil || len(tables) != 0 {
		t.Errorf("there are %d tables, %v", len(tables), err)
	}
}

func TestDropRemovesEverythingAndRefusesWhileOpen(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, keySpec("users"))
	other := openTable(t, s, keySpec("others"))
	o.write("a", "1,a", "2,b")
	other.write("a", "1,a")
	late := o.one("a", "3,c")
	if err := s.Drop(t.Context(), "users"); err == nil || !strings.Contains(err.Error(), "in-use") {
		t.Fatalf("drop of an open table: %v", err)
	}
	for range 2 {
		if err := o.handle.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Drop(t.Context(), "users"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, forebay.Await(t.Context(), s, &late), forebay.CodeNotFound)
	if err := s.Drop(t.Context(), "users"); !isNoSuchTable(err) || !strings.Contains(err.Error(), "others") {
		t.Errorf("drop of a missing table: %v", err)
	}
	s = reopen(t, s, fs)
	o = openTable(t, s, keySpec("users"))
	diff(t, "rows of a table with the same name", count(t, s, "users"), int64(0))
	diff(t, "rows of another table", count(t, s, "others"), int64(1))
	o.write("a", "1,new")
	diff(t, "offset", o.handle.table.list()[late.Tablet].place.table > other.handle.table.id, true)
}

func TestEncoderRejectsWhatNoTableTakes(t *testing.T) {
	t.Parallel()
	s := open(t)
	logged := openTable(t, s, logSpec("clicks"))
	keyed := openTable(t, s, keySpec("users"))
	b := forebay.NewBatch()
	reset := func(text string) {
		b.Reset(forebay.Split{ID: "a"}, 2)
		b.SetLayout(logged.layout)
		b.AppendSpan(0, 0, 0)
		b.Cells(0)[0] = forebay.Int64Cell(1)
		b.Cells(0)[1] = forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text))
	}
	code := func(o *opened) string {
		_, err := o.encoder.Route(b, 0)
		if err == nil {
			return ""
		}
		if forebay.ClassOf(err) != forebay.ClassRejected {
			t.Errorf("%v is not of class rejected", err)
		}
		rejected, _ := errors.AsType[*forebay.Error](err)
		return rejected.Code
	}
	reset("x")
	diff(t, "a row", code(logged), "")
	b.Cells(0)[0] = forebay.Null
	diff(t, "null key", code(keyed), "null-key")
	b.Record(0).Op = forebay.OpDelete
	diff(t, "delete in a log table", code(logged), "op-not-allowed")
	reset(strings.Repeat("x", int(RowBytesMax)))
	diff(t, "large row", code(keyed), "row-too-large")
	reset(strings.Repeat("x", int(RowBytesMax)-100))
	diff(t, "largest row", code(keyed), "")
	other := forebay.NewLayout(columns("n string"))
	if _, err := logged.handle.Encoder(other); forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil {
		t.Errorf("a layout that does not fit: %v", err)
	}
}

func TestDistributeByPlacesRowsByTheirColumns(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := logSpec("clicks")
	spec.DistributeBy = []string{"text"}
	o := openTable(t, s, spec)
	place := map[string]int{}
	for i := range 40 {
		text := fmt.Sprint("user", i%10)
		r := o.one(fmt.Sprint("split", i), fmt.Sprintf("%d,%s", i, text))
		if at, known := place[text]; known && at != r.Tablet {
			t.Errorf("%s went to tablets %d and %d", text, at, r.Tablet)
		}
		place[text] = r.Tablet
	}
	used := map[int]bool{}
	for _, at := range place {
		used[at] = true
	}
	if len(used) < 2 {
		t.Error("all went to one tablet")
	}
}

func TestTrimKeepsTheRetentionAndTheEnd(t *testing.T) {
	t.Parallel()
	const hour = int64(time.Hour / time.Microsecond)
	now := int64(startTime)
	fs := newMem()
	config := Config{Now: func() int64 { return now }}
	s := openOn(t, fs, config)
	spec := keySpec("users")
	spec.Tablets = 1
	o := openTable(t, s, spec)
	for i := range 20 {
		now += 10 * hour
		o.write("a", fmt.Sprintf("%d,a", i), fmt.Sprintf("%d,b", i))
	}
	reader, err := s.ReadLog("users", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	// 200 hours were written and 168 are kept.
	info, err := s.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	if first := info.Logs[0].First; first != 2*3 {
		t.Errorf("the log begins at %d, want 6", first)
	}
	if err := reader.Next(t.Context(), forebay.NewBatch()); forebay.ClassOf(err) != forebay.ClassLost {
		t.Errorf("a reader of trimmed rows: %v, want lost", err)
	}
	if _, err := s.ReadLog("users", 0, 5); forebay.ClassOf(err) != forebay.ClassLost {
		t.Errorf("reading from a trimmed offset: %v, want lost", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	now += 1000 * hour
	if err := s.Trim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openOn(t, fs, config)
	info, err = s.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "log", info.Logs[0].First, int64(38))
	diff(t, "log", info.Logs[0].End, int64(40))
	diff(t, "rows", count(t, s, "users"), int64(20))
}
