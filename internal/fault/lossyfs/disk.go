// SPDX-License-Identifier: Apache-2.0

package lossyfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lossyFS shows its process everything that the process did, and keeps from the base what was not synced: bytes
// until their file is synced, names until their directory is. What the base holds is what SIGKILL leaves.
//
//   - A synced file without a synced name is lost; its bytes wait in memory for the directory's sync.
//   - A removed or replaced file comes back if the directory was not synced.
//   - A name that was synced before its file points to what was last synced of it, be it nothing.
//   - The changes of one directory reach the base in their order, each one whole, as a journal would do it.
//   - A file that moved to another directory is in both, or in neither, until both are synced.
//
// Directories are not renamed: neither Pebble nor the state directory does that.
type lossyFS struct {
	base vfs.FS

	mu     sync.Mutex
	dirs   map[string]*lossyDir // by cleaned path: directories of which something is known
	placed map[string]*inode    // by cleaned path in the base: files that this process knows there
	serial int                  // of temporary names in the base
}

// temporaryPrefix marks files in the base that are not complete; a killed process may leave one.
const temporaryPrefix = ".lossy-"

// New returns a file system that loses on SIGKILL what was not synced. Syncs are passed on to base.
func New(base vfs.FS) vfs.FS {
	return &lossyFS{base: base, dirs: map[string]*lossyDir{}, placed: map[string]*inode{}}
}

// lossyDir is what the process sees of a directory beyond the base, and what the base does not know yet. All
// fields are guarded by lossyFS.mu.
type lossyDir struct {
	path    string
	names   map[string]*entry // names that this process touched; all others are as in the base
	fresh   bool              // made by this process: nothing of the base shows through
	durable bool              // the base has the directory
	dead    bool              // removed
	pending []change          // since the last sync of the directory
	synced  []change          // synced, waiting for the directory itself to be in the base
}

// entry is a name: a file, a directory, or gone.
type entry struct {
	file *inode
	dir  bool
}

func (e *entry) gone() bool { return e.file == nil && !e.dir }

// change is one step of a directory.
type change struct {
	kind changeKind
	name string
	to   string    // rename
	file *inode    // put, rename
	dir  *lossyDir // mkdir
}

type changeKind int

const (
	changePut changeKind = iota
	changeRename
	changeRemove
	changeRemoveAll
	changeMkdir
)

func notExist(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: syscall.ENOENT}
}

func (l *lossyFS) split(name string) (dir, file string) {
	name = l.base.PathJoin(name)
	return l.base.PathDir(name), l.base.PathBase(name)
}

// dirLocked returns the directory of that path.
func (l *lossyFS) dirLocked(path string) (*lossyDir, error) {
	if d := l.dirs[path]; d != nil {
		return d, nil
	}
	parentPath := l.base.PathDir(path)
	if parentPath != path {
		parent, err := l.dirLocked(parentPath)
		if err != nil {
			return nil, err
		}
		e, err := l.lookupLocked(parent, l.base.PathBase(path))
		if err != nil {
			return nil, err
		}
		if !e.dir {
			return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
		}
	}
	d := &lossyDir{path: path, names: map[string]*entry{}, durable: true}
	l.dirs[path] = d
	return d, nil
}

// lookupLocked finds a name; a file of the base is opened, so that all handles share one inode.
func (l *lossyFS) lookupLocked(d *lossyDir, name string) (*entry, error) {
	path := l.base.PathJoin(d.path, name)
	if e := d.names[name]; e != nil {
		if e.gone() {
			return nil, notExist("open", path)
		}
		return e, nil
	}
	if d.fresh || strings.HasPrefix(name, temporaryPrefix) {
		return nil, notExist("open", path)
	}
	info, err := l.base.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &entry{dir: true}, nil
	}
	f, err := l.base.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	file := &inode{base: f, baseSize: info.Size(), size: info.Size(), modTime: info.ModTime(), refs: 1}
	e := &entry{file: file}
	d.names[name] = e
	l.placeLocked(path, file)
	return e, nil
}

