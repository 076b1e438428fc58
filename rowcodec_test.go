// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rowOf is a row with these values, for NewRow's own way of building rows.
func rowOf(tb testing.TB, schema *Schema, values ...any) (b *Batch) {
	tb.Helper()
	row := NewRow(schema)
	for i, value := range values {
		if err := row.Set(schema.Column(i).Name, value); err != nil {
			tb.Fatal(err)
		}
	}
	b, _ = row.Batch()
	return b
}

// everyKind is a schema with one column of each kind.
func everyKind() *Schema {
	return MustSchema(
		Column{"bool", Bool}, Column{"int32", Int32}, Column{"int64", Int64}, Column{"float32", Float32},
		Column{"float64", Float64}, Column{"decimal", DecimalOf(10, 2)}, Column{"string", String},
		Column{"bytes", Binary}, Column{"date", Date}, Column{"timestamp", Timestamp}, Column{"json", JSON},
	)
}

// golden removes the spaces and the line breaks that make golden bytes readable.
func golden(text string) string { return strings.Join(strings.Fields(text), "") }

func TestRowHasTheseBytes(t *testing.T) {
	t.Parallel()
	values := []any{
		true, -1, 300, 1.5, -2.0, "12.34", "hé", []byte{0xff, 0}, int64(-1), int64(1_356_998_400_000_000), "[1]",
	}
	for _, tc := range []struct {
		name, want string
		values     []any
	}{
		{"every kind", `0000 01 01 d804 0000c03f 00000000000000c0 000000000000000000000000000004d2
			03 68c3a9 02 ff00 01 00c097cf2ed20400 03 5b315d`, values},
		{"only nulls", `ff07`, nil},
		{"one value among nulls", `fe07 01`, []any{true}},
		{"bit 8 is the second byte's lowest", `ff06 02`, []any{nil, nil, nil, nil, nil, nil, nil, nil, 1}},
	} {
		schema := everyKind()
		got := hex.EncodeToString(NewRowEncoder(NewLayout(schema), nil).Append(nil, rowOf(t, schema, tc.values...), 0))
		if got != golden(tc.want) {
			t.Errorf("%s: the bytes are\n%s, want\n%s", tc.name, got, golden(tc.want))
		}
	}
}

func TestRowOfTheFormatPageHasItsBytes(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"id", Int64}, Column{"ok", Bool}, Column{"name", String})
	got := NewRowEncoder(NewLayout(schema), nil).Append(nil, rowOf(t, schema, 300, nil, "hé"), 0)
	if hex.EncodeToString(got) != golden("02 d804 0368c3a9") {
		t.Errorf("the bytes are %x", got)
	}
}

func TestRowHoldsIntegersAsZigzagVarints(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"v", Int64})
	encoder := NewRowEncoder(NewLayout(schema), nil)
	for _, v := range []int64{
		0, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193, 1 << 20, 1<<20 - 1, math.MaxInt64, math.MinInt64,
	} {
		got := encoder.Append(nil, rowOf(t, schema, v), 0)
		if want := binary.AppendVarint([]byte{0}, v); !bytes.Equal(got, want) {
			t.Errorf("%d is %x, want %x", v, got, want)
		}
	}
}

func TestRowsComeBackFromTheirBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema := drawSchema(t, 20)
		b := drawBatch(t, schema, 4)
		var columns []int
		if rapid.Bool().Draw(t, "some columns") {
			columns = rapid.Permutation(upTo(schema.Len())).Draw(t, "columns")
			columns = columns[:rapid.IntRange(0, len(columns)).Draw(t, "count")]
		}
		encoder, decoder := NewRowEncoder(b.Layout(), columns), NewRowDecoder(schema, columns)
		if columns == nil {
			columns = upTo(schema.Len())
		}
		cells := make([]Cell, schema.Len())
		for i := range b.Len() {
			prefix := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "prefix")
			row := encoder.Append(bytes.Clone(prefix), b, i)
			if !bytes.HasPrefix(row, prefix) {
				t.Fatalf("row %d changed what stood before it", i)
			}
			slab := append(row, "after"...)
			if err := decoder.Decode(cells, slab, len(prefix), len(row)-len(prefix)); err != nil {
				t.Fatalf("row %d: %v", i, err)
			}
			for _, column := range columns {
				want := b.Row(i).Cell(column)
				if !sameCell(cells[column], slab, want, b.Slab()) {
					t.Fatalf("row %d: %s is %v, want %v", i, schema.Column(column).Name, cells[column], want)
				}
			}
		}
	})
}

