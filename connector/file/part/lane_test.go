// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/raw"
)

// fixture is a lane over a disk, fenced.
type fixture struct {
	target *Target
	lane   *lane
	now    time.Time
	disk   disk
	base   string
}

func openFixture(tb testing.TB, config Config, on disk, id forebay.LaneContext) *fixture {
	tb.Helper()
	f := &fixture{now: time.Unix(1_000_000, 0), disk: on, base: worldBase}
	if _, sim := on.(*simDisk); !sim {
		f.base = tb.TempDir()
	}
	local, err := openLocal(LocalConfig{Base: f.base, Pipeline: "p"}, on)
	if err != nil {
		tb.Fatal(err)
	}
	id.Owner = forebay.Owner{Pipeline: "p", Epoch: 1, Holder: "a"}
	id.Now = func() time.Time { return f.now }
	if err := local.Fence(tb.Context(), id.Owner, id.Restored); err != nil {
		tb.Fatal(err)
	}
	var schema *forebay.Schema
	if id.Layout != nil {
		schema = id.Layout.Schema
	}
	if f.target, err = NewTarget(config, schema, local); err != nil {
		tb.Fatal(err)
	}
	if f.lane, err = f.target.openLane(tb.Context(), id); err != nil {
		tb.Fatal(err)
	}
	return f
}

// barrier prepares and commits.
func (f *fixture) barrier(tb testing.TB, last bool) forebay.Prepared {
	tb.Helper()
	wait, err := f.lane.Prepare(tb.Context(), 1, last)
	if err != nil {
		tb.Fatal(err)
	}
	prepared, err := wait(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if err := f.target.publish(tb.Context(), prepared.Commit); err != nil {
		tb.Fatal(err)
	}
	return prepared
}

func lines(of ...string) *forebay.Batch {
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 0)
	for i, one := range of {
		b.Append(int64(i), []byte(one))
	}
	return b
}

func (f *fixture) write(tb testing.TB, b *forebay.Batch) {
	tb.Helper()
	if err := f.lane.Write(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

func never(size forebay.Bytes) Roll {
	return Roll{Size: size, Age: forebay.Unlimited, Inactivity: forebay.Unlimited}
}

func TestPartsRollBySize(t *testing.T) {
	t.Parallel()
	for _, compression := range []Compression{None, Gzip, Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			t.Parallel()
			const size, record = 64 << 10, 900
			sim := newSimDisk()
			config := Config{Format: raw.Format{}, Compression: compression, Roll: never(size)}
			f := openFixture(t, config, sim, forebay.LaneContext{})
			rng := rand.New(rand.NewPCG(1, 1))
			for n := range 1000 {
				f.write(t, lines(strings.Repeat("x", rng.IntN(record))))
				if n%150 == 149 {
					f.barrier(t, false)
				}
			}
			f.barrier(t, true)
			small := 0
			for path, data := range visible(sim) {
				switch n := len(unpackText(t, compression, data)); {
				case n < size:
					small++
				case n > size+record:
					t.Errorf("%s has %d bytes, want at most %d", path, n, size+record)
				}
			}
			if parts := len(visible(sim)); small > 1 || parts < 6 {
				t.Errorf("of %d parts, %d are below %d bytes", parts, small, size)
			}
		})
	}
}

