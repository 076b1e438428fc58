// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

func bigOf(v forebay.Int128) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(v.Hi), 64)
	return n.Add(n, new(big.Int).SetUint64(v.Lo))
}

func drawInt128(t *rapid.T) forebay.Int128 {
	hi := rapid.OneOf(rapid.Just(int64(0)), rapid.Just(int64(-1)), rapid.Int64()).Draw(t, "hi")
	return forebay.Int128{Hi: hi, Lo: rapid.Uint64().Draw(t, "lo")}
}

func TestDecimalsCompareAsExactNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawInt128(t), drawInt128(t)
		scaleA, scaleB := rapid.Uint8Range(0, 38).Draw(t, "scaleA"), rapid.Uint8Range(0, 38).Draw(t, "scaleB")
		power := func(n uint8) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
		want := new(big.Rat).SetFrac(bigOf(a), power(scaleA)).Cmp(new(big.Rat).SetFrac(bigOf(b), power(scaleB)))
		got := compareScaled(a, scaleA, b, scaleB)
		if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Fatalf("%v scale %d and %v scale %d: %d, want %d", a, scaleA, b, scaleB, got, want)
		}
	})
}

func TestIntsAndFloatsCompareAsExactNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1<<53 + 1, 0})).Draw(t, "a")
		b := float64(a) + rapid.SampledFrom([]float64{0, 0.5, -0.5, 1, 1e18, -1e300, math.Inf(1)}).Draw(t, "difference")
		want := -1
		if !math.IsInf(b, 1) {
			want = new(big.Rat).SetInt64(a).Cmp(new(big.Rat).SetFloat64(b))
		}
		if got := compareIntFloat(a, b); got != want {
			t.Fatalf("%d and %v: %d, want %d", a, b, got, want)
		}
	})
}

func TestIntOperationsNeverWrapX2(t *testing.T) {
	t.Parallel()
	edges := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
		math.MaxInt64, math.MinInt64, 0, 1, -1, 2, -2, 1 << 32, -1 << 32,
	}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := edges.Draw(t, "a"), edges.Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		for operator, want := range map[byte]*big.Int{
			'+': new(big.Int).Add(x, y), '-': new(big.Int).Sub(x, y), '*': new(big.Int).Mul(x, y),
		} {
			got, fail := intOperation(operator, a, b)
			if want.IsInt64() && (fail != "" || got != want.Int64()) || !want.IsInt64() && fail != CodeOverflow {
				t.Fatalf("%d %c %d: %d %q, want %s", a, operator, b, got, fail, want)
			}
		}
	})
}

func TestJSONNullIsNullX1(t *testing.T) {
	t.Parallel()
	in, b := rows(t, []forebay.Column{{Name: "js", Type: forebay.JSON}}, []string{"null"}, []string{`"null"`},
		[]string{null})
	for expr, want := range map[string][3]string{
		"js == nil": {"true", "false", "true"}, "js != nil": {"false", "true", "false"}, "string(js)": {"-", "null", "-"},
		`json(1) ?? js`: {"1", "1", "1"}, `js ?? json(1)`: {"1", `"null"`, "1"},
		"js.x == nil": {"true", "!wrong-type", "true"},
	} {
		closures, machine := bothForms(t, in, expr)
		for i := range want {
			if got := outcome(machine, b, i); got != want[i] {
				t.Errorf("%s in record %d: machine gives %s, want %s", expr, i, got, want[i])
			}
			if closures != nil && outcome(closures, b, i) != want[i] {
				t.Errorf("%s in record %d: closures give %s, want %s", expr, i, outcome(closures, b, i), want[i])
			}
		}
	}
}
