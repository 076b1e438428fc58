// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// NewAnswer is the message of an answer to the request with that id.
func NewAnswer(id uint64, a *forebay.Answer) *Answer {
	m := &Answer{
		Id: id, Code: uint32(a.Code), Message: validText(a.Message), Class: uint32(a.Class),
		Leader: validText(a.Leader), RetryAfterMs: milliseconds(a.RetryAfter), Offset: a.Offset,
		Progress: NewProgress(a.Progress), Pressure: uint32(a.Pressure),
	}
	if len(a.Rows) > 0 {
		m.Rows = make([]*RowError, len(a.Rows))
	}
	for i, r := range a.Rows {
		m.Rows[i] = &RowError{
			Request: uint32(r.Request), Row: uint32(r.Row), Code: validText(r.Code), Reason: validText(r.Reason),
		}
	}
	return m
}

// Forebay is the answer.
func (x *Answer) Forebay() forebay.Answer {
	a := forebay.Answer{
		Code: forebay.Code(x.GetCode()), Message: x.GetMessage(), Class: classOf(x.GetClass()), Leader: x.GetLeader(),
		RetryAfter: time.Duration(x.GetRetryAfterMs()) * time.Millisecond, Offset: x.GetOffset(),
		Progress: Progress(x.GetProgress()), Pressure: int(x.GetPressure()),
	}
	if len(x.GetRows()) > 0 {
		a.Rows = make([]forebay.RowError, len(x.GetRows()))
	}
	for i, r := range x.GetRows() {
		a.Rows[i] = forebay.RowError{
			Request: int(r.GetRequest()), Row: int(r.GetRow()), Code: r.GetCode(), Reason: r.GetReason(),
		}
	}
	return a
}

// classOf is a class that travelled; one that is not known here is the cautious one.
func classOf(class uint32) forebay.Class {
	if class > uint32(forebay.ClassCorrupt) {
		return forebay.ClassAmbiguous
	}
	return forebay.Class(class)
}

// milliseconds are rounded up, so that a short wait does not become none.
func milliseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(min((int64(d)+int64(time.Millisecond)-1)/int64(time.Millisecond), math.MaxUint32))
}

// validText is text for people as it can travel.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Place is where a request goes.
type Place struct {
	TableID   uint32
	Partition string
	// Tablet is a number in the partition.
	Tablet int
}

// NewWriteRequest is the message of a request, without its id on the stream. Its rows are those of the request.
func NewWriteRequest(r *forebay.Request, to Place, now time.Time) *WriteRequest {
	m := &WriteRequest{
		WriterId: r.WriterID, SequenceNum: r.Sequence, BatchData: r.Data, TableId: to.TableID,
		Partition: to.Partition, Tablet: uint32(to.Tablet), Records: uint32(r.Records), Acks: Acks(r.Acks),
		Partial: r.Partial,
	}
	if !r.Expires.IsZero() {
		m.ExpiresMs = max(1, milliseconds(r.Expires.Sub(now)))
	}
	return m
}

// Place is where the request goes.
func (x *WriteRequest) Place() Place {
	return Place{TableID: x.GetTableId(), Partition: x.GetPartition(), Tablet: int(x.GetTablet())}
}

// Forebay is the request, whose table and tablet the caller finds by its Place. Its rows are those of the message.
func (x *WriteRequest) Forebay(now time.Time) forebay.Request {
	r := forebay.Request{
		WriterID: x.GetWriterId(), Sequence: x.GetSequenceNum(), Acks: forebay.AcksAll, Partial: x.GetPartial(),
		Records: int(x.GetRecords()), Data: x.GetBatchData(),
	}
	switch x.GetAcks() {
	case Acks_ACKS_ONE:
		r.Acks = forebay.AcksOne
	case Acks_ACKS_NONE:
		r.Acks = forebay.AcksNone
	default: // the strongest
	}
	if x.GetExpiresMs() > 0 {
		r.Expires = now.Add(time.Duration(x.GetExpiresMs()) * time.Millisecond)
	}
	return r
}

