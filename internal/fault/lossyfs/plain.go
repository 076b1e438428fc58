// SPDX-License-Identifier: Apache-2.0

package lossyfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files is a lossy file system for programs that write plain files: it makes and renames without replacing, and cuts.
//
// Concurrency: safe.
type Files struct{ fs *lossyFS }

// NewFiles returns one over base, which must be the operating system's where files are cut.
func NewFiles(base vfs.FS) *Files { return &Files{New(base).(*lossyFS)} }

// vacantLocked fails where a name is taken.
func (l *lossyFS) vacantLocked(op, name string) error {
	_, _, _, err := l.findLocked(name)
	if err == nil {
		return &os.PathError{Op: op, Path: name, Err: syscall.EEXIST}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Create makes a new file.
func (f *Files) Create(name string) (io.WriteCloser, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.vacantLocked("create", name); err != nil {
		return nil, err
	}
	return f.fs.createLocked(name)
}

// Append opens a file to be written on from size, and cuts off what lies behind.
//
// Errors: io.ErrUnexpectedEOF where it is shorter.
func (f *Files) Append(name string, size int64) (io.WriteCloser, error) {
	file, err := f.fs.Open(name)
	if err != nil {
		return nil, err
	}
	handle, plain := file.(*lossyFile)
	if !plain {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	info, err := handle.Stat()
	if err == nil && info.Size() < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	handle.file.truncate(size)
	handle.offset = size
	return handle, nil
}

// Open opens a file to be read.
func (f *Files) Open(name string) (io.ReadCloser, error) { return f.fs.Open(name) }

// Rename gives a file another name, never that of another file.
func (f *Files) Rename(from, to string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if _, _, _, err := f.fs.findLocked(from); err != nil {
		return err
	}
	if err := f.fs.vacantLocked("rename", to); err != nil {
		return err
	}
	_, err := f.fs.renameLocked(from, to)
	return err
}

// RenameFolder is not supported.
func (f *Files) RenameFolder(from, to string) error { return f.fs.Rename(from, to) }

// Remove removes a file or an empty folder.
func (f *Files) Remove(name string) error { return f.fs.Remove(name) }

// MakeFolder makes a folder in one that is there.
func (f *Files) MakeFolder(name string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.vacantLocked("mkdir", name); err != nil {
		return err
	}
	path := f.fs.base.PathJoin(name)
	if _, err := f.fs.dirLocked(f.fs.base.PathDir(path)); err != nil {
		return err
	}
	return f.fs.mkdirLocked(path)
}

// List lists a folder.
func (f *Files) List(name string) ([]string, error) { return f.fs.List(name) }

// Size is that of a file.
func (f *Files) Size(name string) (int64, error) {
	info, err := f.fs.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync makes the bytes of a file, or the names in a folder, survive SIGKILL.
func (f *Files) Sync(name string) error {
	file, err := f.fs.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
