// SPDX-License-Identifier: Apache-2.0

package tablet_test

import (
	"slices"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// A request that was cut is what it would have been without the other rows, and the one that it was cut from stays.
func TestCutIsTheRequestWithoutTheOtherRows(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(
		forebay.Column{Name: "n", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String})
	for _, key := range [][]string{nil, {"n"}} {
		e, err := tablet.NewEncoder(tablet.EncoderConfig{
			Table:  tablet.TableInfo{TableSpec: forebay.TableSpec{Name: "t", Key: key, Tablets: 1}},
			Layout: forebay.NewLayout(schema), SchemaID: 7, Now: func() int64 { return 99 }, Next: func() uint32 { return 0 },
		})
		if err != nil {
			t.Fatal(err)
		}
		request := func(rows ...int64) []byte {
			data := e.Open(nil)
			for _, n := range rows {
				row := forebay.NewRow(schema)
				if err := row.SetInt("n", n); err != nil {
					t.Fatal(err)
				}
				if err := row.SetText("text", string(make([]byte, 100*n))); err != nil {
					t.Fatal(err)
				}
				if key != nil && n == 3 {
					row.SetOp(forebay.OpDelete)
				}
				b, i := row.Batch()
				if _, err := e.Route(b, i); err != nil {
					t.Fatal(err)
				}
				data = e.Append(data)
			}
			return e.Seal(data, len(rows))
		}
		whole := request(0, 1, 2, 3, 4)
		before := slices.Clone(whole)
		for _, kept := range [][]int64{{0, 1, 2, 3, 4}, {1, 3}, {0, 4}, {}} {
			cut := e.Cut(nil, whole, func(row int) bool { return slices.Contains(kept, int64(row)) })
			if !slices.Equal(cut, request(kept...)) {
				t.Errorf("key %v: the rows %v of the request are not what they are alone", key, kept)
			}
		}
		if !slices.Equal(whole, before) {
			t.Error("the request changed")
		}
	}
}
