// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAuditFindsWhatIsWrongWithATable(t *testing.T) {
	t.Parallel()
	// Two rows are equal: both are due.
	ledger, err := ReadCSV(write(t, "in.csv", "a,b\n1,x\n2,NA\n2,NA\n3,\"y,\"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, table string
		order       Order
		want        []FindingKind
	}{
		{name: "the same rows", table: "a,b\n1,x\n2,\n2,\n3,\"y,\"\n", order: Whole},
		{name: "other columns beside", table: "b,c,a\nx,7,1\n,7,2\n,8,2\n\"y,\",8,3\n", order: Whole},
		{name: "a row is missing", table: "a,b\n1,x\n2,\n3,\"y,\"\n", want: []FindingKind{FindingLost}},
		{
			name: "a row is missing and a neighbour does not follow", table: "a,b\n1,x\n2,\n3,\"y,\"\n", order: Whole,
			want: []FindingKind{FindingLost, FindingOrder},
		},
		{
			name: "a row is there twice", table: "a,b\n1,x\n2,\n2,\n2,\n3,\"y,\"\n", order: ByKey,
			want: []FindingKind{FindingRepeated},
		},
		{name: "two rows are exchanged", table: "a,b\n2,\n1,x\n2,\n3,\"y,\"\n", want: []FindingKind{FindingOrder}},
		{name: "exchanged rows of a key table", table: "a,b\n2,\n1,x\n2,\n3,\"y,\"\n", order: ByKey},
		{
			name: "a value differs", table: "a,b\n1,z\n2,\n2,\n3,\"y,\"\n",
			want: []FindingKind{FindingLost, FindingStrange},
		},
		{name: "no rows", table: "a,b\n", want: []FindingKind{FindingLost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			findings, err := ledger.Audit([]byte(c.table), c.order)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []FindingKind
			for _, f := range findings {
				kinds = append(kinds, f.Kind)
			}
			if diff := cmp.Diff(c.want, kinds); diff != "" {
				t.Error(diff, findings)
			}
		})
	}
}

func TestLedgerOfNDJSONKnowsTheRangeInWhichARowBegins(t *testing.T) {
	t.Parallel()
	path := write(t, "in.ndjson", "{\"a\":1,\"b\":\"x\"}\n{\"b\":null,\"a\":2.50}\n{\"a\":true,\"b\":\"\"}\n")
	ledger, err := ReadNDJSON(path, []string{"a", "b"}, 20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1\x1fx", "2.50\x1f", "true\x1f"}, ledger.Rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int32{0, 0, 1}, ledger.Splits); diff != "" {
		t.Error(diff)
	}
	// Rows of other splits may stand between those of one; its own must not be exchanged.
	for table, want := range map[string]int{
		"a,b\ntrue,\n1,x\n2.50,\n": 0, "a,b\n1,x\ntrue,\n2.50,\n": 0, "a,b\n2.50,\n1,x\ntrue,\n": 1,
	} {
		findings, err := ledger.Audit([]byte(table), BySplit)
		if err != nil || len(findings) != want {
			t.Errorf("%q: %v, %v", table, findings, err)
		}
	}
}
