// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"

	"github.com/forebay-io/forebay"
)

// memoryDefault is the budget of a lane that was not given one.
const memoryDefault = 16 * forebay.MiB

const (
	// bufferMin is what a buffer begins with, and the least that is worth a write.
	bufferMin = forebay.KiB
	// partOverhead is about what an open part takes beside its buffer.
	partOverhead = 700
	partsFloor   = 16384
)

// memory shares a lane's budget out to its parts: half of it, in equal shares, to the buffers of those that were
// written to since the barrier. What buffers grow beyond, or a medium keeps, is made room for by the parts whose last
// record is longest ago.
type memory struct {
	budget forebay.Bytes
	// piece is what is worth writing at once.
	piece forebay.Bytes
	used  forebay.Bytes
	// limit is the share of one buffer.
	limit forebay.Bytes
	// free are buffers that nobody uses now. They count as used.
	free [][]byte
	// warm are the parts that hold memory, in the order of their last records.
	warm ring[*warmPart]
}

// warmPart makes a part a member of memory.warm.
type warmPart struct {
	ringed[*warmPart]
	part *openPart
}

// partsMax bounds the open parts. Below partsFloor they are not counted against the budget: many buckets with few
// records each would become a part for each record.
func (m *memory) partsMax() int { return max(partsFloor, int(m.budget/2/partOverhead)) }

// share computes the limit after the number of warm parts changed.
func (m *memory) share() {
	m.limit = min(max(m.budget/2/forebay.Bytes(max(1, m.warm.size)), bufferMin), m.piece)
}

// count notes what a part holds now.
func (m *memory) count(p *openPart, partHeld forebay.Bytes) {
	p.mediumHeld = partHeld
	now := forebay.Bytes(cap(p.buffer)) + partHeld
	if p.bulk != nil {
		now += p.bulk.Buffered()
	}
	m.used += now - p.held
	p.held = now
	switch {
	case now > 0 && !p.warmth.in:
		p.warmth.part = p
		m.warm.touch(&p.warmth)
		m.share()
	case now == 0 && p.warmth.in:
		m.warm.remove(&p.warmth)
		m.share()
	}
}

// release takes the buffer of a part, which was flushed or is given up.
func (m *memory) release(p *openPart) {
	buffer := p.buffer
	p.buffer = nil
	m.count(p, p.mediumHeld)
	if size := forebay.Bytes(cap(buffer)); size > 0 && size <= 2*m.piece {
		m.free = append(m.free, buffer[:0])
		m.used += size
	}
}

// trim gives up the buffers that nobody uses.
func (m *memory) trim() {
	for _, buffer := range m.free {
		m.used -= forebay.Bytes(cap(buffer))
	}
	m.free = nil
}

// forget is called with a part that is complete or given up.
func (m *memory) forget(p *openPart) {
	m.release(p)
	p.bulk = nil
	m.count(p, 0)
}

// take gives a part a buffer.
func (l *lane) take(ctx context.Context, p *openPart) error {
	m := &l.memory
	if len(m.free) == 0 && m.used+bufferMin > m.budget && m.warm.size > 0 {
		if coldest := m.warm.first().part; coldest != p {
			if err := l.cool(ctx, coldest); err != nil {
				return err
			}
		}
	}
	if n := len(m.free); n > 0 {
		p.buffer = m.free[n-1]
		m.free[n-1] = nil
		m.free = m.free[:n-1]
		m.used -= forebay.Bytes(cap(p.buffer))
	} else {
		p.buffer = make([]byte, 0, bufferMin)
	}
	m.count(p, p.mediumHeld)
	return nil
}

// cool takes the memory of a part. One that cannot give it goes on no more.
func (l *lane) cool(ctx context.Context, p *openPart) error {
	if p.bulk == nil {
		if err := l.flush(ctx, p); err != nil {
			return err
		}
		l.memory.release(p)
		if p.held == 0 {
			return nil
		}
	}
	return l.finish(ctx, p)
}

// bound writes what is worth it, and keeps the lane within its limits.
func (l *lane) bound(ctx context.Context, p *openPart) error {
	m := &l.memory
	if forebay.Bytes(cap(p.buffer)) != p.held || p.bulk != nil {
		m.count(p, p.mediumHeld)
	}
	if forebay.Bytes(len(p.buffer)) >= m.limit {
		if err := l.flush(ctx, p); err != nil {
			return err
		}
		if forebay.Bytes(cap(p.buffer)) > 4*m.limit {
			m.release(p)
		}
	}
	for m.used > m.budget {
		if n := len(m.free); n > 0 {
			m.used -= forebay.Bytes(cap(m.free[n-1]))
			m.free[n-1] = nil
			m.free = m.free[:n-1]
			continue
		}
		if m.warm.size == 0 {
			break
		}
		if err := l.cool(ctx, m.warm.first().part); err != nil {
			return err
		}
	}
	if l.order.size > m.partsMax() || l.bulks > l.target.config.Open {
		return l.finish(ctx, l.order.first())
	}
	return nil
}
