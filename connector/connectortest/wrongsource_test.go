// SPDX-License-Identifier: Apache-2.0

package connectortest_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
)

// listSource holds records in memory; each bug makes it wrong in one way. Every 17th record cannot be read.
type listSource struct {
	bug    string
	typed  bool
	blocks bool
	starts *atomic.Int64
}

const (
	listSplits  = 2
	listRecords = 2000
	listStep    = 3 // offsets rise by this
)

func listValue(split, n int) string {
	return fmt.Sprintf("split %d record %d %s", split, n, strings.Repeat("v", 200+n%200))
}

func (s listSource) Info() (forebay.SourceInfo, error) {
	return forebay.SourceInfo{
		Connector: "list", Bounded: true, Replayable: s.bug != "claims less", Blocks: s.blocks, Typed: s.typed,
	}, nil
}

func (s listSource) Start(_ context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	f := &listFeed{source: s, start: int(s.starts.Add(1)), memory: []byte("grid 1"), splits: listSplits}
	if env.Memory != nil && s.bug == "grid changes" {
		f.splits++
	}
	return f, nil
}

type listFeed struct {
	source listSource
	start  int
	memory []byte
	splits int
	shared atomic.Int64
}

func (f *listFeed) Schema() *forebay.Schema {
	if !f.source.typed {
		return nil
	}
	return forebay.MustSchema(
		forebay.Column{Name: "n", Type: forebay.Int64}, forebay.Column{Name: "s", Type: forebay.String})
}

func (f *listFeed) Memory() []byte { return f.memory }
func (f *listFeed) Close() error   { return nil }

func (f *listFeed) Splits(context.Context) ([]forebay.Split, error) {
	var splits []forebay.Split
	for k := range f.splits {
		id := fmt.Sprint(k)
		if f.source.bug == "split ids change" {
			id = fmt.Sprint(f.start, "/", k)
		}
		splits = append(splits, forebay.Split{ID: id, Fingerprint: "list"})
	}
	return splits, nil
}

func (f *listFeed) Open(_ context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	r := &listReader{feed: f, next: int(at.Offset+listStep-1) / listStep}
	if _, err := fmt.Sscan(split.ID[strings.LastIndex(split.ID, " ")+1:], &r.split); err != nil {
		r.split = 0
	}
	switch {
	case f.source.bug == "repeats on restart" && r.next > 0:
		r.next--
	case f.source.bug == "starts anew" && r.next > 0:
		r.next = 0
	}
	f.shared.Store(int64(r.next))
	return r, nil
}

type listReader struct {
	feed   *listFeed
	split  int
	next   int
	reads  int
	closed int
	ended  bool
	kept   []byte
}

