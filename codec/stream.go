// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/forebay-io/forebay"
)

// StreamConfig describes the input of a Stream.
type StreamConfig struct {
	// Split is the split that the input is, or is a part of.
	Split string
	// Name is what places of rejected records call the input, such as its path.
	Name string
	// MaxRecord is the size from which on a record is rejected; 0 means MaxRecordDefault.
	MaxRecord forebay.Bytes
	// From and Until bound where records start, as offsets in the input; Until 0 means NoLimit. From above 0
	// is a range's border: the record that it cuts belongs to the range before.
	From, Until int64
	// Eager says to hand on what one read of the input gave, rather than wait for a full batch.
	Eager bool
	// Lines, if given, counts the line breaks of the input before an offset. Ranges need it, for the places of
	// rejected records.
	Lines func(before int64) (int64, error)
}

// Stream fills batches with the records of an input.
//
// Concurrency: one goroutine at a time.
type Stream struct {
	config  StreamConfig
	in      io.Reader
	decoder Decoder
	maxSize int

	window Window
	// carry are bytes that were read and not yet decoded; they start at the window's offset.
	carry []byte
	// record is the usual size of a record, and want how much to read for a batch.
	record, want int
	// lineBase is added to line numbers of a range, once it is known.
	lineBase  int64
	lineKnown bool
	ended     bool
	// err is what the input failed with; it waits until the records before it were handed on.
	err error
}

const (
	blockMax = int(forebay.BatchBytesMax)
	blockMin = 4096
	// headMax bounds what comes before the first record.
	headMax = int(forebay.MiB)
	// idleReadsMax bounds reads that give nothing and no error.
	idleReadsMax = 100
)

// NewStream makes the stream of an input that is at its beginning. If it is an io.Seeker, positions are
// sought; else it is read up to them.
func NewStream(in io.Reader, decoder Decoder, config StreamConfig) *Stream {
	if config.MaxRecord <= 0 {
		config.MaxRecord = MaxRecordDefault
	}
	if config.Until == 0 {
		config.Until = NoLimit
	}
	s := &Stream{config: config, in: in, decoder: decoder, maxSize: int(config.MaxRecord), want: blockMax / 4}
	s.window = Window{Line: 1, Until: config.Until, Report: s.report}
	return s
}

// Begin reads what precedes the records and goes to a position that the stream of this input gave before, or
// to the zero position.
//
// Errors: those of the input and of the decoder's Begin; misconfigured where the input ends before the
// position.
func (s *Stream) Begin(ctx context.Context, at forebay.Position) error {
	preamble, err := s.preamble(ctx)
	if err != nil {
		return err
	}
	switch {
	case at.Finished:
		s.ended = true
		s.window.Offset = at.Offset
		return nil
	case at.Offset > 0:
		s.window.Line = 1
		if line, err := strconv.ParseInt(at.Detail, 10, 64); err == nil {
			s.window.Line = line
		}
		return s.jump(ctx, at.Offset)
	case s.config.From > 0:
		// F3: the record that began before the range belongs to the one before. Beginning a byte earlier tells
		// whether one begins exactly here.
		s.window.Skipping = true
		return s.jump(ctx, s.config.From-1)
	default:
		s.carry = append(s.carry[:0], s.carry[preamble.Size:]...)
		s.window.Offset, s.window.Line = int64(preamble.Size), 1+preamble.Lines
		return nil
	}
}

func (s *Stream) preamble(ctx context.Context) (Preamble, error) {
	for {
		p, ok, err := s.decoder.Begin(s.carry, s.window.Final)
		if ok || err != nil {
			return p, err
		}
		if s.window.Final || len(s.carry) > headMax {
			return p, forebay.Errorf("read "+s.config.Name, forebay.ClassMisconfigured,
				"what comes before the first record does not end within %s", forebay.Bytes(headMax))
		}
		if err := context.Cause(ctx); err != nil {
			return p, err
		}
		size := len(s.carry)
		s.carry = append(s.carry, make([]byte, max(size, blockMin))...)
		n, err := s.fill(s.carry[size:])
		s.carry = s.carry[:size+n]
		if err != nil {
			return p, err
		}
	}
}

// jump goes to an offset of the input.
func (s *Stream) jump(ctx context.Context, offset int64) error {
	if seeker, can := s.in.(io.Seeker); can {
		s.carry, s.window.Final, s.window.Offset = s.carry[:0], false, offset
		end, err := seeker.Seek(0, io.SeekEnd)
		if err == nil && end < offset {
			return s.endsBefore(end, offset)
		}
		if err == nil {
			_, err = seeker.Seek(offset, io.SeekStart)
		}
		return err
	}
	if offset <= int64(len(s.carry)) {
		s.carry = append(s.carry[:0], s.carry[offset:]...)
		s.window.Offset = offset
		return nil
	}
	at := int64(len(s.carry))
	s.carry = s.carry[:0]
	scratch := make([]byte, min(int64(blockMax), offset-at))
	for at < offset {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := s.fill(scratch[:min(int64(len(scratch)), offset-at)])
		at += int64(n)
		if err != nil {
			return err
		}
		if s.window.Final && at < offset {
			return s.endsBefore(at, offset)
		}
	}
	s.window.Offset = offset
	return nil
}

