// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/ndjson"
)

// edited runs steps over JSON records, and returns what is left and the codes of what was rejected.
func edited(tb testing.TB, steps []forebay.Transform, lines ...string) (left, codes []string, filtered int) {
	tb.Helper()
	run := func(b *forebay.Batch) (left, codes []string, filtered int) {
		e := &Editor{}
		for _, step := range steps {
			if err := e.Add(step); err != nil {
				tb.Fatal(err)
			}
		}
		filtered, err := e.Step().Apply(b)
		if err != nil {
			tb.Fatal(err)
		}
		for _, r := range b.Rejects() {
			codes = append(codes, r.Code)
		}
		return values(b), codes, filtered
	}
	left, codes, filtered = run(documents(lines...))
	if b, same := decoded(tb, lines); same {
		noted, notedCodes, _ := run(b)
		if diff := cmp.Diff(append(left, codes...), append(noted, notedCodes...)); diff != "" {
			tb.Errorf("by itself (-) and after a decoder that noted the fields (+):\n%s", diff)
		}
	}
	return left, codes, filtered
}

// decoded has the records as the decoder gives them. It reports false where it refuses one.
func decoded(tb testing.TB, lines []string) (*forebay.Batch, bool) {
	tb.Helper()
	decoding, err := ndjson.Format{}.Start(tb.Context(), codec.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	in := strings.NewReader(strings.Join(lines, "\n"))
	s := codec.NewStream(in, decoding.NewDecoder(), codec.StreamConfig{})
	b := forebay.NewBatch()
	if err := errors.Join(s.Begin(tb.Context(), forebay.Position{}), s.Read(tb.Context(), b)); err != nil {
		return nil, false
	}
	return b, b.Len() == len(lines)
}

func TestStepsEditRecordsInPlace(t *testing.T) {
	t.Parallel()
	steps := func(s ...forebay.Transform) []forebay.Transform { return s }
	for _, tc := range []struct {
		what     string
		steps    []forebay.Transform
		in, want string
	}{
		{
			"filter, set, drop, rename",
			steps(Filter("user.age > 17"), Set(Assignment{"user.name", "upper(user.name)"}, Assignment{"n", "n + 1"}),
				Drop("secret", "user.age"), Rename(Renaming{"n", "count"})),
			`{ "n":1 , "user":{"name":"ann", "age":18},"secret":[1,2] ,"x":1.50}`,
			`{ "count":2 , "user":{"name":"ANN"} ,"x":1.50}`,
		},
		{
			"a bare path keeps its digits",
			steps(Set(Assignment{"b", "a"})),
			`{"a":12345678901234567890}`,
			`{"a":12345678901234567890,"b":12345678901234567890}`,
		},
		{"null is written", steps(Set(Assignment{"a", "nil"}, Assignment{"b", "c"})), `{"a":1}`, `{"a":null,"b":null}`},
		{
			"assignments see earlier ones",
			steps(Set(Assignment{"a", "1"}, Assignment{"a", "a + 1"}, Assignment{"b.c", "a"})),
			`{}`,
			`{"a":2,"b":{"c":2}}`,
		},
		{
			"kinds of values",
			steps(Set(Assignment{"a", `[1, "x", nil]`}, Assignment{"b", `{"k": 1.5}`}, Assignment{"c", `s + "\"\n"`},
				Assignment{"d", `date("2013-01-31")`}, Assignment{"e", "1 > 0"}, Assignment{"f", `b"ab"`}, Assignment{"g", "l"},
				Assignment{"h", "l[0]"}, Assignment{"i", "coalesce(l, 1)"})),
			`{"s":"\u00e9","l":[ 1]}`,
			`{"s":"\u00e9","l":[ 1],"a":[1,"x",null],"b":{"k":1.5},"c":"` + "\u00e9" + `\"\n",` +
				`"d":"2013-01-31","e":true,"f":"YWI=","g":[ 1],"h":1,"i":[ 1]}`,
		},
		{"drop what is not there", steps(Drop("x", "a.b")), ` {"a":[ 1 ]} `, ` {"a":[ 1 ]} `},
		{"keep", steps(Keep("c", "a.x")), `{"a": {"x":1,"y":2}, "b":1, "c" : 3}`, `{"a": {"x":1}, "c" : 3}`},
		{"exchange names", steps(Rename(Renaming{"a", "b"}, Renaming{"b", "a"})), `{"a":1,"b":2}`, `{"b":1,"a":2}`},
		{
			"rename inside",
			steps(Rename(Renaming{"u.a", "u.b"}, Renaming{"c", "d"})),
			`{"u":{"a":1},"c":2}`,
			`{"u":{"b":1},"d":2}`,
		},
		{"rename what is not there", steps(Rename(Renaming{"x", "y"}, Renaming{"u.a", "u.b"})), `{"u":3}`, `{"u":3}`},
		{
			"cast",
			steps(Cast(CastColumn{Column: "i", Type: "string"}, CastColumn{Column: "s", Type: "int64"},
				CastColumn{Column: "f", Type: "int32"}, CastColumn{Column: "d", Type: "decimal(30, 2)"},
				CastColumn{Column: "t", Type: "timestamp"}, CastColumn{Column: "j", Type: "json"},
				CastColumn{Column: "n", Type: "bool"},
				CastColumn{Column: "o.x", Type: "string"}, CastColumn{Column: "same", Type: "float64"},
				CastColumn{Column: "q", Type: "json"})),
			`{"i":12345678901234567890,"s":"\u0037","f":7.0,"d":1234567890123456789012.5,` +
				`"t":"2013-01-31T10:00:00+01:00","j":"[1, 2]",` +
				`"n":null,"o":{"x":[1, 2]},"same":1.50,"q":1.50}`,
			`{"i":"12345678901234567890","s":7,"f":7,"d":1234567890123456789012.50,` +
				`"t":"2013-01-31T09:00:00Z","j":[1, 2],"n":null,"o":{"x":"[1, 2]"},"same":1.50,"q":1.50}`,
		},
		{"the last of a name", steps(Filter("a == 2"), Set(Assignment{"a", "3"})), `{"a":1,"b":0,"a":2}`, `{"b":0,"a":3}`},
		{
			"quoted names",
			steps(Set(Assignment{`"a.b".c`, `$env["a.b"].d`}), Drop(`"a.b".d`)),
			`{"a.b":{"d":1}}`,
			`{"a.b":{"c":1}}`,
		},
	} {
		left, codes, filtered := edited(t, tc.steps, tc.in)
		if len(left) != 1 || left[0] != tc.want || codes != nil || filtered != 0 {
			t.Errorf("%s:\ngot  %s %v %d\nwant %s", tc.what, left, codes, filtered, tc.want)
		}
	}
}

func TestEditorRejectsAndFilters(t *testing.T) {
	t.Parallel()
	steps := []forebay.Transform{
		Filter("a != 1"), Set(Assignment{"b.c", "a * 2"}), Rename(Renaming{"x", "y"}),
		Cast(CastColumn{Column: "z", Type: "int64"}),
	}
	lines := []string{
		`{"a":1}`, `{"a":2}`, `{"a":"2"}`, `{"a":3,"b":4}`, `[1]`, `{"a":4,"x":1,"y":2}`, `{"a":5,"z":"1.5"}`,
		`{"a":9223372036854775807}`,
		`{"a":null}`, `{"a":6,"z":"7"}`,
	}
	left, codes, filtered := edited(t, steps, lines...)
	want := []string{`{"a":2,"b":{"c":4}}`, `{"a":6,"z":7,"b":{"c":12}}`}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	wantCodes := []string{
		CodeWrongType, CodeWrongType, CodeInvalidJSON, CodeDuplicate, CodeCast, CodeOverflow,
	}
	if diff := cmp.Diff(wantCodes, codes); diff != "" || filtered != 2 {
		t.Error(filtered, diff)
	}
}

func TestRejectedRecordsKeepTheirOriginalBytes(t *testing.T) {
	t.Parallel()
	e := &Editor{}
	for _, step := range []forebay.Transform{Set(Assignment{"a", "1"}), Filter(`upper(b) == "X"`)} {
		if err := e.Add(step); err != nil {
			t.Fatal(err)
		}
	}
	b := documents(`{"a":0,"b":7}`)
	if _, err := e.Step().Apply(b); err != nil {
		t.Fatal(err)
	}
	want := []forebay.Reject{{
		Origin: forebay.Origin{Split: "in.ndjson", Offset: 100}, Stage: forebay.StageTransform, Code: CodeWrongType,
		Reason: "upper takes a string, not an int", Value: []byte(`{"a":0,"b":7}`),
	}}
	if diff := cmp.Diff(want, b.Rejects()); diff != "" {
		t.Error(diff)
	}
}

func TestStepsOnJSONAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		step forebay.Transform
		want []string
	}{
		{Filter("a + 1 == "), []string{"ends too early"}},
		{Filter("upper(a)"), []string{"a filter needs a bool, not a string"}},
		{Set(), []string{"set has no columns"}},
		{Set(Assignment{"a..b", "1"}, Assignment{"c", `duration("1s")`}, Assignment{"", "nosuch(1)"}), []string{
			`"a..b" is not a path`, "a field cannot hold a duration", `no function is called "nosuch"`, `"" is not a path`,
		}},
		{Drop(), []string{"drop names no field"}},
		{Drop("a", "a", ".b"), []string{`field "a" is named twice`, `".b" is not a path`}},
		{Keep(), []string{"keep names no field"}},
		{Rename(Renaming{"a", ""}, Renaming{"b.c", "d"}, Renaming{"e", "f"}, Renaming{"g", "f"}), []string{
			`"" is not a path`, `"b.c" cannot become "d" in another object`, `another field is called "f" already`,
		}},
		{Cast(CastColumn{Column: "a", Type: "int65"}, CastColumn{Column: "b", Type: "date", Zone: "Mars"}), []string{
			`"int65" is not a type`, `no time zone is called "Mars"`,
		}},
		{Map(func(forebay.Row) error { return nil }), []string{"the records are bytes without columns"}},
	} {
		_, err := tc.step.Compile(onJSON)
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %s", tc.step, err, want)
			}
		}
		if EditsJSON(tc.step) == (tc.step.Name() == "map") {
			t.Errorf("%s edits JSON: %v", tc.step.Name(), EditsJSON(tc.step))
		}
	}
}

