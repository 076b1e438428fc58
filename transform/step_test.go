// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

var flightColumns = []forebay.Column{
	{Name: "flight", Type: forebay.Int32},
	{Name: "dep_time", Type: forebay.Int64},
	{Name: "origin", Type: forebay.String},
	{Name: "dest", Type: forebay.String},
}

func flights(tb testing.TB) (forebay.Shape, *forebay.Batch) {
	tb.Helper()
	return rows(tb, flightColumns, []string{"1545", "517", "EWR", "IAH"}, []string{"1714", null, "LGA", "IAH"},
		[]string{"1141", "542", "JFK", null}, []string{"725", "544", "JFK", "BQN"})
}

func TestFilterKeepsOnlyTrue(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string][]string{
		"dep_time != nil":                  {"1545|517|EWR|IAH", "1141|542|JFK|-", "725|544|JFK|BQN"},
		"dep_time > 520":                   {"1141|542|JFK|-", "725|544|JFK|BQN"},
		"dest != \"IAH\"":                  {"725|544|JFK|BQN"},
		"not (dep_time > 520)":             {"1545|517|EWR|IAH"},
		"dep_time != nil && flight > 1200": {"1545|517|EWR|IAH"},
		"split(origin, \"W\")[0] == \"E\"": {"1545|517|EWR|IAH"},
		"nil":                              nil,
	} {
		in, b := flights(t)
		out, filtered := run(t, Filter(expr), in, b)
		if diff := cmp.Diff(want, lines(b)); diff != "" {
			t.Errorf("%s: %s", expr, diff)
		}
		if filtered != 4-len(want) || len(b.Rejects()) != 0 || out.Width != in.Width {
			t.Errorf("%s: filtered %d, rejects %v, width %d", expr, filtered, b.Rejects(), out.Width)
		}
	}
}

func TestFilterRejectsRecordsThatFailAndDoesNotCountThem(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	_, filtered := run(t, Filter("1000 / (flight - 725) > 1.1"), in, b)
	want := []forebay.Reject{{
		Origin: forebay.Origin{Split: "flights.csv", Offset: 103}, Stage: forebay.StageTransform, Code: "division-by-zero",
		Reason: "1000 / 0 divides by zero", Value: []byte("record 3"),
	}}
	if diff := cmp.Diff(want, b.Rejects()); diff != "" {
		t.Error(diff)
	}
	if filtered != 1 || b.Len() != 2 {
		t.Errorf("filtered %d, left %d", filtered, b.Len())
	}
}

func TestRejectedValueIsACopy(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	run(t, Filter("1 / (flight - flight) > 1"), in, b)
	b.Reset(forebay.Split{}, 0)
	b.Append(0, []byte(strings.Repeat("x", 100)))
	in, b = flights(t)
	run(t, Filter("1 / (flight - flight) > 1"), in, b)
	kept := b.Rejects()[0].Value
	copy(b.Slab(), strings.Repeat("x", 100))
	if string(kept) != "record 0" {
		t.Errorf("value is now %q", kept)
	}
}

func TestSetAddsAndReplacesInOrder(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	out, filtered := run(t, Set(
		Assignment{"route", `origin + "-" + dest`},
		Assignment{"dep_time", "string(dep_time)"},
		Assignment{"route", `lower(route) + (dep_time ?? "?")`},
		Assignment{"number", "flight"},
		Assignment{"twice", "flight * 2"},
		Assignment{"origin", "nil"},
	), in, b)
	if filtered != 0 {
		t.Error("set filters nothing")
	}
	want := []string{
		"1545|517|-|IAH|ewr-iah517|1545|3090", "1714|-|-|IAH|lga-iah?|1714|3428", "1141|542|-|-|-|1141|2282",
		"725|544|-|BQN|jfk-bqn544|725|1450",
	}
	if diff := cmp.Diff(want, lines(b)); diff != "" {
		t.Error(diff)
	}
	schema := "flight int32, dep_time string, origin string, dest string, route string, number int32, twice int64"
	if got := out.Layout.Schema.String(); got != schema {
		t.Errorf("schema is %s", got)
	}
	if out.Width != 10 {
		t.Errorf("width is %d: each assignment takes a slot of its own", out.Width)
	}
	if in.Layout.Schema.Len() != 4 || in.Layout.Slots[1] != 1 {
		t.Error("the incoming layout was changed")
	}
}

func TestSetRejectsOverflow(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	_, filtered := run(t, Set(Assignment{"x", "flight * 9223372036854775"}), in, b)
	if filtered != 0 || b.Len() != 1 || len(b.Rejects()) != 3 || b.Rejects()[0].Code != CodeOverflow {
		t.Errorf("filtered %d, left %d, rejects %v", filtered, b.Len(), b.Rejects())
	}
	if got := b.Rejects()[0].Reason; got != "1545 * 9223372036854775 does not fit 64 bits" {
		t.Error(got)
	}
}

