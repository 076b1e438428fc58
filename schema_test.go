// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseTypeReadsWhatStringPrints(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, "type")
		if got, err := ParseType(typ.String()); err != nil || got != typ {
			t.Fatalf("%s comes back as %s (%v)", typ, got, err)
		}
		if !typ.Valid() {
			t.Fatalf("%s is not valid", typ)
		}
	})
}

func TestParseTypeAllowsSpaces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Type{
		" int64 ": Int64, "decimal(10,2)": DecimalOf(10, 2), "decimal( 38 , 0 )": DecimalOf(38, 0),
	} {
		if got, err := ParseType(text); err != nil || got != want {
			t.Errorf("%q is read as %s (%v)", text, got, err)
		}
	}
}

func TestParseTypeSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, why string }{
		{"", "use one of"},
		{"int", "int32, int64"},
		{"null", "use one of"},
		{"decimal", "decimal(p, s)"},
		{"INT64", "use one of"},
		{"decimal(0, 0)", "1 to 38"},
		{"decimal(39, 0)", "1 to 38"},
		{"decimal(4, 5)", "1 to 38"},
		{"decimal(4)", "1 to 38"},
		{"decimal(4, 2", "1 to 38"},
		{"decimal(260, 4)", "1 to 38"},
		{"decimal(-1, 0)", "1 to 38"},
	} {
		if got, err := ParseType(tc.text); err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%q is read as %s (%v), want an error with %q", tc.text, got, err, tc.why)
		}
	}
}

func TestTypesWithStrayParametersAreNotValid(t *testing.T) {
	t.Parallel()
	for _, typ := range []Type{
		{},
		{Kind: KindJSON + 1},
		{Kind: KindInt64, Precision: 1},
		{Kind: KindString, Scale: 1},
		DecimalOf(0, 0),
		DecimalOf(39, 0), DecimalOf(4, 5),
	} {
		if typ.Valid() {
			t.Errorf("%#v is valid", typ)
		}
	}
	if got := Kind(200).String(); got != "kind(200)" {
		t.Errorf("an unknown kind prints as %s", got)
	}
}

func TestOnlyLosslessChangesWiden(t *testing.T) {
	t.Parallel()
	wide := map[[2]Kind]bool{{KindInt32, KindInt64}: true, {KindFloat32, KindFloat64}: true}
	for _, from := range allTypes {
		for _, to := range allTypes {
			if from.Kind == KindDecimal && to.Kind == KindDecimal {
				continue
			}
			if want := from == to || wide[[2]Kind{from.Kind, to.Kind}]; from.WidensTo(to) != want {
				t.Errorf("%s widens to %s: %v", from, to, !want)
			}
		}
	}
	for _, tc := range []struct {
		from, to Type
		want     bool
	}{
		{DecimalOf(4, 2), DecimalOf(4, 2), true},
		{DecimalOf(4, 2), DecimalOf(5, 2), true},
		{DecimalOf(4, 2), DecimalOf(5, 3), true},
		{DecimalOf(4, 2), DecimalOf(4, 3), false}, // 99.99 has no room
		{DecimalOf(4, 2), DecimalOf(5, 1), false},
		{DecimalOf(5, 2), DecimalOf(4, 2), false},
		{DecimalOf(38, 0), DecimalOf(38, 38), false},
		{DecimalOf(2, 2), DecimalOf(38, 38), true},
	} {
		if got := tc.from.WidensTo(tc.to); got != tc.want {
			t.Errorf("%s widens to %s: %v", tc.from, tc.to, got)
		}
	}
}

func TestNewSchemaNamesEveryWrongColumn(t *testing.T) {
	t.Parallel()
	_, err := NewSchema(Column{"a", Int64}, Column{"", Int64}, Column{"b", Type{}}, Column{"a", String})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"column 2 has no name", `"b" has the type null`, `"a" is given twice, as column 1 and 4`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	many := make([]Column, ColumnsMax+1)
	for i := range many {
		many[i] = Column{Name: "c" + string(AppendCell(nil, Int64, Int64Cell(int64(i)), nil)), Type: Int64}
	}
	if _, err := NewSchema(many...); err == nil {
		t.Errorf("%d columns are accepted", len(many))
	}
	if _, err := NewSchema(many[1:]...); err != nil {
		t.Errorf("%d columns: %v", ColumnsMax, err)
	}
	wantPanic(t, "twice", func() { MustSchema(Column{"a", Int64}, Column{"a", Int64}) })
}

func TestSchemaFindsColumnsByName(t *testing.T) {
	t.Parallel()
	columns := []Column{{"id", Int64}, {"price", DecimalOf(10, 2)}}
	s := MustSchema(columns...)
	columns[0].Name = "changed"
	if s.Find("id") != 0 || s.Find("price") != 1 || s.Find("nothing") != -1 {
		t.Errorf("found %d, %d, %d", s.Find("id"), s.Find("price"), s.Find("nothing"))
	}
	s.Columns()[0].Name = "changed"
	if diff := cmp.Diff([]string{"id", "price"}, s.Names()); diff != "" {
		t.Errorf("the schema can be changed from outside (-want +got):\n%s", diff)
	}
	if s.String() != "id int64, price decimal(10, 2)" {
		t.Errorf("it prints as %s", s)
	}
}

func TestSchemasAreEqualByNamesTypesAndOrder(t *testing.T) {
	t.Parallel()
	a, b := Column{"a", Int64}, Column{"b", String}
	s := MustSchema(a, b)
	for _, tc := range []struct {
		name  string
		other *Schema
		want  bool
	}{
		{"same", MustSchema(a, b), true},
		{"order", MustSchema(b, a), false},
		{"fewer", MustSchema(a), false},
		{"type", MustSchema(a, Column{"b", JSON}), false},
		{"nil", nil, false},
	} {
		if got := s.Equal(tc.other); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if none := (*Schema)(nil); none.Equal(s) || !none.Equal(nil) {
		t.Error("nil equals more or less than nil")
	}
}

func TestLayoutWidthIsOneMoreThanTheHighestSlot(t *testing.T) {
	t.Parallel()
	s := MustSchema(Column{"a", Int64}, Column{"b", String})
	for _, tc := range []struct {
		layout *Layout
		want   int
	}{
		{NewLayout(s), 2}, {&Layout{Schema: s, Slots: []int{5, 3}}, 6}, {NewLayout(MustSchema()), 0},
	} {
		if got := tc.layout.Width(); got != tc.want {
			t.Errorf("slots %v: width %d, want %d", tc.layout.Slots, got, tc.want)
		}
	}
}
