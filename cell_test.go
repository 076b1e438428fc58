// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"
	"testing"
	"unsafe"
)

func TestCellHasSixteenBytes(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Cell{}); size != 16 {
		t.Errorf("a cell has %d bytes", size)
	}
}

func TestZeroCellIsNull(t *testing.T) {
	t.Parallel()
	if c := (Cell{}); c != Null || !c.IsNull() || c.Kind() != KindNull {
		t.Errorf("the zero cell is %v", c)
	}
	if BoolCell(false).IsNull() || Int64Cell(0).IsNull() || SpanCell(KindString, 0, 0).IsNull() {
		t.Error("a zero value is null")
	}
}

func TestCellsHoldTheirValues(t *testing.T) {
	t.Parallel()
	for _, v := range []int64{0, 1, -1, math.MaxInt32, math.MinInt32} {
		for _, tc := range []struct {
			c    Cell
			kind Kind
		}{
			{Int32Cell(int32(v)), KindInt32},
			{Int64Cell(v), KindInt64},
			{DateCell(int32(v)), KindDate},
			{TimestampCell(v), KindTimestamp},
		} {
			if tc.c.Int() != v || tc.c.Kind() != tc.kind {
				t.Errorf("%d as %s is %d as %s", v, tc.kind, tc.c.Int(), tc.c.Kind())
			}
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 1.5, math.MaxFloat64, math.Inf(-1)} {
		if got := Float64Cell(v).Float(); math.Float64bits(got) != math.Float64bits(v) {
			t.Errorf("%v becomes %v", v, got)
		}
	}
	if got := Float32Cell(0.1).Float(); got != float64(float32(0.1)) {
		t.Errorf("a float32 becomes %v", got)
	}
	if !BoolCell(true).Bool() || BoolCell(false).Bool() {
		t.Error("a bool changes")
	}
}

func TestSpanCellReadsItsSlab(t *testing.T) {
	t.Parallel()
	slab := []byte("abcdef")
	for _, kind := range []Kind{KindString, KindBytes, KindJSON, KindDecimal} {
		c := SpanCell(kind, 2, 3)
		if !kind.InSlab() || string(c.Bytes(slab)) != "cde" {
			t.Errorf("a %s is %q", kind, c.Bytes(slab))
		}
		if got := c.Bytes(slab); cap(got) != 3 {
			t.Errorf("appending to a %s changes the slab", kind)
		}
	}
	for _, kind := range []Kind{
		KindNull, KindBool, KindInt32, KindInt64, KindFloat32, KindFloat64, KindDate, KindTimestamp,
	} {
		if kind.InSlab() {
			t.Errorf("a %s lies in the slab", kind)
		}
	}
}
