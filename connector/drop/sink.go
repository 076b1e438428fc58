// SPDX-License-Identifier: Apache-2.0

package drop

import (
	"context"
	"fmt"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
)

// Sink throws records away.
type Sink struct {
	// Expect is the sum of all records of a run from beginning to end; nil to compare nothing.
	Expect *connector.Sum `yaml:"-"`
	// Report is called with the sum of what came when the target is closed; it may be nil.
	Report func(connector.Sum) `yaml:"-"`

	faults
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "drop", Doc: "throws records away and keeps their sum",
		Sink: func() any { return &Sink{} },
	}
}

// Info describes the sink.
func (s Sink) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{Connector: "drop", Way: forebay.WayPlain, Name: "drop"}, nil
}

// ExpectSum makes a sink that compares what comes with the sum.
func (s Sink) ExpectSum(sum connector.Sum) forebay.Sink {
	s.Expect = &sum
	return s
}

// Start makes an empty target.
func (s Sink) Start(context.Context, forebay.SinkContext) (forebay.Target, error) {
	refuse, err := s.start()
	if err != nil {
		return nil, err
	}
	return &Target{sink: s, refuse: refuse}, nil
}

// Target is a started sink.
//
// Concurrency: safe.
type Target struct {
	sink   Sink
	refuse refuser

	mu     sync.Mutex
	sum    connector.Sum
	closed bool
}

// OpenLane makes the writer of one lane.
func (t *Target) OpenLane(context.Context, forebay.LaneContext) (forebay.LaneWriter, error) {
	return &lane{target: t}, nil
}

// Sum is the sum of what the lanes wrote before their last Flush.
func (t *Target) Sum() connector.Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}

// Verify compares the sum with the expected one, if there is one.
//
// Errors: corrupt, with both sums.
func (t *Target) Verify(context.Context) error {
	want, got := t.sink.Expect, t.Sum()
	if want == nil || got == *want {
		return nil
	}
	return &forebay.Error{
		Op: "verify", Class: forebay.ClassCorrupt, Code: "sum-differs",
		Err: fmt.Errorf("drop got %s; expected %s", got, *want),
	}
}

// Close reports the sum. It may be called twice.
func (t *Target) Close() error {
	t.mu.Lock()
	first, sum := !t.closed, t.sum
	t.closed = true
	t.mu.Unlock()
	if first && t.sink.Report != nil {
		t.sink.Report(sum)
	}
	return nil
}

func (t *Target) merge(sum connector.Sum) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Merge(sum)
}

// lane adds up the records of one lane.
type lane struct {
	target *Target
	sum    connector.Sum
}

func (l *lane) Write(ctx context.Context, b *forebay.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if l.target.refuse != nil {
		return l.writeRefusing(b)
	}
	l.sum.AddBatch(b)
	return nil
}

func (l *lane) Flush(context.Context) error {
	l.target.merge(l.sum)
	l.sum = connector.Sum{}
	return nil
}

// Close gives up what was not flushed: a lane that restarts gets these records again.
func (l *lane) Close() error {
	l.sum = connector.Sum{}
	return nil
}

// refuser says whether a record is refused; it is nil in the product.
type refuser func(split string, offset int64) (bool, error)

// writeRefusing takes the records that are not refused.
func (l *lane) writeRefusing(b *forebay.Batch) error {
	rejected := &forebay.Error{Op: "write", Class: forebay.ClassRejected, Err: fmt.Errorf("records were refused")}
	for i := range b.Len() {
		refused, err := l.target.refuse(b.Split().ID, b.Record(i).Offset)
		switch {
		case err != nil:
			return err
		case refused:
			rejected.Records = append(rejected.Records, forebay.RecordError{
				Index: i, Code: "refused", Err: fmt.Errorf("drop was told to refuse offset %d once", b.Record(i).Offset),
			})
		default:
			l.sum.Add(b.Value(i))
		}
	}
	if len(rejected.Records) > 0 {
		return rejected
	}
	return nil
}
