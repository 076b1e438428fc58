// SPDX-License-Identifier: Apache-2.0

package checkpoint_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/store"
)

type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// openOn opens a store on a file system in memory.
func openOn(t failer, fs vfs.FS) (*store.Store, *checkpoint.Store) {
	t.Helper()
	st, err := store.Open(context.Background(), store.Config{Dir: "/s", FS: fs, MemTableSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return st, checkpoint.NewStore(st)
}

func open(t *testing.T) (*store.Store, *checkpoint.Store) {
	t.Helper()
	st, c := openOn(t, vfs.NewMem())
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st, c
}

// Where no target holds the positions, a process that is killed loses those of the last second, not those that
// happen to lie in a block of the log that is not full.
func TestPositionsThatOnlyTheStoreHasAreSyncedSoon(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	st, c := openOn(t, fs)
	defer func() { _ = st.Close() }()
	groups := st.Metrics().SyncGroups
	if err := c.Save("p", []checkpoint.Entry{{Split: "noted", Noted: true}}, false); err != nil {
		t.Fatal(err)
	}
	if err := c.Save("p", []checkpoint.Entry{{Split: "a", Number: 7}}, false); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); st.Metrics().SyncGroups == groups; <-tick.C {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("no sync came")
		}
	}
	other, after := openOn(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	defer func() { _ = other.Close() }()
	if got, err := after.Load("p"); err != nil || got["a"].Number != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMetaComesBackAsItWas(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	if _, known, err := c.LoadMeta("p"); known || err != nil {
		t.Fatalf("a pipeline that never ran: %v, %v", known, err)
	}
	want := checkpoint.Meta{
		Source: settings("path", "caf\xe9.csv", "format", "<csv> & \u2028"), Sink: settings("name", "t"),
		Memory: []byte{0, 1, 255}, Schema: "a int64", Created: 5,
	}
	for _, m := range []checkpoint.Meta{{}, want} {
		if err := c.SaveMeta("p", m); err != nil {
			t.Fatal(err)
		}
		got, known, err := c.LoadMeta("p")
		if err != nil || !known || !cmp.Equal(got.Source, m.Source) || !got.Same(m) || got.Created != m.Created {
			t.Errorf("%v, %v: %s", known, err, cmp.Diff(m, got))
		}
	}
	if d := want.Compare(want.Source, want.Sink); len(d) > 0 {
		t.Errorf("%v", d)
	}
}

// Names of splits are the source's: any bytes, also those that no text encoding has, and prefixes of each other.
func TestEntriesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	var entries []checkpoint.Entry
	for i, split := range []string{
		"", "a", "ab", "a\x00b", "caf\xe9.csv", "\xff\xff", "ü/日本", "\ufffd",
		strings.Repeat("x", 1<<16-1),
	} {
		entries = append(entries, checkpoint.Entry{
			Split: split, Epoch: 1 << 63, Number: uint64(i), Noted: i%2 == 0, Updated: 7, Fingerprint: "file " + split,
			Position: forebay.Position{Offset: 1 << 62, Detail: "\xfe" + split, Finished: i%3 == 0},
		})
	}
	if err := c.Save("p", entries[:5], false); err != nil {
		t.Fatal(err)
	}
	if err := c.Save("p", entries[5:], true); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"q", "pp", ""} { // other pipelines do not show
		if err := c.Save(other, []checkpoint.Entry{{Split: "other"}}, false); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.Load("p")
	if err != nil || len(got) != len(entries) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for _, e := range entries {
		if got[e.Split] != e {
			t.Errorf("split %.20q came back as %.300q", e.Split, fmt.Sprint(got[e.Split]))
		}
	}
	if err := c.Save("p", []checkpoint.Entry{{Split: strings.Repeat("x", 1<<16)}}, false); err == nil {
		t.Error("a name of 64 KiB was taken")
	}
}

func TestResetForgetsAllButTheEpoch(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	for _, name := range []string{"p", "p2"} {
		if err := c.SaveMeta(name, checkpoint.Meta{Schema: "s"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Save(name, []checkpoint.Entry{{Split: "a", Epoch: 9}}, true); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.TakeEpoch(forebay.Owner{Pipeline: "p", Holder: "h"}, 6, "exactly-once")
	if err != nil || first != 7 {
		t.Fatal(first, err)
	}
	if names, err := c.Pipelines(); err != nil || !slices.Equal(names, []string{"p", "p2"}) {
		t.Errorf("%v, %v", names, err)
	}
	if err := c.Reset("p"); err != nil {
		t.Fatal(err)
	}
	entries, err := c.Load("p")
	_, known, errMeta := c.LoadMeta("p")
	if len(entries) != 0 || err != nil || known || errMeta != nil {
		t.Errorf("%v, %v, %v, %v", entries, err, known, errMeta)
	}
	if other, err := c.Load("p2"); len(other) != 1 || err != nil {
		t.Errorf("the other pipeline: %v, %v", other, err)
	}
	if names, err := c.Pipelines(); err != nil || !slices.Equal(names, []string{"p2"}) {
		t.Errorf("%v, %v", names, err)
	}
	o, err := c.LoadOwnership("p")
	want := checkpoint.Ownership{Epoch: 7, Holder: "h", Guarantee: "exactly-once", Known: []string{"h"}}
	if diff := cmp.Diff(want, o, cmpopts.IgnoreFields(want, "Started")); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if second, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, ""); err != nil || second != 8 {
		t.Errorf("epoch %d after the reset, %v", second, err)
	}
}

// C1: of all that ask at once, each gets an epoch of its own.
func TestEpochsAreTakenOnce(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	var mu sync.Mutex
	var taken []uint64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				epoch, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, "")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				taken = append(taken, epoch)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(taken)
	for i, epoch := range taken {
		if epoch != uint64(i+1) {
			t.Fatalf("epochs %v", taken)
		}
	}
}

// An owner that is no longer the newest writes no entry any more.
func TestAnOlderOwnerWritesNothing(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	older, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Save("p", []checkpoint.Entry{{Split: "a", Epoch: older, Position: to(1)}}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, ""); err != nil {
		t.Fatal(err)
	}
	err = c.Save("p", []checkpoint.Entry{{Split: "a", Epoch: older, Position: to(2)}}, true)
	if forebay.ClassOf(err) != forebay.ClassFenced {
		t.Errorf("%v", err)
	}
	if got, err := c.Load("p"); err != nil || got["a"].Position != to(1) {
		t.Errorf("%v, %v", got, err)
	}
	if err := c.Save("q", []checkpoint.Entry{{Split: "a", Epoch: older}}, true); err != nil {
		t.Errorf("another pipeline: %v", err)
	}
}

// C1, and the order of what is not synced: whatever a crash keeps, an epoch that was given is there, what was
// saved durably is there, and of the rest nothing without what was written before it.
func TestCrashesKeepEpochsAndOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		st, c := openOn(t, fs)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var epoch uint64
		written, durable := 0, 0
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				target := rapid.Uint64Range(0, 30).Draw(t, "target")
				next, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, target, "")
				if err != nil || next <= epoch || next <= target {
					t.Fatalf("epoch %d after %d, target %d: %v", next, epoch, target, err)
				}
				epoch, durable = next, written
			default:
				synced := rapid.Bool().Draw(t, "durable")
				written++
				e := checkpoint.Entry{
					Split: fmt.Sprint(written), Epoch: epoch, Position: to(int64(written)),
					Fingerprint: strings.Repeat("x", rapid.SampledFrom([]int{0, 3000, 30000}).Draw(t, "size")),
				}
				all := checkpoint.Entry{Split: "all", Epoch: epoch, Position: to(int64(written))}
				if err := c.Save("p", []checkpoint.Entry{e, all}, synced); err != nil {
					t.Fatal(err)
				}
				if synced {
					durable = written
				}
			}
			crashed := fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(t, "share"), RNG: rng,
			})
			afterCrash(t, crashed, epoch, durable)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func afterCrash(t *rapid.T, fs vfs.FS, epoch uint64, durable int) {
	st, c := openOn(t, fs)
	o, err := c.LoadOwnership("p")
	if err != nil || o.Epoch < epoch {
		t.Fatalf("epoch %d was given, and %d is stored: %v", epoch, o.Epoch, err)
	}
	got, err := c.Load("p")
	if err != nil {
		t.Fatal(err)
	}
	last := int(got["all"].Position.Offset)
	if last < durable {
		t.Fatalf("%d saves were durable, and %d are there", durable, last)
	}
	for i := 1; i <= last; i++ {
		if _, found := got[fmt.Sprint(i)]; !found {
			t.Fatalf("save %d is there and save %d is not", last, i)
		}
	}
	if want := last + min(last, 1); len(got) != want {
		t.Fatalf("%d entries, want %d", len(got), want)
	}
	if next, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, ""); err != nil || next <= epoch {
		t.Fatalf("epoch %d was given before the crash, and %d after: %v", epoch, next, err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// Bytes that are not what was written are corrupt, and say where and what to do.
func TestDamagedValuesAreCorrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		kind  byte
		value string
		load  func(*checkpoint.Store) error
	}{
		{"meta is no JSON", 'm', "{", loadMeta},
		{"meta is empty", 'm', "", loadMeta},
		{"meta of another type", 'm', `{"version":"one"}`, loadMeta},
		{"meta of a later version", 'm', `{"version":2}`, loadMeta},
		{"meta without version", 'm', `{}`, loadMeta},
		{"ownership is no JSON", 'o', "nothing", loadOwnership},
		{"ownership with a negative epoch", 'o', `{"epoch":-1}`, loadOwnership},
		{"an epoch cannot be taken over a damaged one", 'o', `{"epoch":"x"}`, func(c *checkpoint.Store) error {
			_, err := c.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, "")
			return err
		}},
		{"entry is no JSON", 'e', "\x00", loadEntries},
		{"entry with an offset that is none", 'e', `{"split":"a","position":{"Offset":1.5}}`, loadEntries},
		{"entry under the name of another split", 'e', `{"split":"b"}`, loadEntries},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st, checkpoints := open(t)
			put(t, st, c.kind, []byte(c.value))
			err := c.load(checkpoints)
			if forebay.ClassOf(err) != forebay.ClassCorrupt || !strings.Contains(err.Error(), "p") {
				t.Errorf("class %s: %v", forebay.ClassOf(err), err)
			}
		})
	}
}