func TestSetWritesNullWhereAnEarlierBatchHadAValue(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	step, err := Set(Assignment{"x", "dep_time + 1"}).Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		b.Cells(i)[in.Width] = forebay.Int64Cell(99)
	}
	if _, err := step.Apply(b); err != nil {
		t.Fatal(err)
	}
	if c := b.Cells(1)[in.Width]; !c.IsNull() {
		t.Errorf("cell is %d", c.Int())
	}
}

func TestSetResultsSurviveASlabThatMoves(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("\u00e9", 2000)
	var records [][]string
	for range 300 {
		records = append(records, []string{text})
	}
	in, b := rows(t, []forebay.Column{{Name: "s", Type: forebay.String}}, records...)
	run(t, Set(Assignment{"a", "s + s"}, Assignment{"b", "upper(a) + a"}, Assignment{"c", "a ?? s"}), in, b)
	for i := range b.Len() {
		row := lines(b)[i]
		want := strings.Join([]string{text, text + text, strings.ToUpper(text+text) + text + text, text + text}, "|")
		if row != want {
			t.Fatalf("record %d is wrong", i)
		}
		if i == 3 {
			break
		}
	}
	last := b.Row(b.Len() - 1)
	if last.Text("b") != strings.ToUpper(text+text)+text+text || last.Text("s") != text {
		t.Error("the last record is wrong")
	}
}

func TestStepNeedsRoomForItsColumns(t *testing.T) {
	t.Parallel()
	in, _ := flights(t)
	step, err := Set(Assignment{"x", "1"}).Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 4)
	if _, err = step.Apply(b); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Error(err)
	}
}

func TestDropKeepAndRenameChangeTheLayoutOnly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		step   forebay.Transform
		schema string
		first  string
	}{
		{"drop", Drop("flight", "origin"), "dep_time int64, dest string", "517|IAH"},
		{"keep in its order", Keep("dest", "flight"), "dest string, flight int32", "IAH|1545"},
		{
			"rename and exchange", Rename(Renaming{"origin", "dest"}, Renaming{"dest", "origin"}, Renaming{"flight", "number"}),
			"number int32, dep_time int64, dest string, origin string", "1545|517|EWR|IAH",
		},
		{
			"rename to itself", Rename(Renaming{"dest", "dest"}),
			"flight int32, dep_time int64, origin string, dest string", "1545|517|EWR|IAH",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, b := flights(t)
			step, err := tc.step.Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			if step.Apply != nil || !step.Deterministic || step.Out.Width != 4 {
				t.Error("it moves cells")
			}
			b.SetLayout(step.Out.Layout)
			if got := step.Out.Layout.Schema.String(); got != tc.schema {
				t.Errorf("schema is %s", got)
			}
			if got := lines(b)[0]; got != tc.first {
				t.Errorf("first row is %s", got)
			}
		})
	}
}

func TestMapSetsColumnsDropsAndRejects(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	step := Map(func(row forebay.Row) error {
		switch {
		case row.IsNull("dep_time"):
			return fmt.Errorf("cancelled: %w", ErrDrop)
		case row.IsNull("dest"):
			return errors.New("no destination")
		}
		if row.Int("flight") == 725 {
			return nil
		}
		return row.Set("route", row.Text("origin")+"-"+row.Text("dest"))
	}, forebay.Column{Name: "route", Type: forebay.String})
	for i := range b.Len() {
		b.Cells(i)[4] = forebay.SpanCell(forebay.KindString, 0, 3)
	}
	_, filtered := run(t, step, in, b)
	if diff := cmp.Diff([]string{"1545|517|EWR|IAH|EWR-IAH", "725|544|JFK|BQN|-"}, lines(b)); diff != "" {
		t.Error(diff)
	}
	if filtered != 1 || len(b.Rejects()) != 1 {
		t.Fatalf("filtered %d, rejects %v", filtered, b.Rejects())
	}
	r := b.Rejects()[0]
	if r.Code != "map-error" || r.Reason != "no destination" || r.Offset != 102 || string(r.Value) != "record 2" {
		t.Errorf("%+v", r)
	}
}

// explode is where the user's code panics.
func explode(row forebay.Row) { _ = []int{}[row.Int("flight")] }

