// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"slices"
	"testing"
)

func TestFieldsStayWithTheirRecord(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	fieldsOf := func(i int) []Field {
		return []Field{{Start: 1, Value: uint32(i), End: 9, Name: 2}, {Start: 10, Value: 12, End: 13, Name: EscapedName}}
	}
	for round := range 3 {
		b.Reset(Split{}, 0)
		for i := range 300 {
			record := b.Append(int64(i), []byte("x"))
			switch fields := fieldsOf(i); i % 3 {
			case 0:
				b.SetFields(record, append(b.FieldRoom(), fields...)) // in place, where there is room
			case 1:
				b.SetFields(record, fields)
			}
			if i%7 == 0 {
				b.RemoveLast()
				b.Append(int64(i), []byte("x"))
			}
		}
		b.Filter(func(i int) bool { return i%5 != 0 })
		for i := range b.Len() {
			offset := int(b.Record(i).Offset)
			want := fieldsOf(offset)
			if offset%3 == 2 || offset%7 == 0 {
				want = nil
			}
			if got := b.Fields(i); !slices.Equal(got, want) {
				t.Fatalf("round %d: record %d has the fields %v, want %v", round, offset, got, want)
			}
		}
	}
	b.SetValue(0, 0, 1)
	if got := b.Fields(0); len(got) > 0 {
		t.Errorf("a new value kept the fields %v", got)
	}
	b.SetFields(0, make([]Field, 1<<16))
	if got := b.Fields(0); len(got) > 0 {
		t.Errorf("%d fields were noted", len(got))
	}
}
