// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

// ownerFile is what an owner file holds.
type ownerFile struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
}

func ownerName(epoch uint64) string { return ownerPrefix + strconv.FormatUint(epoch, 10) }

// Owner is the one with the highest epoch.
//
// Errors: corrupt.
func (l *Local) Owner(_ context.Context, pipeline string) (forebay.Owner, error) {
	return l.readOwner(pipeline)
}

func (l *Local) readOwner(pipeline string) (forebay.Owner, error) {
	none := forebay.Owner{Pipeline: pipeline}
	home := filepath.Join(l.base, homeFolder, pipeline)
	for {
		names, err := l.list(home)
		if err != nil {
			return none, err
		}
		epochs := numbered(names, ownerPrefix)
		if len(epochs) == 0 {
			return none, nil
		}
		path := filepath.Join(home, ownerName(epochs[0]))
		owner, err := l.readOwnerFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a newer owner removed it since, after it wrote its own
		}
		owner.Pipeline = pipeline
		return owner, err
	}
}

func (l *Local) readOwnerFile(path string) (forebay.Owner, error) {
	f, err := l.disk.Open(path)
	if err != nil {
		return forebay.Owner{}, classify("read "+path, err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return forebay.Owner{}, classify("read "+path, err)
	}
	var o ownerFile
	if err := json.Unmarshal(data, &o); err != nil || filepath.Base(path) != ownerName(o.Epoch) {
		return forebay.Owner{}, forebay.Errorf("read "+path, forebay.ClassCorrupt, "it is no owner file: %q", data)
	}
	return forebay.Owner{Epoch: o.Epoch, Holder: o.Holder}, nil
}

// fenced compares the owner that is noted with the one that asks.
func fenced(noted, asks forebay.Owner) error {
	if noted.Epoch < asks.Epoch || noted.Epoch == asks.Epoch && noted.Holder == asks.Holder {
		return nil
	}
	return &forebay.Error{
		Op: "publish files of pipeline " + asks.Pipeline, Class: forebay.ClassFenced, Code: "fenced",
		Err: forebay.ErrFenced,
	}
}

// checkOwner fails where another run owns the base by now.
func (l *Local) checkOwner() error {
	if l.owner.Epoch == 0 {
		return nil
	}
	noted, err := l.readOwner(l.pipeline)
	if err != nil {
		return err
	}
	// The owner file of this run is there as long as it is the newest.
	if noted.Epoch < l.owner.Epoch {
		return forebay.Errorf("read the owner of "+l.home, forebay.ClassLost,
			"the owner file of epoch %d is gone", l.owner.Epoch)
	}
	return fenced(noted, l.owner)
}

// Fence makes the owner the only one that may publish: FP1, FP2.
//
// Errors: fenced.
func (l *Local) Fence(_ context.Context, owner forebay.Owner, held []forebay.Committable) error {
	noted, err := l.readOwner(owner.Pipeline)
	if err == nil {
		err = fenced(noted, owner)
	}
	if err != nil {
		return err
	}
	if err := l.makeFolders([]string{l.epochFolder(owner.Epoch)}); err != nil {
		return err
	}
	if noted.Epoch < owner.Epoch {
		if err := l.writeOwner(owner); err != nil {
			return err
		}
	}
	fault.Hit(fault.OwnerWritten)
	if noted, err = l.readOwner(owner.Pipeline); err == nil {
		err = fenced(noted, owner)
	}
	if err != nil {
		return err
	}
	l.owner = owner
	err = l.takeHeld(held)
	if err == nil {
		err = l.retire()
	}
	return l.afterFailure(err)
}

// writeOwner notes the owner, all of it or nothing, only if nobody has this epoch yet.
func (l *Local) writeOwner(owner forebay.Owner) error {
	data, err := json.Marshal(ownerFile{Epoch: owner.Epoch, Holder: owner.Holder})
	if err != nil {
		return err
	}
	draft := filepath.Join(l.home, draftPrefix+rand.Text())
	path := filepath.Join(l.home, ownerName(owner.Epoch))
	f, err := l.disk.Create(draft)
	if err != nil {
		return classify("write "+draft, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = l.disk.Sync(draft)
	}
	if err == nil {
		err = l.disk.Rename(draft, path)
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrExist):
		noted, err := l.readOwnerFile(path)
		if err == nil {
			err = fenced(noted, owner)
		}
		if err != nil {
			return err
		}
	default:
		// A newer owner removes what others have begun.
		if noted, reading := l.readOwner(owner.Pipeline); reading == nil && fenced(noted, owner) != nil {
			return fenced(noted, owner)
		}
		return classify("write "+path, err)
	}
	return classify("sync "+l.home, l.disk.Sync(l.home))
}

// takeHeld moves what is held into the folder of this epoch. What is nowhere is found missing when it is restored.
func (l *Local) takeHeld(held []forebay.Committable) error {
	epochs, err := l.epochs()
	if err != nil {
		return err
	}
	folder, moved := l.epochFolder(l.owner.Epoch), false
	for _, c := range held {
		at, err := l.find(c.ID, epochs)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		path := filepath.Join(folder, c.ID)
		if err == nil && at.path != path {
			moved = true
			err = l.disk.Rename(at.path, path)
		}
		if err != nil {
			return classify("move "+c.ID, err)
		}
	}
	if !moved {
		return nil
	}
	return classify("sync "+folder, l.disk.Sync(folder))
}

// retire takes the folders of older owners away, and what they left.
func (l *Local) retire() error {
	names, err := l.list(l.home)
	if err != nil {
		return err
	}
	var gone []string
	for _, epoch := range numbered(names, epochPrefix) {
		if epoch >= l.owner.Epoch {
			continue
		}
		away := filepath.Join(l.home, gonePrefix+rand.Text())
		err := l.disk.RenameFolder(l.epochFolder(epoch), away)
		if errors.Is(err, errors.ErrUnsupported) {
			away, err = l.epochFolder(epoch), nil
		}
		if err != nil {
			return classify("move the folder of epoch "+strconv.FormatUint(epoch, 10), err)
		}
		gone = append(gone, away)
	}
	fault.Hit(fault.EpochMovedAway)
	for _, name := range names {
		if strings.HasPrefix(name, gonePrefix) {
			gone = append(gone, filepath.Join(l.home, name))
		}
	}
	for _, path := range gone {
		if err := l.removeFolder(path); err != nil {
			return err
		}
	}
	for _, name := range names {
		epochs := numbered([]string{name}, ownerPrefix)
		if strings.HasPrefix(name, draftPrefix) || len(epochs) > 0 && epochs[0] < l.owner.Epoch {
			if err := l.disk.Remove(filepath.Join(l.home, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return classify("remove "+name, err)
			}
		}
	}
	return classify("sync "+l.home, l.disk.Sync(l.home))
}

// removalsMax bounds the attempts to empty a folder in which an older owner still writes.
const removalsMax = 100

// removeFolder removes a folder and everything in it.
func (l *Local) removeFolder(path string) error {
	var err error
	for range removalsMax {
		var names []string
		if names, err = l.list(path); err != nil {
			return err
		}
		for _, name := range names {
			below := filepath.Join(path, name)
			if err := l.disk.Remove(below); err != nil && !errors.Is(err, fs.ErrNotExist) {
				if err := l.removeFolder(below); err != nil {
					return err
				}
			}
		}
		// The names of the files go before that of the folder, also on a disk that keeps no order.
		if err := l.disk.Sync(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return classify("sync "+path, err)
		}
		if err = l.disk.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return classify("remove the folder "+path, err)
}

// Forget removes everything of the pipeline but what was published.
func (l *Local) Forget(_ context.Context, pipeline string) error {
	home := filepath.Join(l.base, homeFolder, pipeline)
	if err := l.removeFolder(home); err != nil {
		return err
	}
	l.forgetFolders()
	above := filepath.Dir(home)
	if names, err := l.list(above); err == nil && len(names) == 0 {
		// Another pipeline may begin in it at the same moment; then it stays.
		_ = l.disk.Remove(above)
		return classify("sync "+l.base, l.disk.Sync(l.base))
	}
	return classify("sync "+above, l.disk.Sync(above))
}
