// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// pipelineNameMax bounds the name of a pipeline, and splitNameMax that of a split.
const (
	pipelineNameMax = 128
	splitNameMax    = 32 << 10
)

// pipeline is what the server holds of a pipeline while it runs.
type pipeline struct {
	name string

	// mu is held while a commit of the pipeline is applied: progress and owner are checked in memory.
	mu     sync.Mutex
	state  *pipelineState
	loaded bool
}

// fenceRecord is the fence on disk.
type fenceRecord struct {
	Format int    `json:"format"`
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
	Used   bool   `json:"used"`
}

const fenceFormat = 1

// lockPipeline returns the pipeline, loaded and locked.
func (s *Server) lockPipeline(name string) (*pipeline, error) {
	if name == "" || len(name) > pipelineNameMax {
		return nil, forebay.Errorf("progress", forebay.ClassMisconfigured,
			"the name of a pipeline has 1 to %d bytes, and %q has %d", pipelineNameMax, name, len(name))
	}
	s.mu.RLock()
	p := s.pipelines[name]
	s.mu.RUnlock()
	if p == nil {
		s.mu.Lock()
		if p = s.pipelines[name]; p == nil {
			p = &pipeline{name: name}
			s.pipelines[name] = p
		}
		s.mu.Unlock()
	}
	p.mu.Lock()
	if p.loaded {
		return p, nil
	}
	state, err := readPipeline(s.store, name)
	if err != nil {
		p.mu.Unlock()
		return nil, classified("read progress", err)
	}
	p.state, p.loaded = state, true
	return p, nil
}

// readPipeline reads what is stored of a pipeline.
func readPipeline(from store.Reader, name string) (*pipelineState, error) {
	state := &pipelineState{splits: make(map[string]splitState)}
	lower, upper := pipelineRange(name)
	it, err := from.NewIter(lower, upper)
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		rest := it.Key()[len(lower):]
		if len(rest) > 0 && rest[0] == progressSplit {
			var split splitState
			if split, err = decodeSplit(string(rest[1:]), value); err == nil {
				state.splits[split.progress.Split] = split
			}
			continue
		}
		var fence fenceRecord
		if err = json.Unmarshal(value, &fence); err != nil || fence.Format != fenceFormat {
			err = errors.Join(err, forebay.Errorf("read progress", forebay.ClassCorrupt,
				"the fence of pipeline %q has the format %d", name, fence.Format))
			break
		}
		state.owner = forebay.Owner{Pipeline: name, Epoch: fence.Epoch, Holder: fence.Holder}
		state.used = fence.Used
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return state, nil
}

// State reads what is stored of a pipeline, once it is durable.
//
// Errors: corrupt, and those of the store.
func (s *Server) State(ctx context.Context, name string) (forebay.TargetState, error) {
	p, err := s.lockPipeline(name)
	if err != nil {
		return forebay.TargetState{}, err
	}
	out := p.state.snapshot()
	p.mu.Unlock()
	// TS2: what was seen is durable before it is told.
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return forebay.TargetState{}, classified("read progress", err)
	}
	return out, nil
}

// Fence makes the owner the only one whose commits are applied, with one synced write. The same fence again is fine.
//
// Errors: fenced where the stored epoch is not smaller and the holder another.
func (s *Server) Fence(ctx context.Context, f forebay.Fence) error {
	if f.Epoch == 0 {
		return forebay.Errorf("fence", forebay.ClassMisconfigured, "an owner's epoch begins at 1")
	}
	p, err := s.lockPipeline(f.Pipeline)
	if err != nil {
		return err
	}
	err = s.fenceLocked(p, f)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return classified("fence", err)
	}
	fault.Hit(fault.Fenced)
	return nil
}

func (s *Server) fenceLocked(p *pipeline, f forebay.Fence) error {
	switch p.state.judgeFence(f) {
	case fenceSame:
		return nil
	case fenceRefused:
		e := forebay.Errorf("fence", forebay.ClassFenced, "pipeline %q belongs to epoch %d, holder %q, and epoch %d, "+
			"holder %q asks for it", f.Pipeline, p.state.owner.Epoch, p.state.owner.Holder, f.Epoch, f.Holder)
		e.Code = "fenced"
		return e
	case fenceApply:
	}
	next := p.state.followingFence(f)
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	if err := putFence(b, p, next); err != nil {
		return classified("fence", err)
	}
	if err := s.store.Apply(b); err != nil {
		return classified("fence", err)
	}
	s.ledger.note(nil)
	p.state = next
	return nil
}

