// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wholeFake is a disk that says what was synced. Its whole fails as failure says.
type wholeFake struct {
	disk
	synced  chan string
	failure error
	wholes  atomic.Int64
	closed  atomic.Bool
}

func (d *wholeFake) Sync(name string) error {
	d.synced <- name
	return d.disk.Sync(name)
}

func (d *wholeFake) Whole(string) (wholeDisk, error) { return (*wholeOfFake)(d), nil }

type wholeOfFake wholeFake

func (d *wholeOfFake) Sync() error {
	d.wholes.Add(1)
	return d.failure
}

func (d *wholeOfFake) Close() error {
	if d.closed.Swap(true) {
		return fs.ErrClosed
	}
	return nil
}

// Many syncs are one of the file system, and one that shows that the parts are still there. Where that fails, each is
// asked by itself, as where they are few.
func TestManySyncsAreOneOfTheWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		paths   int
		failure error
		wholes  int64
		single  int
	}{
		"many":                        {wholeMin, nil, 1, 1},
		"few":                         {wholeMin - 1, nil, 0, wholeMin - 1},
		"many, and something is lost": {wholeMin, errors.New("lost"), 1, wholeMin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &wholeFake{disk: newSimDisk(), failure: c.failure, synced: make(chan string, 2*wholeMin)}
			l, err := openLocal(LocalConfig{Base: "/out", Pipeline: "p"}, d)
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for i := range c.paths {
				paths = append(paths, fmt.Sprintf("/out/%03d", i))
				put(t, d, paths[i], "x")
			}
			for len(d.synced) > 0 {
				<-d.synced
			}
			if err := l.syncAll(paths); err != nil {
				t.Fatal(err)
			}
			var synced []string
			for len(d.synced) > 0 {
				synced = append(synced, <-d.synced)
			}
			slices.Sort(synced)
			if diff := cmp.Diff(paths[:c.single], synced); diff != "" || d.wholes.Load() != c.wholes {
				t.Errorf("%d wholes; singles (-want +got)\n%s", d.wholes.Load(), diff)
			}
			if c.failure == nil && c.wholes > 0 {
				if err := d.Remove(paths[0]); err != nil {
					t.Fatal(err)
				}
				if err := l.syncAll(paths); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a part is gone: %v, want %v", err, fs.ErrNotExist)
				}
			}
			if err := errors.Join(l.Close(), l.Close()); err != nil || !d.closed.Load() {
				t.Errorf("closed %v: %v", d.closed.Load(), err)
			}
		})
	}
}

func TestWholeOfTheOperatingSystemSyncsUntilItIsClosed(t *testing.T) {
	t.Parallel()
	system, able := disk(osDisk{}).(wholeSyncer)
	if !able {
		if runtime.GOOS == "linux" {
			t.Fatal("the operating system's disk cannot be asked")
		}
		return
	}
	whole, err := system.Whole(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		return // on this file system each file is synced by itself
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(whole.Sync(), whole.Close()); err != nil {
		t.Fatal(err)
	}
	if err := whole.Sync(); err == nil {
		t.Error("closed, and still it syncs")
	}
	if _, err := system.Whole(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a folder that is missing has a file system")
	}
}
