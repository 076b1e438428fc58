// SPDX-License-Identifier: Apache-2.0

package lossyfs

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pageSize is that of Pebble's log blocks: a sync of the log writes one page for most batches.
const pageSize = 32 << 10

// inode is a file: what the process sees is dirty over the last synced state, which is in the base once the file
// has a synced name, and in held before.
type inode struct {
	refs     int    // names, handles and changes that wait; under lossyFS.mu
	basePath string // a name that the file has in the base, "" if none; under lossyFS.mu

	mu       sync.Mutex
	size     int64
	modTime  time.Time
	dirty    map[int64][]byte // whole pages by number
	held     map[int64][]byte
	heldSize int64
	base     vfs.File // nil while the file has no synced name
	baseSize int64
	// cut is set while the synced state is to be cut to cutSize by the next sync.
	cut     bool
	cutSize int64
}

// unref closes the base's handle when nobody can reach the file any more.
func (n *inode) unref() {
	n.refs--
	if n.refs > 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.base != nil {
		_ = n.base.Close()
		n.base = nil
	}
	n.dirty, n.held = nil, nil
}

// syncedPageLocked fills page with the last synced state; what is behind its end stays zero.
func (n *inode) syncedPageLocked(number int64, page []byte) error {
	offset := number * pageSize
	page = page[:n.visibleLocked(offset, int64(len(page)))]
	if n.base == nil {
		copy(page, n.held[number])
		return nil
	}
	if offset >= n.baseSize {
		return nil
	}
	_, err := n.base.ReadAt(page[:min(int64(len(page)), n.baseSize-offset)], offset)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// visibleLocked is how much of size bytes at an offset the cut leaves of the synced state.
func (n *inode) visibleLocked(offset, size int64) int64 {
	if !n.cut {
		return size
	}
	return max(0, min(size, n.cutSize-offset))
}

// truncate cuts the file; the synced state follows with the next sync.
func (n *inode) truncate(size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if size >= n.size {
		return
	}
	for number, page := range n.dirty {
		if keep := size - number*pageSize; keep <= 0 {
			delete(n.dirty, number)
		} else if keep < pageSize {
			clear(page[keep:])
		}
	}
	if !n.cut || size < n.cutSize {
		n.cut, n.cutSize = true, size
	}
	n.size = size
}

// applyCutLocked cuts the synced state.
func (n *inode) applyCutLocked() error {
	if !n.cut {
		return nil
	}
	if n.base == nil {
		for number, page := range n.held {
			if keep := n.cutSize - number*pageSize; keep <= 0 {
				delete(n.held, number)
			} else if keep < pageSize {
				clear(page[keep:])
			}
		}
	} else if n.cutSize < n.baseSize {
		if n.base.Fd() == vfs.InvalidFd {
			return fmt.Errorf("the base cannot cut files: %w", errors.ErrUnsupported)
		}
		if err := syscall.Ftruncate(int(n.base.Fd()), n.cutSize); err != nil {
			return err
		}
		n.baseSize = n.cutSize
	}
	n.cut = false
	return nil
}

func (n *inode) readAt(p []byte, offset int64) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var page []byte
	read := 0
	for read < len(p) && offset < n.size {
		number, from := offset/pageSize, offset%pageSize
		source := n.dirty[number]
		if source == nil {
			if page == nil {
				page = make([]byte, pageSize)
			}
			clear(page)
			if err := n.syncedPageLocked(number, page); err != nil {
				return read, err
			}
			source = page
		}
		end := min(pageSize, from+n.size-offset)
		k := copy(p[read:], source[from:end])
		read += k
		offset += int64(k)
	}
	if read < len(p) {
		return read, io.EOF
	}
	return read, nil
}

func (n *inode) writeAt(p []byte, offset int64) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dirty == nil {
		n.dirty = map[int64][]byte{}
	}
	written := 0
	for written < len(p) {
		number, from := offset/pageSize, offset%pageSize
		page := n.dirty[number]
		if page == nil {
			page = make([]byte, pageSize)
			if err := n.syncedPageLocked(number, page); err != nil {
				return written, err
			}
			n.dirty[number] = page
		}
		k := copy(page[from:], p[written:])
		written += k
		offset += int64(k)
	}
	n.size = max(n.size, offset)
	n.modTime = time.Now()
	return written, nil
}

// sync makes the bytes survive: in the base, or in memory until the name is synced too.
func (n *inode) sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.applyCutLocked(); err != nil {
		return err
	}
	if n.base == nil {
		if n.held == nil {
			n.held = map[int64][]byte{}
		}
		maps.Copy(n.held, n.dirty)
		n.heldSize = n.size
		n.dirty = nil
		return nil
	}
	if err := writePages(n.base, n.dirty, n.size); err != nil {
		return err
	}
	n.baseSize = n.size
	n.dirty = nil
	return n.base.Sync()
}

func writePages(f vfs.File, pages map[int64][]byte, size int64) error {
	for _, number := range slices.Sorted(maps.Keys(pages)) {
		offset := number * pageSize
		if _, err := f.WriteAt(pages[number][:min(pageSize, size-offset)], offset); err != nil {
			return err
		}
	}
	return nil
}

