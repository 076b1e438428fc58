// SPDX-License-Identifier: Apache-2.0

package part

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/forebay-io/forebay"
)

// Local is the medium of local files. Parts that are not published lie in folders of the epochs of their owners,
// under the base:
//
//	_forebay/PIPELINE/owner-7   the holder of epoch 7; the highest counts
//	_forebay/PIPELINE/e7/       what this owner has in progress, holds or prepared
//	_forebay/PIPELINE/gone-*    folders of older owners, while they are removed
//
// FP1: whoever takes an epoch makes its folder before its owner file, and removes older folders after it: an owner that
// finds no newer owner file behind its own has a folder that every newer owner will find and take away.
// FP2: a folder of an epoch is made by the fence alone, so an older owner that wakes up finds nothing to publish and
// nowhere to write.
type Local struct {
	disk     disk
	base     string
	pipeline string
	// home is the folder of the pipeline.
	home        string
	descriptors int
	// whole syncs many parts or folders together; nil where the file system does not.
	whole wholeDisk
	// owner is set by Fence; without it nobody is kept out.
	owner forebay.Owner

	mu   sync.Mutex
	made map[string]struct{} // folders that survive a crash
	// unsynced are folders of targets whose last sync has failed.
	unsynced map[string]struct{}

	// moving is shared from a part's rename until its target's folder is synced, and held alone while the folder of an
	// epoch is: lanes share that folder, and one that syncs it would give up for good the name of another one's part
	// whose new name may still be lost (FP3).
	moving sync.RWMutex
}

// LocalConfig says where local parts lie.
type LocalConfig struct {
	Base     string
	Pipeline string
	// Descriptors bounds the open files of a lane; 0 means DescriptorsDefault.
	Descriptors int
}

// DescriptorsDefault is the number of open files of a lane that does not say.
const DescriptorsDefault = 256

// homeFolder is where everything of ours lies under a base. Readers pass over names that begin like that.
const homeFolder = "_forebay"

const (
	epochPrefix = "e"
	gonePrefix  = "gone-"
	ownerPrefix = "owner-"
	// draftPrefix begins the names of owner files that are being written.
	draftPrefix = ".owner-"
)

// OpenLocal makes the base if it is missing.
//
// Errors: misconfigured where nothing can be written there.
func OpenLocal(config LocalConfig) (*Local, error) { return openLocal(config, systemDisk()) }

func openLocal(config LocalConfig, on disk) (*Local, error) {
	base := filepath.Clean(config.Base)
	l := &Local{
		disk: on, base: base, pipeline: config.Pipeline, descriptors: cmp.Or(config.Descriptors, DescriptorsDefault),
		home: filepath.Join(base, homeFolder, config.Pipeline), made: map[string]struct{}{},
		unsynced: map[string]struct{}{},
	}
	if err := l.makeBase(base); err != nil {
		return nil, classify("make the folder "+base, err)
	}
	if err := l.makeFolders([]string{l.home}); err != nil {
		return nil, err
	}
	if w, able := on.(wholeSyncer); able {
		if whole, err := w.Whole(base); err == nil {
			l.whole = whole
		}
	}
	return l, nil
}

const codeNotWritable = "file-not-writable"

// classify says what an error of the file system means. Nothing that is unpublished is seen by anyone, so no failure
// leaves a doubt.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*forebay.Error](err); done {
		return err
	}
	class, code := forebay.ClassTransient, ""
	for _, e := range []error{fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR, syscall.ENAMETOOLONG} {
		if errors.Is(err, e) {
			class, code = forebay.ClassMisconfigured, codeNotWritable
		}
	}
	return &forebay.Error{Op: op, Class: class, Code: code, Err: err}
}

// makeBase makes a folder with everything above it.
func (l *Local) makeBase(path string) error {
	err := l.disk.MakeFolder(path)
	above := filepath.Dir(path)
	if errors.Is(err, fs.ErrNotExist) && above != path {
		if err := l.makeBase(above); err != nil {
			return err
		}
		// Not everything that is there can hold a folder: such as /proc, or a link to nothing.
		if err = l.disk.MakeFolder(path); errors.Is(err, fs.ErrNotExist) {
			return &forebay.Error{
				Op: "make the folder " + path, Class: forebay.ClassMisconfigured, Code: codeNotWritable,
				Err: fmt.Errorf("%s is there, and no folder can be made in it", above), Cure: "name another folder",
			}
		}
	}
	switch {
	case err == nil:
		return l.disk.Sync(above)
	case errors.Is(err, fs.ErrExist):
		// It may have been made by a run that died before this; one that is not ours may be closed to us.
		if err := l.disk.Sync(above); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	default:
		return err
	}
}

// foldersMax bounds how many folders are remembered as made.
const foldersMax = 1 << 16

