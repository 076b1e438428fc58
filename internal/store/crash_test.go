// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay/internal/fault/lossyfs"
)

// recovered returns how many batches a crashed directory holds; batch i holds the keys 2i and 2i+1. It fails if
// half a batch is there, or a batch after a missing one.
func recovered(t failer, fs vfs.FS, all int) int {
	t.Helper()
	s, err := Open(noContext(), Config{Dir: "/s", FS: fs, MemTableSize: 64 << 10})
	must(t, err)
	count := -1
	for i := range all {
		_, first := s.Get(nil, key(2*i))
		_, second := s.Get(nil, key(2*i+1))
		if (first == nil) != (second == nil) {
			t.Fatal(fmt.Sprintf("batch %d is there by half", i))
		}
		if first != nil && count < 0 {
			count = i
		}
		if first == nil && count >= 0 {
			t.Fatal(fmt.Sprintf("batch %d is there, batch %d is not", i, count))
		}
	}
	must(t, s.Close())
	if count < 0 {
		return all
	}
	return count
}

// ST1: whatever share of the unsynced bytes and names a crash keeps, everything that Sync answered for is there,
// and of the rest a prefix.
func TestCrashKeepsWhatSyncAnsweredFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		s, err := Open(noContext(), Config{Dir: "/s", FS: fs, MemTableSize: 64 << 10})
		must(t, err)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		synced, applied := 0, 0
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, 8).Draw(t, "batches") {
				b := s.NewBatch(0)
				size := rapid.SampledFrom([]int{10, 5000, 30000, 70000}).Draw(t, "size")
				must(t, b.Set(key(2*applied), make([]byte, size)))
				must(t, b.Set(key(2*applied+1), nil))
				must(t, s.Apply(b))
				applied++
			}
			if rapid.Bool().Draw(t, "sync") {
				must(t, s.Sync(noContext(), SyncNow))
				synced = applied
			}
			share := rapid.SampledFrom([]int{0, 20, 50, 80, 100}).Draw(t, "share")
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: share, RNG: rng})
			if n := recovered(t, crashed, applied); n < synced {
				t.Fatalf("%d batches after the crash, %d were synced", n, synced)
			}
		}
		must(t, s.Close())
	})
}

// syncHook calls before every sync that reaches the file system below.
func syncHook(fs vfs.FS, before func(path string)) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			before(op.Path)
		}
		return nil
	}))
}

// A crash at each sync point: on the way to a new directory, in writes, flushes and log changes.
func TestCrashAtEverySyncPoint(t *testing.T) {
	t.Parallel()
	type state struct {
		fs     *vfs.MemFS
		synced int64
	}
	var mu sync.Mutex
	var states []state
	var synced atomic.Int64
	rng := rand.New(rand.NewPCG(1, 2))
	mem := vfs.NewCrashableMem()
	fs := syncHook(mem, func(string) {
		mu.Lock()
		defer mu.Unlock()
		for _, share := range []int{0, 50, 100} {
			acked := synced.Load()
			states = append(states, state{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: share, RNG: rng}), acked})
		}
	})
	s, err := Open(t.Context(), Config{Dir: "/s", FS: fs, MemTableSize: 64 << 10})
	must(t, err)
	const batches = 20
	for i := range batches {
		b := s.NewBatch(0)
		must(t, b.Set(key(2*i), make([]byte, 12000)))
		must(t, b.Set(key(2*i+1), nil))
		must(t, s.Commit(t.Context(), b, SyncNow))
		synced.Add(1)
	}
	must(t, s.Close())
	for i, c := range states {
		if n := recovered(t, c.fs, batches); n < int(c.synced) {
			t.Errorf("state %d: %d batches after the crash, %d were synced", i, n, c.synced)
		}
	}
	if len(states) < 3*batches {
		t.Fatalf("only %d crash states", len(states))
	}
}

