// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestRowTakesGoValuesThatItsColumnsCanHold(t *testing.T) {
	t.Parallel()
	noon := time.Date(2013, 1, 1, 12, 0, 0, 5000, time.FixedZone("", -5*3600))
	for _, tc := range []struct {
		t     Type
		value any
		want  string
	}{
		{Bool, true, "true"},
		{Int32, 5, "5"},
		{Int32, int8(-5), "-5"},
		{Int32, int64(math.MinInt32), "-2147483648"},
		{Int64, int16(5), "5"},
		{Int64, uint(5), "5"},
		{Int64, uint8(255), "255"},
		{Int64, uint16(65535), "65535"},
		{Int64, uint32(math.MaxUint32), "4294967295"},
		{Int64, uint64(math.MaxInt64), "9223372036854775807"},
		{Int64, "12", "12"},
		{Float64, 5, "5"},
		{Float64, uint64(1 << 63), "9223372036854776000"},
		{Float64, 1.5, "1.5"},
		{Float64, float32(0.5), "0.5"},
		{Float32, 0.1, "0.1"},
		{Float32, math.Inf(1), "Inf"},
		{Float32, math.NaN(), "NaN"},
		{DecimalOf(4, 2), "1.5", "1.50"},
		{String, "text", "text"},
		{String, []byte("text"), "text"},
		{Binary, "\xff", "\xff"},
		{Binary, []byte{0xff}, "\xff"},
		{Date, noon, "2013-01-01"},
		{Date, time.Date(1969, 12, 31, 23, 0, 0, 0, time.UTC), "1969-12-31"},
		{Date, 1, "1970-01-02"},
		{Date, "2013-01-01", "2013-01-01"},
		{Timestamp, noon, "2013-01-01T17:00:00.000005Z"},
		{Timestamp, int64(1), "1970-01-01T00:00:00.000001Z"},
		{Timestamp, "2013-01-01 00:00:00", "2013-01-01T00:00:00Z"},
		{JSON, `{"a": 1}`, `{"a": 1}`},
		{JSON, []byte("1"), "1"},
		{Int64, nil, ""},
	} {
		row := NewRow(MustSchema(Column{"c", tc.t}))
		if err := row.Set("c", tc.value); err != nil {
			t.Errorf("%s: %v", tc.t, err)
			continue
		}
		if got := row.Text("c"); got != tc.want {
			t.Errorf("%v (%T) in a %s is %q, want %q", tc.value, tc.value, tc.t, got, tc.want)
		}
		if row.IsNull("c") != (tc.value == nil) {
			t.Errorf("%v in a %s is null: %v", tc.value, tc.t, row.IsNull("c"))
		}
	}
}

func TestRowRefusesValuesThatItsColumnsCannotHold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t     Type
		value any
	}{
		{Int32, int64(math.MaxInt32) + 1},
		{Int32, int64(math.MinInt32) - 1},
		{Int64, uint64(math.MaxInt64) + 1},
		{Int64, 1.0},
		{Int64, true},
		{Int64, "x"},
		{Bool, 1},
		{Float32, 1e39},
		{Float32, math.MaxFloat64},
		{Float64, true},
		{String, 1},
		{String, "\xff"},
		{String, []byte("\xff")},
		{JSON, "{"},
		{Date, 1 << 40},
		{DecimalOf(4, 2), "100"},
		{DecimalOf(4, 2), 1},
		{Int64, time.Time{}},
		{Int64, struct{}{}},
	} {
		row := NewRow(MustSchema(Column{"c", tc.t}))
		err := row.Set("c", tc.value)
		if err == nil || !strings.Contains(err.Error(), `"c"`) || !strings.Contains(err.Error(), tc.t.String()) {
			t.Errorf("%v (%T) in a %s: error %v", tc.value, tc.value, tc.t, err)
		}
		if !row.IsNull("c") {
			t.Errorf("%v (%T) in a %s is kept after an error", tc.value, tc.value, tc.t)
		}
	}
}

func TestRowReadsItsColumnsByName(t *testing.T) {
	t.Parallel()
	row := NewRow(everyKind())
	for name, value := range map[string]any{
		"bool": true, "int64": 7, "float64": 2.5, "string": "text", "timestamp": int64(1_500_000), "decimal": "-0.01",
	} {
		if err := row.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if !row.Bool("bool") || row.Int("int64") != 7 || row.Float("float64") != 2.5 || row.Text("string") != "text" ||
		!row.Time("timestamp").Equal(time.UnixMicro(1_500_000)) || row.Text("decimal") != "-0.01" {
		t.Error("a value comes back as another one")
	}
	if row.Text("json") != "" || row.Int("int32") != 0 || !row.Get("date").IsNull() {
		t.Error("a null comes back as a value")
	}
	wantPanic(t, `no column "nothing"`, func() { row.Get("nothing") })
}

func TestClearMakesARowOfNulls(t *testing.T) {
	t.Parallel()
	row := NewRow(everyKind())
	for range 2 {
		if err := row.Set("string", "text"); err != nil {
			t.Fatal(err)
		}
		row.SetOp(OpDelete)
		row.Clear()
		b, _ := row.Batch()
		if !row.IsNull("string") || row.Op() != OpInsert || b.Size() != 0 || b.Len() != 1 {
			t.Errorf("after Clear the row has %v, op %s, %d bytes", row.Get("string"), row.Op(), b.Size())
		}
	}
}

func TestTypedSettersKeepToTheColumnsType(t *testing.T) {
	t.Parallel()
	row := NewRow(everyKind())
	for _, tc := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"int32", row.SetInt("int32", 5), true},
		{"int32 too large", row.SetInt("int32", 1<<31), false},
		{"int in a string", row.SetInt("string", 1), false},
		{"float32", row.SetFloat("float32", 0.5), true},
		{"float32 too large", row.SetFloat("float32", 1e39), false},
		{"float in an int64", row.SetFloat("int64", 1), false},
		{"string", row.SetText("string", "hé"), true},
		{"invalid UTF-8", row.SetText("string", "\xff"), false},
		{"text in a json", row.SetText("json", "1"), false},
	} {
		if (tc.err == nil) != tc.ok {
			t.Errorf("%s: error %v", tc.name, tc.err)
		}
	}
	if row.Int("int32") != 5 || row.Float("float32") != 0.5 || row.Text("string") != "hé" {
		t.Error("a refused value replaced a good one")
	}
}

func TestRowSeesItsRecordThroughTheLayout(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	b.Reset(Split{}, 3)
	b.SetLayout(&Layout{Schema: MustSchema(Column{"a", Int64}, Column{"b", Int64}), Slots: []int{2, 0}})
	b.AppendSpan(0, 0, 0)
	b.AppendSpan(1, 0, 0)
	row := b.Row(1)
	row.SetCell(0, Int64Cell(5))
	if err := row.SetInt("b", 6); err != nil {
		t.Fatal(err)
	}
	if cells := b.Cells(1); cells[2].Int() != 5 || cells[0].Int() != 6 || !cells[1].IsNull() || !b.Cells(0)[2].IsNull() {
		t.Errorf("the cells are %v and %v", b.Cells(0), cells)
	}
}
