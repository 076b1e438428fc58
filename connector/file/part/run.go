// SPDX-License-Identifier: Apache-2.0

package part

import (
	"time"

	"github.com/forebay-io/forebay"
)

// writeRun appends records from i on to the part of the record before, and returns how many it took. It stops where
// more than that part's buffer changes, so that everything else happens record by record, in writeRecord. A record that
// is refused is left to it too, and where late records have a bucket of their own, so is each of them: without a
// pattern for the others, these lie in the base.
func (l *lane) writeRun(b *forebay.Batch, i int, now time.Time) (n int) {
	p := l.last
	if p == nil || p.shape != l.shape || p.bulk != nil || p.buffer == nil || len(l.shape.bucketer.fields) > 0 ||
		p.name.Bucket != "" {
		return 0
	}
	lateApart := l.shape.late != l.shape.bucketer
	// The share of a buffer is what bound would write at; a record that could reach it, or end the part, is not for here.
	size, appendTo := len(p.buffer), p.shape.encoding.Append
	room := min(l.memory.limit, forebay.Bytes(size)+l.target.config.Roll.Size-p.bytes)
	buffer := p.buffer
	for ; i+n < b.Len(); n++ {
		if lateApart && b.Record(i+n).Late {
			break
		}
		grown, err := appendTo(buffer, b, i+n)
		if err != nil || forebay.Bytes(len(grown)) >= room || cap(grown) != cap(buffer) {
			break
		}
		buffer = grown
	}
	if n > 0 {
		p.buffer = buffer
		p.bytes += forebay.Bytes(len(buffer) - size)
		p.touched, p.changed = now, true
		if p.warmth.in {
			l.memory.warm.touch(&p.warmth)
		}
	}
	return n
}

// bulkOutput gathers what a bulk encoder writes, and writes what is worth it at once: a row group can be much larger
// than a buffer should be.
type bulkOutput struct {
	lane *lane
	part *openPart
}

// Write implements io.Writer.
func (o bulkOutput) Write(p []byte) (int, error) {
	o.part.buffer = append(o.part.buffer, p...)
	if forebay.Bytes(len(o.part.buffer)) < o.lane.memory.piece {
		return len(p), nil
	}
	if err := o.lane.flush(o.lane.during, o.part); err != nil {
		return 0, err
	}
	return len(p), nil
}
