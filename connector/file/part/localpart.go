// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

func newDigest() *xxhash.Digest { return xxhash.New() }

// localPlace makes the parts of one lane.
type localPlace struct {
	local *Local
	epoch uint64
	// folder is where new parts lie.
	folder string
	// open are the parts with a descriptor, the one that was written last behind the others.
	open ring[*localPart]
}

// OpenLane makes the place of one lane. Without a fence it makes the folder of the epoch itself.
func (l *Local) OpenLane(_ context.Context, lane forebay.LaneContext) (Place, error) {
	p := &localPlace{local: l, epoch: lane.Owner.Epoch, folder: l.epochFolder(lane.Owner.Epoch)}
	if l.owner.Epoch == 0 {
		if err := l.makeFolders([]string{p.folder}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Create implements Place.
func (p *localPlace) Create(name Name) Part {
	part := &localPart{place: p, folder: p.folder, name: name.File}
	part.digest.Reset()
	return part
}

// Restore cuts the file to what was persisted of it.
func (p *localPlace) Restore(_ context.Context, name Name, state []byte) (Part, error) {
	var s localState
	part := &localPart{place: p, name: name.File, exists: true, named: true, kept: true}
	err := s.decode(state)
	if err == nil {
		err = s.digest(&part.digest)
	}
	if err != nil {
		return nil, forebay.Errorf("go on with "+name.Path(), forebay.ClassCorrupt, "%w", err)
	}
	epochs, err := p.local.epochs()
	if err != nil {
		return nil, err
	}
	// Of two names that a crash left, the newer owner's counts.
	at, err := p.local.find(name.File, slices.DeleteFunc(epochs, func(e uint64) bool { return e > p.epoch }))
	if err == nil && at.size < s.Size {
		err = io.ErrUnexpectedEOF
	}
	part.folder, part.size = filepath.Dir(at.path), s.Size
	if fault.Bug(fault.BugHeldKept) {
		part.size = at.size
	}
	if err == nil {
		err = part.ready()
	}
	switch {
	case err == nil:
		return part, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, io.ErrUnexpectedEOF):
		if err := p.local.checkOwner(); err != nil {
			return nil, err
		}
		return nil, &forebay.Error{
			Op: "go on with " + name.Path(), Class: forebay.ClassLost, Code: "part-lost", Err: err,
			Cure: "what the state holds of it is not in " + p.local.home + "; bring it back, or start over with " +
				"checkpoint reset",
		}
	default:
		return nil, classify("go on with "+name.Path(), err)
	}
}

// Settle implements Place: all files, then the folders of new names.
func (p *localPlace) Settle(_ context.Context, marks []Mark) error {
	if len(marks) == 0 {
		return nil
	}
	var folders []string
	held, finished := false, false
	paths := make([]string, len(marks))
	for i, m := range marks {
		mark := m.(*localMark)
		paths[i] = filepath.Join(mark.folder, mark.name)
		if mark.fresh {
			folders = append(folders, mark.folder)
		}
		held = held || mark.state.Digest != nil
		finished = finished || mark.state.Digest == nil
	}
	err := p.local.syncAll(paths)
	if err == nil {
		err = p.local.syncHome(folders)
	}
	if err != nil {
		return p.local.afterFailure(err)
	}
	if held {
		fault.Hit(fault.PartPersisted)
	}
	if finished {
		fault.Hit(fault.PartFinished)
	}
	return nil
}

// afterFailure says fenced instead where a newer owner is why.
func (l *Local) afterFailure(err error) error {
	if err == nil {
		return nil
	}
	if newer := l.checkOwner(); errors.Is(newer, forebay.ErrFenced) {
		return newer
	}
	return err
}

// Close closes what is open.
func (p *localPlace) Close() error {
	var err error
	for part := p.open.first(); part != nil; part = p.open.first() {
		err = errors.Join(err, part.rest())
	}
	return err
}

// localPart is a part in a file of its own.
type localPart struct {
	ringed[*localPart]
	place  *localPlace
	folder string // all parts share its text
	name   string
	size   int64
	digest xxhash.Digest
	// file is nil while others need the descriptor.
	file io.WriteCloser
	// exists is set once the file was made, named once a mark has its name survive.
	exists, named bool
	// kept is set once a state may know the part as one that goes on.
	kept bool
}

func (l *localPart) path() string { return filepath.Join(l.folder, l.name) }

// Write appends p at once.
func (l *localPart) Write(_ context.Context, p []byte) error {
	if err := l.ready(); err != nil {
		return l.place.local.afterFailure(classify("open "+l.path(), err))
	}
	n, err := l.file.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return classify("write "+l.path(), err)
	}
	_, _ = l.digest.Write(p)
	l.size += int64(len(p))
	fault.Hit(fault.PartWritten)
	return nil
}

// ready opens the file.
func (l *localPart) ready() error {
	open := &l.place.open
	if l.file != nil {
		open.touch(l)
		return nil
	}
	for open.size >= l.place.local.descriptors {
		if err := open.first().rest(); err != nil {
			return err
		}
	}
	var err error
	if l.exists {
		l.file, err = l.place.local.disk.Append(l.path(), l.size)
	} else {
		l.file, err = l.place.local.disk.Create(l.path())
	}
	if err != nil {
		l.file = nil
		return err
	}
	l.exists = true
	open.touch(l)
	return nil
}

// rest gives the descriptor back.
func (l *localPart) rest() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	l.place.open.remove(l)
	if err := f.Close(); err != nil {
		return classify("close "+l.path(), err)
	}
	return nil
}

// Held implements Part: everything was handed to the operating system.
func (l *localPart) Held() forebay.Bytes { return 0 }

// Persist implements Part.
func (l *localPart) Persist() Mark {
	l.kept = true
	m := l.mark()
	m.state.Digest, _ = l.digest.MarshalBinary() // it has no failure
	return m
}

// Finish implements Part. What closing would say, the sync of Settle says too.
func (l *localPart) Finish() Mark {
	_ = l.rest()
	return l.mark()
}

func (l *localPart) mark() *localMark {
	m := &localMark{
		folder: l.folder, name: l.name, fresh: !l.named, state: localState{Size: l.size, Sum: l.digest.Sum64()},
	}
	l.named = true
	return m
}

// Close implements Part. A file that no checkpoint knows is removed; if that does not work, the next run does it.
func (l *localPart) Close() error {
	err := l.rest()
	if l.exists && !l.kept {
		_ = l.place.local.disk.Remove(l.path())
	}
	return err
}

// localMark is how far a file was written.
type localMark struct {
	folder, name string
	// fresh is set where the name itself is new.
	fresh bool
	state localState
}

// State implements Mark.
func (m *localMark) State() []byte { return m.state.encode() }
