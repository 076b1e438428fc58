// SPDX-License-Identifier: Apache-2.0

package lossyfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
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

func write(t failer, fs vfs.FS, name, text string) {
	t.Helper()
	must(t, create(t, fs, name, text).Close())
}

func writeSynced(t failer, fs vfs.FS, name, text string) {
	t.Helper()
	f := create(t, fs, name, text)
	must(t, errors.Join(f.Sync(), f.Close()))
}

func create(t failer, fs vfs.FS, name, text string) vfs.File {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	return f
}

func syncDir(t failer, fs vfs.FS, name string) {
	t.Helper()
	d, err := fs.OpenDir(name)
	must(t, err)
	must(t, errors.Join(d.Sync(), d.Close()))
}

// tree reads everything that a file system shows below a directory.
func tree(t failer, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := fs.List(dir)
	must(t, err)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		must(t, err)
		if info.IsDir() {
			all[path] = "directory"
			maps.Copy(all, tree(t, fs, path))
			continue
		}
		f, err := fs.Open(path)
		must(t, err)
		data, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		if int64(len(data)) != info.Size() {
			t.Fatal(fmt.Sprintf("%s: read %d bytes of %d", path, len(data), info.Size()))
		}
		all[path] = string(data)
	}
	return all
}

// keepCase is what a process does in a directory d that holds a synced file old.
type keepCase struct {
	name string
	do   func(t failer, fs vfs.FS)
	seen map[string]string // by the process
	left map[string]string // after SIGKILL
}

func TestLossyKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(keptFiles(), keptDirectories()) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := vfs.NewMem()
			must(t, base.MkdirAll("d", 0o755))
			writeSynced(t, base, "d/old", "old")
			fs := New(base)
			c.do(t, fs)
			if diff := cmp.Diff(c.seen, tree(t, fs, "d")); diff != "" {
				t.Errorf("seen by the process: %s", diff)
			}
			if diff := cmp.Diff(c.left, tree(t, base, "d")); diff != "" {
				t.Errorf("left after SIGKILL: %s", diff)
			}
		})
	}
}