func unpackText(tb testing.TB, c Compression, data string) string {
	tb.Helper()
	var in io.Reader = strings.NewReader(data)
	var err error
	switch c {
	case None:
	case Gzip:
		in, err = gzip.NewReader(in)
	case Zstd:
		in, err = zstd.NewReader(in)
	}
	if err != nil {
		tb.Fatal(err)
	}
	out, err := io.ReadAll(in)
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

func TestPartsRollByTimeAndBarrier(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		roll Roll
		// Each step waits so long, writes if there is text, and then there is a barrier.
		steps []struct {
			wait time.Duration
			text string
			want int // parts that were published until then
		}
	}{
		"age": {Roll{Size: forebay.Unlimited, Age: 10 * time.Second, Inactivity: forebay.Unlimited}, []struct {
			wait time.Duration
			text string
			want int
		}{{0, "a", 0}, {9 * time.Second, "b", 0}, {time.Second, "c", 1}, {9 * time.Second, "d", 1}, {time.Second, "", 2}}},
		"inactivity": {Roll{Size: forebay.Unlimited, Age: forebay.Unlimited, Inactivity: 10 * time.Second}, []struct {
			wait time.Duration
			text string
			want int
		}{{0, "a", 0}, {9 * time.Second, "b", 0}, {9 * time.Second, "c", 0}, {10 * time.Second, "", 1}}},
		"checkpoint": {Roll{Checkpoint: true}, []struct {
			wait time.Duration
			text string
			want int
		}{{0, "a", 1}, {0, "", 1}, {0, "b", 2}}},
		"the defaults": {Roll{}, []struct {
			wait time.Duration
			text string
			want int
		}{{0, "a", 0}, {59 * time.Second, "b", 0}, {time.Second, "", 1}}},
	} {
		sim := newSimDisk()
		f := openFixture(t, Config{Format: raw.Format{}, Roll: c.roll}, sim, forebay.LaneContext{})
		for i, step := range c.steps {
			f.now = f.now.Add(step.wait)
			if step.text != "" {
				f.write(t, lines(step.text))
			}
			f.barrier(t, false)
			if n := len(visible(sim)); n != step.want {
				t.Errorf("%s: after step %d there are %d parts, want %d", name, i+1, n, step.want)
			}
		}
	}
}

func TestPreparedListsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	f := openFixture(t, Config{Format: raw.Format{}, Roll: never(forebay.Unlimited)}, sim, forebay.LaneContext{})
	if p := f.barrier(t, false); len(p.Commit)+len(p.Held)+len(p.Dropped) > 0 {
		t.Errorf("nothing was written, and %+v is prepared", p)
	}
	f.write(t, lines("a"))
	first := f.barrier(t, false)
	if len(first.Held) != 1 || len(first.Commit) != 0 {
		t.Fatalf("prepared %+v, want one that is held", first)
	}
	if p := f.barrier(t, false); len(p.Held) != 0 {
		t.Errorf("nothing changed, and %+v is held again", p.Held)
	}
	last := f.barrier(t, true)
	if len(last.Commit) != 1 || len(last.Held) != 0 || last.Commit[0].ID != first.Held[0].ID {
		t.Errorf("the last barrier gives %+v, want the held part to commit", last)
	}
	if len(sim.files(worldBase+"/"+homeFolder+"/p/e1")) != 0 {
		t.Errorf("files are left: %v", sim.files(worldBase))
	}
}

