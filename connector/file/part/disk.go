// SPDX-License-Identifier: Apache-2.0

package part

import "io"

// disk is what parts need of a file system. Its errors are those of package io/fs.
//
// Concurrency: safe.
type disk interface {
	files
	folders
}

type files interface {
	// Create makes a new file to be written from its beginning; it never opens one that is there.
	Create(name string) (io.WriteCloser, error)
	// Append opens a file to be written on from size, and cuts off what lies behind.
	//
	// Errors: io.ErrUnexpectedEOF where it is shorter.
	Append(name string, size int64) (io.WriteCloser, error)
	Open(name string) (io.ReadCloser, error)
	// Rename gives a file another name, never that of another file.
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
}

type folders interface {
	MakeFolder(name string) error
	// RenameFolder may be unsupported.
	RenameFolder(from, to string) error
	List(name string) ([]string, error)
	// Size is that of a file.
	Size(name string) (int64, error)
	// Sync makes the bytes of a file, or the names in a folder, survive a crash.
	Sync(name string) error
}

// wholeSyncer is a disk that may be able to sync everything at once.
type wholeSyncer interface {
	// Whole opens the file system that holds a folder.
	//
	// Errors: errors.ErrUnsupported where it cannot be synced at once, or would not say what has failed.
	Whole(folder string) (wholeDisk, error)
}

// wholeDisk is an open file system.
//
// Concurrency: safe.
type wholeDisk interface {
	// Sync does what disk.Sync does for every file and folder. It fails where something that was written since the disk
	// was opened, or since the last failure, may be lost, also by others.
	Sync() error
	Close() error
}
