// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// bigOf is v as a big.Int.
func bigOf(v Int128) *big.Int {
	out := new(big.Int).Lsh(big.NewInt(v.Hi), 64)
	return out.Add(out, new(big.Int).SetUint64(v.Lo))
}

func drawInt128(t *rapid.T, label string) Int128 {
	v := Int128{Hi: rapid.Int64().Draw(t, label+" high"), Lo: rapid.Uint64().Draw(t, label+" low")}
	if rapid.Bool().Draw(t, label+" small") {
		v = Int128Of(int64(v.Lo))
	}
	return v
}

func TestInt128AgreesWithBigIntegers(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(DecimalPrecisionMax), nil)
	rapid.Check(t, func(t *rapid.T) {
		v, other := drawInt128(t, "v"), drawInt128(t, "other")
		if got, want := string(v.AppendText(nil, 0)), bigOf(v).String(); got != want {
			t.Fatalf("%v prints as %s, want %s", v, got, want)
		}
		if got, want := v.Compare(other), bigOf(v).Cmp(bigOf(other)); got != want {
			t.Fatalf("%v compared with %v is %d, want %d", v, other, got, want)
		}
		if got, want := v.Fits(DecimalPrecisionMax), bigOf(v).CmpAbs(limit) < 0; got != want {
			t.Fatalf("%v fits: %v, want %v", v, got, want)
		}
		if got := Int128From(v.Append(nil)); got != v {
			t.Fatalf("%v comes back as %v", v, got)
		}
	})
}

func TestInt128PrintsTheSmallestValue(t *testing.T) {
	t.Parallel()
	smallest := Int128{Hi: -1 << 63}
	if got := string(smallest.AppendText(nil, 0)); got != "-170141183460469231731687303715884105728" {
		t.Errorf("it prints as %s", got)
	}
	if smallest.Fits(DecimalPrecisionMax) {
		t.Error("it fits 38 digits")
	}
}

func TestDecimalsAgreeWithBigRationals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.Uint8Range(1, DecimalPrecisionMax).Draw(t, "precision")
		typ := DecimalOf(precision, rapid.Uint8Range(0, precision).Draw(t, "scale"))
		text := rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,20})?(e-?[0-9])?`).Draw(t, "text")
		value, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%s is no number", text)
		}
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(typ.Scale)), nil)
		unscaled := value.Mul(value, new(big.Rat).SetInt(scale))
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
		fits := unscaled.IsInt() && unscaled.Num().CmpAbs(limit) < 0
		got, err := ParseDecimal(typ, []byte(text))
		if (err == nil) != fits {
			t.Fatalf("%s as %s: %v, it fits: %v", text, typ, err, fits)
		}
		if fits && bigOf(got).Cmp(unscaled.Num()) != 0 {
			t.Fatalf("%s as %s is %s, want %s", text, typ, bigOf(got), unscaled.Num())
		}
	})
}

func TestParseDecimalNamesTypeAndText(t *testing.T) {
	t.Parallel()
	_, err := ParseDecimal(DecimalOf(4, 2), []byte("1.005"))
	if err == nil || !strings.Contains(err.Error(), `"1.005"`) || !strings.Contains(err.Error(), "decimal(4, 2)") {
		t.Errorf("error is %v", err)
	}
}
