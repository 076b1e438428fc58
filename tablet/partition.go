// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// TabletsMax bounds the tablets of all partitions of a table: their numbers are 16 bits wide on disk.
const TabletsMax = 1 << 16

// PartitionNameMax bounds the name of a partition, in bytes.
const PartitionNameMax = 256

// The templates of forebay.PartitionBy.
const (
	TemplateDay   = "day"
	TemplateHour  = "hour"
	TemplateValue = "value"
)

const (
	microsPerHour = 60 * 60 * 1_000_000
	microsPerDay  = 24 * microsPerHour
)

// PartitionLimit is how many partitions a table may have.
func PartitionLimit(by forebay.PartitionBy, tablets int) int {
	if by.Limit > 0 {
		return by.Limit
	}
	return min(forebay.PartitionsDefault, TabletsMax/tablets)
}

// Partitioner finds the partition of a row. Its names are in UTC, such as 2026-11-21 and 2026-11-21T13.
//
// Concurrency: safe; it is immutable once made.
type Partitioner struct {
	column string
	slot   int
	typ    forebay.Type
	// unit is what a partition spans in the unit of the column; 1 for values.
	unit     int64
	template string
}

// NewPartitioner makes the partitioner of rows with a layout.
//
// Errors: misconfigured where the column is missing, or the template is unknown or does not fit the column.
func NewPartitioner(by forebay.PartitionBy, layout *forebay.Layout) (*Partitioner, error) {
	at := layout.Schema.Find(by.Column)
	if at < 0 {
		return nil, forebay.Errorf("partition by", forebay.ClassMisconfigured, "column %q is not among the columns: %s",
			by.Column, layout.Schema)
	}
	p := &Partitioner{
		column: by.Column, slot: layout.Slots[at], typ: layout.Schema.Column(at).Type, unit: 1, template: by.Template,
	}
	kind := p.typ.Kind
	instant := kind == forebay.KindTimestamp
	allowed := ""
	switch by.Template {
	case TemplateDay:
		if instant {
			p.unit = microsPerDay
		}
		if !instant && kind != forebay.KindDate {
			allowed = "a date or a timestamp"
		}
	case TemplateHour:
		p.unit = microsPerHour
		if !instant {
			allowed = "a timestamp"
		}
	case TemplateValue:
		values := []forebay.Kind{
			forebay.KindString, forebay.KindInt32, forebay.KindInt64, forebay.KindBool, forebay.KindDate,
		}
		if !slices.Contains(values, kind) {
			allowed = "a string, an integer, a bool or a date"
		}
	default:
		return nil, forebay.Errorf("partition by", forebay.ClassMisconfigured, "the template %q is unknown: use %s, %s or %s",
			by.Template, TemplateDay, TemplateHour, TemplateValue)
	}
	if allowed != "" {
		return nil, forebay.Errorf("partition by", forebay.ClassMisconfigured,
			"column %q is a %s, and the template %s wants %s", by.Column, p.typ, by.Template, allowed)
	}
	return p, nil
}

// bucket is the number of the partition of record i; text is the partition instead for strings.
func (p *Partitioner) bucket(b *forebay.Batch, i int) (number int64, text []byte, err error) {
	c := b.Cells(i)[p.slot]
	if c.IsNull() {
		return 0, nil, p.reject("null-partition", "column %q gives the partition, and is null", p.column)
	}
	if p.typ.Kind == forebay.KindString {
		text = c.Bytes(b.Slab())
		if err := p.checkText(text); err != nil {
			return 0, nil, err
		}
		return 0, text, nil
	}
	number = c.Int() / p.unit
	if c.Int()%p.unit < 0 {
		number--
	}
	return number, nil, nil
}

func (p *Partitioner) checkText(text []byte) error {
	switch {
	case len(text) == 0:
		return p.reject("partition-name", "column %q gives the partition, and is empty", p.column)
	case len(text) > PartitionNameMax:
		return p.reject("partition-name", "column %q gives the partition, and has %d bytes; %d are allowed", p.column,
			len(text), PartitionNameMax)
	case !utf8.Valid(text):
		return p.reject("partition-name", "column %q gives the partition, and is not valid UTF-8", p.column)
	}
	return nil
}

func (p *Partitioner) reject(code, format string, args ...any) error {
	err := forebay.Errorf("find partition", forebay.ClassRejected, format, args...)
	err.Code = code
	return err
}

// appendBucket appends the name of a numbered partition.
func (p *Partitioner) appendBucket(dst []byte, number int64) []byte {
	switch {
	case p.template == TemplateHour:
		hour := number % 24
		if hour < 0 {
			hour += 24
		}
		dst = forebay.AppendCell(dst, forebay.Date, forebay.DateCell(int32((number-hour)/24)), nil)
		return append(dst, 'T', byte('0'+hour/10), byte('0'+hour%10))
	case p.template == TemplateDay:
		return forebay.AppendCell(dst, forebay.Date, forebay.DateCell(int32(number)), nil)
	case p.typ.Kind == forebay.KindBool:
		return forebay.AppendCell(dst, p.typ, forebay.BoolCell(number != 0), nil)
	case p.typ.Kind == forebay.KindDate:
		return forebay.AppendCell(dst, p.typ, forebay.DateCell(int32(number)), nil)
	default:
		return forebay.AppendCell(dst, forebay.Int64, forebay.Int64Cell(number), nil)
	}
}

// Append appends the name of the partition of record i.
//
// Errors: rejected where the column is null, or no name.
func (p *Partitioner) Append(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
	number, text, err := p.bucket(b, i)
	if err != nil || text != nil {
		return append(dst, text...), err
	}
	return p.appendBucket(dst, number), nil
}