// placeLocked notes which file has a name in the base; nil is none that we know.
func (l *lossyFS) placeLocked(path string, file *inode) {
	if old := l.placed[path]; old != nil && old.basePath == path {
		old.basePath = ""
	}
	if file == nil {
		delete(l.placed, path)
		return
	}
	l.placed[path] = file
	file.basePath = path
}

// findLocked looks a path up.
func (l *lossyFS) findLocked(path string) (*lossyDir, string, *entry, error) {
	dirPath, name := l.split(path)
	d, err := l.dirLocked(dirPath)
	if err != nil {
		return nil, "", nil, err
	}
	if dirPath == l.base.PathJoin(path) {
		return d, name, &entry{dir: true}, nil
	}
	e, err := l.lookupLocked(d, name)
	return d, name, e, err
}

// putLocked gives a file a name, in place of whatever had it.
func (l *lossyFS) putLocked(d *lossyDir, name string, file *inode) {
	l.hideLocked(d, name)
	d.names[name] = &entry{file: file}
	file.refs++
}

// hideLocked takes a name out of sight.
func (l *lossyFS) hideLocked(d *lossyDir, name string) {
	if e := d.names[name]; e != nil && e.file != nil {
		e.file.unref()
	}
	d.names[name] = &entry{}
}

func (d *lossyDir) add(c change) {
	if c.file != nil {
		c.file.refs++
	}
	d.pending = append(d.pending, c)
}

func (l *lossyFS) openLocked(file *inode, name string) vfs.File {
	file.refs++
	return &lossyFile{fs: l, file: file, name: name}
}

// Create implements vfs.FS.
func (l *lossyFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.createLocked(name)
}

func (l *lossyFS) createLocked(name string) (vfs.File, error) {
	dirPath, base := l.split(name)
	d, err := l.dirLocked(dirPath)
	if err != nil {
		return nil, err
	}
	if e := d.names[base]; e != nil && e.dir {
		return nil, &os.PathError{Op: "create", Path: name, Err: syscall.EISDIR}
	}
	file := &inode{modTime: time.Now()}
	l.putLocked(d, base, file)
	d.add(change{kind: changePut, name: base, file: file})
	return l.openLocked(file, base), nil
}

// Link implements vfs.FS.
func (l *lossyFS) Link(oldname, newname string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _, e, err := l.findLocked(oldname)
	if err != nil {
		return err
	}
	if e.file == nil {
		return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EPERM}
	}
	dirPath, base := l.split(newname)
	d, err := l.dirLocked(dirPath)
	if err != nil {
		return err
	}
	if _, err := l.lookupLocked(d, base); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, &os.LinkError{Op: "link", Old: oldname, New: newname, Err: syscall.EEXIST})
	}
	l.putLocked(d, base, e.file)
	d.add(change{kind: changePut, name: base, file: e.file})
	return nil
}

// Open implements vfs.FS.
func (l *lossyFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, base, e, err := l.findLocked(name)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return l.openDirLocked(name)
	}
	f := l.openLocked(e.file, base)
	for _, opt := range opts {
		opt.Apply(f)
	}
	return f, nil
}

// OpenReadWrite implements vfs.FS.
func (l *lossyFS) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	f, err := l.Open(name, opts...)
	if errors.Is(err, os.ErrNotExist) {
		return l.Create(name, category)
	}
	return f, err
}

// OpenDir implements vfs.FS.
func (l *lossyFS) OpenDir(name string) (vfs.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openDirLocked(name)
}

func (l *lossyFS) openDirLocked(name string) (vfs.File, error) {
	d, err := l.dirLocked(l.base.PathJoin(name))
	if err != nil {
		return nil, err
	}
	return &lossyDirHandle{fs: l, dir: d}, nil
}

// Remove implements vfs.FS.
func (l *lossyFS) Remove(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, base, e, err := l.findLocked(name)
	if err != nil {
		return err
	}
	if e.dir {
		names, err := l.listLocked(l.base.PathJoin(name))
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return &os.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
		l.forgetLocked(l.base.PathJoin(name))
	}
	l.hideLocked(d, base)
	d.add(change{kind: changeRemove, name: base})
	return nil
}