func TestMapPanicNamesRecordAndPlaceAndStopsTheLane(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fn    func(row forebay.Row) error
		parts []string
	}{
		{"index", func(row forebay.Row) error {
			if row.Int("flight") == 1141 {
				explode(row)
			}
			return nil
		}, []string{"record 102", `split "flights.csv"`, "index out of range [1141]", "transform.explode", "step_test.go:"}},
		{"unknown column", func(row forebay.Row) error {
			row.Get("nope")
			return nil
		}, []string{"record 100", `no column "nope"`, "TestMapPanicNames", "step_test.go:"}},
		{"value", func(forebay.Row) error { panic("boom") }, []string{"record 100", "boom", "TestMapPanicNames"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, b := flights(t)
			step, err := Map(tc.fn).Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			_, err = step.Apply(b)
			e, ok := errors.AsType[*forebay.Error](err)
			if !ok || e.Class != forebay.ClassMisconfigured || e.Code != "transform-panic" {
				t.Fatalf("error is %v", err)
			}
			for _, part := range tc.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in %q", part, err)
				}
			}
		})
	}
}

func TestMapIsDeterministicUnlessImpure(t *testing.T) {
	t.Parallel()
	in, _ := flights(t)
	fn := func(forebay.Row) error { return nil }
	pure, _ := Map(fn).Compile(in)
	impure, _ := MapStep{Fn: fn, Impure: true}.Compile(in)
	if !pure.Deterministic || impure.Deterministic {
		t.Error(pure.Deterministic, impure.Deterministic)
	}
}

func TestEveryStepRefusesBytesWithoutColumns(t *testing.T) {
	t.Parallel()
	for _, step := range []forebay.Transform{
		Filter("a"), Set(Assignment{"a", "1"}), Drop("a"), Keep("a"), Rename(Renaming{"a", "b"}),
		Cast(CastColumn{Column: "a", Type: "int64"}),
		Map(func(forebay.Row) error { return nil }),
	} {
		_, err := step.Compile(forebay.Shape{})
		if err == nil || !strings.Contains(err.Error(), "give the source a schema") {
			t.Errorf("%s: %v", step.Name(), err)
		}
	}
	if _, err := Compile(forebay.Shape{}, "a"); err == nil {
		t.Error("no error")
	}
}

func TestStepsInARowShareTheRecord(t *testing.T) {
	t.Parallel()
	in, b := flights(t)
	for _, step := range []forebay.Transform{
		Filter("dep_time != nil"), Set(Assignment{"route", `origin + "-" + (dest ?? "?")`}), Drop("origin", "dest"),
		Rename(Renaming{"dep_time", "departure"}), Cast(CastColumn{Column: "departure", Type: "string"}),
		Keep("route", "departure"),
		Map(func(row forebay.Row) error { return row.SetText("departure", row.Text("departure")+"!") }),
	} {
		in, _ = run(t, step, in, b)
	}
	if diff := cmp.Diff([]string{"EWR-IAH|517!", "JFK-?|542!", "JFK-BQN|544!"}, lines(b)); diff != "" {
		t.Error(diff)
	}
}

