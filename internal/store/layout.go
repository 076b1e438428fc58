// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names in a state directory.
const (
	formatName = "FORMAT"
	lockName   = "LOCK"
	storeName  = "store"
	// SocketName is the socket of the owner, where its path is short enough.
	SocketName = "forebay.sock"
)

// formatText is all that FORMAT holds in this version.
const formatText = "forebay state directory, format 1\n"

// layout is the order of things in a state directory: it is made, then locked; store/ is made and synced as a whole;
// FORMAT comes last, so a directory with FORMAT is complete.
type layout struct {
	fs  vfs.FS
	dir string
}

func (l layout) path(name string) string { return l.fs.PathJoin(l.dir, name) }
func (l layout) storeDir() string        { return l.path(storeName) }

// makeDir makes dir and its missing parents, each durable before the next.
func (l layout) makeDir(dir string) error {
	info, err := l.fs.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is a file: name a directory", dir)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := l.fs.PathDir(dir)
	if parent != dir && parent != "." {
		if err := l.makeDir(parent); err != nil {
			return err
		}
	}
	if err := l.fs.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return l.syncDir(parent)
}

func (l layout) syncDir(dir string) error {
	f, err := l.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prepare checks FORMAT and says whether store/ has still to be made.
func (l layout) prepare() (fresh bool, err error) {
	f, err := l.fs.Open(l.path(formatName))
	if errors.Is(err, os.ErrNotExist) {
		return true, l.clearAborted()
	}
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("read %s: %w", l.path(formatName), err)
	}
	if string(text) != formatText {
		return false, fmt.Errorf("%s says %q: this version reads %q; use the version that wrote it",
			l.path(formatName), strings.TrimSpace(string(text)), strings.TrimSpace(formatText))
	}
	if _, err := l.fs.Stat(l.storeDir()); err != nil {
		return false, fmt.Errorf("%s is there and %s is not: the directory is damaged: %w",
			l.path(formatName), l.storeDir(), err)
	}
	return false, nil
}

// clearAborted removes what a crash left while the directory was made, and makes an empty store/. One that holds
// data is kept and refused: FORMAT must have been lost.
func (l layout) clearAborted() error {
	names, err := l.fs.List(l.storeDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, name := range names {
		info, err := l.fs.Stat(l.fs.PathJoin(l.storeDir(), name))
		if err != nil {
			return err
		}
		data := strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".log") && info.Size() > 0
		if data {
			return fmt.Errorf("%s holds data (%s) and %s is missing: the directory is damaged; restore it from a copy",
				l.storeDir(), name, l.path(formatName))
		}
	}
	if err == nil {
		if err := errors.Join(l.fs.RemoveAll(l.storeDir()), l.syncDir(l.dir)); err != nil {
			return err
		}
	}
	return l.makeDir(l.storeDir())
}

// finish makes a new store/ durable and then writes FORMAT.
func (l layout) finish() error {
	names, err := l.fs.List(l.storeDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.syncFile(l.fs.PathJoin(l.storeDir(), name)); err != nil {
			return err
		}
	}
	if err := l.syncDir(l.storeDir()); err != nil {
		return err
	}
	temporary := l.path(formatName + ".tmp")
	f, err := l.fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(formatText))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := l.fs.Rename(temporary, l.path(formatName)); err != nil {
		return err
	}
	return l.syncDir(l.dir)
}

func (l layout) syncFile(name string) error {
	info, err := l.fs.Stat(name)
	if err == nil && (info.IsDir() || info.Size() == 0) {
		return nil
	}
	// A second handle is enough: an fsync is about the file, whoever wrote it.
	f, err := l.fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // Pebble has removed what it no longer needs
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// refuseNetwork looks at the nearest parent that exists.
func (l layout) refuseNetwork(fsType func(dir string) (int64, error)) error {
	if vfs.Root(l.fs) != vfs.Default {
		return nil
	}
	for dir := l.dir; ; dir = l.fs.PathDir(dir) {
		magic, err := fsType(dir)
		if errors.Is(err, os.ErrNotExist) && l.fs.PathDir(dir) != dir {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up the file system of %s: %w", dir, err)
		}
		if name, found := networkNames[magic]; found {
			return fmt.Errorf("%s is on a network file system (%s), whose locks and syncs cannot be relied on: "+
				"name a local directory, or give --unsafe-network-dir", l.dir, name)
		}
		return nil
	}
}

// networkNames are the numbers by which statfs names file systems that live on another machine.
var networkNames = map[int64]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x5346414f: "afs",
	0x6b414653: "afs",
	0x00c36400: "ceph",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x01021997: "9p",
}
