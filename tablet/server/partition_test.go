// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// daySpec is a log table with a partition for each day of its column at.
func daySpec(name string) forebay.TableSpec {
	return forebay.TableSpec{
		Name: name, Tablets: 2, Schema: columns("n int64, at timestamp"),
		PartitionBy: forebay.PartitionBy{Column: "at", Template: tablet.TemplateDay, Limit: 3},
	}
}

// valueSpec is a key table with a partition for each text.
func valueSpec(name string) forebay.TableSpec {
	spec := keySpec(name)
	spec.Key = []string{"n", "text"}
	spec.Tablets = 2
	spec.PartitionBy = forebay.PartitionBy{Column: "text", Template: tablet.TemplateValue}
	return spec
}

// send sends rows as requests of no writer.
func (o *opened) send(rows ...string) []forebay.Answer {
	o.t.Helper()
	var out []forebay.Answer
	for _, r := range o.requests("a", rows...) {
		out = append(out, forebay.Await(o.t.Context(), o.handle, &r))
	}
	return out
}

func TestPartitionsAreMadeWhenTheirFirstRowComes(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	days := openTable(t, s, daySpec("days"))
	users := openTable(t, s, valueSpec("users"))
	for _, a := range days.send("1,2026-11-21T13:00:00Z", "2,2026-11-22T01:00:00Z", "3,2026-11-21T23:59:59Z") {
		wantCode(t, a, forebay.CodeOK)
	}
	users.write("a", "1,north", "2,south", "3,north", "-3,north")
	check := func(s *Server) {
		t.Helper()
		info, err := s.Describe(t.Context(), "days")
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "partitions", info.Partitions, []tablet.Partition{{Name: "2026-11-21"}, {Name: "2026-11-22", FirstTablet: 2}})
		diff(t, "logs", len(info.Logs), 4)
		diff(t, "count", count(t, s, "days"), int64(3))
		diff(t, "rows", scan(t, s, ScanRequest{Table: "days"}), []string{
			"1,2026-11-21T13:00:00Z", "3,2026-11-21T23:59:59Z", "2,2026-11-22T01:00:00Z",
		})
		diff(t, "rows", scan(t, s, ScanRequest{Table: "users"}), []string{"1,north", "2,south"})
		key := forebay.NewRow(columns("text string, n int64"))
		for text, want := range map[string]bool{"south": true, "north": false, "west": false} {
			if err := errors.Join(key.Set("text", text), key.SetInt("n", 2)); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Get(t.Context(), "users", key, forebay.NewBatch()); err != nil || found != want {
				t.Errorf("get in %s: %v, %v", text, found, err)
			}
		}
	}
	check(s)
	s = reopen(t, s, fs)
	check(s)
	days = openTable(t, s, daySpec("days"))
	for _, a := range days.send("4,2026-11-23T00:00:00Z") {
		wantCode(t, a, forebay.CodeOK)
	}
	refused := days.send("5,2026-11-24T00:00:00Z")[0]
	wantCode(t, refused, forebay.CodeNotFound)
	for _, part := range []string{"3 partitions", "limit", "coarser template"} {
		if !strings.Contains(refused.Message, part) {
			t.Errorf("%q does not say %q", refused.Message, part)
		}
	}
	if err := days.handle.Locate(t.Context(), days.requests("a", "5,2026-11-24T00:00:00Z")[0].Tablet, true); err == nil ||
		forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("locate above the limit: %v", err)
	}
	// A greater limit is a compatible change.
	more := daySpec("days")
	more.PartitionBy.Limit = 4
	openTable(t, s, more)
	for _, a := range days.send("5,2026-11-24T00:00:00Z") {
		wantCode(t, a, forebay.CodeOK)
	}
	more.PartitionBy.Template = tablet.TemplateHour
	if _, err := s.OpenTable(t.Context(), more); err == nil || !strings.Contains(err.Error(), "partition_by") {
		t.Errorf("another template: %v", err)
	}
}

