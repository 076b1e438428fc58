// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/raw"
)

// Records of large batches end their parts where records that come alone do.
func TestPartsDoNotDependOnBatches(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	records := make([]string, 3000)
	for i := range records {
		records[i] = fmt.Sprint(i, strings.Repeat("x", rng.IntN(2000)))
	}
	const most = 600 << 10
	want := []string{""}
	for _, record := range records {
		if len(want[len(want)-1]) >= most {
			want = append(want, "")
		}
		want[len(want)-1] += record + "\n"
	}
	slices.Sort(want)
	for _, size := range []int{1, 7, 1000} {
		sim := newSimDisk()
		f := openFixture(t, Config{Format: raw.Format{}, Roll: never(most)}, sim, forebay.LaneContext{})
		for batch := range slices.Chunk(records, size) {
			f.write(t, lines(batch...))
		}
		f.barrier(t, true)
		if got := slices.Sorted(maps.Values(visible(sim))); len(got) < 4 || !slices.Equal(got, want) {
			t.Errorf("batches of %d: %d parts, and other ones than the %d expected", size, len(got), len(want))
		}
	}
}

// Without a pattern for the others, late records still have a folder of their own, however they come in batches.
func TestLateRecordsLieApart(t *testing.T) {
	t.Parallel()
	const records = 2000
	for _, c := range []struct{ late, folder string }{
		{"", ""}, {"late", "late/"}, {"late/{@processing:%Y}", "late/1970/"}, {"{@event:%Y}", "2001/"},
	} {
		config := Config{Format: raw.Format{}, Roll: never(forebay.Unlimited)}
		if c.late != "" {
			var err error
			if config.Late, err = ParsePattern(c.late); err != nil {
				t.Fatal(err)
			}
		}
		for _, size := range []int{1, 2, 7, 1000} {
			sim := newSimDisk()
			f := openFixture(t, config, sim, forebay.LaneContext{})
			rng := rand.New(rand.NewPCG(3, uint64(size)))
			want := map[string]string{}
			late := false
			for n := 0; n < records; n += size {
				b := lines()
				for i := n; i < min(n+size, records); i++ {
					late = late != (rng.IntN(5) == 0) // runs of either kind
					record, folder := fmt.Sprint(i), ""
					r := b.Record(b.Append(int64(i), []byte(record)))
					r.Time, r.Late = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).UnixMicro(), late
					if late {
						folder = c.folder
					}
					want[folder] += record + "\n"
				}
				f.write(t, b)
			}
			f.barrier(t, true)
			got := map[string]string{}
			for path, text := range visible(sim) {
				got[path[:strings.LastIndexByte(path, '/')+1]] += text
			}
			if !maps.Equal(got, want) {
				t.Errorf("late: %q, batches of %d: the folders %q have other records than expected", c.late, size,
					slices.Sorted(maps.Keys(got)))
			}
		}
	}
}

// grouped writes everything that it holds in pages, when it ends.
type grouped struct{ raw.Format }

func (g grouped) Encoding(*forebay.Layout) (*codec.Encoding, error) {
	return &codec.Encoding{Extension: ".group", NewBulk: func(w io.Writer) (codec.BulkEncoder, error) {
		return &groupedFile{bulkFile{out: w}}, nil
	}}, nil
}

type groupedFile struct{ bulkFile }

func (g *groupedFile) Close() error {
	for page := range slices.Chunk(g.held.Bytes(), 64<<10) {
		if _, err := g.out.Write(page); err != nil {
			return err
		}
	}
	return nil
}

func TestLargeRowGroupIsNotGathered(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	sim := newSimDisk()
	f := openFixture(t, Config{Format: grouped{}, Roll: never(forebay.Unlimited)}, sim,
		forebay.LaneContext{Memory: 64 << 20})
	record := strings.Repeat("x", 1<<20)
	for range size >> 20 {
		f.write(t, lines(record))
	}
	p := f.lane.last
	wait, err := f.lane.Prepare(t.Context(), 1, false) // what cannot go on is complete at each barrier
	if err != nil {
		t.Fatal(err)
	}
	for _, buffer := range append(f.lane.memory.free, p.buffer) {
		if forebay.Bytes(cap(buffer)) > 2*f.lane.memory.piece {
			t.Errorf("a buffer has grown to %d bytes", cap(buffer))
		}
	}
	if len(f.lane.memory.free) == 0 {
		t.Error("the buffer has grown beyond what is kept")
	}
	prepared, err := wait(t.Context())
	if err == nil {
		err = f.target.publish(t.Context(), prepared.Commit)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(maps.Values(visible(sim)))
	if len(got) != 1 || !bytes.Equal([]byte(got[0]), bytes.Repeat([]byte("x"), size)) {
		t.Errorf("%d parts, not one of %d bytes", len(got), size)
	}
}
