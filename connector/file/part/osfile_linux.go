// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// osFile is a descriptor. An os.File asks the kernel five times more for each file that is opened, whether it could be
// polled; parts of many buckets are opened all the time.
//
// Concurrency: one goroutine at a time.
type osFile struct {
	fd   int
	name string
}

func openFile(name string, flags int) (*osFile, error) {
	fd, err := retried(func() (int, error) { return unix.Open(name, flags|unix.O_CLOEXEC, 0o666) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return &osFile{fd, name}, nil
}

// retried repeats what a signal interrupted.
func retried(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Write implements io.Writer.
func (f *osFile) Write(p []byte) (written int, err error) {
	for written < len(p) {
		n, err := retried(func() (int, error) { return unix.Write(f.fd, p[written:]) })
		if err != nil {
			return written, &os.PathError{Op: "write", Path: f.name, Err: err}
		}
		if n == 0 {
			return written, io.ErrUnexpectedEOF
		}
		written += n
	}
	return written, nil
}

func (f *osFile) size() (int64, error) {
	var stat unix.Stat_t
	_, err := retried(func() (int, error) { return 0, unix.Fstat(f.fd, &stat) })
	return stat.Size, f.failed("stat", err)
}

// cut is ftruncate.
func (f *osFile) cut(size int64) error {
	_, err := retried(func() (int, error) { return 0, unix.Ftruncate(f.fd, size) })
	return f.failed("truncate", err)
}

func (f *osFile) sync() error {
	_, err := retried(func() (int, error) { return 0, unix.Fsync(f.fd) })
	return f.failed("sync", err)
}

// Close implements io.Closer. It is not repeated: the descriptor is gone, whatever the answer.
func (f *osFile) Close() error {
	fd := f.fd
	f.fd = -1
	return f.failed("close", unix.Close(fd))
}

func (f *osFile) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: f.name, Err: err}
}

// wholeTypes are the file systems of which syncfs is known to write everything to the device, and to put the changes
// of a rename there together.
var wholeTypes = [...]uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}

// wholeKernel is the first Linux whose syncfs says which writes have failed.
const wholeKernel = 5*1000 + 8

// Whole opens what can sync the file system that holds a folder at once.
//
// Errors: errors.ErrUnsupported.
func (osDisk) Whole(folder string) (wholeDisk, error) {
	var stat unix.Statfs_t
	var name unix.Utsname
	if err := errors.Join(unix.Statfs(folder, &stat), unix.Uname(&name)); err != nil {
		return nil, err
	}
	known := false
	for _, t := range wholeTypes {
		known = known || uint32(stat.Type) == t
	}
	if !known || kernelVersion(unix.ByteSliceToString(name.Release[:])) < wholeKernel {
		return nil, fmt.Errorf("sync the file system of %s: %w", folder, errors.ErrUnsupported)
	}
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	return osWhole{f}, nil
}

// kernelVersion is 1000 times the first number and the second one.
func kernelVersion(release string) int {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, wrong := strconv.Atoi(first)
	if i := strings.IndexFunc(second, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		second = second[:i]
	}
	b, also := strconv.Atoi(second)
	if wrong != nil || also != nil {
		return 0
	}
	return a*1000 + b
}

// osWhole is open as long as parts are written: what failed since then is told.
type osWhole struct{ *os.File }

// Sync implements wholeDisk.
func (w osWhole) Sync() error {
	raw, err := w.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		_, failed = retried(func() (int, error) { return 0, unix.Syncfs(int(fd)) })
	})
	return errors.Join(err, failed)
}

// renameNew renames without replacing. File systems that cannot do so in one step get a second name instead.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return linkNew(from, to)
	default:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
}
