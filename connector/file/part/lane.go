// SPDX-License-Identifier: Apache-2.0

package part

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// lane writes the records of one lane into the parts of their buckets.
//
// FP5: the name of a part holds the epoch, the tag of its pipeline with a random word for each writer, and a count, so
// no name is used twice, also where the state was lost. FP6: a part begins with its first record, so none is empty.
type lane struct {
	target *Target
	place  Place
	id     forebay.LaneContext
	random string
	count  uint64

	packer *packer
	memory memory
	// parts are the open ones by their buckets, order the same by their last record.
	parts map[string]*openPart
	order ring[*openPart]
	// bulks counts those of a bulk format.
	bulks int
	// last is that of the record before.
	last *openPart
	// key is the bucket of the record at hand.
	key []byte
	// toHold is how many parts the last barrier held.
	toHold int
	// ended are complete and wait for the barrier.
	ended []endedPart

	layout *forebay.Layout
	shape  *shape
	shapes map[*forebay.Layout]*shape
	// looked is when the ages of parts were looked at last.
	looked time.Time
	closed bool
	// during is the call in which a bulk encoder writes.
	during context.Context //nolint:containedctx // io.Writer has no other way to it
}

// openPart is a part that takes records.
type openPart struct {
	ringed[*openPart]
	name             Name
	part             Part
	shape            *shape
	created, touched time.Time
	// bytes counts what came before the compression.
	bytes forebay.Bytes
	// buffer is what waits to be written; memory.limit bounds it.
	buffer []byte
	bulk   codec.BulkEncoder
	// held is the memory that the part was counted with, mediumHeld its medium's share.
	held, mediumHeld forebay.Bytes
	warmth           warmPart
	// changed is set by the first record behind a barrier.
	changed bool
	// sum is that of the shape.
	sum uint64
}

// endedPart is a complete part.
type endedPart struct {
	part Part
	name Name
	mark Mark
}

