// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type failer interface {
	Helper()
	Fatal(args ...any)
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a small store and closes it at the end of the test.
func open(t *testing.T, config Config) *Store {
	t.Helper()
	if config.MemTableSize == 0 {
		config.MemTableSize = 256 << 10
	}
	s, err := Open(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func key(i int) []byte { return AppendUint32([]byte{SpaceLog}, uint32(i)) }

func batchOf(t failer, s *Store, keys ...int) *Batch {
	t.Helper()
	b := s.NewBatch(0)
	for _, i := range keys {
		must(t, b.Set(key(i), fmt.Appendf(nil, "value %d", i)))
	}
	return b
}

func names(t failer, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestCloseLeavesFormatAndStoreOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, Config{Dir: dir})
	if diff := cmp.Diff([]string{formatName, lockName, storeName}, names(t, dir)); diff != "" {
		t.Fatal(diff)
	}
	must(t, s.Commit(t.Context(), batchOf(t, s, 1, 2), SyncNow))
	must(t, s.Apply(batchOf(t, s, 3)))
	must(t, s.Close())
	must(t, s.Close())
	if diff := cmp.Diff([]string{formatName, storeName}, names(t, dir)); diff != "" {
		t.Fatal(diff)
	}
	if slices.Contains(names(t, filepath.Join(dir, storeName)), lockName) {
		t.Fatal("a lock is left in store/")
	}
	s = open(t, Config{Dir: dir})
	for i := range 3 {
		value, err := s.Get(nil, key(i+1))
		if err != nil || string(value) != fmt.Sprintf("value %d", i+1) {
			t.Fatalf("key %d: %q, %v", i+1, value, err)
		}
	}
}

func TestClosedStoreAnswersErrClosed(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	b := batchOf(t, s, 1)
	must(t, s.Close())
	_, get := s.Get(nil, key(1))
	_, iter := s.NewIter(nil, nil)
	_, snapshot := s.NewSnapshot()
	for i, err := range []error{s.Apply(b), s.Sync(t.Context(), 0), get, iter, snapshot, s.Err()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestCloseWaitsForReaders(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	must(t, s.Apply(batchOf(t, s, 1)))
	it, err := s.NewIter(nil, nil)
	must(t, err)
	closed := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { closed <- s.Close() })
	for !s.closed.Load() {
		<-time.After(time.Millisecond)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed under an open iterator: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if !it.First() || string(it.Value()) != "value 1" {
		t.Fatal("the iterator lost its key")
	}
	must(t, it.Close())
	must(t, <-closed)
}

func TestSecondOpenNamesTheOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := time.Now().Add(-time.Second)
	open(t, Config{Dir: dir, Command: "forebay run\nx.yaml", Socket: "/run/forebay.sock"})
	_, err := Open(t.Context(), Config{Dir: dir})
	inUse, found := errors.AsType[*InUseError](err)
	if !found {
		t.Fatalf("error %v", err)
	}
	if inUse.Since.Before(before) || inUse.Since.After(time.Now()) {
		t.Errorf("since %v", inUse.Since)
	}
	since := inUse.Since
	inUse.Since = time.Time{}
	want := InUseError{Dir: dir, PID: os.Getpid(), Command: "forebay run x.yaml", Socket: "/run/forebay.sock"}
	if diff := cmp.Diff(want, *inUse); diff != "" {
		t.Error(diff)
	}
	inUse.Since = since
	for _, part := range []string{fmt.Sprint(os.Getpid()), "forebay run x.yaml", since.Format(time.RFC3339), dir} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestSecondOpenOfAMemoryDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := open(t, Config{Dir: "/s", FS: fs})
	_, err := Open(t.Context(), Config{Dir: "/s", FS: fs})
	if _, found := errors.AsType[*InUseError](err); !found {
		t.Fatalf("error %v", err)
	}
	must(t, s.Close())
	open(t, Config{Dir: "/s", FS: fs})
}

func TestStaleLockFileIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, lockName), []byte("pid: 1\ncommand: a long line that was there before\n"+
		"since: 2020-01-01T00:00:00Z\nsocket: /somewhere/else\n"), 0o600))
	open(t, Config{Dir: dir, Command: "me"})
	text, err := os.ReadFile(filepath.Join(dir, lockName))
	must(t, err)
	if !strings.Contains(string(text), fmt.Sprintf("pid: %d\ncommand: me\n", os.Getpid())) ||
		strings.Contains(string(text), "socket") {
		t.Fatalf("LOCK says %q", text)
	}
}