// NewCommitRequest is the message of a commit, without its id on the stream and without its requests.
//
// Errors: misconfigured where a name in it cannot travel because it is not valid UTF-8.
func NewCommitRequest(c *forebay.Commit) (*CommitRequest, error) {
	if err := checkOwner(c.Owner); err != nil {
		return nil, err
	}
	if err := checkProgress(c.Progress); err != nil {
		return nil, err
	}
	m := &CommitRequest{Owner: NewOwner(c.Owner), Progress: NewProgress(c.Progress)}
	if len(c.DeadLetters) > 0 {
		m.DeadLetters = make([]*DeadLetter, len(c.DeadLetters))
	}
	for i := range c.DeadLetters {
		l := &c.DeadLetters[i]
		if err := checkText("split", l.Split); err != nil {
			return nil, err
		}
		m.DeadLetters[i] = &DeadLetter{
			Split: l.Split, Offset: l.Offset, Sub: l.Sub, Stage: validText(string(l.Stage)), Code: validText(l.Code),
			Reason: validText(l.Reason), Place: validText(l.Place), Value: l.Value, TimeUs: l.Time,
		}
	}
	return m, nil
}

// Forebay is the commit without its requests.
func (x *CommitRequest) Forebay() *forebay.Commit {
	c := &forebay.Commit{Owner: x.GetOwner().Forebay(), Progress: Progress(x.GetProgress())}
	if len(x.GetDeadLetters()) > 0 {
		c.DeadLetters = make([]forebay.DeadLetter, len(x.GetDeadLetters()))
	}
	for i, l := range x.GetDeadLetters() {
		c.DeadLetters[i] = forebay.DeadLetter{Time: l.GetTimeUs(), Reject: forebay.Reject{
			Origin: forebay.Origin{Split: l.GetSplit(), Offset: l.GetOffset(), Sub: l.GetSub()},
			Stage:  forebay.Stage(l.GetStage()), Code: l.GetCode(), Reason: l.GetReason(), Place: l.GetPlace(),
			Value: l.GetValue(),
		}}
	}
	return c
}

// NewOwner is the message of an owner.
func NewOwner(o forebay.Owner) *Owner {
	return &Owner{Pipeline: o.Pipeline, Epoch: o.Epoch, Holder: o.Holder}
}

// Forebay is the owner; the zero one of no message.
func (x *Owner) Forebay() forebay.Owner {
	return forebay.Owner{Pipeline: x.GetPipeline(), Epoch: x.GetEpoch(), Holder: x.GetHolder()}
}

// NewProgress is the messages of the progress of splits.
func NewProgress(list []forebay.SplitProgress) []*SplitProgress {
	if len(list) == 0 {
		return nil
	}
	out := make([]*SplitProgress, len(list))
	for i := range list {
		p := &list[i]
		out[i] = &SplitProgress{
			Split: p.Split, Version: p.Version, Offset: p.Position.Offset, Detail: p.Position.Detail,
			Finished: p.Position.Finished, Fingerprint: p.Fingerprint,
		}
	}
	return out
}

// Progress is the progress of splits that travelled.
func Progress(list []*SplitProgress) []forebay.SplitProgress {
	if len(list) == 0 {
		return nil
	}
	out := make([]forebay.SplitProgress, len(list))
	for i, p := range list {
		out[i] = forebay.SplitProgress{
			Split: p.GetSplit(), Version: p.GetVersion(), Fingerprint: p.GetFingerprint(),
			Position: forebay.Position{Offset: p.GetOffset(), Detail: p.GetDetail(), Finished: p.GetFinished()},
		}
	}
	return out
}

// NewFenceRequest is the message of a fence.
//
// Errors: misconfigured where a name in it cannot travel because it is not valid UTF-8.
func NewFenceRequest(f forebay.Fence) (*FenceRequest, error) {
	if err := checkOwner(f.Owner); err != nil {
		return nil, err
	}
	if err := checkProgress(f.Seed); err != nil {
		return nil, err
	}
	return &FenceRequest{Owner: NewOwner(f.Owner), Progress: f.Progress, Seed: NewProgress(f.Seed)}, nil
}

