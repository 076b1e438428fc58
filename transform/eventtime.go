// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

// EventTimeStep gives records their event time, as a pipeline's event_time does before its first step. A record whose
// value is null keeps none; one whose value is no time is rejected. What is below a microsecond is cut off, in every
// form: the time says when something happened, and is no value of a column, where digits must not be lost.
type EventTimeStep struct {
	// Expr gives the time: a timestamp, a date, text, or a number of Format.
	Expr string
	// Format is how text and numbers are read: unix, unix_ms, unix_us or unix_ns for numbers and text that is one, or a
	// layout as Go writes them; empty reads text as RFC 3339, or without its T or zone.
	Format string
	// Zone is the time zone of text without one and of dates; empty means UTC.
	Zone string
	// Seen is called with each event time, on the goroutine of the lane; it may be nil.
	Seen func(micros int64)
}

// The formats of numbers.
const (
	formatSeconds = "unix"
	formatMillis  = "unix_ms"
	formatMicros  = "unix_us"
	formatNanos   = "unix_ns"
)

// units are the formats of numbers in nanoseconds.
var units = map[string]int64{formatSeconds: 1e9, formatMillis: 1e6, formatMicros: 1e3, formatNanos: 1}

// CodeTime is the code of a record whose event time cannot be read.
const CodeTime = "wrong-event-time"

// Name is event_time.
func (s EventTimeStep) Name() string { return "event_time" }

// Compile checks the expression, the format and the zone.
//
// Errors: *ExprError, *ColumnError, joined.
func (s EventTimeStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	p, err := Compile(in, s.Expr)
	r, errReader := s.reader(p)
	if err := errors.Join(err, errReader); err != nil {
		return forebay.Step{}, err
	}
	return forebay.Step{Out: in, Apply: r.apply, Deterministic: p.Deterministic()}, nil
}

func (s EventTimeStep) edit(e *Editor) error {
	p, problems := e.program(s.Expr)
	r, err := s.reader(p)
	if err := errors.Join(joined(problems), err); err != nil {
		return err
	}
	e.edits = append(e.edits, func(e *Editor) verdict {
		p.frame.turn(nil)
		p.frame.batch, p.frame.slab = e.batch, e.batch.Slab()
		if e.fail = r.read(e.batch, e.index); e.fail != nil {
			return rejected
		}
		return passed
	})
	return nil
}

// timeReader reads event times.
type timeReader struct {
	program *Program
	unit    int64 // of numbers, in nanoseconds; 0 where they are no times
	layout  string
	zoned   bool // the layout holds a zone
	zone    *time.Location
	seen    func(micros int64)
}

// reader settles how results of the program are read; the program is nil where the expression is wrong.
func (s EventTimeStep) reader(p *Program) (*timeReader, error) {
	zone, err := loadZone(s.Zone)
	if err != nil {
		return nil, &ColumnError{Column: s.Expr, Message: err.Error(), Cure: zoneCure(s.Zone)}
	}
	r := &timeReader{program: p, zone: zone, seen: s.Seen}
	if r.seen == nil {
		r.seen = func(int64) {}
	}
	if r.unit = units[s.Format]; r.unit == 0 {
		r.layout = s.Format
	}
	if r.layout != "" {
		sample := time.Date(2006, 11, 22, 13, 14, 15, 0, time.UTC)
		elsewhere := time.Date(2006, 11, 22, 13, 14, 15, 0, time.FixedZone("XYZ", 5400))
		r.zoned = sample.Format(r.layout) != elsewhere.Format(r.layout)
		if read, err := time.Parse(r.layout, sample.Format(r.layout)); err != nil || read.Year() == 0 {
			return nil, &ColumnError{
				Column: s.Expr, Message: fmt.Sprintf("format %q is no layout of a time", s.Format),
				Cure: "write unix, unix_ms, unix_us, unix_ns, or how 2 January 2006 at 15:04:05 is written, such as " +
					`"02.01.2006 15:04"`,
			}
		}
	}
	if p == nil {
		return r, nil
	}
	switch k := p.Type().Kind; {
	case k == forebay.KindInt32 || k == forebay.KindInt64:
		if r.unit == 0 {
			return nil, &ColumnError{
				Column: s.Expr, Message: "the event time is a number, and its format does not say of what",
				Cure: "write format: unix, unix_ms, unix_us or unix_ns",
			}
		}
	case p.Type().Valid() && k != forebay.KindTimestamp && k != forebay.KindDate && k != forebay.KindString:
		return nil, &ExprError{
			Expr: s.Expr, Length: len(s.Expr),
			Message: fmt.Sprintf("an event time cannot be %s", withArticle(p.Type().String())),
			Cure:    "name a column that holds a timestamp, a date, text or a number",
		}
	}
	return r, nil
}

func (r *timeReader) apply(b *forebay.Batch) (filtered int, err error) {
	f := r.program.frame
	b.Filter(func(i int) bool {
		f.enter(b, i)
		if fail := r.read(b, i); fail != nil {
			reject(b, i, fail)
			return false
		}
		return true
	})
	return 0, nil
}