// ST4: also while owners come and go, and LOCK with them, there is one at a time.
func TestOneOwnerWhileLockFileComesAndGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := layout{fs: vfs.Default, dir: dir}
	var owners, taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				d := &dirLock{path: l.path(lockName), fs: l.fs}
				if err := d.try(); err != nil || d.file == nil {
					if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
						t.Error(err)
					}
					continue
				}
				if n := owners.Add(1); n != 1 {
					t.Errorf("%d owners at once", n)
				}
				taken.Add(1)
				owners.Add(-1)
				if err := d.release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() == 0 {
		t.Fatal("nobody got the lock")
	}
}

// ST5: what is refused leaves nothing behind.
func TestRefusedConfigCreatesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"small memtable", Config{MemTableSize: 1000}, []string{"MemTableSize is 1000"}},
		{
			"all problems at once",
			Config{MemTableSize: 2 << 30, CacheSize: -1, DiskReserve: -1},
			[]string{"MemTableSize", "CacheSize", "DiskReserve"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.config.Dir = filepath.Join(dir, "state")
			_, err := Open(t.Context(), c.config)
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
			if left := names(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "Dir is empty") {
		t.Errorf("empty config: %v", err)
	}
}

func TestNetworkFileSystemIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := layout{fs: vfs.Default, dir: filepath.Join(dir, "a", "b")}
	var asked []string
	err := l.refuseNetwork(func(dir string) (int64, error) {
		asked = append(asked, dir)
		if _, err := os.Stat(dir); err != nil {
			return 0, err
		}
		return 0x6969, nil
	})
	if err == nil || !strings.Contains(err.Error(), "nfs") || !strings.Contains(err.Error(), "--unsafe-network-dir") {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff([]string{l.dir, filepath.Join(dir, "a"), dir}, asked); diff != "" {
		t.Fatal(diff)
	}
	must(t, l.refuseNetwork(fsType))
}

func TestDamagedDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"unknown version", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, formatName), []byte("forebay state directory, format 2\n"), 0o600)
		}, "format 2"},
		{"empty FORMAT", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, formatName), nil, 0o600)
		}, "this version reads"},
		{"FORMAT lost", func(dir string) error { return os.Remove(filepath.Join(dir, formatName)) }, "holds data"},
		{"store lost", func(dir string) error {
			return os.RemoveAll(filepath.Join(dir, storeName))
		}, "directory is damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, Config{Dir: dir})
			must(t, s.Commit(t.Context(), batchOf(t, s, 1), SyncNow))
			must(t, s.Close())
			must(t, c.damage(dir))
			before := names(t, dir)
			_, err := Open(t.Context(), Config{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(before, names(t, dir)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestDirThatIsAFileIsRefused(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, nil, 0o600))
	if _, err := Open(t.Context(), Config{Dir: name}); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Fatalf("error %v", err)
	}
}

func TestReadersSeeTheirMoment(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	must(t, s.Apply(batchOf(t, s, 1, 2, 3)))
	snapshot, err := s.NewSnapshot()
	must(t, err)
	b := s.NewBatch(0)
	must(t, b.Delete(key(1)))
	must(t, b.DeleteRange(key(2), key(3)))
	op := b.SetDeferred(len(key(4)), 3)
	copy(op.Key, key(4))
	copy(op.Value, "new")
	must(t, op.Finish())
	must(t, s.Apply(b))
	scan := func(r Reader) (all []string) {
		it, err := r.NewIter(key(0), PrefixEnd([]byte{SpaceLog}))
		must(t, err)
		for valid := it.First(); valid; valid = it.Next() {
			all = append(all, string(it.Value()))
		}
		must(t, it.Close())
		must(t, it.Close())
		return all
	}
	if diff := cmp.Diff([]string{"value 3", "new"}, scan(s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"value 1", "value 2", "value 3"}, scan(snapshot)); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Get(nil, key(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted key: %v", err)
	}
	value, err := snapshot.Get([]byte("> "), key(1))
	if err != nil || string(value) != "> value 1" {
		t.Errorf("snapshot: %q, %v", value, err)
	}
	must(t, snapshot.Close())
	must(t, snapshot.Close())
}

func TestBatchIsAppliedOnceUnlessReset(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	b := batchOf(t, s, 1)
	must(t, s.Apply(b))
	if err := s.Apply(b); !errors.Is(err, errAppliedTwice) {
		t.Fatalf("second apply: %v", err)
	}
	b.Reset()
	must(t, s.Apply(b)) // empty
	must(t, b.Set(key(2), nil))
	must(t, s.Apply(b))
	must(t, b.Close())
	must(t, b.Close())
	if _, err := s.Get(nil, key(2)); err != nil {
		t.Fatal(err)
	}
}

func TestCallersInOneWindowShareAnFsync(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	before := s.Metrics()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := s.Commit(t.Context(), batchOf(t, s, i), 100*time.Millisecond); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	after := s.Metrics()
	if n := after.LogSyncs - before.LogSyncs; n < 1 || n > 2 {
		t.Errorf("%d fsyncs for 50 callers", n)
	}
	if n := after.LogBytes - before.LogBytes; n < 50*20 {
		t.Errorf("%d bytes of log", n)
	}
	must(t, s.Sync(t.Context(), SyncNow))
	if got := s.Metrics().LogSyncs; got != after.LogSyncs {
		t.Errorf("%d fsyncs without anything new", got-after.LogSyncs)
	}
}

func TestSyncNowEndsTheWindow(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	must(t, s.Apply(batchOf(t, s, 1)))
	patient := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { patient <- s.Sync(t.Context(), time.Hour) })
	for {
		if wait, found := s.syncs.due(); found && wait > time.Minute {
			break
		}
		<-time.After(time.Millisecond)
	}
	must(t, s.Sync(t.Context(), SyncNow))
	must(t, <-patient)
}

func TestSyncEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: "/s", FS: vfs.NewMem()})
	must(t, s.Apply(batchOf(t, s, 1)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Sync(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	must(t, s.Sync(t.Context(), SyncNow))
}

func TestWritesBelowTheReserveAreRefusedAndResume(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(1 << 30)
	s := open(t, Config{
		Dir: "/s", FS: vfs.NewMem(), DiskReserve: 1 << 20,
		FreeSpace: func(string) (int64, error) { return free.Load(), nil },
	})
	measureAgain := func() { s.space.next.Store(0) }
	must(t, s.Apply(batchOf(t, s, 1)))
	free.Store(1<<20 - 1)
	measureAgain()
	refused := batchOf(t, s, 2)
	if err := s.Apply(refused); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("apply: %v", err)
	}
	if err := s.Err(); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("err: %v", err)
	}
	if _, err := s.Get(nil, key(2)); !errors.Is(err, ErrNotFound) {
		t.Fatalf("refused batch: %v", err)
	}
	giveBack := s.NewBatch(0)
	must(t, giveBack.Delete(key(1)))
	giveBack.UseReserve()
	must(t, s.Apply(giveBack))
	must(t, s.Sync(t.Context(), SyncNow))
	free.Store(1 << 20)
	measureAgain()
	must(t, s.Apply(refused))
	must(t, s.Err())
}

