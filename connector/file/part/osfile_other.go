// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package part

import "os"

// osFile is a file of the operating system.
type osFile struct{ *os.File }

func openFile(name string, flags int) (*osFile, error) {
	f, err := os.OpenFile(name, flags, 0o666)
	if err != nil {
		return nil, err
	}
	return &osFile{f}, nil
}

func (f *osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// cut is ftruncate.
func (f *osFile) cut(size int64) error { return f.Truncate(size) }

func (f *osFile) sync() error { return f.File.Sync() }

func renameNew(from, to string) error { return linkNew(from, to) }
