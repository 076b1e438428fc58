// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
)

func TestSumEqualsWhatAllSplitsHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Source{
			Count:    rapid.Int64Range(1, 5000).Draw(t, "count"),
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Splits:   rapid.IntRange(1, 9).Draw(t, "splits"),
			Size:     forebay.Bytes(rapid.IntRange(16, 600).Draw(t, "size")),
			Template: "x",
		}
		if s.Size == 16 {
			s.Template = ""
		}
		want, bounded := s.Sum()
		if !bounded {
			t.Fatal("a source with a count has no sum")
		}
		var got connector.Sum
		for _, values := range readAll(t, s) {
			for _, value := range values {
				got.Add([]byte(value))
			}
		}
		if got != want {
			t.Fatalf("read %s, the closed form says %s", got, want)
		}
	})
}

// failer is what readAll needs of a test.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// readAll reads each split of a bounded source.
func readAll(t failer, s Source) [][]string {
	t.Helper()
	feed, err := s.Start(noContext(), forebay.SourceContext{})
	if err != nil {
		t.Fatal(err)
	}
	splits, _ := feed.Splits(noContext())
	all := make([][]string, len(splits))
	for k, split := range splits {
		reader, err := feed.Open(noContext(), split, forebay.Position{})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		for {
			b.Reset(split, 0)
			if err := reader.Read(noContext(), b); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			for i, value := range b.All() {
				if at := b.Record(i).Offset; at != feedOf(feed).span(k).first+int64(len(all[k])) {
					t.Fatal("offset", at, "in split", split.ID, "after", len(all[k]), "records")
				}
				all[k] = append(all[k], string(value))
			}
		}
		if split.Size != int64(len(all[k])) {
			t.Fatal("split", split.ID, "says", split.Size, "and holds", len(all[k]))
		}
	}
	return all
}

func feedOf(f forebay.Feed) *feed { return f.(*feed) }

func TestFirstBytesDifferInEveryRecord(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, values := range readAll(t, Source{Count: 50_000, Seed: 7, Splits: 3}) {
		for _, value := range values {
			if seen[value[:16]] {
				t.Fatalf("two records begin with %x", value[:16])
			}
			seen[value[:16]] = true
		}
	}
	if len(seen) != 50_000 {
		t.Fatalf("%d records, want 50000", len(seen))
	}
}

func TestSumSeesALossThatARepeatBalances(t *testing.T) {
	t.Parallel()
	// Records 1 and 4 are lost, 2 and 3 come twice: as many records, and as large a sum of indexes.
	var got, want connector.Sum
	m := newMark(3)
	for _, i := range []uint64{1, 2, 3, 4} {
		value := make([]byte, 16)
		m.put(value, i)
		want.Add(value)
		if i == 2 || i == 3 {
			got.Add(value)
			got.Add(value)
		}
	}
	if got.Low != want.Low || got.High == want.High {
		t.Errorf("got %s, expected %s: the cubes must differ where the indexes do not", got, want)
	}
}

func TestSeedZeroCountsFromZero(t *testing.T) {
	t.Parallel()
	value := readAll(t, Source{Count: 6, Size: 24, Template: "ab"})[0][5]
	if want := "\x05\x00\x00\x00\x00\x00\x00\x00\x7d\x00\x00\x00\x00\x00\x00\x00abababab"; value != want {
		t.Errorf("record 5 is %q, want %q", value, want)
	}
}

func TestWithoutEndRecordsAreDealtOutByTurns(t *testing.T) {
	t.Parallel()
	s := Source{Splits: 3, Size: 16}
	feed, err := s.Start(t.Context(), forebay.SourceContext{})
	if err != nil {
		t.Fatal(err)
	}
	splits, _ := feed.Splits(t.Context())
	b := forebay.NewBatch()
	for k, split := range splits {
		reader, err := feed.Open(t.Context(), split, forebay.Position{})
		if err != nil {
			t.Fatal(err)
		}
		b.Reset(split, 0)
		if err := reader.Read(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if got, want := b.Record(2).Offset, int64(k+6); got != want {
			t.Errorf("the third record of split %d has index %d, want %d", k, got, want)
		}
		if want := int64(k + 3*b.Len()); b.Position().Offset != want || !split.Unbounded {
			t.Errorf("split %+v continues at %s, want %d", split, b.Position(), want)
		}
		_, err = feed.Open(t.Context(), split, forebay.Position{Offset: int64(k + 4)})
		if forebay.ClassOf(err) != forebay.ClassLost {
			t.Errorf("split %d opened at an index of another one: %v", k, err)
		}
	}
}

func TestRateHoldsOverTime(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{3, 700, 250_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := Source{Rate: rate, Splits: 1, Size: 16}
				feed, err := s.Start(t.Context(), forebay.SourceContext{})
				if err != nil {
					t.Fatal(err)
				}
				splits, _ := feed.Splits(t.Context())
				reader, err := feed.Open(t.Context(), splits[0], forebay.Position{})
				if err != nil {
					t.Fatal(err)
				}
				b, read, start := forebay.NewBatch(), 0, time.Now()
				for time.Since(start) < 10*time.Second {
					b.Reset(splits[0], 0)
					if err := reader.Read(t.Context(), b); err != nil {
						t.Fatal(err)
					}
					read += b.Len()
				}
				if want := int(rate) * 10; read < want*99/100-1 || read > want*101/100+2 {
					t.Errorf("%d records in 10 s, want %d", read, want)
				}
				// After a pause of a minute at most a second is caught up.
				time.Sleep(time.Minute)
				read, start = 0, time.Now()
				for time.Since(start) < 10*time.Second {
					b.Reset(splits[0], 0)
					if err := reader.Read(t.Context(), b); err != nil {
						t.Fatal(err)
					}
					read += b.Len()
				}
				if want := int(rate) * 11; read > want*101/100+2 {
					t.Errorf("%d records in the 10 s after a pause, want at most %d", read, want)
				}
			})
		})
	}
}

func TestEveryWrongSettingIsNamed(t *testing.T) {
	t.Parallel()
	s := Source{
		Count: -1, Rate: -1, Splits: -1, Size: 8,
		Fields: []Field{{Name: "a"}, {Name: "b", Null: 2, UUID: &UUID{}}, {Name: "c", Int: &Int{Min: 2, Max: 1}}},
	}
	_, err := s.Info()
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Fatalf("class %s, want misconfigured", forebay.ClassOf(err))
	}
	want := `generate: count: -1 is below 0; 0 is without end
rate: -1 is below 0; 0 is as fast as possible
splits: -1 is outside 1 to 4096
size: 8B is outside 16B to 16MB: the first 16 bytes tell the records apart
fields.0 ("a"): 0 ways to make its values; give one of sequence, int, float, bool, words, text, uuid, timestamp
fields.1 ("b"): null: 2 is outside 0 to 1
fields.2 ("c"): int: min 2 is above max 1`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