func keptFiles() []keepCase {
	long := string(bytes.Repeat([]byte("0123456789abcdef"), pageSize/8))
	return []keepCase{
		{
			name: "file and name synced stay",
			do: func(t failer, fs vfs.FS) {
				writeSynced(t, fs, "d/new", long)
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/old": "old", "d/new": long},
			left: map[string]string{"d/old": "old", "d/new": long},
		},
		{
			name: "a synced file without a synced name is lost",
			do:   func(t failer, fs vfs.FS) { writeSynced(t, fs, "d/new", "text") },
			seen: map[string]string{"d/old": "old", "d/new": "text"},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "a synced name without synced bytes is empty",
			do: func(t failer, fs vfs.FS) {
				write(t, fs, "d/new", "text")
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/old": "old", "d/new": "text"},
			left: map[string]string{"d/old": "old", "d/new": ""},
		},
		{
			name: "bytes after the last sync are lost",
			do: func(t failer, fs vfs.FS) {
				f, err := fs.OpenReadWrite("d/old", vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = f.WriteAt([]byte("OLDER"), 0)
				must(t, errors.Join(err, f.SyncData()))
				_, err = f.WriteAt([]byte("lost"), 3)
				must(t, errors.Join(err, f.Close()))
			},
			seen: map[string]string{"d/old": "OLDlost"},
			left: map[string]string{"d/old": "OLDER"},
		},
		{
			name: "the name brings the bytes of the last sync, not later ones",
			do: func(t failer, fs vfs.FS) {
				f, err := fs.Create("d/new", vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = f.Write([]byte("text"))
				must(t, errors.Join(err, f.Sync()))
				_, err = f.WriteAt([]byte("TEX"), 0)
				must(t, errors.Join(err, f.Close()))
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/old": "old", "d/new": "TEXt"},
			left: map[string]string{"d/old": "old", "d/new": "text"},
		},
		{
			name: "a removed file comes back",
			do:   func(t failer, fs vfs.FS) { must(t, fs.Remove("d/old")) },
			seen: map[string]string{},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "a synced removal stays",
			do: func(t failer, fs vfs.FS) {
				must(t, fs.Remove("d/old"))
				syncDir(t, fs, "d")
			},
			seen: map[string]string{},
			left: map[string]string{},
		},
		{
			name: "a file that was cut by creating it again comes back",
			do:   func(t failer, fs vfs.FS) { writeSynced(t, fs, "d/old", "new") },
			seen: map[string]string{"d/old": "new"},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "a rename that was not synced is undone",
			do:   func(t failer, fs vfs.FS) { must(t, fs.Rename("d/old", "d/moved")) },
			seen: map[string]string{"d/moved": "old"},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "the way to replace a file keeps one of both",
			do: func(t failer, fs vfs.FS) {
				writeSynced(t, fs, "d/tmp", "new")
				must(t, fs.Rename("d/tmp", "d/old"))
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/old": "new"},
			left: map[string]string{"d/old": "new"},
		},
		{
			name: "a file used again keeps its old bytes until it is synced",
			do: func(t failer, fs vfs.FS) {
				f, err := fs.ReuseForWrite("d/old", "d/next", vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = f.Write([]byte("N"))
				must(t, errors.Join(err, f.Close()))
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/next": "Nld"},
			left: map[string]string{"d/next": "old"},
		},
	}
}

func keptDirectories() []keepCase {
	return []keepCase{
		{
			name: "a directory without a synced name is lost with all that is in it",
			do: func(t failer, fs vfs.FS) {
				must(t, fs.MkdirAll("d/e/f", 0o755))
				writeSynced(t, fs, "d/e/f/new", "text")
				syncDir(t, fs, "d/e/f")
				syncDir(t, fs, "d/e")
			},
			seen: map[string]string{"d/old": "old", "d/e": "directory", "d/e/f": "directory", "d/e/f/new": "text"},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "a directory that gets its synced name last brings what was synced in it",
			do: func(t failer, fs vfs.FS) {
				must(t, fs.MkdirAll("d/e/f", 0o755))
				writeSynced(t, fs, "d/e/f/new", "text")
				syncDir(t, fs, "d/e/f")
				writeSynced(t, fs, "d/e/f/late", "text")
				syncDir(t, fs, "d/e")
				syncDir(t, fs, "d")
			},
			seen: map[string]string{
				"d/old": "old", "d/e": "directory", "d/e/f": "directory", "d/e/f/new": "text", "d/e/f/late": "text",
			},
			left: map[string]string{"d/old": "old", "d/e": "directory", "d/e/f": "directory", "d/e/f/new": "text"},
		},
		{
			name: "a directory made again in place of a removed one hides the old content",
			do: func(t failer, fs vfs.FS) {
				must(t, fs.RemoveAll("d"))
				must(t, fs.MkdirAll("d", 0o755))
				writeSynced(t, fs, "d/new", "text")
				syncDir(t, fs, "d")
			},
			seen: map[string]string{"d/new": "text"},
			left: map[string]string{"d/old": "old"},
		},
		{
			name: "a directory made again stays when its parent is synced",
			do: func(t failer, fs vfs.FS) {
				must(t, fs.RemoveAll("d"))
				must(t, fs.MkdirAll("d", 0o755))
				writeSynced(t, fs, "d/new", "text")
				syncDir(t, fs, "d")
				syncDir(t, fs, ".")
			},
			seen: map[string]string{"d/new": "text"},
			left: map[string]string{"d/new": "text"},
		},
	}
}

// modelFile and model are the naive state: whole contents, copied maps.
type modelFile struct{ seen, synced string }

type model struct {
	seen, left map[string]map[string]*modelFile // directory, name
}

func (m *model) flat(all map[string]map[string]*modelFile, content func(*modelFile) string) map[string]string {
	flat := map[string]string{}
	for dir, names := range all {
		for name, f := range names {
			flat[dir+"/"+name] = content(f)
		}
	}
	return flat
}

func TestLossyEqualsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := vfs.NewMem()
		fs := New(base)
		dirs := []string{"a", "b"}
		m := model{seen: map[string]map[string]*modelFile{}, left: map[string]map[string]*modelFile{}}
		for _, dir := range dirs {
			must(t, fs.MkdirAll(dir, 0o755))
			m.seen[dir], m.left[dir] = map[string]*modelFile{}, map[string]*modelFile{}
		}
		syncDir(t, fs, ".")
		dir := rapid.SampledFrom(dirs)
		name := rapid.SampledFrom([]string{"x", "y", "z"})
		pick := func(t *rapid.T) (string, string, *modelFile) {
			d, n := dir.Draw(t, "dir"), name.Draw(t, "name")
			if m.seen[d][n] == nil {
				t.Skip("no such file")
			}
			return d, n, m.seen[d][n]
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				d, n := dir.Draw(t, "dir"), name.Draw(t, "name")
				write(t, fs, d+"/"+n, "")
				m.seen[d][n] = &modelFile{}
			},
			"write": func(t *rapid.T) {
				d, n, file := pick(t)
				size := rapid.SampledFrom([]int{1, 100, pageSize - 1, pageSize, 2*pageSize + 5}).Draw(t, "size")
				offset := rapid.IntRange(0, len(file.seen)).Draw(t, "offset")
				text := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, size)
				f, err := fs.OpenReadWrite(d+"/"+n, vfs.WriteCategoryUnspecified)
				must(t, err)
				_, err = f.WriteAt(text, int64(offset))
				must(t, errors.Join(err, f.Close()))
				rest := ""
				if offset+size < len(file.seen) {
					rest = file.seen[offset+size:]
				}
				file.seen = file.seen[:offset] + string(text) + rest
			},
			"sync": func(t *rapid.T) {
				d, n, file := pick(t)
				f, err := fs.Open(d + "/" + n)
				must(t, err)
				must(t, errors.Join(f.Sync(), f.Close()))
				file.synced = file.seen
			},
			"remove": func(t *rapid.T) {
				d, n, _ := pick(t)
				must(t, fs.Remove(d+"/"+n))
				delete(m.seen[d], n)
			},
			"rename": func(t *rapid.T) {
				d, n, file := pick(t)
				toDir, to := dir.Draw(t, "to dir"), name.Draw(t, "to")
				must(t, fs.Rename(d+"/"+n, toDir+"/"+to))
				delete(m.seen[d], n)
				m.seen[toDir][to] = file
			},
			"sync directory": func(t *rapid.T) {
				d := dir.Draw(t, "dir")
				syncDir(t, fs, d)
				m.left[d] = maps.Clone(m.seen[d])
			},
			"": func(t *rapid.T) {
				seen := tree(t, fs, "a")
				maps.Copy(seen, tree(t, fs, "b"))
				if diff := cmp.Diff(m.flat(m.seen, func(f *modelFile) string { return f.seen }), seen); diff != "" {
					t.Fatal("seen by the process: ", diff)
				}
				left := tree(t, base, "a")
				maps.Copy(left, tree(t, base, "b"))
				if diff := cmp.Diff(m.flat(m.left, func(f *modelFile) string { return f.synced }), left); diff != "" {
					t.Fatal("left after SIGKILL: ", diff)
				}
			},
		})
	})
}

// quiet says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func openPebble(t *testing.T, fs vfs.FS, dir string) *pebble.DB {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, Logger: quiet{}, MemTableSize: 64 << 10})
	must(t, err)
	return db
}

// fill writes 400 keys of 1 KiB, enough for flushes, compactions and logs that are used again.
func fill(t *testing.T, db *pebble.DB, opts *pebble.WriteOptions) {
	t.Helper()
	for i := range 400 {
		must(t, db.Set(fmt.Appendf(nil, "k%06d", i), bytes.Repeat([]byte{byte(i)}, 1024), opts))
	}
}

func missing(t *testing.T, db *pebble.DB) int {
	t.Helper()
	n := 0
	for i := range 400 {
		value, closer, err := db.Get(fmt.Appendf(nil, "k%06d", i))
		if errors.Is(err, pebble.ErrNotFound) {
			n++
			continue
		}
		must(t, err)
		if !bytes.Equal(value, bytes.Repeat([]byte{byte(i)}, 1024)) {
			t.Fatalf("key %d has a wrong value", i)
		}
		must(t, closer.Close())
	}
	return n
}

func TestPebbleOnLossyLosesNothingThatWasSynced(t *testing.T) {
	t.Parallel()
	base := vfs.NewCrashableMem()
	db := openPebble(t, New(base), "db")
	fill(t, db, pebble.Sync)
	if n := missing(t, db); n > 0 {
		t.Fatalf("the process itself misses %d keys", n)
	}
	// SIGKILL: the process's file system is forgotten, a new one starts from the base; twice, to be sure that a
	// recovered directory can be killed again.
	for range 2 {
		base = base.CrashClone(everything())
		db = openPebble(t, New(base), "db")
		if n := missing(t, db); n > 0 {
			t.Fatalf("%d synced keys are lost", n)
		}
	}
}

func TestPebbleOnLossyShowsAMissingSync(t *testing.T) {
	t.Parallel()
	base := vfs.NewCrashableMem()
	db := openPebble(t, New(base), "db")
	fill(t, db, pebble.NoSync)
	again := openPebble(t, New(base.CrashClone(everything())), "db")
	if n := missing(t, again); n == 0 {
		t.Fatal("nothing is lost although nothing was synced")
	}
	must(t, errors.Join(db.Close(), again.Close()))
}

// everything is what SIGKILL leaves of a file system: the process goes, the kernel stays. It is copied in one moment.
func everything() vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
}

func TestLossyOnTheOperatingSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fs := New(vfs.Default)
	syncDir(t, fs, dir)
	db := openPebble(t, fs, dir)
	fill(t, db, pebble.Sync)
	must(t, db.Close())
	names, err := os.ReadDir(dir)
	must(t, err)
	if slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name()[0] == '.' }) {
		t.Fatalf("a temporary file is left: %v", names)
	}
	db = openPebble(t, vfs.Default, dir)
	if n := missing(t, db); n > 0 {
		t.Fatalf("%d keys are lost", n)
	}
	must(t, db.Close())
}

// A process that was killed in the middle of a sync leaves a temporary name, which the next one may come to use too.
func TestLossyPassesOverNamesThatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for n := range 5 {
		for _, folder := range []string{"a", "b"} {
			if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
				t.Fatal(err)
			}
			left := filepath.Join(dir, folder, fmt.Sprintf("%s%d", temporaryPrefix, n))
			if err := os.WriteFile(left, []byte("left"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := NewFiles(vfs.Default)
	from, to := filepath.Join(dir, "a", "f"), filepath.Join(dir, "b", "f")
	f, err := files.Create(from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		f.Close(), files.Sync(from), files.Sync(filepath.Dir(from)), files.Rename(from, to), files.Sync(filepath.Dir(to)),
		files.Sync(filepath.Dir(from)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(to); err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
}
