// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyOf encodes one value of the type, given as text.
func keyOf(tb testing.TB, typ Type, text string) []byte {
	tb.Helper()
	b := rowOf(tb, MustSchema(Column{"k", typ}))
	var err error
	if b.Cells(0)[0], b.slab, err = ParseCell(b.slab, typ, []byte(text)); err != nil {
		tb.Fatal(err)
	}
	encoder, err := NewKeyEncoder(b.Layout(), []int{0})
	if err != nil {
		tb.Fatal(err)
	}
	key, err := encoder.Append(nil, b, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// TestKeyHasTheseBytes holds every type against testdata/keys.golden, whose values rise within a type.
func TestKeyHasTheseBytes(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/keys.golden")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Kind]bool{}
	var typeBefore Type
	var before []byte
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 3 {
			t.Fatalf("%q is not type|value|bytes", line)
		}
		typ, err := ParseType(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		value := strings.ReplaceAll(fields[1], `\0`, "\x00")
		got := keyOf(t, typ, value)
		if hex.EncodeToString(got) != golden(fields[2]) {
			t.Errorf("%s %s is encoded as %x, want %s", typ, fields[1], got, golden(fields[2]))
		}
		if typ == typeBefore && bytes.Compare(before, got) >= 0 {
			t.Errorf("%s %s does not sort after the value before it", typ, fields[1])
		}
		seen[typ.Kind], typeBefore, before = true, typ, got
	}
	for _, typ := range allTypes {
		if refused := typ.Kind == KindFloat32 || typ.Kind == KindFloat64 || typ.Kind == KindJSON; seen[typ.Kind] == refused {
			t.Errorf("%s is in the file: %v", typ, seen[typ.Kind])
		}
	}
}

// keySchema draws a schema whose columns can all be part of a key.
func keySchema(t *rapid.T) *Schema {
	columns := make([]Column, rapid.IntRange(1, 4).Draw(t, "columns"))
	for i := range columns {
		kinds := rapid.SampledFrom([]Type{
			Bool, Int32, Int64, DecimalOf(38, 4), DecimalOf(3, 1), String, Binary, Date, Timestamp,
		})
		columns[i] = Column{Name: string(rune('a' + i)), Type: kinds.Draw(t, "type")}
	}
	return MustSchema(columns...)
}

// compareCells compares two values of one kind.
func compareCells(a, b Cell, slab []byte) int {
	switch a.Kind() {
	case KindDecimal:
		return Int128From(a.Bytes(slab)).Compare(Int128From(b.Bytes(slab)))
	case KindString, KindBytes:
		return bytes.Compare(a.Bytes(slab), b.Bytes(slab))
	case KindBool:
		return cmp.Compare(a.bits, b.bits)
	default:
		return cmp.Compare(a.Int(), b.Int())
	}
}

// B3: encoded keys compare as their values do, and none is the beginning of another one.
func TestB3KeyBytesSortAsValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema := keySchema(t)
		key := rapid.Permutation(upTo(schema.Len())).Draw(t, "key")
		b := NewBatch()
		b.Reset(Split{}, schema.Len())
		b.SetLayout(NewLayout(schema))
		encoder, err := NewKeyEncoder(b.Layout(), key)
		if err != nil {
			t.Fatal(err)
		}
		var encoded [2][]byte
		for i := range encoded {
			b.AppendSpan(0, 0, 0)
			for column := range schema.Len() {
				if i == 1 && rapid.Bool().Draw(t, "equal") {
					b.Cells(1)[column] = b.Cells(0)[column]
					continue
				}
				b.Cells(i)[column], b.slab = drawCell(t, b.slab, schema.Column(column).Type)
			}
			if encoded[i], err = encoder.Append(nil, b, i); err != nil {
				t.Fatal(err)
			}
			checkKeyComesBack(t, b, i, key, encoded[i])
		}
		want := 0
		for _, column := range key {
			if want = compareCells(b.Cells(0)[column], b.Cells(1)[column], b.slab); want != 0 {
				break
			}
		}
		if got := bytes.Compare(encoded[0], encoded[1]); got != want {
			t.Fatalf("%x and %x compare as %d, their values as %d", encoded[0], encoded[1], got, want)
		}
		if want != 0 && (bytes.HasPrefix(encoded[0], encoded[1]) || bytes.HasPrefix(encoded[1], encoded[0])) {
			t.Fatalf("of %x and %x one is the beginning of the other", encoded[0], encoded[1])
		}
	})
}

func checkKeyComesBack(t *rapid.T, b *Batch, i int, key []int, encoded []byte) {
	schema := b.Layout().Schema
	cells := make([]Cell, schema.Len())
	slab, err := NewKeyDecoder(schema, key).Decode(cells, []byte("before"), encoded)
	if err != nil {
		t.Fatalf("%x: %v", encoded, err)
	}
	for _, column := range key {
		if !sameCell(cells[column], slab, b.Cells(i)[column], b.slab) {
			t.Fatalf("%x gives another value in column %d", encoded, column)
		}
	}
	if !bytes.HasPrefix(slab, []byte("before")) {
		t.Fatalf("the slab was changed: %q", slab)
	}
}