// Parts of one bucket that several lanes held meet in one lane: one goes on, the others are complete.
func TestRestoredPartsOfOneBucketMeet(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	config := Config{Format: raw.Format{}, Roll: never(forebay.Unlimited)}
	a := openFixture(t, config, sim, forebay.LaneContext{})
	a.write(t, lines("a"))
	held := a.barrier(t, false).Held
	a.write(t, lines("not in the checkpoint"))
	b, err := a.target.openLane(t.Context(), forebay.LaneContext{Lane: 1, Owner: forebay.Owner{Pipeline: "p", Epoch: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(t.Context(), lines("b")); err != nil {
		t.Fatal(err)
	}
	wait, err := b.Prepare(t.Context(), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held = append(held, prepared.Held...)
	if err := errors.Join(a.lane.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	c := openFixture(t, config, sim, forebay.LaneContext{Restored: held})
	c.write(t, lines("c"))
	c.barrier(t, true)
	got := slices.Sorted(maps.Values(visible(sim)))
	if want := []string{"a\nc\n", "b\n"}; !slices.Equal(got, want) {
		t.Errorf("the parts are %q, want %q", got, want)
	}
}

// A part whose header says something else does not take records of another schema.
func TestAnotherHeaderBeginsAnotherPart(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	row := func(names ...string) *forebay.Batch {
		columns := make([]forebay.Column, len(names))
		for i, name := range names {
			columns[i] = forebay.Column{Name: name, Type: forebay.Int64}
		}
		r := forebay.NewRow(forebay.MustSchema(columns...))
		for i, name := range names {
			if err := r.Set(name, i); err != nil {
				t.Fatal(err)
			}
		}
		b, _ := r.Batch()
		return b
	}
	f := openFixture(t, Config{Format: csv.Format{}, Roll: never(forebay.Unlimited)}, sim,
		forebay.LaneContext{Layout: row("a").Layout()})
	f.write(t, row("a", "b"))
	f.write(t, row("a", "b")) // another layout that says the same
	f.write(t, row("a", "b", "c"))
	f.barrier(t, true)
	got := slices.Sorted(maps.Values(visible(sim)))
	if want := []string{"a,b\n0,1\n0,1\n", "a,b,c\n0,1,2\n"}; !slices.Equal(got, want) {
		t.Errorf("the parts are %q, want %q", got, want)
	}
}

// picky refuses some records.
type picky struct{ raw.Format }

func (p picky) Encoding(layout *forebay.Layout) (*codec.Encoding, error) {
	e, err := p.Format.Encoding(layout)
	plain := e.Append
	e.Header = []byte("header\n")
	e.Append = func(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
		if string(b.Value(i)) == "bad" {
			return dst, &forebay.Error{Op: "write", Class: forebay.ClassRejected, Code: "bad", Err: errors.New("bad")}
		}
		return plain(dst, b, i)
	}
	return e, err
}

func TestRefusedRecordsLeaveNoTraceFP6(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	f := openFixture(t, Config{Format: picky{}, Roll: never(forebay.Unlimited)}, sim, forebay.LaneContext{})
	err := f.lane.Write(t.Context(), lines("bad"))
	if forebay.ClassOf(err) != forebay.ClassRejected {
		t.Fatalf("%v, want class rejected", err)
	}
	f.barrier(t, true)
	if n := len(sim.files(worldBase + "/" + homeFolder + "/p/e1")); n+len(visible(sim)) != 0 {
		t.Fatalf("a part without records was made: %v", sim.files(worldBase))
	}
	e, _ := errors.AsType[*forebay.Error](f.lane.Write(t.Context(), lines("a", "bad", "b", "bad")))
	if e == nil || len(e.Records) != 2 || e.Records[0].Index != 1 || e.Records[1].Index != 3 {
		t.Fatalf("refused are %+v, want records 1 and 3", e)
	}
	f.barrier(t, true)
	if got := slices.Collect(maps.Values(visible(sim))); len(got) != 1 || got[0] != "header\na\nb\n" {
		t.Fatalf("the parts are %q", got)
	}
}

// bulky writes its count of records when it ends.
type bulky struct{ raw.Format }

func (b bulky) Encoding(*forebay.Layout) (*codec.Encoding, error) {
	return &codec.Encoding{Extension: ".bulk", NewBulk: func(w io.Writer) (codec.BulkEncoder, error) {
		return &bulkFile{out: w}, nil
	}}, nil
}

type bulkFile struct {
	out     io.Writer
	records int
	held    bytes.Buffer
}

func (f *bulkFile) Append(b *forebay.Batch, i int) error {
	f.records++
	f.held.Write(b.Value(i))
	return nil
}
func (f *bulkFile) Written() forebay.Bytes  { return 0 }
func (f *bulkFile) Buffered() forebay.Bytes { return forebay.Bytes(f.held.Len()) }

func (f *bulkFile) Close() error {
	_, err := fmt.Fprintf(f.out, "%d %d", f.records, f.held.Len())
	return err
}

func TestBulkPartsEndAtBarriersAndAtTheLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config  Config
		memory  forebay.Bytes
		want    []string
		records int
	}{
		"barrier": {config: Config{Roll: never(forebay.Unlimited)}, records: 3, want: []string{"3 300"}},
		"size":    {config: Config{Roll: never(200)}, records: 3, want: []string{"1 100", "2 200"}},
		"memory":  {config: Config{Roll: never(forebay.Unlimited)}, memory: 250, records: 3, want: []string{"3 300"}},
	} {
		sim := newSimDisk()
		c.config.Format = bulky{}
		f := openFixture(t, c.config, sim, forebay.LaneContext{Memory: c.memory})
		for range c.records {
			f.write(t, lines(strings.Repeat("x", 100)))
		}
		if p := f.barrier(t, false); len(p.Held) != 0 {
			t.Errorf("%s: %d are held", name, len(p.Held))
		}
		if got := slices.Sorted(maps.Values(visible(sim))); !slices.Equal(got, c.want) {
			t.Errorf("%s: the parts are %q, want %q", name, got, c.want)
		}
	}
}

func TestBulkFormatIsNotCompressedAgain(t *testing.T) {
	t.Parallel()
	_, err := NewTarget(Config{Format: bulky{}, Compression: Gzip}, nil, nil)
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("%v, want class misconfigured", err)
	}
}

func TestWriteNeverAllocatesForARecord(t *testing.T) {
	pattern, err := ParsePattern("{@event:%Y-%m-%d}")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Format: raw.Format{}, Bucket: pattern, Roll: never(forebay.Unlimited)}
	f := openFixture(t, config, osDisk{}, forebay.LaneContext{})
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 0)
	for i := range 1000 {
		b.Record(b.Append(int64(i), []byte("a record of some length"))).Time = int64(i%10) * microsPerDay
	}
	write := func() {
		if err := f.lane.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		write()
	}
	if n := testing.AllocsPerRun(50, write); n > 20 {
		t.Errorf("%v allocations for 1,000 records", n)
	}
}

