// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/internal/fault"
)

// s3Place makes the parts of one lane.
type s3Place struct {
	medium *S3
	lane   forebay.LaneContext
	// ctx is that of requests that go on between calls; stop ends it.
	ctx  context.Context //nolint:containedctx // Persist and Finish have none, and what they begin outlives them
	stop context.CancelFunc
	// bytesMax bounds the bytes of tails under way.
	bytesMax int
	group    sync.WaitGroup

	mu    sync.Mutex
	freed sync.Cond
	// jobs and bytes count what is under way between calls.
	jobs, bytes int
	// uploads are those that no state knows yet.
	uploads map[*s3Upload]struct{}
	closed  bool
}

// s3Upload is the upload of a part, which is begun while the part goes on.
type s3Upload struct {
	name Name
	// done is closed once the upload may be used, or err says why not.
	done chan struct{}
	id   string
	err  error
}

// wait returns the upload's id.
func (u *s3Upload) wait(ctx context.Context) (string, error) {
	select {
	case <-u.done:
		return u.id, u.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// OpenLane makes the place of one lane.
func (s *S3) OpenLane(ctx context.Context, lane forebay.LaneContext) (Place, error) {
	p := &s3Place{
		medium: s, lane: lane, uploads: map[*s3Upload]struct{}{}, bytesMax: max(int(lane.Memory/4), int(object.PieceMin)),
	}
	p.freed.L = &p.mu
	p.ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	return p, nil
}

// Create implements Place.
func (p *s3Place) Create(name Name) Part { return &s3Part{place: p, name: name} }

// Restore looks whether the pieces are there.
func (p *s3Place) Restore(ctx context.Context, name Name, data []byte) (Part, error) {
	var state s3State
	if err := json.Unmarshal(data, &state); err != nil {
		return nil, forebay.Errorf("go on with "+name.Path(), forebay.ClassCorrupt, "its state is damaged: %w", err)
	}
	if state.Upload != "" {
		there, err := p.medium.bucket.ListPieces(ctx, p.medium.upload(name, state.Upload))
		if err == nil && !holdsPieces(there, state.Pieces) {
			err = forebay.Errorf("go on with "+name.Path(), forebay.ClassLost, "a piece of its upload is missing")
		}
		if err != nil && forebay.ClassOf(err) == forebay.ClassLost {
			if fenced := p.medium.checkOwner(ctx); fenced != nil {
				return nil, fenced
			}
			return nil, &forebay.Error{
				Op: "go on with " + name.Path(), Class: forebay.ClassLost, Code: "part-lost", Err: err,
				Cure: "check the bucket's rules for unfinished uploads, and start over with checkpoint reset",
			}
		}
		if err != nil {
			return nil, err
		}
	}
	state.Generation++
	part := &s3Part{place: p, name: name, state: state}
	if state.Upload != "" {
		part.upload = &s3Upload{name: name, id: state.Upload, done: make(chan struct{})}
		close(part.upload.done)
	}
	return part, nil
}

// holdsPieces says whether all pieces are there as they were sent. A list of them may leave the quotes of ETags out.
func holdsPieces(there, want []object.Piece) bool {
	etags := make(map[int32]string, len(there))
	for _, p := range there {
		etags[p.Number] = strings.Trim(p.ETag, `"`)
	}
	return !slices.ContainsFunc(want, func(p object.Piece) bool { return etags[p.Number] != strings.Trim(p.ETag, `"`) })
}

// start has a job done while the lane goes on. It waits where too many are, or with too many bytes.
func (p *s3Place) start(bytes int, job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.jobs > 0 && (p.bytes+bytes > p.bytesMax || p.jobs >= requestsAtOnce) {
		p.freed.Wait()
	}
	p.jobs++
	p.bytes += bytes
	p.group.Go(func() {
		job()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.jobs--
		p.bytes -= bytes
		p.freed.Broadcast()
	})
}

// begin begins an upload: S1.
func (p *s3Place) begin(name Name) *s3Upload {
	u := &s3Upload{name: name, done: make(chan struct{})}
	p.mu.Lock()
	p.uploads[u] = struct{}{}
	p.mu.Unlock()
	p.start(0, func() {
		defer close(u.done)
		// Not ended by Close, which would not learn what to abort.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), abortMax)
		defer cancel()
		begun, err := p.medium.bucket.Create(ctx, p.medium.key(name), name.File)
		if u.id = begun.ID; err == nil {
			err = p.note(p.ctx, name, u.id)
		}
		if err == nil {
			err = p.medium.checkOwner(p.ctx)
		}
		u.err = err
	})
	return u
}

func (p *s3Place) note(ctx context.Context, name Name, id string) error {
	if p.lane.Opened == nil {
		return nil
	}
	c, err := encodeS3(name, s3State{Upload: id})
	if err != nil {
		return err
	}
	return p.lane.Opened(ctx, c)
}

// Settle waits for what Persist and Finish began. What is held has its tail in its state.
func (p *s3Place) Settle(ctx context.Context, marks []Mark) error {
	held, finished := false, false
	for _, m := range marks {
		mark := m.(*s3Mark)
		if err := mark.wait(ctx); err != nil {
			return err
		}
		held, finished = held || mark.done == nil, finished || mark.done != nil
	}
	p.mu.Lock()
	for _, m := range marks {
		delete(p.uploads, m.(*s3Mark).upload)
	}
	p.mu.Unlock()
	if held {
		fault.Hit(fault.PartPersisted)
	}
	if finished {
		fault.Hit(fault.PartFinished)
	}
	return nil
}

// abortMax bounds how long Close tries to abort what is of no use any more; the next run finds the rest.
const abortMax = 10 * time.Second

// Close implements Place.
func (p *s3Place) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.group.Wait()
	var unused []object.Upload
	for u := range p.uploads {
		if u.id != "" {
			unused = append(unused, p.medium.upload(u.name, u.id))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), abortMax)
	defer cancel()
	runAtOnce(len(unused), func(i int) { _ = p.medium.bucket.Abort(ctx, unused[i]) })
	return nil
}

// s3Part is a part while it is written.
type s3Part struct {
	place *s3Place
	name  Name
	// state has no tail before it is persisted: that is buffer.
	state  s3State
	buffer []byte
	// upload is nil before it is needed: a piece is full, or a barrier comes.
	upload *s3Upload
}

// begin has an upload begun if there is none.
func (p *s3Part) begin() {
	if p.upload == nil {
		p.upload = p.place.begin(p.name)
	}
}

// generations is how many numbers of pieces lie between two of one generation: what a part that was given up still
// has under way never replaces a piece of the part that goes on.
const generations = 4

// nextNumber is the number of the next piece.
func (s *s3State) nextNumber() int32 {
	number := int32(1)
	if n := len(s.Pieces); n > 0 {
		number = s.Pieces[n-1].Number + 1
	}
	for number%generations != s.Generation%generations {
		number++
	}
	return number
}

// pieceSize is the size from which on the buffer is sent: more for later pieces, whose number is limited.
func (s *s3State) pieceSize() int {
	const step = object.PiecesMax / generations / 10
	return int(object.PieceMin) * (1 + len(s.Pieces)/step)
}

// Write sends what fills pieces. They have one size, which some stores insist on, until their numbers run short.
func (p *s3Part) Write(ctx context.Context, data []byte) error {
	if p.buffer == nil && p.state.Tail != nil {
		p.buffer, p.state.Tail = p.state.Tail, nil
	}
	p.state.Size += int64(len(data))
	for size := p.state.pieceSize(); len(p.buffer)+len(data) >= size; size = p.state.pieceSize() {
		piece := data[:min(size, len(data))]
		if n := len(p.buffer); n > 0 {
			piece = data[:max(0, size-n)]
			p.buffer = append(p.buffer, piece...)
		}
		data = data[len(piece):]
		if len(p.buffer) > 0 {
			piece = p.buffer[:size]
		}
		p.begin()
		if err := p.place.send(ctx, p.upload, &p.state, piece); err != nil {
			return err
		}
		if len(p.buffer) > 0 {
			p.buffer = append(p.buffer[:0], p.buffer[size:]...)
		}
	}
	p.buffer = append(p.buffer, data...)
	return nil
}

// send sends a piece.
func (p *s3Place) send(ctx context.Context, u *s3Upload, state *s3State, data []byte) error {
	name := u.name
	id, err := u.wait(ctx)
	if err != nil {
		return err
	}
	number := state.nextNumber()
	if number > object.PiecesMax {
		e := forebay.Errorf("write "+name.Path(), forebay.ClassMisconfigured, "it has %d pieces", object.PiecesMax)
		e.Cure = "set a smaller roll.size"
		return e
	}
	piece, err := p.medium.bucket.UploadPiece(ctx, p.medium.upload(name, id), number, data)
	if err != nil {
		return err
	}
	state.Pieces = append(state.Pieces, piece)
	fault.Hit(fault.PartWritten)
	return nil
}

// Held implements Part.
func (p *s3Part) Held() forebay.Bytes { return forebay.Bytes(max(cap(p.buffer), cap(p.state.Tail))) }

// snapshot is the state with what is not sent yet.
func (p *s3Part) snapshot() s3State {
	state := p.state
	state.Pieces = slices.Clone(state.Pieces)
	if p.buffer != nil {
		state.Tail = p.buffer
	}
	return state
}

// Persist has the upload begun: what is held is known to the state with its upload, and needs no other.
func (p *s3Part) Persist() Mark {
	p.begin()
	state := p.snapshot()
	state.Tail = slices.Clone(state.Tail)
	return &s3Mark{upload: p.upload, state: state}
}

// Finish has the tail sent while the lane goes on.
func (p *s3Part) Finish() Mark {
	p.begin()
	mark := &s3Mark{upload: p.upload, state: p.snapshot(), done: make(chan struct{})}
	p.buffer, p.state.Tail = nil, nil
	p.place.start(cap(mark.state.Tail), func() {
		defer close(mark.done)
		if len(mark.state.Tail) > 0 {
			mark.err = p.place.send(p.place.ctx, mark.upload, &mark.state, mark.state.Tail)
		}
		mark.state.Tail = nil
	})
	return mark
}

// Close implements Part. That of the place aborts the upload, unless a state may know it.
func (p *s3Part) Close() error { return nil }

// s3Mark is what a part was at a barrier.
type s3Mark struct {
	upload *s3Upload
	state  s3State
	// done is closed when a finished part is as it will be committed, unless err says why not; nil for one that goes on.
	done chan struct{}
	err  error
}

// wait returns once the state is what a later run can rely on.
func (m *s3Mark) wait(ctx context.Context) error {
	if m.done != nil {
		select {
		case <-m.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	id, err := m.upload.wait(ctx)
	m.state.Upload = id
	return errors.Join(m.err, err)
}

// State implements Mark.
func (m *s3Mark) State() []byte {
	data, _ := json.Marshal(m.state) // it has no failure
	return data
}