func TestKeyWithANullIsRejected(t *testing.T) {
	t.Parallel()
	schema := MustSchema(Column{"id", Int64}, Column{"region", String})
	b := rowOf(t, schema, 1)
	encoder, err := NewKeyEncoder(b.Layout(), []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	dst, err := encoder.Append([]byte("before"), b, 0)
	if ClassOf(err) != ClassRejected || !strings.Contains(err.Error(), `"region"`) || string(dst) != "before" {
		t.Errorf("%q, error %v", dst, err)
	}
}

func TestKeyTakesAnInt32ForAnInt64AndPanicsOnOtherKinds(t *testing.T) {
	t.Parallel()
	b := rowOf(t, MustSchema(Column{"id", Int64}))
	encoder, err := NewKeyEncoder(b.Layout(), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	b.Cells(0)[0] = Int32Cell(-1)
	if key, err := encoder.Append(nil, b, 0); err != nil || hex.EncodeToString(key) != "7fffffffffffffff" {
		t.Errorf("%x, error %v", key, err)
	}
	b.Cells(0)[0] = TimestampCell(1)
	wantPanic(t, `"id"`, func() {
		if _, err := encoder.Append(nil, b, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestNewKeyEncoderRefusesWhatCannotBeAKey(t *testing.T) {
	t.Parallel()
	layout := NewLayout(MustSchema(
		Column{"id", Int64}, Column{"f32", Float32}, Column{"f64", Float64}, Column{"doc", JSON}))
	for _, tc := range []struct {
		key []int
		why string
	}{
		{nil, "no columns"},
		{[]int{4}, "no column 4"},
		{[]int{-1}, "no column -1"},
		{[]int{0, 0}, `"id" is given twice`},
		{[]int{1}, `"f32" is a float32`},
		{[]int{0, 2}, `"f64" is a float64`},
		{[]int{3}, `"doc" is a json`},
	} {
		if _, err := NewKeyEncoder(layout, tc.key); ClassOf(err) != ClassMisconfigured ||
			!strings.Contains(err.Error(), tc.why) {
			t.Errorf("%v: error %v, want one with %q", tc.key, err, tc.why)
		}
	}
}

func TestKeyDecoderRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, data string
		t          Type
	}{
		{"nothing", "", Bool},
		{"bool of 2", "02", Bool},
		{"short int32", "800000", Int32},
		{"short int64", "80000000000000", Int64},
		{"short date", "800000", Date},
		{"short timestamp", "80000000000000", Timestamp},
		{"short decimal", strings.Repeat("80", 15), DecimalOf(4, 2)},
		{"decimal above its precision", "80" + strings.Repeat("00", 13) + "2710", DecimalOf(4, 2)},
		{"string without end", "6161", String},
		{"string that ends in an escape", "610100", String},
		{"unknown escape", "61000261", String},
		{"bytes after the key", "610001ff", Binary},
		{"a type that no key has", "8000000000000000", Float64},
	} {
		data, err := hex.DecodeString(tc.data)
		if err != nil {
			t.Fatal(err)
		}
		decoder := NewKeyDecoder(MustSchema(Column{"k", tc.t}), []int{0})
		slab, err := decoder.Decode(make([]Cell, 1), []byte("before"), data)
		if ClassOf(err) != ClassCorrupt || string(slab) != "before" {
			t.Errorf("%s: slab %q, error %v, want a corrupt one", tc.name, slab, err)
		}
	}
}

// FuzzKeyDecoder reads any bytes as a key: no panic, and what is accepted is the only encoding of its value.
func FuzzKeyDecoder(f *testing.F) {
	types := []Type{Bool, Int32, Int64, DecimalOf(10, 2), DecimalOf(38, 0), String, Binary, Date, Timestamp}
	f.Add([]byte{0, 1, 2}, []byte{1, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{5, 6}, []byte("a\x00\xffb\x00\x01c\x00\x01"))
	f.Add([]byte{3}, append([]byte{0x80}, make([]byte, 15)...))
	f.Fuzz(func(t *testing.T, kinds, data []byte) {
		columns := make([]Column, min(len(kinds), 8))
		for i := range columns {
			columns[i] = Column{Name: string(rune('a' + i)), Type: types[int(kinds[i])%len(types)]}
		}
		if len(columns) == 0 {
			return
		}
		schema := MustSchema(columns...)
		b := NewBatch()
		b.Reset(Split{}, schema.Len())
		b.SetLayout(NewLayout(schema))
		b.AppendSpan(0, 0, 0)
		key := upTo(schema.Len())
		slab, err := NewKeyDecoder(schema, key).Decode(b.Cells(0), nil, data)
		if err != nil {
			if ClassOf(err) != ClassCorrupt {
				t.Fatalf("the error is %s: %v", ClassOf(err), err)
			}
			return
		}
		b.slab = slab
		encoder, err := NewKeyEncoder(b.Layout(), key)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := encoder.Append(nil, b, 0); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is encoded again as %x (%v)", data, again, err)
		}
	})
}