// endsBefore is the error of an input that is shorter than it was.
func (s *Stream) endsBefore(end, offset int64) error {
	e := forebay.Errorf("read "+s.config.Name, forebay.ClassMisconfigured,
		"it ends at byte %d, but was read to byte %d before: it has changed", end, offset)
	e.Code = "file-changed"
	e.Cure = "bring the earlier content back, or give the pipeline another name to start over"
	return e
}

// fill reads until p is full or the input ends, which sets the window's Final.
func (s *Stream) fill(p []byte) (n int, err error) {
	idle := 0
	for n < len(p) && !s.window.Final {
		k, err := s.in.Read(p[n:])
		n += k
		switch {
		case errors.Is(err, io.EOF):
			s.window.Final = true
		case err != nil:
			return n, err
		case k == 0:
			if idle++; idle >= idleReadsMax {
				return n, io.ErrNoProgress
			}
		case s.config.Eager:
			return n, nil
		}
	}
	return n, nil
}

// Offset is where the stream is in its input, behind everything that was decoded.
func (s *Stream) Offset() int64 { return s.window.Offset }

// Read fills the batch, as forebay.Reader says. An error of the input comes once all records before it were
// handed on.
func (s *Stream) Read(ctx context.Context, b *forebay.Batch) error {
	w := &s.window
	// An eager stream first hands on what it has: reading may wait, while whole records lie here.
	for more := !s.config.Eager || len(s.carry) == 0; !s.ended; more = true {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		s.load(b, more)
		s.decoder.Decode(b, w)
		s.unload(b)
		s.ended = w.Final && len(s.carry) == 0 || w.Offset >= w.Until && !w.Skipping
		if b.Len()+len(b.Rejects()) > 0 && (!w.Skipping || s.ended) {
			s.learn(b)
			b.SetPosition(s.position())
			return nil
		}
		if err := s.err; err != nil && !s.ended {
			s.err = nil // the next call tries again: what was read is kept
			return err
		}
		if len(s.carry) > 0 {
			// Not even one record is complete. F4: more is read, but never much more than the longest record.
			s.want = min(max(s.want, 2*len(s.carry)), s.maxSize+blockMax)
		}
	}
	b.SetPosition(s.position())
	return io.EOF
}

// load puts what was carried over into the slab and, if asked for more, reads on behind it.
func (s *Stream) load(b *forebay.Batch, more bool) {
	w := &s.window
	room := s.want - len(s.carry)
	buffer := b.Extend(max(s.want, len(s.carry)))
	w.Start = int(b.Size()) - len(buffer)
	size := copy(buffer, s.carry)
	if more && room > 0 && !w.Final && s.err == nil {
		n, err := s.fill(buffer[size : size+room])
		size += n
		s.err = err
	}
	w.End = w.Start + size
	b.TruncateSlab(w.End)
}

// unload keeps what was not decoded for the next batch. Only then do the slab's bytes end: what the decoder
// appended to it stays.
func (s *Stream) unload(b *forebay.Batch) {
	w := &s.window
	s.carry = append(s.carry[:0], b.Slab()[w.Start:w.End]...)
	if cap(s.carry) > 4*blockMax && len(s.carry) < blockMax {
		s.carry = append([]byte(nil), s.carry...)
	}
	if int(b.Size()) == w.End {
		b.TruncateSlab(w.Start)
	}
	if b.Len() == 0 {
		b.TruncateSlab(0)
	}
}

// learn sets how much to read for the next batch: as much as a batch holds of records of the size seen.
func (s *Stream) learn(b *forebay.Batch) {
	if b.Len() == 0 {
		return
	}
	size := int(b.Size()) / b.Len()
	s.record = max(size, (3*s.record+size)/4)
	batch := min(s.record*(forebay.BatchRecordsMax+8), blockMax)
	s.want = min(max(batch, s.record+s.record/8, blockMin), s.maxSize+blockMax)
}

// position is behind everything that was decoded. F1: decoders move the window by whole records only, and what
// is left of it is carried over, so this is a record boundary.
func (s *Stream) position() forebay.Position {
	w := &s.window
	return forebay.Position{Offset: w.Offset, Detail: strconv.FormatInt(w.Line, 10), Finished: s.ended}
}

// report turns what the decoder found wrong into a reject of the split.
func (s *Stream) report(b *forebay.Batch, r Rejected) {
	line := r.Line
	if s.config.From > 0 && s.config.Lines != nil {
		if !s.lineKnown {
			if before, err := s.config.Lines(r.Offset); err == nil {
				s.lineBase, s.lineKnown = before+1-r.Line, true
			}
		}
		line += s.lineBase
	}
	place := s.config.Name + ":" + strconv.FormatInt(line, 10) + ":" + strconv.Itoa(r.Column)
	if s.config.From > 0 && !s.lineKnown {
		place = s.config.Name + " at byte " + strconv.FormatInt(r.Offset, 10)
	}
	b.Reject(forebay.Reject{
		Origin: forebay.Origin{Split: s.config.Split, Offset: r.Offset},
		Stage:  forebay.StageSource, Code: r.Code, Reason: r.Reason, Place: place,
		Value: append([]byte(nil), r.Value...),
	})
}
