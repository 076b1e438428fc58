// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cespare/xxhash/v2"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
)

// localState is what the medium knows of a part that was persisted or finished.
type localState struct {
	Size int64
	// Sum is the checksum of the file up to there.
	Sum uint64
	// Digest goes on with the checksum; only of a part that is held.
	Digest []byte
}

// encode makes the size, the checksum, and the digest without the zeros that it ends with.
func (s *localState) encode() []byte {
	out := make([]byte, 0, binary.MaxVarintLen64+8+len(s.Digest))
	out = binary.BigEndian.AppendUint64(binary.AppendUvarint(out, uint64(s.Size)), s.Sum)
	return append(out, bytes.TrimRight(s.Digest, "\x00")...)
}

var errState = errors.New("its state is damaged")

func (s *localState) decode(data []byte) error {
	size, n := binary.Uvarint(data)
	if n <= 0 || int64(size) < 0 || len(data) < n+8 {
		return errState
	}
	s.Size, s.Sum, s.Digest = int64(size), binary.BigEndian.Uint64(data[n:]), nil
	if rest := data[n+8:]; len(rest) > 0 {
		s.Digest = rest
	}
	return nil
}

// digest goes on with the checksum of what is persisted.
func (s *localState) digest(d *xxhash.Digest) error {
	d.Reset()
	whole, err := d.MarshalBinary()
	if err == nil && len(s.Digest) > len(whole) {
		err = errState
	}
	if err != nil {
		return err
	}
	clear(whole[copy(whole, s.Digest):])
	if err := d.UnmarshalBinary(whole); err != nil {
		return err
	}
	if d.Sum64() != s.Sum {
		return errState
	}
	return nil
}

// publication is one finished part on its way.
type publication struct {
	request *forebay.CommitRequest
	name    Name
	state   localState
	source  found
	// target is where it becomes visible.
	target string
	// touched is set where the folders of source and target are to be synced.
	touched bool
}

func (p *publication) answer(outcome forebay.Outcome, err error) {
	p.request.Outcome, p.request.Err = outcome, err
}

func (p *publication) fatal(format string, args ...any) {
	p.answer(forebay.OutcomeFatal, forebay.Errorf("publish "+p.name.Path(), forebay.ClassCorrupt, format, args...))
}

func (p *publication) retry(err error) {
	p.answer(forebay.OutcomeRetry, classify("publish "+p.name.Path(), err))
}

// Commit publishes finished parts.
//
// FP3: the folders of a target survive a crash before its part is moved there, and the part survives there before the
// name that it had is given up for good. FP4: a part that is gone counts as published only where its target has the
// same size and checksum.
//
// Errors: fenced.
func (l *Local) Commit(_ context.Context, requests []forebay.CommitRequest) error {
	if err := l.checkOwner(); err != nil {
		return err
	}
	epochs, err := l.epochs()
	if err != nil {
		return err
	}
	var moves []*publication
	lost := false
	for i := range requests {
		p := &publication{request: &requests[i]}
		if !l.prepare(p, epochs) {
			lost = lost || requests[i].Outcome == forebay.OutcomeLost
			continue
		}
		moves = append(moves, p)
	}
	l.publish(moves)
	for _, p := range moves {
		lost = lost || p.request.Outcome == forebay.OutcomeLost
	}
	if lost {
		// A newer owner takes away what is not published: then nothing is lost.
		return l.checkOwner()
	}
	return nil
}

// prepare finds a part. False is answered already.
func (l *Local) prepare(p *publication, epochs []uint64) bool {
	p.request.Outcome, p.request.Changed, p.request.Err = forebay.OutcomeMissing, nil, nil
	r, err := Decode(p.request.Committable)
	if err == nil && (r.State == nil || r.Held != nil) {
		err = fmt.Errorf("part %s was never finished", r.Name.File)
	}
	if err == nil {
		err = p.state.decode(r.State)
	}
	p.name = r.Name
	if err != nil {
		p.fatal("%w", err)
		return false
	}
	p.target = filepath.Join(l.base, filepath.FromSlash(p.name.Path()))
	p.source, err = l.find(p.name.File, epochs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.lookUp(p)
		return p.request.Outcome == forebay.OutcomeAlready
	case err != nil:
		p.retry(err)
		return false
	case p.source.size != p.state.Size:
		p.fatal("%s has %d bytes, and %d were prepared", p.source.path, p.source.size, p.state.Size)
		return false
	}
	return true
}

