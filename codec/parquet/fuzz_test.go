// SPDX-License-Identifier: Apache-2.0

package parquet_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/parquet"
)

// rowsRead bounds the rows that are read: few bytes can say that there are millions of nulls.
const rowsRead = 20_000

// must refuses what no damaged file may do beside giving wrong values: errors of another class than corrupt and
// misconfigured, and rows that are not there.
func must(t *testing.T, data []byte) {
	t.Helper()
	got, err := read(context.Background(), input("x", data), options{most: rowsRead})
	if class := forebay.ClassOf(err); err != nil && class != forebay.ClassCorrupt && class != forebay.ClassMisconfigured {
		t.Fatalf("class %s: %v", class, err)
	}
	for i := 1; i < len(got.offsets); i++ {
		if got.offsets[i] <= got.offsets[i-1] {
			t.Fatalf("offset %d after %d", got.offsets[i], got.offsets[i-1])
		}
	}
}

// FuzzOpen is PQ1: reads files that are damaged.
func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(many(f, parquet.Format{RowGroupRows: 5}, 12))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := len(data); n >= 12 && n < 1<<20 {
			// The fuzzer hardly finds the frame by itself.
			copy(data[n-4:], "PAR1")
			if size := int(binary.LittleEndian.Uint32(data[n-8:])); size > n-12 {
				binary.LittleEndian.PutUint32(data[n-8:], uint32(n-12))
			}
		}
		must(t, data)
	})
}

// TestPQ1DamagedFilesCostAnError changes bytes of good files, mostly in their footers.
func TestPQ1DamagedFilesCostAnError(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var before, after runtime.MemStats
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 150 {
			damaged := append([]byte(nil), data...)
			for range 1 + random.IntN(3) {
				at := random.IntN(len(damaged))
				if foot := int(binary.LittleEndian.Uint32(data[len(data)-8:])); round%2 == 0 {
					at = len(damaged) - 8 - random.IntN(foot)
				}
				damaged[at] = byte(random.IntN(256))
			}
			if round%10 == 0 {
				damaged = damaged[:random.IntN(len(damaged))]
			}
			runtime.ReadMemStats(&before)
			must(t, damaged)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 600<<20 {
				t.Errorf("%s, round %d: %d MB were allocated for a file of %d bytes", name, round, grown>>20, len(data))
			}
		}
	}
}