// Check refuses a name that no row has.
//
// Errors: misconfigured, with the code no-such-partition.
func (p *Partitioner) Check(name string) error {
	ok := p.checkText([]byte(name)) == nil
	if ok && p.typ.Kind != forebay.KindString {
		ok = p.names(name)
	}
	if ok {
		return nil
	}
	err := forebay.Errorf("find partition", forebay.ClassMisconfigured, "%q is no name of a partition by %s of the %s "+
		"column %q", name, p.template, p.typ, p.column)
	err.Code = "no-such-partition"
	return err
}

// names says whether the name is written as that of a numbered partition.
func (p *Partitioner) names(name string) bool {
	typ, text := p.typ, name
	switch p.template {
	case TemplateDay:
		typ = forebay.Date
	case TemplateHour:
		typ, text = forebay.Timestamp, name+":00:00Z"
	}
	cell, _, err := forebay.ParseCell(nil, typ, []byte(text))
	if err != nil || cell.IsNull() {
		return false
	}
	number := cell.Int()
	if p.template == TemplateHour {
		number /= microsPerHour
	}
	return string(p.appendBucket(nil, number)) == name
}

// CreatePartition makes a partition of a table unless it is there, durably.
type CreatePartition func(ctx context.Context, name string) (Partition, error)

// Partitions gives the tablets of a table's partitions dense numbers, in the order in which the rows of one backend
// need them, and makes the partitions that are missing. A table without partitions keeps its numbers.
//
// Concurrency: safe.
type Partitions struct {
	table   string
	tablets int
	max     int // of numbered partitions; 0: the table has none
	create  CreatePartition

	mu      sync.RWMutex
	numbers map[string]int
	list    []*partitionPlace
}

// partitionPlace is one partition that rows go to. It is guarded by Partitions.mu.
type partitionPlace struct {
	name  string
	made  bool
	first int // number of its first tablet in the table, once made
	// flight is the call that makes it; nil while there is none.
	flight *partitionFlight
}

type partitionFlight struct {
	done chan struct{} // closed once err is set
	err  error
}

// NewPartitions numbers the tablets of a table.
func NewPartitions(info TableInfo, create CreatePartition) *Partitions {
	p := &Partitions{table: info.Name, tablets: info.Tablets, create: create, numbers: make(map[string]int)}
	if info.PartitionBy.Column != "" {
		p.max = TabletsMax / info.Tablets
	}
	for _, known := range info.Partitions {
		p.numbers[known.Name] = len(p.list)
		p.list = append(p.list, &partitionPlace{name: known.Name, made: true, first: known.FirstTablet})
	}
	return p
}

// Tablets is how many tablets have numbers.
func (p *Partitions) Tablets() int {
	if p.max == 0 {
		return p.tablets
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.list) * p.tablets
}

// number is the number of a partition; one that is new gets the next.
func (p *Partitions) number(name []byte) (int, error) {
	p.mu.RLock()
	n, found := p.numbers[string(name)]
	p.mu.RUnlock()
	if found {
		return n, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n, found := p.numbers[string(name)]; found {
		return n, nil
	}
	if len(p.list) >= p.max {
		err := forebay.Errorf("find partition", forebay.ClassRejected, "table %q: the rows have more than %d partitions",
			p.table, p.max)
		err.Code = "too-many-partitions"
		return 0, err
	}
	n = len(p.list)
	p.numbers[string(name)] = n
	p.list = append(p.list, &partitionPlace{name: string(name)})
	return n, nil
}

// Place is where the requests of a dense number go: the partition, empty where the table has none, and the number of
// the tablet in it.
func (p *Partitions) Place(tablet int) (partition string, number int) {
	if p.max == 0 {
		return "", tablet
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.list[tablet/p.tablets].name, tablet % p.tablets
}

// InTable is the number in the table of a tablet with a dense number; false before it was located.
func (p *Partitions) InTable(tablet int) (number int, located bool) {
	if p.max == 0 {
		return tablet, true
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	at := p.list[tablet/p.tablets]
	return at.first + tablet%p.tablets, at.made
}

// Locate is that of forebay.Locator: it returns once the tablet's partition is there. However many ask, one call makes
// it; with refresh it is asked for again.
//
// Blocking: until it is there, or ctx ends.
func (p *Partitions) Locate(ctx context.Context, tablet int, refresh bool) error {
	for p.max > 0 {
		at, flight, mine := p.join(tablet/p.tablets, refresh)
		switch {
		case flight == nil:
			return nil
		case mine:
			return p.fly(ctx, at, flight)
		}
		select {
		case <-flight.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Where the one who asked gave up, somebody else asks.
		if err := flight.err; err == nil || ctx.Err() == nil && !ended(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, forebay.ErrStopped)
}

// join finds the call that makes a partition; mine says that the caller is to make it. No call is needed where it is
// made.
func (p *Partitions) join(index int, refresh bool) (at *partitionPlace, flight *partitionFlight, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at = p.list[index]
	switch {
	case at.flight != nil:
		return at, at.flight, false
	case at.made && !refresh:
		return at, nil, false
	}
	at.flight = &partitionFlight{done: make(chan struct{})}
	return at, at.flight, true
}

// fly makes the partition for all who wait.
func (p *Partitions) fly(ctx context.Context, at *partitionPlace, flight *partitionFlight) error {
	made, err := p.create(ctx, at.name)
	if err != nil {
		err = fmt.Errorf("partition %q of table %q: %w", at.name, p.table, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	flight.err, at.flight = err, nil
	if err == nil {
		at.made, at.first = true, made.FirstTablet
	}
	close(flight.done)
	return err
}