// read gives record i, which the program's frame is at, its event time.
func (r *timeReader) read(b *forebay.Batch, i int) *RejectError {
	kept := len(b.Slab())
	v := r.value(b)
	fail := r.program.frame.fail
	if fail == nil && !v.isNull() {
		var micros int64
		if micros, fail = r.micros(v); fail == nil {
			b.Record(i).Time = micros
			r.seen(micros)
		}
	}
	b.TruncateSlab(kept) // what the expression made is not needed any more
	return fail
}

// value is the result of the expression; its text is valid until the batch's slab changes.
func (r *timeReader) value(b *forebay.Batch) value {
	p := r.program
	if p.values != nil {
		return p.values(p.frame)
	}
	c := p.cell()
	switch c.Kind() {
	case forebay.KindNull:
		return noValue
	case forebay.KindTimestamp:
		return intOf(kindInstant, c.Int())
	case forebay.KindDate:
		return intOf(kindDate, c.Int())
	case forebay.KindInt32, forebay.KindInt64:
		return intOf(kindInt, c.Int())
	case forebay.KindString:
		return textOf(kindText, view(c.Bytes(b.Slab())))
	default:
		return value{kind: kindAny}
	}
}

func (r *timeReader) micros(v value) (int64, *RejectError) {
	switch {
	case v.kind == kindInstant:
		return v.n, nil
	case v.kind == kindDate:
		return midnight(v.n, r.zone), nil
	case v.kind == kindInt && r.unit != 0:
		return r.number(v.n)
	case v.kind == kindText:
		return r.text(v.s)
	}
	return 0, rejectf(CodeTime, "the event time is %s, which the format does not read", withArticle(v.kind.String()))
}

// number is a count of units; what is below a microsecond is cut off.
func (r *timeReader) number(n int64) (int64, *RejectError) {
	if r.unit < 1e3 {
		return floorDiv(n, 1e3/r.unit), nil
	}
	factor := r.unit / 1e3
	if n > math.MaxInt64/factor || n < math.MinInt64/factor {
		return 0, rejectf(CodeTime, "the event time %d is out of range", n)
	}
	return n * factor, nil
}

func (r *timeReader) text(text string) (int64, *RejectError) {
	switch {
	case r.unit != 0:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return r.number(n)
		}
	case r.layout != "" && (r.zoned || r.zone == time.UTC):
		if t, err := time.ParseInLocation(r.layout, text, r.zone); err == nil {
			return t.UnixMicro(), nil
		}
	case r.layout != "":
		// The standard library moves a local time that does not exist, and may take either of one that comes twice.
		if t, err := time.Parse(r.layout, text); err == nil {
			f := r.program.frame
			start := len(f.scratch)
			f.scratch = t.AppendFormat(f.scratch, "2006-01-02T15:04:05.000000")
			c, err := forebay.ParseTime(forebay.Timestamp, f.scratch[start:], r.zone)
			f.scratch = f.scratch[:start]
			if err != nil {
				return 0, r.skipped(text)
			}
			return c.Int(), nil
		}
	default:
		return r.standard(text)
	}
	return 0, rejectf(CodeTime, "the event time %s is not of the format %s", shown(text), r.form())
}

// standard reads text without a format.
func (r *timeReader) standard(text string) (int64, *RejectError) {
	f := r.program.frame
	start := len(f.scratch)
	f.scratch = appendToMicros(f.scratch, text)
	bytes := f.scratch[start:]
	f.scratch = f.scratch[:start]
	if len(text) > dateSizeMax {
		c, err := forebay.ParseTime(forebay.Timestamp, bytes, r.zone)
		if err == nil {
			return c.Int(), nil
		}
		if _, err := forebay.ParseTime(forebay.Timestamp, bytes, time.UTC); err == nil {
			return 0, r.skipped(text)
		}
	} else if c, err := forebay.ParseTime(forebay.Date, bytes, r.zone); err == nil {
		return midnight(c.Int(), r.zone), nil
	}
	return 0, rejectf(CodeTime, "the event time %s is not of the format RFC 3339, such as 2006-01-02T15:04:05Z; say how "+
		"it is written with format:", shown(text))
}

// dateSizeMax is the length of the longest date; a timestamp is longer.
const dateSizeMax = len("+1234567-01-02")

// appendToMicros appends text without the digits of a second that follow the sixth.
func appendToMicros(dst []byte, text string) []byte {
	point := strings.IndexByte(text, '.')
	if point < 0 {
		return append(dst, text...)
	}
	end := point + 1
	for end < len(text) && text[end]-'0' <= 9 {
		end++
	}
	dst = append(dst, text[:min(end, point+1+6)]...)
	return append(dst, text[end:]...)
}

// skipped is about a local time that the clocks of the zone jump over.
func (r *timeReader) skipped(text string) *RejectError {
	return rejectf(CodeTime, "the event time %s does not exist: clocks in %s never show it, because they are changed then",
		shown(text), r.zone)
}

// form is the format as the file says it.
func (r *timeReader) form() string {
	for name, unit := range units {
		if unit == r.unit {
			return name
		}
	}
	return strconv.Quote(r.layout)
}