func TestFreeSpaceIsMeasuredByTimeAndByBytes(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	sp := &space{reserve: 1, measure: func(string) (int64, error) { asked.Add(1); return 2, nil }}
	must(t, sp.check(0))
	sp.next.Store(time.Now().Add(time.Hour).UnixNano())
	for range 100 {
		must(t, sp.check(1000))
	}
	if n := asked.Load(); n != 1 {
		t.Fatalf("measured %d times", n)
	}
	must(t, sp.check(spaceBytes))
	if n := asked.Load(); n != 2 {
		t.Fatalf("measured %d times", n)
	}
}

func TestPrefixEndBoundsThePrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "prefix")
		other := rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "other")
		end := PrefixEnd(prefix)
		inside := bytes.Compare(other, prefix) >= 0 && (end == nil || bytes.Compare(other, end) < 0)
		if inside != bytes.HasPrefix(other, prefix) {
			t.Fatalf("prefix %x, end %x, other %x", prefix, end, other)
		}
	})
	if got := AppendString(AppendUint64(AppendUint32([]byte{SpaceRows}, 1), 2), "ab"); !bytes.Equal(got,
		[]byte{0x20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 'a', 'b'}) {
		t.Fatalf("key %x", got)
	}
}

func BenchmarkOpenFresh(b *testing.B) {
	for b.Loop() {
		s, err := Open(b.Context(), Config{Dir: filepath.Join(b.TempDir(), "state")})
		must(b, err)
		b.StopTimer()
		must(b, s.Close())
		b.StartTimer()
	}
}

func BenchmarkApply(b *testing.B) {
	s, err := Open(b.Context(), Config{Dir: b.TempDir()})
	must(b, err)
	value := make([]byte, 100)
	b.ReportAllocs()
	i := 0
	batch := s.NewBatch(0)
	for b.Loop() {
		i++
		must(b, batch.Set(key(i%1000), value))
		must(b, s.Apply(batch))
		batch.Reset()
	}
	must(b, s.Close())
}

func BenchmarkCommitThreeLanes(b *testing.B) {
	s, err := Open(b.Context(), Config{Dir: b.TempDir()})
	must(b, err)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := range b.N {
				must(b, s.Commit(b.Context(), batchOf(b, s, i), SyncSoon))
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(s.Metrics().LogSyncs)/float64(b.N), "fsyncs/op")
	must(b, s.Close())
}