func TestPartitionedTableIsDroppedWithItsPartitions(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	o := openTable(t, s, valueSpec("users"))
	o.write("a", "1,north", "2,south")
	old := o.handle.table.id
	if _, at, err := s.ResolveTablet(old, "south", 1); err != nil || at != 3 && at != 1 {
		t.Errorf("resolved to %d: %v", at, err)
	}
	for _, wrong := range []struct {
		id        uint32
		partition string
		number    int
		code      string
	}{{old + 9, "south", 0, "no-such-table"}, {old, "west", 0, "no-such-partition"}, {old, "south", 2, "no-such-tablet"}} {
		_, _, err := s.ResolveTablet(wrong.id, wrong.partition, wrong.number)
		if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Code != wrong.code {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if err := errors.Join(o.handle.Close(), s.Drop(t.Context(), "users")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ResolveTablet(old, "south", 0); err == nil {
		t.Error("a tablet of a dropped table is found")
	}
	names, err := readPartitions(s.store, old)
	if err != nil || names != nil {
		t.Errorf("partitions %v are left, %v", names, err)
	}
	s = reopen(t, s, fs)
	o = openTable(t, s, valueSpec("users"))
	diff(t, "partitions", o.handle.table.partitions(), []tablet.Partition(nil))
	o.write("a", "1,west")
	diff(t, "rows", scan(t, s, ScanRequest{Table: "users"}), []string{"1,west"})
}

func TestControlShowsPartitions(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := control(t, s, nil)
	if err := c.Create(t.Context(), daySpec("days")); err != nil {
		t.Fatal(err)
	}
	openTable(t, s, daySpec("days")).send("1,2026-11-21T13:00:00Z")
	want, err := s.Describe(t.Context(), "days")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Describe(t.Context(), "days")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "partition_by", got.PartitionBy, daySpec("days").PartitionBy)
	diff(t, "partitions", got.Partitions, want.Partitions)
	diff(t, "first partition", got.Partitions, []tablet.Partition{{Name: "2026-11-21"}})
	diff(t, "logs", got.Logs, want.Logs)
	diff(t, "id", got.ID, want.ID)
}

func TestPartitionByIsChecked(t *testing.T) {
	t.Parallel()
	s := open(t)
	for want, change := range map[string]func(*forebay.TableSpec){
		"part of the key":     func(spec *forebay.TableSpec) { spec.Key = []string{"n"} },
		"not among":           func(spec *forebay.TableSpec) { spec.PartitionBy.Column = "nobody" },
		"template":            func(spec *forebay.TableSpec) { spec.PartitionBy.Template = "month" },
		"1 to 32768":          func(spec *forebay.TableSpec) { spec.PartitionBy.Limit = 40_000 },
		"a date or a timesta": func(spec *forebay.TableSpec) { spec.PartitionBy.Template = tablet.TemplateDay },
	} {
		spec := valueSpec("users")
		change(&spec)
		if err := s.Create(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a refusal that says %q: %v", want, err)
		}
	}
	spec := valueSpec("users")
	spec.Tablets = tabletsMax
	if err := s.Create(t.Context(), spec); err != nil {
		t.Error(err)
	}
	diff(t, "limit", tablet.PartitionLimit(spec.PartitionBy, tabletsMax), 64)
	if _, _, err := s.CreatePartition(t.Context(), "users", ""); err == nil {
		t.Error("a partition without a name was made")
	}
}

// TestRacingWritersMakeEachPartitionOnce: eight writers with backends of their own need the same 500 new partitions.
func TestRacingWritersMakeEachPartitionOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := valueSpec("users")
	const writers, partitions = 8, 500
	var created atomic.Int64
	var handles []*opened
	for range writers {
		o := openTable(t, s, spec)
		info, err := s.Describe(t.Context(), "users")
		if err != nil {
			t.Fatal(err)
		}
		o.handle.partitions = tablet.NewPartitions(info, func(ctx context.Context, name string) (tablet.Partition, error) {
			p, made, err := s.CreatePartition(ctx, "users", name)
			if made {
				created.Add(1)
			}
			return p, err
		})
		if o.encoder, err = o.handle.Encoder(o.layout); err != nil {
			t.Fatal(err)
		}
		handles = append(handles, o)
	}
	var wg sync.WaitGroup
	for w, o := range handles {
		wg.Go(func() {
			for i, k := range rand.New(rand.NewPCG(uint64(w), 1)).Perm(partitions) {
				row := fmt.Sprintf("%d,p%d", w, k)
				if i%2 == 0 {
					wantCode(t, o.commit(forebay.Commit{Requests: o.requests("a", row)}), forebay.CodeOK)
					continue
				}
				for _, a := range o.send(row) {
					wantCode(t, a, forebay.CodeOK)
				}
			}
		})
	}
	wg.Wait()
	diff(t, "partitions made", created.Load(), int64(partitions))
	info, err := s.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range info.Partitions {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	diff(t, "different partitions", len(slices.Compact(names)), partitions)
	diff(t, "rows", count(t, s, "users"), int64(writers*partitions))
}

// TestCrashKeepsPartitionsThatWereUsed: a partition that anybody was told of is there after a crash, under its numbers.
func TestCrashKeepsPartitionsThatWereUsed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		fs := vfs.NewCrashableMem()
		s := openOn(t, fs, Config{})
		o := openTable(t, s, valueSpec("users"))
		rng := rand.New(rand.NewPCG(seed, 2))
		crashAt := rng.IntN(12)
		told := map[string]int{}
		for i := range crashAt {
			name := fmt.Sprint("p", i)
			p, created, err := s.CreatePartition(t.Context(), "users", name)
			if err != nil || !created {
				t.Fatal(created, err)
			}
			told[name] = p.FirstTablet
			if i%2 == 0 {
				o.write("a", fmt.Sprintf("%d,%s", i, name))
			}
		}
		disk := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		after := openOn(t, disk, Config{})
		info, err := after.Describe(t.Context(), "users")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, p := range info.Partitions {
			got[p.Name] = p.FirstTablet
		}
		diff(t, "partitions", got, told)
		if p, created, err := after.CreatePartition(t.Context(), "users", "next"); err != nil || !created ||
			p.FirstTablet != 2*crashAt {
			t.Errorf("the next partition is %+v, %v, %v", p, created, err)
		}
	}
}