// RemoveAll implements vfs.FS.
func (l *lossyFS) RemoveAll(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, base, e, err := l.findLocked(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.dir {
		l.forgetLocked(l.base.PathJoin(name))
	}
	l.hideLocked(d, base)
	d.add(change{kind: changeRemoveAll, name: base})
	return nil
}

// forgetLocked drops a directory and everything below it from sight.
func (l *lossyFS) forgetLocked(path string) {
	for p, d := range l.dirs {
		if p != path && !strings.HasPrefix(p, l.below(path)) {
			continue
		}
		d.dead = true
		for _, e := range d.names {
			if e.file != nil {
				e.file.unref()
			}
		}
		delete(l.dirs, p)
	}
}

// below is what the paths of everything in a directory start with.
func (l *lossyFS) below(path string) string {
	return strings.TrimSuffix(l.base.PathJoin(path, "x"), "x")
}

// Rename implements vfs.FS.
func (l *lossyFS) Rename(oldname, newname string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.renameLocked(oldname, newname)
	return err
}

func (l *lossyFS) renameLocked(oldname, newname string) (*inode, error) {
	from, oldBase, e, err := l.findLocked(oldname)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return nil, fmt.Errorf("rename %s: the lossy file system renames no directories: %w", oldname,
			errors.ErrUnsupported)
	}
	dirPath, newBase := l.split(newname)
	to, err := l.dirLocked(dirPath)
	if err != nil {
		return nil, err
	}
	file := e.file
	if from == to && oldBase == newBase {
		return file, nil
	}
	l.putLocked(to, newBase, file)
	l.hideLocked(from, oldBase)
	if from == to {
		from.add(change{kind: changeRename, name: oldBase, to: newBase, file: file})
		return file, nil
	}
	to.add(change{kind: changePut, name: newBase, file: file})
	from.add(change{kind: changeRemove, name: oldBase})
	return file, nil
}

// ReuseForWrite implements vfs.FS.
func (l *lossyFS) ReuseForWrite(oldname, newname string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := l.renameLocked(oldname, newname)
	if err != nil {
		return nil, err
	}
	return l.openLocked(file, l.base.PathBase(newname)), nil
}

// MkdirAll implements vfs.FS.
func (l *lossyFS) MkdirAll(dir string, _ os.FileMode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mkdirLocked(l.base.PathJoin(dir))
}

func (l *lossyFS) mkdirLocked(path string) error {
	_, err := l.dirLocked(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parentPath, name := l.split(path)
	if err := l.mkdirLocked(parentPath); err != nil {
		return err
	}
	parent, err := l.dirLocked(parentPath)
	if err != nil {
		return err
	}
	d := &lossyDir{path: path, names: map[string]*entry{}, fresh: true}
	l.dirs[path] = d
	parent.names[name] = &entry{dir: true}
	parent.add(change{kind: changeMkdir, name: name, dir: d})
	return nil
}

// Lock implements vfs.FS. A lock is not data: it is taken in the base, where other processes look.
func (l *lossyFS) Lock(name string) (io.Closer, error) { return l.base.Lock(name) }

// List implements vfs.FS.
func (l *lossyFS) List(dir string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listLocked(l.base.PathJoin(dir))
}

func (l *lossyFS) listLocked(path string) ([]string, error) {
	d, err := l.dirLocked(path)
	if err != nil {
		return nil, err
	}
	var names []string
	if !d.fresh {
		all, err := l.base.List(path)
		if err != nil {
			return nil, err
		}
		for _, name := range all {
			if d.names[name] == nil && !strings.HasPrefix(name, temporaryPrefix) {
				names = append(names, name)
			}
		}
	}
	for name, e := range d.names {
		if !e.gone() {
			names = append(names, name)
		}
	}
	return names, nil
}

// Stat implements vfs.FS.
func (l *lossyFS) Stat(name string) (vfs.FileInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dirPath, base := l.split(name)
	d, err := l.dirLocked(dirPath)
	if err != nil {
		return nil, err
	}
	// What the process did not touch is not opened for that: it may be a socket.
	if d.names[base] == nil && !d.fresh {
		return l.base.Stat(name)
	}
	e, err := l.lookupLocked(d, base)
	if err != nil {
		return nil, err
	}
	if e.dir {
		return lossyInfo{name: base, dir: true}, nil
	}
	return e.file.info(base), nil
}

// PathBase implements vfs.FS.
func (l *lossyFS) PathBase(path string) string { return l.base.PathBase(path) }

// PathJoin implements vfs.FS.
func (l *lossyFS) PathJoin(elem ...string) string { return l.base.PathJoin(elem...) }

// PathDir implements vfs.FS.
func (l *lossyFS) PathDir(path string) string { return l.base.PathDir(path) }

// GetDiskUsage implements vfs.FS.
func (l *lossyFS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return l.base.GetDiskUsage(path) }

// Unwrap implements vfs.FS.
func (l *lossyFS) Unwrap() vfs.FS { return l.base }

// syncDir passes the changes of a directory on to the base.
func (l *lossyFS) syncDir(d *lossyDir) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.dead {
		return nil
	}
	d.synced = append(d.synced, d.pending...)
	d.pending = nil
	if !d.durable {
		return nil
	}
	return l.replayLocked(d)
}