// logFile returns the newest log of a closed store.
func logFile(t *testing.T, fs vfs.FS) string {
	t.Helper()
	all, err := fs.List("/s/store")
	must(t, err)
	newest := ""
	for _, name := range all {
		if strings.HasSuffix(name, ".log") && name > newest {
			newest = name
		}
	}
	return "/s/store/" + newest
}

// writtenLog leaves a directory as a crash does, with a hundred synced batches in its log, three blocks of it.
func writtenLog(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := open(t, Config{Dir: "/s", FS: fs})
	for i := range 100 {
		b := batchOf(t, s, 2*i)
		must(t, b.Set(key(2*i+1), make([]byte, 1000)))
		must(t, s.Commit(t.Context(), b, SyncNow))
	}
	return fs.CrashClone(vfs.CrashCloneCfg{})
}

func change(t *testing.T, fs *vfs.MemFS, name string, edit func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	data, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	data = edit(data)
	f, err = fs.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(data)
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

func TestTornEndOfTheLogIsCut(t *testing.T) {
	t.Parallel()
	fs := writtenLog(t)
	change(t, fs, logFile(t, fs), func(data []byte) []byte { return data[:len(data)-5] })
	// The end of the log is the mark of the last sync; the batch before it is whole.
	if n := recovered(t, fs, 100); n < 99 {
		t.Fatalf("%d batches", n)
	}
}

func TestDamageInsideTheLogIsRefused(t *testing.T) {
	t.Parallel()
	fs := writtenLog(t)
	change(t, fs, logFile(t, fs), func(data []byte) []byte {
		data[len(data)/5] ^= 0xff
		return data
	})
	_, err := Open(t.Context(), Config{Dir: "/s", FS: fs})
	if !pebble.IsCorruptionError(err) && !errors.Is(err, ErrPoisoned) {
		t.Fatalf("error %v", err)
	}
}

// ST2, ST3: the program lives, nobody hangs, every call answers poisoned, and the directory stays locked.
func TestFailedWritePoisons(t *testing.T) {
	t.Parallel()
	isWrite := func(k errorfs.OpKind) bool { return k == errorfs.OpFileWrite }
	isSync := func(k errorfs.OpKind) bool { return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData }
	for _, c := range []struct {
		name string
		kind func(errorfs.OpKind) bool
		file string
		err  error
	}{
		{"log write", isWrite, ".log", syscall.EIO},
		{"log sync", isSync, ".log", syscall.EIO},
		{"log write on a full disk", isWrite, ".log", syscall.ENOSPC},
		{"new log", func(k errorfs.OpKind) bool {
			return k == errorfs.OpCreate || k == errorfs.OpReuseForWrite
		}, ".log", syscall.EIO},
		{"manifest write", isWrite, "MANIFEST", syscall.EIO},
		{"manifest sync", isSync, "MANIFEST", syscall.EIO},
		{"table write", isWrite, ".sst", syscall.EIO},
		{"table sync", isSync, ".sst", syscall.EIO},
		{"directory sync", isSync, "store", syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var broken, after atomic.Bool
			var late atomic.Int64
			dir := t.TempDir()
			fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if after.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose {
					late.Add(1)
				}
				if broken.Load() && c.kind(op.Kind) && strings.Contains(filepath.Base(op.Path), c.file) {
					return c.err
				}
				return nil
			}))
			s, err := Open(t.Context(), Config{Dir: dir, FS: fs, MemTableSize: 64 << 10, DiskReserve: 1})
			must(t, err)
			it, err := s.NewIter(nil, nil)
			must(t, err)
			broken.Store(true)
			failed := make(chan error, 8)
			var wg sync.WaitGroup
			for lane := range cap(failed) {
				wg.Go(func() { failed <- writeUntilError(t, s, lane) })
			}
			wait(t, wg.Wait)
			for range cap(failed) {
				if err := <-failed; !errors.Is(err, ErrPoisoned) || !errors.Is(err, c.err) {
					t.Errorf("a writer got %v", err)
				}
			}
			// What was on its way into the file system when the first write failed may still arrive.
			<-time.After(10 * time.Millisecond)
			after.Store(true)
			wait(t, func() { everyCallIsPoisoned(t, s, it) })
			if n := late.Load(); n > 0 {
				t.Errorf("%d changes reached the disk after the first failed one", n)
			}
			if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
				t.Error("the directory was given back")
			} else if _, found := errors.AsType[*InUseError](err); !found {
				t.Error(err)
			}
		})
	}
}

