// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// fate is what becomes of one commit on its way to a real table.
type fate struct {
	// apply says that the table gets it; the answer is then the table's unless answer is set.
	apply  bool
	answer *forebay.Answer
	// late is how long the answer takes; never says that it does not come before its caller gives up.
	late  time.Duration
	never bool
}

// The fates that tests name.
func pass() fate       { return fate{apply: true} }
func lostAfter() fate  { return fate{apply: true, answer: ambiguous()} }
func lostBefore() fate { return fate{answer: ambiguous()} }
func refuse(code forebay.Code) fate {
	return fate{answer: &forebay.Answer{Code: code, Message: "scripted"}}
}

func ambiguous() *forebay.Answer {
	return &forebay.Answer{Code: forebay.CodeTimeout, Message: "scripted"}
}
func slow(f fate, d time.Duration) fate { f.late = d; return f }

// tableSink is a sink into a real table of the embedded server, with a script between the lane and the table.
type tableSink struct {
	name string
	way  forebay.Way
	conn forebay.Tables // instead of the state directory's server
	far  bool           // it says that it is reached over a network

	// script decides about the n-th commit of all lanes, from 0; nil lets everything pass.
	script func(n int, c *forebay.Commit) fate
	// bad says which records the target refuses whenever they come.
	bad func(origin) bool
	// unroutable says which records the encoder refuses.
	unroutable func(origin) bool
	// stateFail may make the n-th look-up of the progress fail, from 0.
	stateFail func(n int) error

	mu      sync.Mutex
	commits int
	states  int
	flying  int // commits whose answer is awaited
	widest  int
	last    time.Time // when the last commit came
	times   []time.Time
	carried []int // records of each commit
}

func newTable() *tableSink { return &tableSink{name: "out", way: forebay.WayProgress} }

func (s *tableSink) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{
		Connector: "faulty", NeedsRows: true, Way: s.way, Name: "table out",
		Identity: []forebay.Setting{{Name: "name", Value: s.name}},
	}, nil
}

func (s *tableSink) Start(ctx context.Context, env forebay.SinkContext) (forebay.Target, error) {
	tables := env.Tables
	if s.conn != nil {
		tables = s.conn
	}
	target, err := tables.OpenTable(ctx, forebay.TableSpec{Name: s.name, Schema: env.Schema, Tablets: 3})
	if err != nil {
		return nil, err
	}
	return &tableTarget{Target: target, ProgressHolder: target.(forebay.ProgressHolder), sink: s}, nil
}

type tableTarget struct {
	forebay.Target
	forebay.ProgressHolder
	sink *tableSink
}

func (t *tableTarget) Backend() forebay.Backend {
	return &tableBackend{Backend: t.Target.(forebay.Sequencer).Backend(), sink: t.sink}
}

func (t *tableTarget) State(ctx context.Context, pipeline string) (forebay.TargetState, error) {
	t.sink.mu.Lock()
	n := t.sink.states
	t.sink.states++
	t.sink.mu.Unlock()
	if t.sink.stateFail != nil {
		if err := t.sink.stateFail(n); err != nil {
			return forebay.TargetState{}, err
		}
	}
	return t.ProgressHolder.State(ctx, pipeline)
}

type tableBackend struct {
	forebay.Backend
	sink *tableSink
}

type pickyEncoder struct {
	forebay.Encoder
	sink *tableSink
}

func (e pickyEncoder) Route(b *forebay.Batch, i int) (int, error) {
	if e.sink.unroutable != nil && e.sink.unroutable(origin{b.SplitID(), b.Record(i).Offset}) {
		return 0, forebay.Errorf("route", forebay.ClassRejected, "no tablet takes it")
	}
	return e.Encoder.Route(b, i)
}

func (b *tableBackend) Tablets() forebay.BackendInfo {
	info := b.Backend.Tablets()
	info.Network = b.sink.far
	return info
}

func (b *tableBackend) Encoder(layout *forebay.Layout) (forebay.Encoder, error) {
	e, err := b.Backend.Encoder(layout)
	return pickyEncoder{Encoder: e, sink: b.sink}, err
}