func (l *lossyFS) replayLocked(d *lossyDir) error {
	for len(d.synced) > 0 {
		if err := l.applyLocked(d, d.synced[0]); err != nil {
			return err
		}
		d.synced = d.synced[1:]
	}
	f, err := l.base.OpenDir(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (l *lossyFS) applyLocked(d *lossyDir, c change) error {
	path := l.base.PathJoin(d.path, c.name)
	switch c.kind {
	case changePut:
		l.serial++
		temporary := l.base.PathJoin(d.path, fmt.Sprintf("%s%d", temporaryPrefix, l.serial))
		if err := l.putBaseLocked(c.file, temporary, path); err != nil {
			return err
		}
		l.placeLocked(path, c.file)
		c.file.unref()
		return nil
	case changeRename:
		to := l.base.PathJoin(d.path, c.to)
		if err := l.base.Rename(path, to); err != nil {
			return err
		}
		l.placeLocked(path, nil)
		l.placeLocked(to, c.file)
		c.file.unref()
		return nil
	case changeRemove:
		l.placeLocked(path, nil)
		return ignoreNotExist(l.removeBase(path))
	case changeRemoveAll:
		for placed := range l.placed {
			if placed == path || strings.HasPrefix(placed, l.below(path)) {
				l.placeLocked(placed, nil)
			}
		}
		return ignoreNotExist(l.base.RemoveAll(path))
	default:
		if err := l.base.MkdirAll(path, 0o777); err != nil {
			return err
		}
		c.dir.durable = true
		return l.replayLocked(c.dir)
	}
}

// removeBase removes a file, or a directory in which nothing is but what a killed process did not complete.
func (l *lossyFS) removeBase(path string) error {
	err := l.base.Remove(path)
	if !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	names, listErr := l.base.List(path)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	for _, name := range names {
		if strings.HasPrefix(name, temporaryPrefix) {
			if err := l.base.Remove(l.base.PathJoin(path, name)); err != nil {
				return err
			}
		}
	}
	return l.base.Remove(path)
}

// putBaseLocked gives a file a name in the base: one more name if it has one there.
func (l *lossyFS) putBaseLocked(file *inode, temporary, path string) error {
	if file.basePath == "" {
		return file.put(l.base, temporary, path)
	}
	if file.basePath == path {
		return nil
	}
	// A process that was killed may have left one of this name.
	if err := ignoreNotExist(l.base.Remove(temporary)); err != nil {
		return err
	}
	if err := l.base.Link(file.basePath, temporary); err != nil {
		return err
	}
	return l.base.Rename(temporary, path)
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