// writeUntilError keeps a lane busy: memtables fill, logs change, tables are written.
func writeUntilError(t *testing.T, s *Store, lane int) error {
	t.Helper()
	b := s.NewBatch(0)
	for i := range 3000 {
		if err := b.Set(key(lane*10000+i), make([]byte, 4000)); err != nil {
			t.Error(err)
		}
		if err := s.Commit(t.Context(), b, SyncSoon); err != nil {
			return err
		}
		b.Reset()
	}
	return nil
}

func everyCallIsPoisoned(t *testing.T, s *Store, it *Iter) {
	t.Helper()
	_, get := s.Get(nil, key(1))
	_, iter := s.NewIter(nil, nil)
	_, snapshot := s.NewSnapshot()
	b := s.NewBatch(0)
	must(t, b.Set(key(1), nil))
	for i, err := range []error{
		s.Apply(b), s.Sync(t.Context(), SyncNow), s.Sync(t.Context(), time.Hour), get, iter, snapshot, s.Err(),
		it.Close(), s.Close(), s.Close(),
	} {
		if !errors.Is(err, ErrPoisoned) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	s.Metrics()
	select {
	case <-s.Poisoned():
	default:
		t.Error("Poisoned is open")
	}
}

func wait(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { defer close(done); f() })
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("somebody hangs")
	}
}

func TestFailedWriteWhileOpeningPoisons(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"MANIFEST", "OPTIONS", "temporary"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, file) {
					return syscall.EIO
				}
				return nil
			}))
			wait(t, func() {
				_, err := Open(t.Context(), Config{Dir: "/s", FS: fs})
				if file != "OPTIONS" && !errors.Is(err, ErrPoisoned) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestFatalfPoisonsAndNeverReturns(t *testing.T) {
	t.Parallel()
	p := newPoison(slog.New(slog.DiscardHandler))
	returned := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		pebbleLogger{poison: p, logger: p.logger}.Fatalf("broken: %w", syscall.EIO)
		close(returned)
	})
	<-p.done
	select {
	case <-returned:
		t.Fatal("Fatalf returned")
	case <-time.After(10 * time.Millisecond):
	}
	if !errors.Is(p.cause(), syscall.EIO) || !errors.Is(p.cause(), ErrPoisoned) {
		t.Fatal(p.cause())
	}
	p.set(syscall.ENOSPC)
	if errors.Is(p.cause(), syscall.ENOSPC) {
		t.Fatal("the first cause was replaced")
	}
}

// everything is what SIGKILL leaves of a file system: the process goes, the kernel stays. It is copied in one moment.
func everything() vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
}

func TestStoreOnTheLossyFileSystem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sync bool
	}{{"with sync nothing is lost", true}, {"without sync the loss is seen", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := vfs.NewCrashableMem()
			s := open(t, Config{Dir: "/s", FS: lossyfs.New(base), MemTableSize: 64 << 10})
			const batches = 40
			for i := range batches {
				b := s.NewBatch(0)
				must(t, b.Set(key(2*i), make([]byte, 4000)))
				must(t, b.Set(key(2*i+1), nil))
				must(t, s.Apply(b))
				if c.sync {
					must(t, s.Sync(t.Context(), SyncNow))
				}
			}
			n := recovered(t, base.CrashClone(everything()), batches)
			if c.sync && n != batches || !c.sync && n == batches {
				t.Fatalf("%d of %d batches are left", n, batches)
			}
		})
	}
}

// noContext is for helpers that run under rapid as well.
func noContext() context.Context { return context.Background() }