func TestFilterByAFieldThatIsABool(t *testing.T) {
	t.Parallel()
	left, codes, filtered := edited(t, []forebay.Transform{Filter("ok")}, `{"ok":true}`, `{"ok":false}`, `{}`, `{"ok":1}`)
	if len(left) != 1 || filtered != 2 || len(codes) != 1 || codes[0] != CodeWrongType {
		t.Error(left, codes, filtered)
	}
}

func TestAStepIsNotDeterministicWhereOneIsNot(t *testing.T) {
	t.Parallel()
	e := &Editor{}
	for _, expr := range []string{"1", "now()"} {
		if err := e.Add(Set(Assignment{"a", expr})); err != nil {
			t.Fatal(err)
		}
		if got := e.Step().Deterministic; got != (expr == "1") {
			t.Errorf("%s: %v", expr, got)
		}
	}
}

// editBatch has records of some 300 bytes.
func editBatch(tb testing.TB) (*forebay.Batch, int, []forebay.Record) {
	tb.Helper()
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "in"}, 0)
	for i := range 800 {
		b.Append(int64(i), fmt.Appendf(nil, `{"id":%d,"user":{"name":"user-%06d","country":"DE","age":%d},"amount":%d.%02d,`+
			`"active":%t,"at":"2024-05-%02dT10:%02d:00Z","session":"b7e23ec29af22b0b4e41da31e868d57226121c84",`+
			`"note":"a sentence that somebody wrote about nothing in particular here","tags":["a","b"],`+
			`"count":%d,"status":"%s"}`,
			1_000_000+i, i%1000, i%90, i%500, i%100, i%3 == 0, i%28+1, i%60, -i%70, []string{"active", "closed"}[i%8/7]))
	}
	var records []forebay.Record
	for i := range b.Len() {
		records = append(records, *b.Record(i))
	}
	return b, len(b.Slab()), records
}

