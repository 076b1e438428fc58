// SPDX-License-Identifier: Apache-2.0

package connectortest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
)

// memorySystem is a system in memory that a memorySink writes to; each bug makes it wrong in one way.
type memorySystem struct {
	bug string

	mu         sync.Mutex
	tablets    [memoryTablets][]connectortest.Stored
	pipelines  map[string]*memoryPipeline
	writers    map[string]map[int][]uint32 // per writer and tablet, the checksums of what was applied
	writerIDs  int
	loseAnswer bool
	stalled    chan struct{}
}

const memoryTablets = 3

type memoryPipeline struct {
	owner  forebay.Owner
	used   bool
	splits map[string]forebay.SplitProgress
	sums   map[string]uint32
}

// refusedText marks a record that the system refuses.
const refusedText = "refuse me"

func newMemorySystem(bug string) *memorySystem {
	return &memorySystem{bug: bug, pipelines: map[string]*memoryPipeline{}, writers: map[string]map[int][]uint32{}}
}

func (m *memorySystem) pipeline(name string) *memoryPipeline {
	p := m.pipelines[name]
	if p == nil {
		p = &memoryPipeline{used: true, splits: map[string]forebay.SplitProgress{}, sums: map[string]uint32{}}
		m.pipelines[name] = p
	}
	return p
}

func (m *memorySystem) read(context.Context) ([][]connectortest.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [][]connectortest.Stored
	for _, tablet := range m.tablets {
		out = append(out, slices.Clone(tablet))
	}
	return out, nil
}

func (m *memorySystem) reopen(connectortest.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.bug {
	case "forgets progress":
		for _, p := range m.pipelines {
			clear(p.splits)
		}
	case "forgets the fence":
		for _, p := range m.pipelines {
			p.owner = forebay.Owner{}
		}
	case "forgets rows":
		m.tablets = [memoryTablets][]connectortest.Stored{}
	case "forgets sequences":
		clear(m.writers)
	}
}

func (m *memorySystem) stall() func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	stalled := make(chan struct{})
	m.stalled = stalled
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.stalled = nil
		close(stalled)
	})
}

