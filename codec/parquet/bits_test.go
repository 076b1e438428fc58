// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

func TestRunsAndPackedIntegersAreThoseOfAnotherEncoder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(0, 32).Draw(t, "width")
		limit := uint64(1)<<width - 1
		var want []uint32
		for range rapid.IntRange(1, 20).Draw(t, "runs") {
			v := uint32(rapid.Uint64Range(0, limit).Draw(t, "value"))
			for range rapid.SampledFrom([]int{1, 2, 7, 8, 9, 64, 300}).Draw(t, "times") {
				want = append(want, v)
			}
		}
		signed := make([]int32, len(want))
		for i, v := range want {
			signed[i] = int32(v)
		}
		src, err := (&rle.Encoding{BitWidth: width}).EncodeInt32(nil, signed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := hybrid[uint32](nil, src, width, len(want))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v\ngot  %v\nwant %v", err, got, want)
		}
		if width == 0 {
			return
		}
		entries := int(min(limit, 1<<30)) + 1
		if slices.Max(want) >= uint32(entries) {
			return
		}
		ours := appendIndexes(nil, want, entries)
		got, err = hybrid(got, ours[1:], int(ours[0]), len(want))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("ours: %v\ngot  %v\nwant %v", err, got, want)
		}
		if _, err := hybrid(got, ours[1:], int(ours[0]), len(want)+8); err == nil {
			t.Fatal("more values than there are are no error")
		}
	})
}

func TestLevelsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Uint8Range(0, 1), 1, 50).Draw(t, "levels")
		got, err := hybrid[uint8](nil, appendLevels(nil, want, len(want)), 1, len(want))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, got %v, want %v", err, got, want)
		}
		all, err := hybrid[uint8](nil, appendLevels(nil, nil, len(want)), 1, len(want))
		if err != nil || slices.Contains(all, 0) || len(all) != len(want) {
			t.Fatalf("%v, got %v for all", err, all)
		}
	})
}

func TestDeltasAreThoseOfAnotherEncoder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.Int64Range(-1000, 1000)
		want := rapid.SliceOfN(rapid.OneOf(near, rapid.Int64()), 0, 400).Draw(t, "values")
		e := &delta.BinaryPackedEncoding{}
		src, err := e.EncodeInt64(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		var v values
		got, rest, err := v.delta(append(src, "rest"...), len(want), false)
		if err != nil || !slices.Equal(got, want) || string(rest) != "rest" {
			t.Fatalf("%v\ngot  %v\nwant %v, rest %q", err, got, want, rest)
		}
		narrow := make([]int32, len(want))
		for i := range want {
			want[i] = int64(int32(want[i]))
			narrow[i] = int32(want[i])
		}
		if src, err = e.EncodeInt32(nil, narrow); err != nil {
			t.Fatal(err)
		}
		if got, _, err = v.delta(src, len(want), true); err != nil || !slices.Equal(got, want) {
			t.Fatalf("32 bits: %v\ngot  %v\nwant %v", err, got, want)
		}
	})
}

func TestDecimalsOfAnySizeAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "extended") && len(value) > 0 {
			sign := byte(0)
			if value[0] >= 0x80 {
				sign = 0xff
			}
			value = append([]byte{sign, sign}, value...)
		}
		want := new(big.Int).SetBytes(value)
		if len(value) > 0 && value[0] >= 0x80 {
			want.Sub(want, new(big.Int).Lsh(big.NewInt(1), uint(8*len(value))))
		}
		got, ok := int128(value)
		least := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 127))
		most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1))
		if fits := want.Cmp(least) >= 0 && want.Cmp(most) <= 0; ok != fits {
			t.Fatalf("%x: %v, want %v", value, ok, fits)
		}
		if text := string(got.AppendText(nil, 0)); ok && text != want.String() {
			t.Fatalf("%x: %s, want %s", value, text, want)
		}
	})
}

func TestHalvesAreExact(t *testing.T) {
	t.Parallel()
	for h, want := range map[uint16]float64{
		0: 0, 1: 1.0 / (1 << 24), 0x3ff: 1023.0 / (1 << 24), 0x400: 1.0 / (1 << 14), 0x3c00: 1, 0xc000: -2, 0x7bff: 65504,
		0x7c00: math.Inf(1), 0xfc00: math.Inf(-1),
	} {
		if got := float64(float16(h)); got != want {
			t.Errorf("%#x: %v, want %v", h, got, want)
		}
	}
	if got := float16(0x7e00); got == got {
		t.Errorf("NaN became %v", got)
	}
}

func TestOldTimestamps(t *testing.T) {
	t.Parallel()
	value := func(nanos uint64, day uint32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, nanos), day)
	}
	cell, why := int96(value(3_000, julianEpoch+2))
	if why != "" || cell != forebay.TimestampCell(2*microsPerDay+3) {
		t.Errorf("%v %s", cell, why)
	}
	for _, wrong := range [][]byte{value(1, julianEpoch), value(0, math.MaxUint32), value(math.MaxUint64-615, 1)} {
		if cell, why := int96(wrong); why == "" {
			t.Errorf("%x became %v", wrong, cell)
		}
	}
}

func TestWidthsOfDecimals(t *testing.T) {
	t.Parallel()
	for precision := uint8(1); precision <= forebay.DecimalPrecisionMax; precision++ {
		most := new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil), big.NewInt(1))
		if want := most.BitLen()/8 + 1; decimalWidth(precision) < want || decimalWidth(precision) > 16 {
			t.Errorf("%d digits in %d bytes, want %d", precision, decimalWidth(precision), want)
		}
	}
}
