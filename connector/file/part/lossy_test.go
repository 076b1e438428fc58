// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay/internal/fault/lossyfs"
)

var errStopped = errors.New("the process is gone")

// stopDisk ends a process after so many changes: nothing that it does afterwards happens.
type stopDisk struct {
	disk
	left atomic.Int64
}

func (d *stopDisk) step() error {
	if d.left.Add(-1) < 0 {
		return errStopped
	}
	return nil
}

func (d *stopDisk) Create(name string) (io.WriteCloser, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.disk.Create(name)
}

func (d *stopDisk) Append(name string, size int64) (io.WriteCloser, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	return d.disk.Append(name, size)
}

func (d *stopDisk) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.disk.Rename(from, to)
}

func (d *stopDisk) Remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.disk.Remove(name)
}

func (d *stopDisk) Sync(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.disk.Sync(name)
}

// filesBelow reads what the operating system has.
func filesBelow(t *testing.T, base string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, relErr := filepath.Rel(base, path)
		out[filepath.ToSlash(name)] = string(data)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The same over files of the operating system, of which a killed process leaves what it had synced.
func TestKillOverTheLossyDiskLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	kills := 0
	for step := 3; step < 60; step += 7 {
		base := filepath.Join(t.TempDir(), "out")
		var state durable
		for attempt := 0; ; attempt++ {
			process := &stopDisk{disk: lossyfs.NewFiles(vfs.Default)}
			process.left.Store(int64(step + attempt*attempt))
			alive := true
			w := &world{t: t, disk: process, base: base, config: worldConfig(t, None), clock: time.Unix(1_000_000, 0)}
			w.store = func(d durable) {
				if alive = alive && process.left.Load() >= 0; alive {
					state = d
				}
			}
			err := w.run(state, 1+attempt%2)
			if err == nil {
				break
			}
			if !errors.Is(err, errStopped) || attempt > 100 {
				t.Fatalf("killed every %d steps, attempt %d: %v", step, attempt, err)
			}
			kills++
			if _, err := audit(published(filesBelow(t, base))); err != nil {
				t.Fatal(err)
			}
		}
		if err := complete(filesBelow(t, base)); err != nil {
			t.Fatalf("killed every %d steps: %v", step, err)
		}
	}
	if kills < 20 {
		t.Fatalf("only %d kills", kills)
	}
}