func loadMeta(c *checkpoint.Store) error      { _, _, err := c.LoadMeta("p"); return err }
func loadOwnership(c *checkpoint.Store) error { _, err := c.LoadOwnership("p"); return err }
func loadEntries(c *checkpoint.Store) error   { _, err := c.Load("p"); return err }

// put writes a value as it is, an entry under the split a.
func put(t failer, st *store.Store, kind byte, value []byte) {
	t.Helper()
	b := st.NewBatch(0)
	key := store.AppendString([]byte{store.SpaceCheckpoint, kind}, "p")
	if kind == 'e' {
		key = append(key, "a"...)
	}
	if err := b.Set(key, value); err != nil {
		t.Fatal(err)
	}
	if err := st.Apply(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzStored reads any bytes as any value: an error of class corrupt, or what is stored again as the same.
func FuzzStored(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"source":[{"Name":"path","Value":"a"}],"sink":null,"memory":"AAE=","created":5}`,
		`{"epoch":7,"holder":"h","guarantee":"exactly-once","started":1}`,
		`{"split":"a","epoch":1,"number":2,"position":{"Offset":5,"Detail":"d","Finished":true},"fingerprint":"f"}`,
		`{"split":{"bytes":"/w=="}}`, `null`, `[]`, ``,
	} {
		f.Add(byte('m'), []byte(seed))
		f.Add(byte('o'), []byte(seed))
		f.Add(byte('e'), []byte(seed))
	}
	st, c := openOn(f, vfs.NewMem())
	f.Cleanup(func() { _ = st.Close() })
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		if !bytes.Contains([]byte("moe"), []byte{kind}) {
			return
		}
		put(t, st, kind, value)
		switch kind {
		case 'm':
			m, _, err := c.LoadMeta("p")
			if corrupt(t, err) {
				return
			}
			if err := c.SaveMeta("p", m); err != nil {
				t.Fatal(err)
			}
			if again, _, err := c.LoadMeta("p"); err != nil || !again.Same(m) {
				t.Fatalf("%+v came back as %+v, %v", m, again, err)
			}
		case 'o':
			_, err := c.LoadOwnership("p")
			corrupt(t, err)
		case 'e':
			entries, err := c.Load("p")
			if corrupt(t, err) {
				return
			}
			e := entries["a"]
			if err := c.Save("p", []checkpoint.Entry{e}, false); err != nil {
				t.Fatal(err)
			}
			if again, err := c.Load("p"); err != nil || again["a"] != e {
				t.Fatalf("%+v came back as %+v, %v", e, again["a"], err)
			}
		}
	})
}

func corrupt(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && forebay.ClassOf(err) != forebay.ClassCorrupt {
		t.Fatalf("class %s: %v", forebay.ClassOf(err), err)
	}
	return err != nil
}

// What the positions depend on is durable before they are, and so is that it was forgotten.
func TestMetaAndResetAreDurable(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	st, c := openOn(t, fs)
	check := func(want bool) {
		t.Helper()
		crashed, after := openOn(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		if _, known, err := after.LoadMeta("p"); known != want || err != nil {
			t.Errorf("known after the crash: %v, %v", known, err)
		}
		if err := crashed.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.SaveMeta("p", checkpoint.Meta{}); err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := c.Reset("p"); err != nil {
		t.Fatal(err)
	}
	check(false)
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