func (r *listReader) Read(ctx context.Context, b *forebay.Batch) error {
	bug := r.feed.source.bug
	if r.reads++; r.reads == 3 && r.feed.source.blocks {
		if bug == "waits for ever" {
			select {}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if r.next >= listRecords {
		if bug == "ends once" && r.ended {
			return nil
		}
		r.ended = true
		return io.EOF
	}
	for r.next < listRecords && (!b.Full() || bug == "overfills") {
		r.add(b, bug)
		r.next++
		if bug == "position before a reject" && len(b.Rejects()) > 0 {
			break
		}
	}
	if bug == "swallows at a border" && b.Full() {
		r.next++
	}
	position := forebay.Position{Offset: int64(r.next * listStep)}
	switch bug {
	case "position too far":
		position.Offset++
	case "position too near":
		position.Offset -= listStep
	case "position before a reject":
		if len(b.Rejects()) > 0 {
			position.Offset -= listStep
		}
	}
	b.SetPosition(position)
	if r.feed.source.typed && bug != "no layout" {
		b.SetLayout(forebay.NewLayout(r.feed.Schema()))
	}
	return nil
}

func (r *listReader) add(b *forebay.Batch, bug string) {
	offset, n := int64(r.next*listStep), r.next
	if bug == "shares a cursor" {
		n = int(r.feed.shared.Add(1)) - 1
	}
	value := listValue(r.split, n)
	if n%17 == 16 {
		reject := forebay.Reject{
			Origin: forebay.Origin{Split: b.Split().ID, Offset: offset}, Stage: forebay.StageSource,
			Code: "bad", Reason: "it cannot be read", Value: []byte(value),
		}
		if bug == "reject without offset" {
			reject.Offset = 0
		}
		if bug != "drops rejects" {
			b.Reject(reject)
		}
		return
	}
	switch {
	case bug == "keeps the batch" && r.kept != nil:
		value = string(r.kept[:5]) + value[5:]
	case bug == "bytes differ on restart" && r.reads > 1:
		value += "."
	case bug == "offsets stay":
		offset = 0
	}
	i := b.Append(offset, []byte(value))
	r.kept = b.Value(i)
	if r.feed.source.typed {
		cells := b.Cells(i)
		cells[0] = forebay.Int64Cell(int64(n))
		cells[1] = forebay.SpanCell(forebay.KindString, b.AppendText("text"), 4)
		if bug == "wrong kind" {
			cells[0] = forebay.Float64Cell(1)
		}
	}
}

func (r *listReader) Close() error {
	if r.closed++; r.closed > 1 && r.feed.source.bug == "closes once" {
		panic("closed twice")
	}
	return nil
}

func listHarness(bug string, typed, blocks bool) connectortest.SourceHarness {
	h := connectortest.SourceHarness{
		Source:   func(connectortest.T) forebay.Source { return listSource{bug, typed, blocks, new(atomic.Int64)} },
		Claims:   connectortest.SourceClaims{Bounded: true, Replayable: true, Blocks: blocks, Typed: typed},
		Patience: 300 * time.Millisecond,
	}
	if bug == "" {
		h.Patience = 0 // nothing waits for ever
	}
	shared := new(atomic.Int64)
	h.Source = func(connectortest.T) forebay.Source { return listSource{bug, typed, blocks, shared} }
	for split := range listSplits {
		for n := range listRecords {
			if n%17 == 16 {
				h.Rejects++
				continue
			}
			h.Records++
			h.Values = append(h.Values, []byte(listValue(split, n)))
		}
	}
	return h
}

func TestRightSourcePasses(t *testing.T) {
	t.Parallel()
	expectPasses(t, connectortest.SourceChecks(listHarness("", false, false)))
	expectPasses(t, connectortest.SourceChecks(listHarness("", true, false)))
	expectPasses(t, connectortest.SourceChecks(listHarness("", false, true)))
}

func TestWrongSourceIsCaught(t *testing.T) {
	t.Parallel()
	const once, restarts = "gives every record once and in order", "starts again behind every batch"
	for _, c := range []struct {
		bug, by, text string
		typed, blocks bool
	}{
		{bug: "repeats on restart", by: restarts, text: "comes after position"},
		{bug: "starts anew", by: restarts, text: "comes after position"},
		{bug: "position too far", by: once, text: "comes after position"},
		{bug: "position too near", by: once, text: "does not pass"},
		{bug: "swallows at a border", by: once, text: "record 8"},
		{bug: "bytes differ on restart", by: restarts, text: "differs"},
		{bug: "offsets stay", by: once, text: "comes after"},
		{bug: "overfills", by: once, text: "more than 1024"},
		{bug: "keeps the batch", by: "keeps nothing of a batch", text: "differs"},
		{bug: "shares a cursor", by: "reads its splits at the same time", text: "differs"},
		{bug: "split ids change", by: "has the same splits in every run", text: "splits of the first"},
		{bug: "grid changes", by: "has the same splits in every run", text: "splits of the first"},
		{bug: "ends once", by: "ends with an EOF that repeats", text: "want io.EOF"},
		{bug: "closes once", by: "closes twice", text: "panic"},
		{bug: "drops rejects", by: once, text: "rejected ones, want"},
		{bug: "reject without offset", by: once, text: "comes after"},
		{bug: "position before a reject", by: once, text: "does not pass"},
		{bug: "claims less", by: "says what it is", text: "harness claims"},
		{bug: "no layout", by: once, text: "has not the layout", typed: true},
		{bug: "wrong kind", by: once, text: "the cell a float64", typed: true},
		{bug: "waits for ever", by: "stops when the context ends", text: "did not return", blocks: true},
	} {
		t.Run(c.bug, func(t *testing.T) {
			t.Parallel()
			expectCaught(t, connectortest.SourceChecks(listHarness(c.bug, c.typed, c.blocks)), c.by, c.text)
		})
	}
}