func (b *tableBackend) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	s := b.sink
	s.mu.Lock()
	n := s.commits
	s.commits++
	s.flying++
	s.widest = max(s.widest, s.flying)
	s.last = time.Now()
	s.times = append(s.times, s.last)
	records := 0
	for _, r := range c.Requests {
		records += r.Records
	}
	s.carried = append(s.carried, records)
	s.mu.Unlock()
	f := pass()
	if s.script != nil {
		f = s.script(n, c)
	}
	if rows := s.refused(c); f.apply && len(rows) > 0 {
		f = fate{answer: &forebay.Answer{Code: forebay.CodeRowsRejected, Message: "scripted", Rows: rows}}
	}
	inner := func(context.Context) forebay.Answer { return *f.answer }
	if f.apply {
		inner = b.Backend.(forebay.Committer).Commit(ctx, c)
	}
	return func(ctx context.Context) forebay.Answer {
		defer func() {
			s.mu.Lock()
			s.flying--
			s.mu.Unlock()
		}()
		answer := inner(ctx)
		if f.never {
			<-ctx.Done()
			return *ambiguous()
		}
		if wait(ctx, f.late) != nil {
			return *ambiguous()
		}
		if f.answer != nil && answer.Code != forebay.CodeFenced {
			return *f.answer
		}
		return answer
	}
}

// widestOf is the most commits that waited for their answer at one time since the last call.
func (s *tableSink) widestOf() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	widest := s.widest
	s.widest = s.flying
	return widest
}

// refused finds the rows of the records that are bad.
func (s *tableSink) refused(c *forebay.Commit) (rows []forebay.RowError) {
	if s.bad == nil {
		return nil
	}
	for i := range c.Requests {
		for k, o := range recordsOf(c.Requests[i].Data) {
			if s.bad(o) {
				rows = append(rows, forebay.RowError{Request: i, Row: k, Code: "bad", Reason: "the record is bad"})
			}
		}
	}
	return rows
}

// recordsOf reads the records in the data of a request.
func recordsOf(data []byte) (out []origin) {
	rb, err := forebay.OpenRowBatch(data)
	if err != nil {
		panic(err)
	}
	decoder := forebay.NewRowDecoder(recordSchema(), nil)
	cells := make([]forebay.Cell, 2)
	for it := rb.Rows(); it.Next(); {
		start, size := it.Span()
		if err := decoder.Decode(cells, data, start, size); err != nil {
			panic(err)
		}
		out = append(out, origin{string(cells[0].Bytes(data)), cells[1].Int()})
	}
	return out
}

// flushSink is a plain sink: what a lane flushed stays.
type flushSink struct {
	writeFail func(b *forebay.Batch) error
	flushFail func(n int) error
	openFail  func(n int) error
	verify    func() error

	mu      sync.Mutex
	got     []origin
	flushes int
	opened  int
	closed  int
	times   []time.Time
}

func (s *flushSink) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{Connector: "flush", Way: forebay.WayPlain, Name: "flush"}, nil
}

func (s *flushSink) Start(context.Context, forebay.SinkContext) (forebay.Target, error) {
	return &flushTarget{sink: s}, nil
}

type flushTarget struct{ sink *flushSink }

func (t *flushTarget) Close() error { return nil }

func (t *flushTarget) OpenLane(context.Context, forebay.LaneContext) (forebay.LaneWriter, error) {
	t.sink.mu.Lock()
	defer t.sink.mu.Unlock()
	if t.sink.openFail != nil {
		if err := t.sink.openFail(t.sink.opened); err != nil {
			return nil, err
		}
	}
	t.sink.opened++
	return &flushLane{sink: t.sink}, nil
}

func (t *flushTarget) Verify(context.Context) error {
	if t.sink.verify != nil {
		return t.sink.verify()
	}
	return nil
}

type flushLane struct {
	sink   *flushSink
	held   []origin
	closed bool
}

func (l *flushLane) Write(_ context.Context, b *forebay.Batch) error {
	if l.closed {
		return forebay.ErrClosed
	}
	refused := map[int]bool{}
	var err error
	if l.sink.writeFail != nil {
		err = l.sink.writeFail(b)
		e, ok := errors.AsType[*forebay.Error](err)
		if err != nil && (!ok || e.Class != forebay.ClassRejected) {
			return err
		}
		if ok {
			for _, r := range e.Records {
				refused[r.Index] = true
			}
		}
	}
	for i := range b.Len() {
		if !refused[i] {
			l.held = append(l.held, origin{b.SplitID(), b.Record(i).Offset})
		}
	}
	return err
}

func (l *flushLane) Flush(context.Context) error {
	s := l.sink
	s.mu.Lock()
	n := s.flushes
	s.flushes++
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	if s.flushFail != nil {
		if err := s.flushFail(n); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, l.held...)
	l.held = nil
	return nil
}

func (l *flushLane) Close() error {
	if !l.closed {
		l.closed, l.held = true, nil
		l.sink.mu.Lock()
		defer l.sink.mu.Unlock()
		l.sink.closed++
	}
	return nil
}