// put gives the last synced state a name in the base, all of it or nothing.
func (n *inode) put(base vfs.FS, temporary, path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, err := base.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), n.fillLocked(base, temporary), base.Rename(temporary, path)); err != nil {
		return err
	}
	f, err = base.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if n.base == nil {
		n.baseSize = n.heldSize
	} else if err := n.base.Close(); err != nil {
		return errors.Join(err, f.Close())
	}
	n.base, n.held, n.heldSize = f, nil, 0
	return nil
}

func (n *inode) fillLocked(base vfs.FS, name string) error {
	if n.base == nil && n.heldSize == 0 || n.base != nil && n.baseSize == 0 {
		return nil
	}
	f, err := base.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if n.base == nil {
		err = writePages(f, n.held, n.heldSize)
	} else {
		_, err = io.Copy(io.NewOffsetWriter(f, 0), io.NewSectionReader(n.base, 0, n.baseSize))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (n *inode) info(name string) lossyInfo {
	n.mu.Lock()
	defer n.mu.Unlock()
	return lossyInfo{name: name, size: n.size, modTime: n.modTime}
}

// lossyFile is a handle.
type lossyFile struct {
	fs     *lossyFS
	file   *inode
	name   string
	offset int64
	closed bool
}

// Close implements vfs.File.
func (f *lossyFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.closed = true
	f.file.unref()
	return nil
}

// Read implements vfs.File.
func (f *lossyFile) Read(p []byte) (int, error) {
	n, err := f.file.readAt(p, f.offset)
	f.offset += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements vfs.File.
func (f *lossyFile) ReadAt(p []byte, offset int64) (int, error) { return f.file.readAt(p, offset) }

// Write implements vfs.File.
func (f *lossyFile) Write(p []byte) (int, error) {
	n, err := f.file.writeAt(p, f.offset)
	f.offset += int64(n)
	return n, err
}

// WriteAt implements vfs.File.
func (f *lossyFile) WriteAt(p []byte, offset int64) (int, error) { return f.file.writeAt(p, offset) }

// Preallocate implements vfs.File.
func (f *lossyFile) Preallocate(int64, int64) error { return nil }

// Stat implements vfs.File.
func (f *lossyFile) Stat() (vfs.FileInfo, error) { return f.file.info(f.name), nil }

// Sync implements vfs.File.
func (f *lossyFile) Sync() error { return f.file.sync() }

// SyncTo implements vfs.File: it promises nothing, and so it does nothing.
func (f *lossyFile) SyncTo(int64) (bool, error) { return false, nil }

// SyncData implements vfs.File.
func (f *lossyFile) SyncData() error { return f.file.sync() }

// Prefetch implements vfs.File.
func (f *lossyFile) Prefetch(int64, int64) error { return nil }

// Fd implements vfs.File.
func (f *lossyFile) Fd() uintptr { return vfs.InvalidFd }

// lossyDirHandle is an open directory: it can be synced and asked for its name.
type lossyDirHandle struct {
	fs  *lossyFS
	dir *lossyDir
}

var errIsDir = errors.New("is a directory")

// Close implements vfs.File.
func (h *lossyDirHandle) Close() error { return nil }

// Read implements vfs.File.
func (h *lossyDirHandle) Read([]byte) (int, error) { return 0, errIsDir }

// ReadAt implements vfs.File.
func (h *lossyDirHandle) ReadAt([]byte, int64) (int, error) { return 0, errIsDir }

// Write implements vfs.File.
func (h *lossyDirHandle) Write([]byte) (int, error) { return 0, errIsDir }

// WriteAt implements vfs.File.
func (h *lossyDirHandle) WriteAt([]byte, int64) (int, error) { return 0, errIsDir }

// Preallocate implements vfs.File.
func (h *lossyDirHandle) Preallocate(int64, int64) error { return errIsDir }

// Stat implements vfs.File.
func (h *lossyDirHandle) Stat() (vfs.FileInfo, error) {
	return lossyInfo{name: h.fs.base.PathBase(h.dir.path), dir: true}, nil
}

// Sync implements vfs.File.
func (h *lossyDirHandle) Sync() error { return h.fs.syncDir(h.dir) }

// SyncTo implements vfs.File.
func (h *lossyDirHandle) SyncTo(int64) (bool, error) { return false, nil }

// SyncData implements vfs.File.
func (h *lossyDirHandle) SyncData() error { return h.fs.syncDir(h.dir) }

// Prefetch implements vfs.File.
func (h *lossyDirHandle) Prefetch(int64, int64) error { return nil }

// Fd implements vfs.File.
func (h *lossyDirHandle) Fd() uintptr { return vfs.InvalidFd }

// lossyInfo implements vfs.FileInfo.
type lossyInfo struct {
	name    string
	size    int64
	modTime time.Time
	dir     bool
}

func (i lossyInfo) Name() string           { return i.name }
func (i lossyInfo) Size() int64            { return i.size }
func (i lossyInfo) ModTime() time.Time     { return i.modTime }
func (i lossyInfo) IsDir() bool            { return i.dir }
func (i lossyInfo) Sys() any               { return nil }
func (i lossyInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i lossyInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o755
	}
	return 0o644
}