func TestSizedRowIsTheRowAfterItsSize(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"s", String})
	encoder := NewRowEncoder(NewLayout(schema), nil)
	sizes := []int{0, 1, 15, 16, 17, 125, 126, 127, 128, 129, 16_380, 16_381, 16_382, 16_383, 3 << 20}
	for _, before := range sizes { // the encoder guesses by the row before
		for _, size := range sizes {
			data := encoder.AppendSized([]byte("before"), rowOf(t, schema, strings.Repeat("y", before)), 0)
			b := rowOf(t, schema, strings.Repeat("x", size))
			row := encoder.Append(nil, b, 0)
			want := AppendSizedRow(bytes.Clone(data), row)
			if got := encoder.AppendSized(data, b, 0); !bytes.Equal(got, want) {
				t.Errorf("a string of %d after one of %d: %d bytes, want %d", size, before, len(got), len(want))
			}
		}
	}
}

func TestRowEncoderGrowsOnlyWhatItNeeds(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"a", String}, Column{"b", DecimalOf(38, 0)}, Column{"c", String}, Column{"d", Int64},
		Column{"e", String}, Column{"f", DecimalOf(38, 0)})
	long := strings.Repeat("x", 100)
	b := rowOf(t, schema, long, "1", long, int64(math.MinInt64), long, "-1")
	encoder := NewRowEncoder(b.Layout(), nil)
	want := encoder.Append(nil, b, 0)
	for room := range 3 * len(want) {
		if got := encoder.Append(make([]byte, 0, room), b, 0); !bytes.Equal(got, want) {
			t.Errorf("with room for %d bytes the row is %x, want %x", room, got, want)
		}
	}
}

func TestRowEncoderTakesCellsThatWiden(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"i", Int64}, Column{"f", Float64})
	b := rowOf(t, schema)
	b.Cells(0)[0], b.Cells(0)[1] = Int32Cell(-7), Float32Cell(0.5)
	got := NewRowEncoder(b.Layout(), nil).Append(nil, b, 0)
	b.Cells(0)[0], b.Cells(0)[1] = Int64Cell(-7), Float64Cell(0.5)
	if want := NewRowEncoder(b.Layout(), nil).Append(nil, b, 0); !bytes.Equal(got, want) {
		t.Errorf("narrow cells give %x, wide ones %x", got, want)
	}
}

func TestRowEncoderPanicsOnACellOfAnotherKind(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t Type
		c Cell
	}{
		{Int32, Int64Cell(1)},
		{String, Int64Cell(1 << 40)},
		{Int64, SpanCell(KindString, 0, 0)},
		{Timestamp, DateCell(1)},
		{Float32, Float64Cell(1)},
		{Int64, BoolCell(true)},
		{Float64, Int32Cell(1)},
	} {
		schema := MustSchema(Column{"price", tc.t})
		b := rowOf(t, schema)
		b.Cells(0)[0] = tc.c
		wantPanic(t, `"price"`, func() { NewRowEncoder(b.Layout(), nil).Append(nil, b, 0) })
	}
}

func wantPanic(t *testing.T, part string, call func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, part) {
			t.Errorf("panic says %q, want it to contain %s", text, part)
		}
	}()
	call()
}

func TestDecodeRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, data string
		t          Type
	}{
		{"no bitmap", "", Int64},
		{"no value", "00", Int64},
		{"bitmap of more columns", "0202", Int64},
		{"bytes after the row", "000201", Int64},
		{"bytes after a null", "0101", Int64},
		{"varint without end", "00ff", Int64},
		{"varint above 64 bits", "00ffffffffffffffffff7f", Int64},
		{"int32 above 32 bits", "008080808010", Int32},
		{"date above 32 bits", "008080808010", Date},
		{"bool of 2", "0002", Bool},
		{"short bool", "00", Bool},
		{"short float32", "00000000", Float32},
		{"short float64", "0000000000000000", Float64},
		{"short timestamp", "0000000000000000", Timestamp},
		{"short decimal", "00" + strings.Repeat("00", 15), DecimalOf(4, 2)},
		{"decimal above its precision", "00" + strings.Repeat("00", 14) + "2710", DecimalOf(4, 2)},
		{"short string", "000261", String},
		{"string without size", "00", String},
		{"string larger than memory", "00ffffffffffffffffff01", String},
		{"short bytes", "00800161", Binary},
		{"short json", "0005", JSON},
	} {
		data, err := hex.DecodeString(tc.data)
		if err != nil {
			t.Fatal(err)
		}
		decoder := NewRowDecoder(MustSchema(Column{"c", tc.t}), nil)
		// What follows the row in its slab must not be read as a part of it.
		slab := append(append([]byte{9, 9}, data...), make([]byte, 300)...)
		if err := decoder.Decode(make([]Cell, 1), slab, 2, len(data)); ClassOf(err) != ClassCorrupt {
			t.Errorf("%s: error %v, want a corrupt one", tc.name, err)
		}
	}
}

// B4: what lies behind the row is not read.
func TestDecodeRefusesAColumnThatEndsAfterItsRow(t *testing.T) {
	t.Parallel()
	for _, first := range []Type{String, Binary, JSON} {
		for _, next := range allTypes {
			decoder := NewRowDecoder(MustSchema(Column{"a", first}, Column{"b", next}), nil)
			for _, row := range []string{"000261", "00820061", "000561"} {
				data, err := hex.DecodeString(row)
				if err != nil {
					t.Fatal(err)
				}
				if err := decoder.Decode(make([]Cell, 2), data, 0, len(data)); ClassOf(err) != ClassCorrupt ||
					!strings.Contains(err.Error(), `"a"`) {
					t.Errorf("%s, %s: %s gives %v, want corrupt column a", first, next, row, err)
				}
			}
		}
	}
}

func TestDecodeRefusesARowOutsideItsSlab(t *testing.T) {
	t.Parallel()
	decoder := NewRowDecoder(MustSchema(Column{"c", Bool}), nil)
	for _, tc := range []struct{ start, size int }{
		{-1, 2}, {0, -1}, {2, 2}, {0, 4}, {math.MaxInt, 2}, {1, math.MaxInt},
	} {
		if err := decoder.Decode(make([]Cell, 1), []byte{0, 1, 0}, tc.start, tc.size); ClassOf(err) != ClassCorrupt {
			t.Errorf("start %d, size %d: error %v, want a corrupt one", tc.start, tc.size, err)
		}
	}
}

func TestDecodeLeavesOtherCellsAlone(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"a", Int64}, Column{"b", Int64}, Column{"c", Int64})
	cells := []Cell{Int64Cell(1), Int64Cell(2), Int64Cell(3)}
	if err := NewRowDecoder(schema, []int{2, 0}).Decode(cells, []byte{0, 20, 40}, 0, 3); err != nil {
		t.Fatal(err)
	}
	if cells[0].Int() != 20 || cells[1].Int() != 2 || cells[2].Int() != 10 {
		t.Errorf("the cells are %d, %d, %d", cells[0].Int(), cells[1].Int(), cells[2].Int())
	}
}

func TestWidenCellKeepsTheValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := drawType(t, "from")
		to := from
		switch from.Kind {
		case KindInt32:
			to = Int64
		case KindFloat32:
			to = Float64
		case KindDecimal:
			to.Scale = rapid.Uint8Range(from.Scale, from.Scale+DecimalPrecisionMax-from.Precision).Draw(t, "scale")
			to.Precision = rapid.Uint8Range(from.Precision+to.Scale-from.Scale, DecimalPrecisionMax).Draw(t, "precision")
		default:
		}
		if !from.WidensTo(to) {
			t.Fatalf("%s does not widen to %s", from, to)
		}
		c, slab := drawCell(t, nil, from)
		wide, slab := WidenCell(c, from, to, slab)
		if wide.Kind() != to.Kind {
			t.Fatalf("the cell is a %s", wide.Kind())
		}
		// The text of the narrow value, read as the wide type, is the wide value.
		want, slabWant, err := ParseCell(nil, to, AppendCell(nil, from, c, slab))
		switch {
		case from.Kind == KindFloat32:
			if math.Float64bits(wide.Float()) != math.Float64bits(c.Float()) {
				t.Fatalf("%v becomes %v", c.Float(), wide.Float())
			}
		case err != nil || !sameCell(wide, slab, want, slabWant):
			t.Fatalf("%s as %s is %s (%v)", AppendCell(nil, from, c, slab), to, AppendCell(nil, to, wide, slab), err)
		}
	})
}

func TestWidenCellKeepsNullAndPanicsWhereTypesDoNotWiden(t *testing.T) {
	t.Parallel()
	if c, _ := WidenCell(Null, DecimalOf(4, 2), DecimalOf(6, 3), nil); !c.IsNull() {
		t.Errorf("null becomes %v", c)
	}
	wantPanic(t, "does not widen", func() { WidenCell(Int64Cell(1), Int64, Int32, nil) })
}

func TestRowCodecDoesNotAllocate(t *testing.T) {
	b := flightBatch(t, 4)
	encoder, decoder := NewRowEncoder(b.Layout(), nil), NewRowDecoder(b.Layout().Schema, nil)
	row, cells := make([]byte, 0, 4096), make([]Cell, b.Width())
	allocations := testing.AllocsPerRun(10, func() {
		row = encoder.Append(row[:0], b, 1)
		if err := decoder.Decode(cells, row, 0, len(row)); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations per row", allocations)
	}
}

// FuzzRowDecode reads any bytes as a row of a schema drawn from them: no panic, spans inside the row, and
// what is accepted and encoded again gives a row of the same values.
// B4: whatever the bytes are.
func FuzzRowDecode(f *testing.F) {
	schema := everyKind()
	values := []any{true, 1, 2, 1.5, -2.0, "12.34", "hé", []byte{0xff, 0}, int64(-1), int64(1), "[1]"}
	row := NewRow(schema)
	for i, value := range values {
		if err := row.Set(schema.Column(i).Name, value); err != nil {
			f.Fatal(err)
		}
	}
	b, _ := row.Batch()
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, NewRowEncoder(b.Layout(), nil).Append(nil, b, 0))
	f.Add([]byte{6}, []byte{0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, kinds, data []byte) {
		columns := make([]Column, min(len(kinds), 24))
		for i := range columns {
			columns[i] = Column{Name: string(rune('a' + i)), Type: everyKind().Column(int(kinds[i]) % 11).Type}
		}
		schema := MustSchema(columns...)
		decoder := NewRowDecoder(schema, nil)
		cells := make([]Cell, schema.Len())
		slab := append(append([]byte("before"), data...), "after"...)
		if err := decoder.Decode(cells, slab, 6, len(data)); err != nil {
			if ClassOf(err) != ClassCorrupt {
				t.Fatalf("the error is %s: %v", ClassOf(err), err)
			}
			return
		}
		b := NewBatch()
		b.Reset(Split{}, schema.Len())
		b.SetLayout(NewLayout(schema))
		b.AppendSpan(0, 0, 0)
		b.AppendBytes(slab)
		copy(b.Cells(0), cells)
		for _, c := range cells {
			if start, size := c.Span(); c.Kind().InSlab() && (start < 6 || start+size > 6+len(data)) {
				t.Fatalf("a span of %d bytes at %d leaves the row", size, start)
			}
		}
		again := NewRowEncoder(b.Layout(), nil).Append(nil, b, 0)
		cellsAgain := make([]Cell, schema.Len())
		if err := decoder.Decode(cellsAgain, again, 0, len(again)); err != nil {
			t.Fatalf("the row encoded again is refused: %v", err)
		}
		for i := range cells {
			if !sameCell(cells[i], slab, cellsAgain[i], again) {
				t.Fatalf("column %d is another value after encoding again", i)
			}
		}
	})
}