// putFence writes the fence and the splits that it changes.
func putFence(b *store.Batch, p *pipeline, next *pipelineState) error {
	value, err := json.Marshal(fenceRecord{
		Format: fenceFormat, Epoch: next.owner.Epoch, Holder: next.owner.Holder, Used: next.used,
	})
	if err != nil {
		return err
	}
	for name := range p.state.splits {
		if _, kept := next.splits[name]; !kept {
			if err := b.Delete(append(appendPipelinePrefix(nil, p.name, progressSplit), name...)); err != nil {
				return err
			}
		}
	}
	for name, split := range next.splits {
		if was, found := p.state.splits[name]; found && was == split {
			continue
		}
		if err := putProgress(b, p.name, []forebay.SplitProgress{split.progress}, split.checksum); err != nil {
			return err
		}
	}
	return b.Set(appendPipelinePrefix(nil, p.name, progressFence), value)
}

// Forget removes everything that is stored of a pipeline, its fence too, durably.
func (s *Server) Forget(ctx context.Context, name string) error {
	p, err := s.lockPipeline(name)
	if err != nil {
		return err
	}
	err = s.forgetLocked(p)
	p.mu.Unlock()
	if err != nil {
		return classified("forget progress", err)
	}
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return classified("forget progress", err)
	}
	return nil
}

func (s *Server) forgetLocked(p *pipeline) error {
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	b.UseReserve()
	lower, upper := pipelineRange(p.name)
	if err := b.DeleteRange(lower, upper); err != nil {
		return err
	}
	if err := s.store.Apply(b); err != nil {
		return err
	}
	s.ledger.note(nil)
	p.state = &pipelineState{splits: make(map[string]splitState)}
	return nil
}

const splitRecordVersion = 1

// putProgress writes the progress of splits and the checksum of the commit that makes it.
func putProgress(b *store.Batch, pipeline string, progress []forebay.SplitProgress, sum uint32) error {
	var key, value []byte
	for i := range progress {
		key = append(appendPipelinePrefix(key[:0], pipeline, progressSplit), progress[i].Split...)
		value = appendSplit(value[:0], &progress[i], sum)
		if err := b.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func appendSplit(dst []byte, s *forebay.SplitProgress, sum uint32) []byte {
	finished := byte(0)
	if s.Position.Finished {
		finished = 1
	}
	dst = append(dst, splitRecordVersion, finished)
	dst = binary.LittleEndian.AppendUint32(dst, sum)
	dst = binary.AppendUvarint(dst, s.Version)
	dst = binary.AppendVarint(dst, s.Position.Offset)
	for _, text := range []string{s.Position.Detail, s.Fingerprint} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	return dst
}

func decodeSplit(name string, data []byte) (splitState, error) {
	s := splitState{progress: forebay.SplitProgress{Split: name}}
	corrupt := func() (splitState, error) {
		return splitState{}, forebay.Errorf("read progress", forebay.ClassCorrupt, "split %q: %d bytes are no progress",
			name, len(data))
	}
	if len(data) < 6 || data[0] != splitRecordVersion || data[1] > 1 {
		return corrupt()
	}
	s.progress.Position.Finished = data[1] == 1
	s.checksum = binary.LittleEndian.Uint32(data[2:])
	rest := data[6:]
	var n int
	if s.progress.Version, n = binary.Uvarint(rest); n <= 0 {
		return corrupt()
	}
	rest = rest[n:]
	if s.progress.Position.Offset, n = binary.Varint(rest); n <= 0 {
		return corrupt()
	}
	rest = rest[n:]
	for _, text := range []*string{&s.progress.Position.Detail, &s.progress.Fingerprint} {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return corrupt()
		}
		*text = string(rest[n : n+int(size)])
		rest = rest[n+int(size):]
	}
	if len(rest) > 0 {
		return corrupt()
	}
	return s, nil
}
