// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"context"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

func noContext() context.Context { return context.Background() }

func allFields() []Field {
	return []Field{
		{Name: "id", Sequence: &Sequence{Start: 100, Step: -2}},
		{Name: "n", Int: &Int{Min: -5, Max: 5}},
		{Name: "x", Float: &Float{Min: 1, Max: 2}},
		{Name: "b", Bool: &Bool{True: 0.25}},
		{Name: "w", Words: []string{"red", "", "green"}},
		{Name: "s", Text: &Text{Length: 23}, Null: 0.5},
		{Name: "u", UUID: &UUID{}},
		{Name: "t", Timestamp: &Timestamp{Step: time.Millisecond}},
		{Name: "r", Timestamp: &Timestamp{}},
	}
}

// firstBatch reads one batch of the first split from a position.
func firstBatch(t *testing.T, s Source, at int64) *forebay.Batch {
	t.Helper()
	feed, err := s.Start(t.Context(), forebay.SourceContext{NeedsRows: true})
	if err != nil {
		t.Fatal(err)
	}
	splits, _ := feed.Splits(t.Context())
	reader, err := feed.Open(t.Context(), splits[0], forebay.Position{Offset: at})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(splits[0], feed.Schema().Len()+2) // wider than the schema, as a pipeline with transforms makes it
	if err := reader.Read(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFieldsStayInTheirRanges(t *testing.T) {
	t.Parallel()
	b := firstBatch(t, Source{Count: 1000, Fields: allFields()}, 0)
	if b.Len() != 1000 {
		t.Fatalf("%d records, want 1000", b.Len())
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	text := regexp.MustCompile(`^[a-p]{23}$`)
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	seen, nulls, trues := map[any]bool{}, 0, 0
	for i := range b.Len() {
		row := b.Row(i)
		if got, want := row.Int("id"), int64(100-2*i); got != want {
			t.Fatalf("row %d has id %d, want %d", i, got, want)
		}
		if n := row.Int("n"); n < -5 || n > 5 {
			t.Errorf("int %d is outside its range", n)
		}
		if x := row.Float("x"); x < 1 || x >= 2 {
			t.Errorf("float %v is outside its range", x)
		}
		if row.Bool("b") {
			trues++
		}
		if row.IsNull("s") {
			nulls++
		} else if !text.MatchString(row.Text("s")) {
			t.Errorf("text %q", row.Text("s"))
		}
		if u := row.Text("u"); !uuid.MatchString(u) {
			t.Errorf("uuid %q", u)
		}
		if got, want := row.Time("t"), start.Add(time.Duration(i)*time.Millisecond); !got.Equal(want) {
			t.Errorf("step %d is %s, want %s", i, got, want)
		}
		if r := row.Time("r"); r.Before(start) || !r.Before(start.AddDate(1, 0, 0)) {
			t.Errorf("instant %s is outside its range", r)
		}
		seen[row.Int("n")], seen[row.Text("w")] = true, true
		seen[row.Text("u")] = true
	}
	if len(seen) != 11+3+1000 {
		t.Errorf("%d different ints, words and uuids, want %d", len(seen), 11+3+1000)
	}
	if nulls < 400 || nulls > 600 || trues < 180 || trues > 320 {
		t.Errorf("%d nulls of about 500, %d true of about 250", nulls, trues)
	}
}

func TestFieldsFollowFromSeedAndIndexAlone(t *testing.T) {
	t.Parallel()
	s := Source{Count: 1000, Fields: allFields(), Seed: 9, Size: 20}
	whole := rows(firstBatch(t, s, 0))
	if diff := cmp.Diff(whole[333:], rows(firstBatch(t, s, 333))); diff != "" {
		t.Errorf("rows from index 333 on differ (-whole +continued):\n%s", diff)
	}
	s.Seed = 10
	if cmp.Equal(whole[:1], rows(firstBatch(t, s, 0))[:1]) {
		t.Error("another seed gives the same row")
	}
}

func rows(b *forebay.Batch) [][]any {
	out := make([][]any, b.Len())
	for i := range out {
		out[i] = []any{string(b.Value(i))}
		for k := range b.Layout().Schema.Len() {
			switch c := b.Row(i).Cell(k); {
			case c.Kind().InSlab():
				out[i] = append(out[i], string(c.Bytes(b.Slab())))
			case c.Kind() == forebay.KindFloat64:
				out[i] = append(out[i], c.Float())
			default:
				out[i] = append(out[i], c.Kind(), c.Int())
			}
		}
	}
	return out
}

func TestSequenceThatLeavesInt64IsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		count int64
		step  Sequence
		ok    bool
	}{
		"reaches the largest":  {2, Sequence{Start: math.MaxInt64 - 1, Step: 1}, true},
		"passes the largest":   {3, Sequence{Start: math.MaxInt64 - 1, Step: 1}, false},
		"passes the smallest":  {3, Sequence{Start: math.MinInt64 + 1, Step: -1}, false},
		"wraps all the way":    {5, Sequence{Step: 1 << 62}, false},
		"one record only":      {1, Sequence{Start: 5, Step: math.MinInt64}, true},
		"from end to end":      {2, Sequence{Start: math.MinInt64, Step: math.MaxInt64}, true},
		"half a wrap too many": {3, Sequence{Start: -10, Step: math.MinInt64}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Source{Count: c.count, Fields: []Field{{Name: "id", Sequence: &c.step}}}
			if _, err := s.Info(); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestLargeRowsMakeSmallBatches(t *testing.T) {
	t.Parallel()
	b := firstBatch(t, Source{Count: 1000, Fields: []Field{{Name: "s", Text: &Text{Length: 60_000}}}}, 0)
	if b.Len() != 5 {
		t.Errorf("%d rows of 60,000 bytes in a batch, want 5", b.Len())
	}
}