// lookUp answers for a part that is not, or no more, where it was prepared.
func (l *Local) lookUp(p *publication) {
	same, err := l.published(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.answer(forebay.OutcomeLost, forebay.Errorf("publish "+p.name.Path(), forebay.ClassLost,
			"the part is neither in %s nor where it would be published", l.home))
	case err != nil:
		p.retry(err)
	case !same:
		p.fatal("another file has this name")
	default:
		p.touched = true
		p.answer(forebay.OutcomeAlready, nil)
	}
}

// published compares the target with what was prepared.
//
// Errors: fs.ErrNotExist.
func (l *Local) published(p *publication) (same bool, err error) {
	size, err := l.disk.Size(p.target)
	if err != nil || size != p.state.Size {
		return false, err
	}
	sum, err := l.checksumOf(p.target)
	return sum == p.state.Sum, err
}

func (l *Local) moveAll(moves []*publication) {
	var open []*publication
	var folders []string
	for _, p := range moves {
		if p.request.Outcome == forebay.OutcomeMissing {
			open = append(open, p)
			folders = append(folders, filepath.Dir(p.target))
		}
	}
	if err := l.makeFolders(folders); err != nil {
		for _, p := range open {
			p.retry(err)
		}
		return
	}
	for _, p := range open {
		l.move(p)
	}
}

// move gives a part its name.
func (l *Local) move(p *publication) {
	p.touched = true
	err := l.disk.Rename(p.source.path, p.target)
	if errors.Is(err, fs.ErrNotExist) {
		// Somebody removed the folder since it was made, or a newer owner took the part.
		l.forgetFolders()
		if err = l.makeFolders([]string{filepath.Dir(p.target)}); err == nil {
			err = l.disk.Rename(p.source.path, p.target)
		}
	}
	switch {
	case err == nil:
		p.answer(forebay.OutcomeDone, nil)
		fault.Hit(fault.PartRenamed)
	case errors.Is(err, fs.ErrNotExist):
		l.lookUp(p)
	case errors.Is(err, fs.ErrExist):
		l.lookUp(p)
		if p.request.Outcome != forebay.OutcomeAlready {
			return
		}
		// A crash left both names.
		if err := l.disk.Remove(p.source.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.retry(err)
		}
	default:
		p.retry(err)
	}
}

// publish moves parts and makes that survive: first where they are, then that they are no more where they were.
func (l *Local) publish(moves []*publication) {
	to, from, err := l.moveAndSync(moves)
	if len(to) == 0 {
		return
	}
	if err == nil {
		err = l.syncFrom(from)
	}
	if err != nil {
		for _, p := range moves {
			if p.touched && p.request.Outcome != forebay.OutcomeFatal && p.request.Outcome != forebay.OutcomeLost {
				p.retry(err)
			}
		}
	}
	fault.Hit(fault.PartDirectorySynced)
}

// moveAndSync moves parts until the folders of the targets are synced, and says which those are, and where from.
func (l *Local) moveAndSync(moves []*publication) (to, from []string, err error) {
	l.moving.RLock()
	defer l.moving.RUnlock()
	l.moveAll(moves)
	for _, p := range moves {
		if !p.touched {
			continue
		}
		to = append(to, filepath.Dir(p.target))
		if p.source.path != "" {
			from = append(from, filepath.Dir(p.source.path))
		}
	}
	if fault.Bug(fault.BugFolderUnsynced) {
		return to, from, nil
	}
	err = l.syncAll(to)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, folder := range to {
		if err != nil {
			l.unsynced[folder] = struct{}{}
		} else {
			delete(l.unsynced, folder)
		}
	}
	return to, from, err
}

// syncFrom syncs folders that a newer owner may have taken away.
func (l *Local) syncFrom(folders []string) error {
	err := l.syncHome(folders)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