// makeFolders makes folders below the base, and has them survive a crash.
func (l *Local) makeFolders(paths []string) error {
	var missing []string
	l.mu.Lock()
	if len(l.made) > foldersMax {
		clear(l.made)
	}
	for _, path := range paths {
		for path != l.base {
			if _, made := l.made[path]; made {
				break
			}
			missing = append(missing, path)
			path = filepath.Dir(path)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(missing, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	missing = slices.Compact(missing)
	var above []string
	for _, path := range missing {
		if err := l.disk.MakeFolder(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return classify("make the folder "+path, err)
		}
		above = append(above, filepath.Dir(path))
	}
	if err := l.syncAll(above); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range missing {
		l.made[path] = struct{}{}
	}
	return nil
}

// forgetFolders is called where one of them is gone.
func (l *Local) forgetFolders() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.made)
}

// syncsAtOnce bounds the syncs in flight: the file system serves several with one write of its journal.
const syncsAtOnce = 16

// wholeMin is how many syncs cost more than one of everything that programs have written to the file system.
const wholeMin = 256

// syncAll syncs files or folders, each once. All of them are on the base's file system, since parts are renamed from
// one to another.
func (l *Local) syncAll(paths []string) error {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) >= wholeMin && l.whole != nil && l.whole.Sync() == nil {
		// One by itself shows that they are still ours to write, and has a device without a journal write its cache. If the
		// whole has failed, each says whether that was its failure.
		paths = paths[:1]
	}
	problems := make([]error, len(paths))
	runEach(len(paths), func(i int) {
		problems[i] = classify("sync "+paths[i], l.disk.Sync(paths[i]))
	})
	return errors.Join(problems...)
}

// syncHome syncs folders of epochs, while no part is between its two names. FP3: the folders of targets whose sync has
// failed come first.
func (l *Local) syncHome(folders []string) error {
	l.moving.Lock()
	defer l.moving.Unlock()
	l.mu.Lock()
	first := slices.Collect(maps.Keys(l.unsynced))
	l.mu.Unlock()
	if len(first) > 0 {
		if err := l.syncAll(first); err != nil {
			return err
		}
		l.mu.Lock()
		clear(l.unsynced)
		l.mu.Unlock()
	}
	return l.syncAll(folders)
}

// runEach calls f for 0 to n-1, several at a time.
func runEach(n int, f func(i int)) {
	if n <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var group sync.WaitGroup
	for worker := range min(n, syncsAtOnce) {
		group.Go(func() {
			for i := worker; i < n; i += syncsAtOnce {
				f(i)
			}
		})
	}
	group.Wait()
}

// epochFolder is the folder of an owner.
func (l *Local) epochFolder(epoch uint64) string {
	return filepath.Join(l.home, epochPrefix+strconv.FormatUint(epoch, 10))
}

// numbered lists what begins with prefix and goes on with a number, the highest first.
func numbered(names []string, prefix string) []uint64 {
	var out []uint64
	for _, name := range names {
		digits, found := strings.CutPrefix(name, prefix)
		if n, err := strconv.ParseUint(digits, 10, 64); found && err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// epochs lists the epochs that have a folder, the highest first.
func (l *Local) epochs() ([]uint64, error) {
	names, err := l.list(l.home)
	return numbered(names, epochPrefix), err
}

// list is empty for a folder that is missing.
func (l *Local) list(folder string) ([]string, error) {
	names, err := l.disk.List(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, classify("list "+folder, err)
}

// found is an unpublished part: its path and its size.
type found struct {
	path string
	size int64
}

// find looks for an unpublished part in the folders of these epochs.
//
// Errors: fs.ErrNotExist.
func (l *Local) find(file string, epochs []uint64) (found, error) {
	if file == "" || file != filepath.Base(file) {
		return found{}, fmt.Errorf("%q is no name of a part: %w", file, fs.ErrNotExist)
	}
	for _, epoch := range epochs {
		path := filepath.Join(l.epochFolder(epoch), file)
		size, err := l.disk.Size(path)
		if err == nil {
			return found{path, size}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return found{}, classify("look for "+path, err)
		}
	}
	return found{}, &fs.PathError{Op: "find", Path: file, Err: fs.ErrNotExist}
}

// ListOpen lists what lies in the folders of epochs up to the owner's.
func (l *Local) ListOpen(_ context.Context, owner forebay.Owner) ([]forebay.Committable, error) {
	epochs, err := l.epochs()
	if err != nil {
		return nil, err
	}
	var out []forebay.Committable
	for _, epoch := range epochs {
		if epoch > owner.Epoch {
			continue
		}
		names, err := l.list(l.epochFolder(epoch))
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			out = append(out, Encode(Record{Name: Name{File: name}}))
		}
	}
	return out, nil
}

// Abort removes unpublished parts.
func (l *Local) Abort(_ context.Context, c []forebay.Committable) error {
	epochs, err := l.epochs()
	if err != nil {
		return err
	}
	for _, one := range c {
		for {
			at, err := l.find(one.ID, epochs)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err == nil {
				err = l.disk.Remove(at.path)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return classify("remove "+one.ID, err)
			}
		}
	}
	return nil
}

// Close closes what syncs.
func (l *Local) Close() error {
	if l.whole == nil {
		return nil
	}
	if err := l.whole.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// checksumOf reads a file.
func (l *Local) checksumOf(path string) (uint64, error) {
	f, err := l.disk.Open(path)
	if err != nil {
		return 0, err
	}
	d := newDigest()
	_, err = io.Copy(d, f)
	return d.Sum64(), errors.Join(err, f.Close())
}
