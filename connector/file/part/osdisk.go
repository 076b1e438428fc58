// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"io"
	"os"
)

// osDisk is the operating system's.
type osDisk struct{}

// Create implements files.
func (osDisk) Create(name string) (io.WriteCloser, error) {
	f, err := openFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Append implements files.
func (osDisk) Append(name string, size int64) (io.WriteCloser, error) {
	f, err := openFile(name, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	is, err := f.size()
	switch {
	case err != nil:
	case is < size:
		err = io.ErrUnexpectedEOF
	case is > size:
		err = f.cut(size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Open implements files.
func (osDisk) Open(name string) (io.ReadCloser, error) { return os.Open(name) }

// Rename implements files.
func (osDisk) Rename(from, to string) error { return renameNew(from, to) }

// linkNew is a rename that replaces nothing, for systems that have no such call: between its steps the file has
// both names.
func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// Remove implements files.
func (osDisk) Remove(name string) error { return os.Remove(name) }

// MakeFolder implements folders.
func (osDisk) MakeFolder(name string) error { return os.Mkdir(name, 0o777) }

// RenameFolder implements folders.
func (osDisk) RenameFolder(from, to string) error { return os.Rename(from, to) }

// List implements folders.
func (osDisk) List(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// Size implements folders.
func (osDisk) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync implements folders.
func (osDisk) Sync(name string) error {
	f, err := openFile(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.sync(), f.Close())
}
