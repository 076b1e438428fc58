// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// partitionRow is a row with one column v, given as text.
func partitionRow(tb interface{ Fatal(args ...any) }, typ forebay.Type, text string) forebay.Row {
	row := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "v", Type: typ}))
	if text == "null" {
		return row
	}
	b, _ := row.Batch()
	start := b.AppendText(text)
	cell, err := b.ParseCell(typ, start, len(text), nil)
	if err != nil {
		tb.Fatal(err)
	}
	row.SetCell(0, cell)
	return row
}

func TestPartitionNamesAreInUTC(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typ                  forebay.Type
		template, text, want string
	}{
		{forebay.Timestamp, TemplateDay, "2026-11-21T13:59:59.9Z", "2026-11-21"},
		{forebay.Timestamp, TemplateDay, "2026-11-21T00:30:00+01:00", "2026-11-20"},
		{forebay.Timestamp, TemplateHour, "2026-11-21T13:59:59.9Z", "2026-11-21T13"},
		{forebay.Timestamp, TemplateHour, "1969-12-31T23:59:59.999999Z", "1969-12-31T23"},
		{forebay.Timestamp, TemplateDay, "1969-12-31T23:59:59.999999Z", "1969-12-31"},
		{forebay.Timestamp, TemplateHour, "1970-01-01T00:00:00Z", "1970-01-01T00"},
		{forebay.Date, TemplateDay, "2024-02-29", "2024-02-29"},
		{forebay.Date, TemplateValue, "1950-02-28", "1950-02-28"},
		{forebay.Int32, TemplateValue, "-7", "-7"},
		{forebay.Int64, TemplateValue, "9223372036854775807", "9223372036854775807"},
		{forebay.Bool, TemplateValue, "true", "true"},
		{forebay.String, TemplateValue, "north west/ü", "north west/ü"},
	} {
		row := partitionRow(t, tc.typ, tc.text)
		b, i := row.Batch()
		p, err := NewPartitioner(forebay.PartitionBy{Column: "v", Template: tc.template}, b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Append(nil, b, i)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s of %s: %q, %v; want %q", tc.template, tc.text, got, err, tc.want)
		}
		if err := p.Check(tc.want); err != nil {
			t.Error(err)
		}
	}
}

func TestPartitionerRefusesWhatHasNoName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typ                      forebay.Type
		template, text, want, no string
	}{
		{forebay.String, TemplateValue, "null", "null-partition", ""},
		{forebay.String, TemplateValue, "", "partition-name", strings.Repeat("x", PartitionNameMax+1)},
		{forebay.Timestamp, TemplateDay, "null", "null-partition", "2026-11-21T13"},
		{forebay.Timestamp, TemplateHour, "null", "null-partition", "2026-11-21"},
		{forebay.Timestamp, TemplateHour, "null", "null-partition", "2026-11-21T24"},
		{forebay.Date, TemplateDay, "null", "null-partition", "2026-02-30"},
		{forebay.Int64, TemplateValue, "null", "null-partition", "07"},
		{forebay.Bool, TemplateValue, "null", "null-partition", "1"},
	} {
		row := partitionRow(t, tc.typ, tc.text)
		b, i := row.Batch()
		p, err := NewPartitioner(forebay.PartitionBy{Column: "v", Template: tc.template}, b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Append(nil, b, i)
		e, ok := errors.AsType[*forebay.Error](err)
		if !ok || e.Class != forebay.ClassRejected || e.Code != tc.want {
			t.Errorf("%s of %q: %v, want it rejected as %s", tc.template, tc.text, err, tc.want)
		}
		if err := p.Check(tc.no); forebay.ClassOf(err) != forebay.ClassMisconfigured || err == nil {
			t.Errorf("%s: the name %q is accepted: %v", tc.template, tc.no, err)
		}
	}
	for _, tc := range []struct {
		typ      forebay.Type
		template string
	}{
		{forebay.String, TemplateDay},
		{forebay.Date, TemplateHour},
		{forebay.Float64, TemplateValue},
		{forebay.Timestamp, TemplateValue},
		{forebay.Int64, "month"},
	} {
		layout := forebay.NewLayout(forebay.MustSchema(forebay.Column{Name: "v", Type: tc.typ}))
		if _, err := NewPartitioner(forebay.PartitionBy{Column: "v", Template: tc.template}, layout); err == nil {
			t.Errorf("template %s of a %s is accepted", tc.template, tc.typ)
		}
	}
}

// TestPartitionNamesReadBack: whatever a row's partition is called, the name is one.
func TestPartitionNamesReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tc := rapid.SampledFrom([]struct {
			typ      forebay.Type
			template string
		}{
			{forebay.Timestamp, TemplateDay},
			{forebay.Timestamp, TemplateHour},
			{forebay.Date, TemplateDay},
			{forebay.Int64, TemplateValue},
			{forebay.Date, TemplateValue},
		}).Draw(t, "column")
		row := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "v", Type: tc.typ}))
		// Years 0001 to 9999.
		switch tc.typ {
		case forebay.Timestamp:
			row.SetCell(0, forebay.TimestampCell(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s")*1_000_000+
				rapid.Int64Range(0, 999_999).Draw(t, "us")))
		case forebay.Date:
			row.SetCell(0, forebay.DateCell(rapid.Int32Range(-719162, 2932896).Draw(t, "days")))
		default:
			row.SetCell(0, forebay.Int64Cell(rapid.Int64().Draw(t, "n")))
		}
		b, i := row.Batch()
		p, err := NewPartitioner(forebay.PartitionBy{Column: "v", Template: tc.template}, b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		name, err := p.Append(nil, b, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(string(name)); err != nil {
			t.Fatal(err)
		}
	})
}