func (t *Target) openLane(ctx context.Context, id forebay.LaneContext) (*lane, error) {
	if id.Now == nil {
		id.Now = time.Now
	}
	packer, err := newPacker(t.config.Compression)
	if err != nil {
		return nil, err
	}
	place, err := t.Medium.OpenLane(ctx, id)
	if err != nil {
		return nil, err
	}
	l := &lane{
		target: t, place: place, id: id, packer: packer,
		random: Tag(id.Owner.Pipeline) + strings.ToLower(rand.Text()[:randomSize]),
		memory: memory{budget: cmp.Or(id.Memory, memoryDefault), piece: t.config.Compression.piece()},
		parts:  map[string]*openPart{}, shapes: map[*forebay.Layout]*shape{},
	}
	l.memory.share()
	if err := l.restore(ctx, id.Restored); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// randomSize is how many of the characters of rand.Text are enough: 60 bits.
const randomSize = 12

// restore goes on with what earlier writers held. Of two parts of one bucket, only one goes on.
func (l *lane) restore(ctx context.Context, restored []forebay.Committable) error {
	for _, c := range restored {
		r, err := Decode(c)
		if err == nil && r.Held == nil {
			err = forebay.Errorf("go on with "+c.ID, forebay.ClassCorrupt, "it was not held")
		}
		if err != nil {
			return err
		}
		part, err := l.place.Restore(ctx, r.Name, r.State)
		if err != nil {
			return err
		}
		if l.parts[r.Name.Bucket] != nil {
			l.ended = append(l.ended, endedPart{part, r.Name, part.Finish()})
			continue
		}
		p := &openPart{
			name: r.Name, part: part, created: r.Held.Created, touched: l.id.Now(), bytes: r.Held.Bytes, sum: r.Held.Shape,
		}
		l.parts[r.Name.Bucket] = p
		l.order.touch(p)
		l.memory.count(p, part.Held())
	}
	return nil
}

// Write implements forebay.LaneWriter.
func (l *lane) Write(ctx context.Context, b *forebay.Batch) error {
	if l.closed {
		return forebay.ErrClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := l.fit(b.Layout()); err != nil {
		return err
	}
	now := l.id.Now()
	if now.Sub(l.looked) >= lookEvery || now.Before(l.looked) {
		if err := l.rollByTime(ctx, now); err != nil {
			return err
		}
	}
	var refused []forebay.RecordError
	for i := 0; i < b.Len(); i++ {
		if i += l.writeRun(b, i, now); i == b.Len() {
			break
		}
		err := l.writeRecord(ctx, b, i, now)
		if err == nil {
			continue
		}
		e, known := errors.AsType[*forebay.Error](err)
		if !known || e.Class != forebay.ClassRejected {
			return err
		}
		refused = append(refused, forebay.RecordError{Index: i, Code: e.Code, Err: err})
	}
	if len(refused) > 0 {
		return &forebay.Error{
			Op: "write a file", Class: forebay.ClassRejected, Records: refused, Err: refused[0].Err,
		}
	}
	return nil
}

// shapesMax bounds the layouts that are remembered.
const shapesMax = 64

// fit makes the shape of a layout the current one.
func (l *lane) fit(layout *forebay.Layout) error {
	if l.shape != nil && l.layout == layout {
		return nil
	}
	s := l.shapes[layout]
	if s == nil {
		var err error
		if s = l.likeness(layout); s == nil {
			if s, err = l.target.shape(layout); err != nil {
				return err
			}
		}
		if len(l.shapes) >= shapesMax {
			clear(l.shapes)
		}
		l.shapes[layout] = s
	}
	l.layout, l.shape = layout, s
	return nil
}

// likeness is the shape of a layout that says the same as this one.
func (l *lane) likeness(layout *forebay.Layout) *shape {
	for known, s := range l.shapes {
		if known != nil && layout != nil && slices.Equal(known.Slots, layout.Slots) && known.Schema.Equal(layout.Schema) {
			return s
		}
	}
	return nil
}

// lookEvery is how often the ages of parts are looked at between barriers.
const lookEvery = time.Second

func (l *lane) rollByTime(ctx context.Context, now time.Time) error {
	l.looked = now
	for p := l.order.first(); p != nil; {
		next := p.after
		if l.target.config.Roll.due(p, now) {
			if err := l.finish(ctx, p); err != nil {
				return err
			}
		}
		p = next
	}
	return nil
}

func (l *lane) writeRecord(ctx context.Context, b *forebay.Batch, i int, now time.Time) error {
	var err error
	bucketer := l.shape.bucketer
	if b.Record(i).Late {
		bucketer = l.shape.late
	}
	if l.key, err = bucketer.append(l.key[:0], b, i, now); err != nil {
		return err
	}
	p := l.last
	if p == nil || string(l.key) != p.name.Bucket {
		p = l.parts[string(l.key)]
	}
	if p != nil && p.shape != l.shape {
		if p, err = l.reshape(ctx, p); err != nil {
			return err
		}
	}
	begins := p == nil
	if p != nil && p.warmth.in {
		l.memory.warm.touch(&p.warmth)
	}
	if begins {
		if p, err = l.begin(ctx, now); err != nil {
			return err
		}
	}
	if err := l.add(ctx, p, b, i); err != nil {
		if begins {
			l.drop(p)
		}
		return err
	}
	if begins {
		l.parts[p.name.Bucket] = p
	}
	if p != l.last || begins {
		l.order.touch(p)
		l.last = p
	}
	p.touched, p.changed = now, true
	if p.bytes >= l.target.config.Roll.Size {
		return l.finish(ctx, p)
	}
	return l.bound(ctx, p)
}

// reshape has a part go on with records of the current layout; one that cannot is finished.
func (l *lane) reshape(ctx context.Context, p *openPart) (*openPart, error) {
	if p.sum == l.shape.sum && p.bulk == nil {
		p.shape = l.shape
		return p, nil
	}
	return nil, l.finish(ctx, p)
}

// begin makes the part for the bucket at hand.
func (l *lane) begin(ctx context.Context, now time.Time) (*openPart, error) {
	l.count++
	c := &l.target.config
	name := Name{Bucket: string(l.key), File: fmt.Sprintf("%spart-%d-%d-%s-%d%s%s%s", c.Prefix, l.id.Lane,
		l.id.Owner.Epoch, l.random, l.count, c.Suffix, l.shape.encoding.Extension, c.Compression.extension())}
	p := &openPart{
		name: name, part: l.place.Create(name), shape: l.shape, sum: l.shape.sum, created: now, touched: now,
	}
	header := l.shape.encoding.Header
	if len(header) > 0 {
		if err := l.take(ctx, p); err != nil {
			return nil, err
		}
		p.buffer = append(p.buffer, header...)
		p.bytes = forebay.Bytes(len(header))
	}
	if l.shape.encoding.NewBulk == nil {
		return p, nil
	}
	l.bulks++
	var err error
	p.bulk, err = l.shape.encoding.NewBulk(bulkOutput{l, p})
	return p, err
}

// add encodes record i. One that is refused leaves no trace.
func (l *lane) add(ctx context.Context, p *openPart, b *forebay.Batch, i int) error {
	if p.bulk != nil {
		l.during = ctx
		if err := p.bulk.Append(b, i); err != nil {
			return err
		}
		p.bytes = p.bulk.Written() + p.bulk.Buffered()
		return nil
	}
	if p.buffer == nil {
		if err := l.take(ctx, p); err != nil {
			return err
		}
	}
	size := len(p.buffer)
	var err error
	if p.buffer, err = p.shape.encoding.Append(p.buffer, b, i); err != nil {
		p.buffer = p.buffer[:size]
		l.memory.count(p, p.mediumHeld)
		return err
	}
	p.bytes += forebay.Bytes(len(p.buffer) - size)
	return nil
}

// drop forgets a part that has no record.
func (l *lane) drop(p *openPart) {
	if p.bulk != nil {
		l.bulks--
	}
	l.memory.forget(p)
	_ = p.part.Close()
}

// Prepare implements forebay.Preparer.
func (l *lane) Prepare(ctx context.Context, _ uint64, last bool) (
	func(context.Context) (forebay.Prepared, error), error,
) {
	if l.closed {
		return nil, forebay.ErrClosed
	}
	now := l.id.Now()
	roll := l.target.config.Roll
	l.looked = now
	if last {
		l.ended = slices.Grow(l.ended, l.order.size)
	}
	held := make([]heldPart, 0, l.toHold)
	for p := l.order.first(); p != nil; {
		next := p.after
		if last || roll.Checkpoint || p.bulk != nil || roll.due(p, now) {
			if err := l.finish(ctx, p); err != nil {
				return nil, err
			}
		} else if p.changed {
			if err := l.flush(ctx, p); err != nil {
				return nil, err
			}
			l.memory.release(p)
			p.changed = false
			held = append(held, heldPart{
				endedPart{p.part, p.name, p.part.Persist()}, Progress{Created: p.created, Bytes: p.bytes, Shape: p.sum},
			})
		}
		p = next
	}
	ended := l.ended
	l.ended, l.toHold = nil, len(held)
	if last {
		l.memory.trim() // while tens of thousands of parts are published
	}
	return func(ctx context.Context) (forebay.Prepared, error) { return l.settle(ctx, ended, held) }, nil
}

// heldPart goes on.
type heldPart struct {
	endedPart
	progress Progress
}

// settle has what a barrier decided survive, on a goroutine of its own.
func (l *lane) settle(ctx context.Context, ended []endedPart, held []heldPart) (forebay.Prepared, error) {
	marks := make([]Mark, 0, len(ended)+len(held))
	for i := range ended {
		marks = append(marks, ended[i].mark)
	}
	for i := range held {
		marks = append(marks, held[i].mark)
	}
	var out forebay.Prepared
	if err := l.place.Settle(ctx, marks); err != nil {
		return out, err
	}
	out.Commit, out.Held = make([]forebay.Committable, 0, len(ended)), make([]forebay.Committable, 0, len(held))
	for i := range ended {
		out.Commit = append(out.Commit, Encode(Record{Name: ended[i].name, State: ended[i].mark.State()}))
	}
	for i := range held {
		r := Record{Name: held[i].name, State: held[i].mark.State(), Held: &held[i].progress}
		out.Held = append(out.Held, Encode(r))
	}
	return out, nil
}

// Flush publishes everything that was written.
func (l *lane) Flush(ctx context.Context) error {
	wait, err := l.Prepare(ctx, 0, true)
	if err != nil {
		return err
	}
	prepared, err := wait(ctx)
	if err != nil || len(prepared.Commit) == 0 {
		return err
	}
	return l.target.publish(ctx, prepared.Commit)
}

// Close implements forebay.LaneWriter.
func (l *lane) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	var problems []error
	for p := l.order.first(); p != nil; p = p.after {
		problems = append(problems, p.part.Close())
	}
	for _, ended := range l.ended { // no barrier came for them
		problems = append(problems, ended.part.Close())
	}
	l.parts, l.last, l.ended = nil, nil, nil
	return errors.Join(append(problems, l.place.Close())...)
}

// finish completes a part.
func (l *lane) finish(ctx context.Context, p *openPart) error {
	if p.bulk != nil {
		l.during = ctx
		if err := p.bulk.Close(); err != nil {
			return err
		}
		l.bulks--
	}
	if err := l.flush(ctx, p); err != nil {
		return err
	}
	l.ended = append(l.ended, endedPart{p.part, p.name, p.part.Finish()})
	l.memory.forget(p)
	l.order.remove(p)
	delete(l.parts, p.name.Bucket)
	if l.last == p {
		l.last = nil
	}
	return nil
}

// flush hands the buffer of a part to its medium.
func (l *lane) flush(ctx context.Context, p *openPart) error {
	if len(p.buffer) == 0 {
		return nil
	}
	piece, err := l.packer.pack(p.buffer)
	if err != nil {
		return err
	}
	if err := p.part.Write(ctx, piece); err != nil {
		return err
	}
	p.buffer = p.buffer[:0]
	l.memory.count(p, p.part.Held())
	return nil
}