func TestCast(t *testing.T) {
	t.Parallel()
	float := "0.1"
	for _, tc := range []struct{ from, text, to, zone, want string }{
		{"string", "42", "int32", "", "42"},
		{"string", "2147483648", "int32", "", "!"},
		{"string", "x", "int64", "", "!"},
		{"string", "", "int64", "", "!"},
		{"string", "1.5", "float64", "", "1.5"},
		{"string", "true", "bool", "", "true"},
		{"string", "2013-01-31", "date", "", "2013-01-31"},
		{"string", "2013-01-31 10:00:00", "timestamp", "", "2013-01-31T10:00:00Z"},
		{"string", "2013-01-31 10:00:00", "timestamp", "America/New_York", "2013-01-31T15:00:00Z"},
		{"string", "2013-03-10 02:30:00", "timestamp", "America/New_York", "!"},
		{"string", "12.50", "decimal(10, 2)", "", "12.50"},
		{"string", "12.505", "decimal(10, 2)", "", "!"},
		{"string", `{"a": 1}`, "json", "", `{"a": 1}`},
		{"string", "{", "json", "", "!"},
		{"string", "ab", "bytes", "", "ab"},
		{"bytes", "ab", "string", "", "ab"},
		{"bytes", "\xff", "string", "", "!"},
		{"json", `"a"`, "string", "", `"a"`},
		{"int64", "7", "string", "", "7"},
		{"float64", "0.1", "string", "", "0.1"},
		{"float32", float, "string", "", "0.1"},
		{"bool", "true", "string", "", "true"},
		{"date", "2013-01-31", "string", "", "2013-01-31"},
		{"timestamp", "2013-01-31T10:00:00Z", "string", "", "2013-01-31T10:00:00Z"},
		{"timestamp", "2013-01-31T10:00:00Z", "string", "Europe/Berlin", "2013-01-31T11:00:00+01:00"},
		{"decimal(10, 2)", "12.50", "string", "", "12.50"},
		{"int64", "2147483647", "int32", "", "2147483647"},
		{"int64", "2147483648", "int32", "", "!"},
		{"int32", "-7", "int64", "", "-7"},
		{"int64", "9007199254740993", "float64", "", "!"},
		{"int64", "9007199254740992", "float64", "", "9007199254740992"},
		{"int64", "9223372036854775807", "float64", "", "!"},
		{"int64", "16777217", "float32", "", "!"},
		{"int64", "7", "float32", "", "7"},
		{"float64", "7", "int64", "", "7"},
		{"float64", "7.5", "int64", "", "!"},
		{"float64", "NaN", "int64", "", "!"},
		{"float64", "9223372036854775808", "int64", "", "!"},
		{"float64", "3e9", "int32", "", "!"},
		{"float64", "0.1", "float32", "", "0.1"},
		{"float64", "1e300", "float32", "", "!"},
		{"float64", "Inf", "float32", "", "Inf"},
		{"float32", "1.5", "float64", "", "1.5"},
		{"int64", "7", "decimal(4, 2)", "", "7.00"},
		{"int64", "700", "decimal(4, 2)", "", "!"},
		{"float64", "1.25", "decimal(4, 2)", "", "1.25"},
		{"float64", "1.255", "decimal(4, 2)", "", "!"},
		{"float64", "NaN", "decimal(4, 2)", "", "!"},
		{"decimal(10, 2)", "12.00", "int64", "", "12"},
		{"decimal(10, 2)", "12.50", "int64", "", "!"},
		{"decimal(10, 2)", "-3.00", "int32", "", "-3"},
		{"decimal(38, 0)", "9223372036854775808", "int64", "", "!"},
		{"decimal(10, 2)", "12.50", "float64", "", "12.5"},
		{"decimal(10, 2)", "12.50", "decimal(4, 1)", "", "12.5"},
		{"decimal(10, 2)", "12.55", "decimal(4, 1)", "", "!"},
		{"bool", "true", "int64", "", "1"},
		{"int32", "0", "bool", "", "false"},
		{"int64", "2", "bool", "", "!"},
		{"date", "2013-01-31", "timestamp", "", "2013-01-31T00:00:00Z"},
		{"date", "2013-01-31", "timestamp", "America/New_York", "2013-01-31T05:00:00Z"},
		{"timestamp", "2013-01-31T23:30:00Z", "date", "", "2013-01-31"},
		{"timestamp", "2013-01-31T23:30:00Z", "date", "Europe/Berlin", "2013-02-01"},
		{"timestamp", "1969-12-31T23:59:59.999999Z", "date", "", "1969-12-31"},
		{"string", null, "int64", "", "-"},
	} {
		t.Run(tc.from+" "+tc.text+" to "+tc.to+" "+tc.zone, func(t *testing.T) {
			from, err := forebay.ParseType(tc.from)
			if err != nil {
				t.Fatal(err)
			}
			in, b := rows(t, []forebay.Column{{Name: "c", Type: from}, {Name: "other", Type: forebay.Int64}},
				[]string{tc.text, "1"})
			out, _ := run(t, Cast(CastColumn{"c", tc.to, tc.zone}), in, b)
			if tc.want == "!" {
				if b.Len() != 0 || len(b.Rejects()) != 1 || b.Rejects()[0].Code != "cast-failed" {
					t.Errorf("rows %v, rejects %v", lines(b), b.Rejects())
				}
				return
			}
			if diff := cmp.Diff([]string{tc.want + "|1"}, lines(b)); diff != "" {
				t.Error(diff, b.Rejects())
			}
			if got := out.Layout.Schema.Column(0).Type.String(); got != tc.to || out.Width != 3 {
				t.Errorf("type is %s, width %d", got, out.Width)
			}
		})
	}
}

func TestCastReasonNamesColumnValueAndType(t *testing.T) {
	t.Parallel()
	in, b := rows(t, []forebay.Column{{Name: "c", Type: forebay.String}}, []string{"abc"},
		[]string{strings.Repeat("\u00fc", 100)})
	run(t, Cast(CastColumn{"c", "int64", ""}), in, b)
	want := []string{
		`column "c": "abc" (string) cannot become an int64`,
		`column "c": "` + strings.Repeat("\u00fc", 32) + `"... (200 bytes) (string) cannot become an int64`,
	}
	var got []string
	for _, r := range b.Rejects() {
		got = append(got, r.Reason)
	}
	if !slices.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestCastToItsOwnTypeDoesNothing(t *testing.T) {
	t.Parallel()
	in, _ := flights(t)
	step, err := Cast(CastColumn{"flight", "int32", ""}).Compile(in)
	if err != nil || step.Apply != nil || step.Out.Width != in.Width {
		t.Error(step, err)
	}
}