// wait passes while nothing is stalled.
func (m *memorySystem) wait(ctx context.Context) error {
	m.mu.Lock()
	stalled := m.stalled
	m.mu.Unlock()
	if m.bug == "waits for ever" && (stalled != nil || ctx.Err() != nil) {
		select {}
	}
	if stalled != nil {
		select {
		case <-stalled:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// memorySink is the sink of a memorySystem.
type memorySink struct {
	system *memorySystem
	claims connectortest.SinkClaims
}

func (s memorySink) Info() (forebay.SinkInfo, error) {
	info := forebay.SinkInfo{Connector: "memory", Name: "memory", NeedsRows: s.claims.Rows}
	if s.claims.Progress != (s.system.bug == "claims another way") {
		info.Way = forebay.WayProgress
	}
	return info, nil
}

func (s memorySink) Start(context.Context, forebay.SinkContext) (forebay.Target, error) {
	if s.claims.Streams {
		return &memoryStream{system: s.system}, nil
	}
	return &memoryTarget{system: s.system}, nil
}

// memoryStream is the target of a sink that takes batches.
type memoryStream struct {
	system *memorySystem
	closed int
}

func (s *memoryStream) Close() error { return closeOnce(s.system, &s.closed) }

func closeOnce(m *memorySystem, closed *int) error {
	if *closed++; *closed > 1 && m.bug == "closes once" {
		panic("closed twice")
	}
	return nil
}

func (s *memoryStream) OpenLane(_ context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	return &memoryLane{system: s.system, lane: lane.Lane}, nil
}

type memoryLane struct {
	system *memorySystem
	lane   int
	lines  [][]byte
	closed int
}

func (l *memoryLane) Close() error { return closeOnce(l.system, &l.closed) }

func (l *memoryLane) Write(ctx context.Context, b *forebay.Batch) error {
	if err := l.system.wait(ctx); err != nil {
		return err
	}
	refused := &forebay.Error{Op: "write", Class: forebay.ClassRejected, Err: fmt.Errorf("refused")}
	for i := range b.Len() {
		value := b.Value(i)
		if string(value) == refusedText {
			index := i
			if l.system.bug == "names the wrong record" {
				index++
			}
			refused.Records = append(refused.Records, forebay.RecordError{Index: index, Err: refused.Err})
			if l.system.bug == "gives up after a refusal" {
				return refused
			}
			continue
		}
		if l.system.bug != "keeps the batch" {
			value = slices.Clone(value)
		}
		l.lines = append(l.lines, value)
	}
	if l.system.bug == "writes backwards" {
		slices.Reverse(l.lines)
	}
	if len(refused.Records) > 0 {
		return refused
	}
	return nil
}

func (l *memoryLane) Flush(ctx context.Context) error {
	if l.system.bug == "flush does nothing" {
		return nil
	}
	if err := l.system.wait(ctx); err != nil {
		return err
	}
	l.system.mu.Lock()
	defer l.system.mu.Unlock()
	for _, line := range l.lines {
		stored, err := connectortest.ParseLine(string(line))
		if err != nil {
			stored = connectortest.Stored{ID: -1, Text: string(line)}
		}
		l.system.tablets[0] = append(l.system.tablets[0], stored)
	}
	l.lines = nil
	if l.system.loseAnswer {
		l.system.loseAnswer = false
		switch l.system.bug {
		case "hides a lost answer":
			return nil
		case "calls a lost answer transient":
			return forebay.Errorf("flush", forebay.ClassTransient, "the answer was lost")
		}
		return forebay.Errorf("flush", forebay.ClassAmbiguous, "the answer was lost")
	}
	return nil
}

// memoryTarget is the target of a sink that takes requests.
type memoryTarget struct {
	system *memorySystem
	closed int
}

func (m *memoryTarget) Close() error             { return closeOnce(m.system, &m.closed) }
func (m *memoryTarget) Backend() forebay.Backend { return m.system }

func (m *memorySystem) Tablets() forebay.BackendInfo {
	return forebay.BackendInfo{Table: "memory", Tablets: memoryTablets}
}

func (m *memorySystem) InitWriter(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bug != "one writer id" {
		m.writerIDs++
	}
	id := fmt.Sprint("writer ", m.writerIDs)
	m.writers[id] = map[int][]uint32{}
	return id, nil
}

func (m *memorySystem) Encoder(*forebay.Layout) (forebay.Encoder, error) {
	return &memoryEncoder{}, nil
}

// memoryEncoder writes a record as its id, the length of its text, and the text.
type memoryEncoder struct {
	id   int64
	text []byte
}

func (e *memoryEncoder) Route(b *forebay.Batch, i int) (int, error) {
	cells := b.Cells(i)
	e.id, e.text = cells[0].Int(), slices.Clone(cells[1].Bytes(b.Slab()))
	return int(e.id) % memoryTablets, nil
}

func (e *memoryEncoder) Open(data []byte) []byte { return data[:0] }

func (e *memoryEncoder) Append(data []byte) []byte {
	data = binary.LittleEndian.AppendUint64(data, uint64(e.id))
	data = binary.LittleEndian.AppendUint32(data, uint32(len(e.text)))
	return append(data, e.text...)
}

func (e *memoryEncoder) Seal(data []byte, _ int) []byte { return data }

func (e *memoryEncoder) Cut(dst, sealed []byte, keep func(row int) bool) []byte {
	for row := 0; len(sealed) > 0; row++ {
		size := 12 + int(binary.LittleEndian.Uint32(sealed[8:]))
		if keep(row) {
			dst = append(dst, sealed[:size]...)
		}
		sealed = sealed[size:]
	}
	return dst
}

// decode reads the records of a request; row is that of the first that is refused, or -1.
func decode(data []byte) (records []connectortest.Stored, row int, ok bool) {
	row = -1
	for len(data) > 0 {
		if len(data) < 12 || len(data) < 12+int(binary.LittleEndian.Uint32(data[8:])) {
			return nil, row, false
		}
		size := int(binary.LittleEndian.Uint32(data[8:]))
		r := connectortest.Stored{ID: int64(binary.LittleEndian.Uint64(data)), Text: string(data[12 : 12+size])}
		if r.Text == refusedText && row < 0 {
			row = len(records)
		}
		records, data = append(records, r), data[12+size:]
	}
	return records, row, true
}

func (m *memorySystem) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	done(m.send(ctx, r))
}

func (m *memorySystem) send(ctx context.Context, r *forebay.Request) forebay.Answer {
	if err := m.wait(ctx); err != nil {
		return forebay.Answer{Code: forebay.CodeTimeout, Message: "given up"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.writers[r.WriterID]
	if w == nil {
		return forebay.Answer{Code: forebay.CodeUnknownWriter, Message: "unknown"}
	}
	sum := crc32.ChecksumIEEE(r.Data)
	next := int64(len(w[r.Tablet]))
	switch {
	case r.Sequence < next && m.bug == "applies a repeat":
	case r.Sequence < next && w[r.Tablet][r.Sequence] != sum && m.bug != "compares no bytes":
		return forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassCorrupt, Message: "other bytes"}
	case r.Sequence < next:
		return forebay.Answer{Code: forebay.CodeDuplicate}
	case r.Sequence > next && m.bug != "accepts a gap":
		return forebay.Answer{Code: forebay.CodeSequenceGap, Message: "gap"}
	}
	records, _, _ := decode(r.Data)
	m.tablets[r.Tablet] = append(m.tablets[r.Tablet], records...)
	w[r.Tablet] = append(w[r.Tablet], sum)
	return m.answer()
}

func (m *memorySystem) answer() forebay.Answer {
	if !m.loseAnswer {
		return forebay.Answer{Code: forebay.CodeOK}
	}
	m.loseAnswer = false
	switch m.bug {
	case "hides a lost answer":
		return forebay.Answer{Code: forebay.CodeOK}
	case "calls a lost answer transient":
		return forebay.Answer{Code: forebay.CodeServerError, Class: forebay.ClassTransient, Message: "lost"}
	}
	return forebay.Answer{Code: forebay.CodeTimeout, Message: "the answer was lost"}
}

// memoryHolder is a memoryTarget that holds progress.
func (m *memoryTarget) State(_ context.Context, pipeline string) (forebay.TargetState, error) {
	m.system.mu.Lock()
	defer m.system.mu.Unlock()
	p := m.system.pipeline(pipeline)
	state := forebay.TargetState{Owner: p.owner, Used: p.used}
	for _, split := range slices.Sorted(maps.Keys(p.splits)) {
		progress := p.splits[split]
		if m.system.bug == "loses the detail" {
			progress.Position.Detail = ""
		}
		state.Splits = append(state.Splits, progress)
	}
	return state, nil
}

func (m *memoryTarget) Fence(_ context.Context, f forebay.Fence) error {
	m.system.mu.Lock()
	defer m.system.mu.Unlock()
	p, bug := m.system.pipeline(f.Pipeline), m.system.bug
	older := f.Epoch < p.owner.Epoch || f.Epoch == p.owner.Epoch && f.Holder != p.owner.Holder
	if older && bug != "fences for anyone" {
		return forebay.Errorf("fence", forebay.ClassFenced, "epoch %d is newer", p.owner.Epoch)
	}
	p.owner, p.used = f.Owner, f.Progress || bug == "always used"
	if bug == "fence clears progress" {
		clear(p.splits)
	}
	if f.Seed != nil && bug != "ignores the seed" {
		clear(p.splits)
		for _, s := range f.Seed {
			p.splits[s.Split] = s
		}
	}
	return nil
}

func (m *memoryTarget) Forget(_ context.Context, pipeline string) error {
	m.system.mu.Lock()
	defer m.system.mu.Unlock()
	if m.system.bug == "forgets every pipeline" {
		clear(m.system.pipelines)
	}
	delete(m.system.pipelines, pipeline)
	return nil
}

func (m *memorySystem) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	if m.bug == "applies on wait" {
		return func(ctx context.Context) forebay.Answer { return m.commit(ctx, c) }
	}
	answer := m.commit(ctx, c)
	return func(context.Context) forebay.Answer { return answer }
}

func (m *memorySystem) commit(ctx context.Context, c *forebay.Commit) forebay.Answer {
	if err := m.wait(ctx); err != nil {
		return forebay.Answer{Code: forebay.CodeTimeout, Message: "given up"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pipeline(c.Owner.Pipeline)
	if !m.owns(p, c.Owner) {
		if m.bug == "applies a fenced commit" {
			m.apply(p, c)
		}
		return forebay.Answer{Code: forebay.CodeFenced, Message: "fenced"}
	}
	if answer := m.verdict(p, c); answer.Code != forebay.CodeOK {
		return answer
	}
	for i, r := range c.Requests {
		_, row, ok := decode(r.Data)
		if (!ok || row >= 0) && m.bug == "applies half" {
			half := *c
			half.Requests, half.Progress = c.Requests[:i], nil
			m.apply(p, &half)
		}
		if !ok {
			return forebay.Answer{Code: forebay.CodeMalformed, Message: "cut off"}
		}
		if row >= 0 {
			answer := forebay.Answer{Code: forebay.CodeRowsRejected, Message: "refused"}
			if m.bug != "names no row" {
				answer.Rows = []forebay.RowError{{Request: i, Row: row, Reason: "refused"}}
			}
			if m.bug == "progress before rows" {
				m.apply(p, &forebay.Commit{Progress: c.Progress})
			}
			return answer
		}
	}
	m.apply(p, c)
	return m.answer()
}

func (m *memorySystem) owns(p *memoryPipeline, o forebay.Owner) bool {
	switch m.bug {
	case "ignores the epoch":
		return true
	case "ignores the holder":
		return p.owner.Epoch == o.Epoch
	case "lets newer epochs write":
		return o.Epoch > p.owner.Epoch || o == p.owner
	default:
		return o == p.owner
	}
}

// verdict compares the versions of a commit with what is stored.
func (m *memorySystem) verdict(p *memoryPipeline, c *forebay.Commit) forebay.Answer {
	if len(c.Progress) == 0 || m.bug == "ignores versions" {
		return forebay.Answer{Code: forebay.CodeOK}
	}
	sum, repeats, gaps := commitSum(c), 0, 0
	answer := forebay.Answer{Code: forebay.CodeSequenceGap, Message: "gap"}
	for _, s := range c.Progress {
		stored, held := p.splits[s.Split]
		switch {
		case s.Version == stored.Version && held && p.sums[s.Split] == sum:
			repeats++
		case s.Version != stored.Version+1:
			gaps++
		}
		if held && m.bug != "hides what is stored" {
			answer.Progress = append(answer.Progress, stored)
		}
	}
	switch {
	case repeats == len(c.Progress) && m.bug != "applies a repeat":
		return forebay.Answer{Code: forebay.CodeDuplicate}
	case gaps > 0 && m.bug == "applies half":
		m.apply(p, &forebay.Commit{Progress: c.Progress[:1]})
		return answer
	case gaps > 0 && m.bug != "accepts a gap":
		return answer
	}
	return forebay.Answer{Code: forebay.CodeOK}
}

func commitSum(c *forebay.Commit) uint32 {
	var sum uint32
	for _, r := range c.Requests {
		sum = crc32.Update(sum, crc32.IEEETable, r.Data)
	}
	return sum
}

func (m *memorySystem) apply(p *memoryPipeline, c *forebay.Commit) {
	for _, r := range c.Requests {
		records, _, _ := decode(r.Data)
		m.tablets[r.Tablet] = append(m.tablets[r.Tablet], records...)
	}
	if m.bug == "progress in a batch of its own" && m.loseAnswer {
		return
	}
	for _, s := range c.Progress {
		p.splits[s.Split], p.sums[s.Split] = s, commitSum(c)
	}
}

func memoryHarness(bug string, claims connectortest.SinkClaims) connectortest.SinkHarness {
	patience := 200 * time.Millisecond
	if bug == "" {
		patience = 0 // nothing waits for ever
	}
	return connectortest.SinkHarness{
		Claims:   claims,
		Patience: patience,
		New: func(connectortest.T) connectortest.System {
			m := newMemorySystem(bug)
			return connectortest.System{
				Sink: memorySink{system: m, claims: claims}, Read: m.read, Reopen: m.reopen, Stall: m.stall,
				LoseAnswer: func() { m.loseAnswer = true },
				Spoil: func(b *forebay.Batch, i int) {
					start := b.AppendText(refusedText)
					if claims.Rows {
						b.Cells(i)[1] = forebay.SpanCell(forebay.KindString, start, len(refusedText))
					} else {
						b.SetValue(i, start, len(refusedText))
					}
				},
			}
		},
	}
}

var (
	streaming = connectortest.SinkClaims{Streams: true}
	stateful  = connectortest.SinkClaims{Rows: true, Sequences: true, Progress: true}
)

func TestRightSinkPasses(t *testing.T) {
	t.Parallel()
	expectPasses(t, connectortest.SinkChecks(memoryHarness("", streaming)))
	expectPasses(t, connectortest.SinkChecks(memoryHarness("", stateful)))
}

func TestWrongStreamingSinkIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bug, by, text string }{
		{"writes backwards", "writes in order", "comes after"},
		{"flush does nothing", "writes in order", "other records"},
		{"keeps the batch", "keeps nothing of a written batch", "other records"},
		{"hides a lost answer", "calls a lost answer ambiguous", "all is well"},
		{"calls a lost answer transient", "calls a lost answer ambiguous", "is transient"},
		{"names the wrong record", "names the records it refuses", "[3 7] were refused"},
		{"gives up after a refusal", "names the records it refuses", "other records"},
		{"waits for ever", "gives up a write when the context ends", "did not return"},
		{"closes once", "closes a lane twice", "panic"},
		{"claims another way", "says what it is", "its way"},
	} {
		t.Run(c.bug, func(t *testing.T) {
			t.Parallel()
			expectCaught(t, connectortest.SinkChecks(memoryHarness(c.bug, streaming)), c.by, c.text)
		})
	}
}

func TestWrongStatefulSinkIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bug, by, text string }{
		{"applies a repeat", "drops a repeated request", "want 409"},
		{"applies a repeat", "drops a repeated commit", "other records"},
		{"accepts a gap", "refuses a gap in the sequence", "want 425"},
		{"accepts a gap", "refuses a gap in the progress", "want 425"},
		{"hides what is stored", "refuses a gap in the progress", "is stored, want version 2"},
		{"compares no bytes", "refuses other bytes under a used sequence", "want class corrupt"},
		{"one writer id", "gives every writer an id of its own", "given twice"},
		{"forgets sequences", "remembers sequences over a restart", "want 409"},
		{"ignores versions", "drops a repeated commit", "want 409"},
		{"applies half", "applies nothing of a commit that one split refuses", "other progress"},
		{"applies half", "applies nothing of a commit with a broken request", "other records"},
		{"applies half", "names the rows it refuses and applies none", "other records"},
		{"names no row", "names the rows it refuses and applies none", "want one row"},
		{"progress before rows", "names the rows it refuses and applies none", "other progress"},
		{"progress in a batch of its own", "settles a lost answer by the same commit", "other progress"},
		{"applies on wait", "keeps the order of commits in flight", "answer 425"},
		{"forgets progress", "keeps rows and progress over a restart", "other progress"},
		{"forgets rows", "keeps rows and progress over a restart", "other records"},
		{"loses the detail", "commits rows and progress together", "other progress"},
		{"fence clears progress", "keeps rows and progress over a restart", "other progress"},
		{"hides a lost answer", "settles a lost answer by the same commit", "want class ambiguous"},
		{"calls a lost answer transient", "settles a lost answer by the same commit", "want class ambiguous"},
		{"waits for ever", "gives up waiting for a commit when the context ends", "did not return"},
		{"waits for ever", "gives up a request when the context ends", "did not return"},
		{"always used", "takes commits without progress", "is used"},
		{"ignores the epoch", "refuses an older owner", "want 412"},
		{"lets newer epochs write", "refuses an older owner", "want 412"},
		{"applies a fenced commit", "refuses an older owner", "other records"},
		{"ignores the holder", "refuses another holder of the same epoch", "want 412"},
		{"fences for anyone", "refuses an older owner", "want class fenced"},
		{"forgets the fence", "keeps the fence over a restart", "want"},
		{"ignores the seed", "marks progress unused and seeds it again", "after a fence with a seed"},
		{"forgets every pipeline", "keeps pipelines apart and forgets one", "other progress"},
		{"closes once", "closes twice", "panic"},
		{"claims another way", "says what it is", "its way"},
	} {
		t.Run(c.bug+"/"+c.by, func(t *testing.T) {
			t.Parallel()
			expectCaught(t, connectortest.SinkChecks(memoryHarness(c.bug, stateful)), c.by, c.text)
		})
	}
}