// Forebay is the fence.
func (x *FenceRequest) Forebay() forebay.Fence {
	return forebay.Fence{Owner: x.GetOwner().Forebay(), Progress: x.GetProgress(), Seed: Progress(x.GetSeed())}
}

// NewStateAnswer is the message of what a target holds.
func NewStateAnswer(s forebay.TargetState) *StateAnswer {
	return &StateAnswer{Owner: NewOwner(s.Owner), Used: s.Used, Splits: NewProgress(s.Splits)}
}

// Forebay is what the target holds.
func (x *StateAnswer) Forebay() forebay.TargetState {
	return forebay.TargetState{Owner: x.GetOwner().Forebay(), Used: x.GetUsed(), Splits: Progress(x.GetSplits())}
}

func checkOwner(o forebay.Owner) error {
	if err := checkText("pipeline", o.Pipeline); err != nil {
		return err
	}
	return checkText("holder", o.Holder)
}

func checkProgress(list []forebay.SplitProgress) error {
	for i := range list {
		p := &list[i]
		for _, named := range [...][2]string{
			{"split", p.Split}, {"position", p.Position.Detail}, {"fingerprint", p.Fingerprint},
		} {
			if err := checkText(named[0], named[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkText refuses what names something and would name something else if it were mended.
func checkText(what, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	err := forebay.Errorf("send", forebay.ClassMisconfigured, "the %s %q is not valid UTF-8", what, text)
	err.Code, err.Cure = "not-utf8", "rename it, or write to a table of the state directory"
	return err
}

// NewColumns is the messages of a schema's columns; none of no schema.
func NewColumns(s *forebay.Schema) []*Column {
	if s == nil {
		return nil
	}
	out := make([]*Column, s.Len())
	for i, c := range s.Columns() {
		out[i] = &Column{Name: c.Name, Type: c.Type.String()}
	}
	return out
}

// Schema is the schema with these columns, nil where there are none.
func Schema(columns []*Column) (*forebay.Schema, error) {
	if len(columns) == 0 {
		return nil, nil
	}
	out := make([]forebay.Column, len(columns))
	for i, c := range columns {
		t, err := forebay.ParseType(c.GetType())
		if err != nil {
			return nil, err
		}
		out[i] = forebay.Column{Name: c.GetName(), Type: t}
	}
	return forebay.NewSchema(out...)
}

// NewTable is the message of what is wanted of a table.
func NewTable(s forebay.TableSpec) *Table {
	t := &Table{
		Name: s.Name, Columns: NewColumns(s.Schema), Key: s.Key, Tablets: uint32(max(0, s.Tablets)), Version: s.Version,
		DistributeBy: s.DistributeBy, RetentionUs: s.Retention.Microseconds(),
	}
	if s.PartitionBy != (forebay.PartitionBy{}) {
		t.PartitionBy = &PartitionBy{
			Column: s.PartitionBy.Column, Template: s.PartitionBy.Template, Limit: uint32(max(0, s.PartitionBy.Limit)),
		}
	}
	return t
}

// Spec is what is wanted of the table.
func (x *Table) Spec() (forebay.TableSpec, error) {
	schema, err := Schema(x.GetColumns())
	if err != nil {
		return forebay.TableSpec{}, forebay.Errorf("read table", forebay.ClassMisconfigured, "table %q: %w", x.GetName(), err)
	}
	by := x.GetPartitionBy()
	return forebay.TableSpec{
		Name: x.GetName(), Schema: schema, Key: x.GetKey(), Tablets: int(x.GetTablets()), Version: x.GetVersion(),
		DistributeBy: x.GetDistributeBy(), Retention: time.Duration(x.GetRetentionUs()) * time.Microsecond,
		PartitionBy: forebay.PartitionBy{
			Column: by.GetColumn(), Template: by.GetTemplate(), Limit: int(by.GetLimit()),
		},
	}, nil
}