// Ten thousand buckets in random order: descriptors and memory stay bounded, every record lies in its own bucket.
func TestTenThousandBuckets(t *testing.T) {
	t.Parallel()
	for compression, records := range map[Compression]int{None: 80_000, Gzip: 30_000} {
		t.Run(string(compression), func(t *testing.T) {
			t.Parallel()
			fillBuckets(t, compression, records)
		})
	}
}

func fillBuckets(t *testing.T, compression Compression, records int) {
	const buckets, batch = 10_000, 1000
	layout := forebay.NewLayout(forebay.MustSchema(
		forebay.Column{Name: "k", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String}))
	pattern, err := ParsePattern("k={k}")
	if err != nil {
		t.Fatal(err)
	}
	sim := newSimDisk()
	sim.plain = true
	config := Config{Format: csv.Format{}, Compression: compression, Bucket: pattern, Roll: never(forebay.Unlimited)}
	f := openFixture(t, config, sim, forebay.LaneContext{Layout: layout, Memory: 4 * forebay.MiB})
	rng := rand.New(rand.NewPCG(7, 7))
	want := make([]int, buckets)
	text := strings.Repeat("x", 100)
	b := forebay.NewBatch()
	for n := range records / batch {
		b.Reset(forebay.Split{ID: "s"}, 2)
		b.SetLayout(layout)
		at := b.AppendText(text)
		for range batch {
			k := rng.IntN(buckets)
			want[k]++
			cells := b.Cells(b.Append(0, nil))
			cells[0], cells[1] = forebay.Int64Cell(int64(k)), forebay.SpanCell(forebay.KindString, at, len(text))
		}
		f.write(t, b)
		m := &f.lane.memory
		if open := f.lane.place.(*localPlace).open.size; m.used > m.budget || open > DescriptorsDefault ||
			f.lane.order.size > m.partsMax() {
			t.Fatalf("after %d records: %d bytes of %d, %d descriptors, %d parts", n*batch, m.used, m.budget, open,
				f.lane.order.size)
		}
		if n == records/batch/2 && compression == None {
			f.barrier(t, false)
		}
	}
	f.barrier(t, true)
	got := make([]int, buckets)
	for path, data := range visible(sim) {
		folder, _, _ := strings.Cut(path, "/")
		k, err := strconv.Atoi(strings.TrimPrefix(folder, "k="))
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%d,%s\n", k, text)
		lines, found := strings.CutPrefix(unpackText(t, compression, data), "k,text\n")
		if n := strings.Count(lines, line); !found || n*len(line) != len(lines) {
			t.Fatalf("%s has other lines: %q", path, lines)
		}
		got[k] += strings.Count(lines, line)
	}
	if !slices.Equal(got, want) {
		t.Fatal("records are missing, or are there twice")
	}
}