var editSteps = []forebay.Transform{
	Filter(`status == "active" && count > -69`),
	Set(Assignment{"user.name", "upper(user.name)"}, Assignment{"amount", "amount * 2"}),
	Drop("session"),
}

// BenchmarkEdit runs filter, set and drop over JSON records. Its figure is what one processor edits in a second.
func BenchmarkEdit(b *testing.B) {
	for _, bc := range []struct {
		name  string
		steps []forebay.Transform
	}{
		{"filter", editSteps[:1]},
		{"drop", editSteps[2:]},
		{"filter+setInt+drop", []forebay.Transform{editSteps[0], Set(Assignment{"count", "count + 1"}), editSteps[2]}},
		{"filter+setText+drop", []forebay.Transform{editSteps[0], Set(Assignment{"key", `status + "-" + at`}), editSteps[2]}},
		{"filter+setFloat+setNested+drop", editSteps},
	} {
		b.Run("steps="+bc.name, func(b *testing.B) {
			batch, size, records := editBatch(b)
			e := &Editor{}
			for _, step := range bc.steps {
				if err := e.Add(step); err != nil {
					b.Fatal(err)
				}
			}
			apply := e.Step().Apply
			b.SetBytes(int64(size))
			b.ReportAllocs()
			begin := cpu()
			for b.Loop() {
				restore(batch, records, size)
				if _, err := apply(batch); err != nil || len(batch.Rejects()) > 0 {
					b.Fatal(err, batch.Rejects())
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/float64(cpu()-begin)*1e3, "MB/cpu-s")
			perRecord(b, len(records))
		})
	}
}

// restore makes the batch what it was before the steps.
func restore(b *forebay.Batch, records []forebay.Record, size int) {
	b.TruncateSlab(size)
	for b.Len() < len(records) {
		b.AppendSpan(0, 0, 0)
	}
	for i := range records {
		*b.Record(i) = records[i]
	}
}

// cpu is the processor time of the process in nanoseconds; wall time says little on a busy machine.
func cpu() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func TestEditorDoesNotAllocateX4(t *testing.T) {
	batch, size, records := editBatch(t)
	e := &Editor{}
	for _, step := range append(editSteps, Rename(Renaming{"at", "time"}), Keep("id", "user", "time", "count", "amount"),
		Cast(CastColumn{Column: "count", Type: "string"}), Set(Assignment{"new", `user.name + "-" + string(id)`}),
		Filter("coalesce(nothing, id) != nil and id in [1, 2] or not (id < 5)")) {
		if err := e.Add(step); err != nil {
			t.Fatal(err)
		}
	}
	apply := e.Step().Apply
	if n := testing.AllocsPerRun(20, func() {
		restore(batch, records, size)
		if _, err := apply(batch); err != nil {
			t.Fatal(err)
		}
	}); n > 2 { // of a batch, not of a record
		t.Errorf("%v allocations in %d records", n, len(records))
	}
	want := `{"id":1000000,"user":{"name":"USER-000000","country":"DE","age":0},"amount":0,` +
		`"time":"2024-05-01T10:00:00Z",` +
		`"count":"0","new":"USER-000000-1000000"}`
	if got := string(batch.Value(0)); got != want {
		t.Error(got)
	}
}
