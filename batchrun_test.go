// SPDX-License-Identifier: Apache-2.0

package forebay

import "testing"

func TestAppendRunEqualsAppendingOneByOne(t *testing.T) {
	t.Parallel()
	for _, width := range []int{0, 3} {
		bulk, single := NewBatch(), NewBatch()
		for range 2 { // the second round works in used memory
			bulk.Reset(Split{ID: "s"}, width)
			single.Reset(Split{ID: "s"}, width)
			bulk.Append(1, []byte("before"))
			single.Append(1, []byte("before"))
			if width > 0 {
				bulk.Cells(0)[1], single.Cells(0)[1] = Int64Cell(7), Int64Cell(7)
			}
			copy(bulk.AppendRun(Run{Offset: 10, Stride: 3, Size: 2, Count: 3}), "aabbcc")
			for i, value := range []string{"aa", "bb", "cc"} {
				single.Append(int64(10+3*i), []byte(value))
			}
			bulk.AppendRun(Run{Offset: 30})
			bulk.Append(40, []byte("after"))
			single.Append(40, []byte("after"))
			if width > 0 {
				bulk.CellRun(1, 3)[width*2+1] = Int64Cell(9)
				single.Cells(3)[1] = Int64Cell(9)
			}
			compareBatches(t, bulk, single)
		}
	}
}

func compareBatches(t *testing.T, got, want *Batch) {
	t.Helper()
	if got.Len() != want.Len() || got.Size() != want.Size() {
		t.Fatalf("%d records in %s, want %d in %s", got.Len(), got.Size(), want.Len(), want.Size())
	}
	for i := range got.Len() {
		if *got.Record(i) != *want.Record(i) || string(got.Value(i)) != string(want.Value(i)) {
			t.Errorf("record %d is %+v %q, want %+v %q", i, *got.Record(i), got.Value(i), *want.Record(i), want.Value(i))
		}
		for slot := range got.Width() {
			if got.Cells(i)[slot] != want.Cells(i)[slot] {
				t.Errorf("record %d, slot %d is %v, want %v", i, slot, got.Cells(i)[slot], want.Cells(i)[slot])
			}
		}
	}
}
