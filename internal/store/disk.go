// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFS stands between Pebble and the file system. It counts what is written and synced, and it is where a
// failed write ends: the store is poisoned and the goroutine never comes back, so Pebble does not see the error.
type diskFS struct {
	vfs.FS
	poison *poison

	// creating leaves out syncs while Pebble makes its first files: nobody's data is in them, and the layout
	// syncs them all once before FORMAT says that the directory is complete.
	creating atomic.Bool

	walSyncs     atomic.Int64
	otherSyncs   atomic.Int64
	walBytes     atomic.Int64
	writtenBytes atomic.Int64
}

// enter stops every change after the first failed one. ST2: nothing more reaches the disk.
func (d *diskFS) enter() {
	if d.poison.cause() != nil {
		park()
	}
}

// check poisons and never returns if a change failed.
func (d *diskFS) check(op, name string, err error) {
	if err != nil {
		d.poison.set(fmt.Errorf("%s %s: %w", op, name, err))
		park()
	}
}

func (d *diskFS) file(f vfs.File, name string) vfs.File {
	return &diskFile{File: f, fs: d, name: name, wal: strings.HasSuffix(name, ".log")}
}

// Create implements vfs.FS.
func (d *diskFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.enter()
	f, err := d.FS.Create(name, category)
	d.check("create", name, err)
	return d.file(f, name), nil
}

// OpenReadWrite implements vfs.FS.
func (d *diskFS) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	d.enter()
	f, err := d.FS.OpenReadWrite(name, category, opts...)
	d.check("open for writing", name, err)
	return d.file(f, name), nil
}

// ReuseForWrite implements vfs.FS.
func (d *diskFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.enter()
	f, err := d.FS.ReuseForWrite(oldname, newname, category)
	d.check("reuse", oldname, err)
	return d.file(f, newname), nil
}

// OpenDir implements vfs.FS.
func (d *diskFS) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return d.file(f, name), nil
}

// Rename implements vfs.FS.
func (d *diskFS) Rename(oldname, newname string) error {
	d.enter()
	d.check("rename", oldname, d.FS.Rename(oldname, newname))
	return nil
}

// Link implements vfs.FS. Pebble copies where a link is refused, so an error goes back to it.
func (d *diskFS) Link(oldname, newname string) error {
	d.enter()
	return d.FS.Link(oldname, newname)
}

// Remove implements vfs.FS. A file that cannot be removed costs space and no data, so an error goes back.
func (d *diskFS) Remove(name string) error {
	d.enter()
	return d.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (d *diskFS) RemoveAll(name string) error {
	d.enter()
	return d.FS.RemoveAll(name)
}

// MkdirAll implements vfs.FS.
func (d *diskFS) MkdirAll(dir string, perm os.FileMode) error {
	d.enter()
	d.check("make directory", dir, d.FS.MkdirAll(dir, perm))
	return nil
}

// Lock implements vfs.FS: the lock of the state directory covers store/, a second file would only be left behind.
func (d *diskFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// GetDiskUsage implements vfs.FS. Pebble reports a failure as one of its background work; it only paces
// deletions by the answer.
func (d *diskFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	usage, err := d.FS.GetDiskUsage(path)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return usage, nil
}

// Unwrap implements vfs.FS.
func (d *diskFS) Unwrap() vfs.FS { return d.FS }

type diskFile struct {
	vfs.File
	fs   *diskFS
	name string
	wal  bool
}

func (f *diskFile) wrote(n int) {
	f.fs.writtenBytes.Add(int64(n))
	if f.wal {
		f.fs.walBytes.Add(int64(n))
	}
}

func (f *diskFile) synced() {
	if f.wal {
		f.fs.walSyncs.Add(1)
	} else {
		f.fs.otherSyncs.Add(1)
	}
}

// Write implements vfs.File.
func (f *diskFile) Write(p []byte) (int, error) {
	f.fs.enter()
	n, err := f.File.Write(p)
	f.fs.check("write", f.name, err)
	f.wrote(n)
	return n, nil
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(p []byte, offset int64) (int, error) {
	f.fs.enter()
	n, err := f.File.WriteAt(p, offset)
	f.fs.check("write", f.name, err)
	f.wrote(n)
	return n, nil
}

// Sync implements vfs.File.
func (f *diskFile) Sync() error {
	f.fs.enter()
	if f.fs.creating.Load() {
		return nil
	}
	f.fs.check("sync", f.name, f.File.Sync())
	f.synced()
	return nil
}

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error {
	f.fs.enter()
	if f.fs.creating.Load() {
		return nil
	}
	f.fs.check("sync", f.name, f.File.SyncData())
	f.synced()
	return nil
}

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (bool, error) {
	f.fs.enter()
	full, err := f.File.SyncTo(length)
	f.fs.check("sync", f.name, err)
	if full {
		f.synced()
	}
	return full, nil
}

// Close implements vfs.File.
func (f *diskFile) Close() error {
	err := f.File.Close()
	if err != nil && !errors.Is(err, os.ErrClosed) {
		f.fs.check("close", f.name, err)
	}
	return err
}