func partitioned(create CreatePartition, known ...Partition) *Partitions {
	return NewPartitions(TableInfo{TableSpec: forebay.TableSpec{
		Name: "t", Tablets: 4, PartitionBy: forebay.PartitionBy{Column: "v", Template: TemplateValue},
	}, Partitions: known}, create)
}

func TestPartitionsAreNumberedAsRowsNeedThem(t *testing.T) {
	t.Parallel()
	p := partitioned(func(_ context.Context, name string) (Partition, error) {
		return Partition{Name: name, FirstTablet: 40}, nil
	}, Partition{Name: "old", FirstTablet: 8})
	for name, want := range map[string]int{"old": 0} {
		if n, err := p.number([]byte(name)); n != want || err != nil {
			t.Errorf("%s has number %d, %v; want %d", name, n, err, want)
		}
	}
	if n, err := p.number([]byte("new")); n != 1 || err != nil || p.Tablets() != 8 {
		t.Errorf("the new one has number %d, %v, and there are %d tablets", n, err, p.Tablets())
	}
	if at, located := p.InTable(2); at != 10 || !located {
		t.Errorf("tablet 2 is %d of the table, %v", at, located)
	}
	if _, located := p.InTable(5); located {
		t.Error("a partition that nobody made is located")
	}
	if err := p.Locate(t.Context(), 5, false); err != nil {
		t.Fatal(err)
	}
	if at, located := p.InTable(5); at != 41 || !located {
		t.Errorf("tablet 5 is %d of the table, %v", at, located)
	}
	if name, at := p.Place(5); name != "new" || at != 1 {
		t.Errorf("tablet 5 is %d of %q", at, name)
	}
	plain := NewPartitions(TableInfo{TableSpec: forebay.TableSpec{Tablets: 4}}, nil)
	at, located := plain.InTable(3)
	if at != 3 || !located || plain.Tablets() != 4 || plain.Locate(t.Context(), 3, true) != nil {
		t.Error("a table without partitions has other numbers")
	}
}

// TestPartitionIsAskedForOnce: many ask, one call is made; where it fails all are told, where its caller leaves another
// one calls.
func TestPartitionIsAskedForOnce(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	begun, go1 := make(chan struct{}, 10), make(chan error)
	p := partitioned(func(ctx context.Context, name string) (Partition, error) {
		calls.Add(1)
		begun <- struct{}{}
		select {
		case err := <-go1:
			return Partition{Name: name}, err
		case <-ctx.Done():
			return Partition{}, context.Cause(ctx)
		}
	})
	if _, err := p.number([]byte("a")); err != nil {
		t.Fatal(err)
	}
	first, leave := context.WithCancel(t.Context())
	answers := make(chan error, 20)
	var wg sync.WaitGroup
	wg.Go(func() { answers <- p.Locate(first, 0, false) })
	<-begun
	for i := range 8 {
		wg.Go(func() { answers <- p.Locate(t.Context(), i%4, false) })
	}
	leave()
	if err := <-answers; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	<-begun
	refused := errors.New("refused")
	go1 <- refused
	// Some may come after the failure and ask anew.
	for range 8 {
		select {
		case err := <-answers:
			if err != nil && !errors.Is(err, refused) {
				t.Error(err)
			}
		case <-begun:
			go1 <- nil
			if err := <-answers; err != nil && !errors.Is(err, refused) {
				t.Error(err)
			}
		}
	}
	wg.Wait()
	before := calls.Load()
	if before > 3 {
		t.Errorf("%d calls for nine who asked", before)
	}
	if err := errors.Join(drain(p, go1)); err != nil {
		t.Error(err)
	}
}

// drain locates once more, which must not call where the partition is made, and must where it is refreshed.
func drain(p *Partitions, answer chan error) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, made := p.InTable(0); !made {
			answer <- nil
		}
		answer <- nil
	})
	err := errors.Join(p.Locate(context.Background(), 0, false), p.Locate(context.Background(), 0, true))
	wg.Wait()
	return err
}

func TestEncoderRoutesRowsToThePartitionOfTheirColumn(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(
		forebay.Column{Name: "v", Type: forebay.String}, forebay.Column{Name: "n", Type: forebay.Int64})
	layout := forebay.NewLayout(schema)
	info := TableInfo{TableSpec: forebay.TableSpec{
		Name: "t", Schema: schema, Key: []string{"n", "v"}, Tablets: 4,
		PartitionBy: forebay.PartitionBy{Column: "v", Template: TemplateValue},
	}}
	places := NewPartitions(info, nil)
	e, err := NewEncoder(EncoderConfig{Table: info, Layout: layout, SchemaID: 1, Partitions: places})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := forebay.NewKeyEncoder(layout, []int{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	for k := range 200 {
		row := forebay.NewRow(schema)
		name := fmt.Sprint("p", k%7)
		if err := errors.Join(row.Set("v", name), row.SetInt("n", int64(k))); err != nil {
			t.Fatal(err)
		}
		b, i := row.Batch()
		at, err := e.Route(b, i)
		if err != nil {
			t.Fatal(err)
		}
		key, err := keys.Append(nil, b, i)
		if err != nil {
			t.Fatal(err)
		}
		if partition, tablet := places.Place(at); partition != name || tablet != TabletOf(key, 4) {
			t.Fatalf("row %d goes to tablet %d of %q", k, tablet, partition)
		}
	}
	if places.Tablets() != 7*4 {
		t.Errorf("%d tablets for 7 partitions", places.Tablets())
	}
}
