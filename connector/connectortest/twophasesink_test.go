// SPDX-License-Identifier: Apache-2.0

package connectortest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
)

// disk is a system in memory that takes pieces in two phases and survives restarts, but for what was not synced. Each
// bug makes it, or its sink, wrong in one way.
type disk struct {
	bug    string
	claims connectortest.SinkClaims

	mu     sync.Mutex
	pieces map[string]*piece
	fences map[string]forebay.Owner
	lose   bool
	opens  int
}

// piece is what a lane writes between two checkpoints, or, where pieces are held, until it is full.
type piece struct {
	id        string
	owner     forebay.Owner
	lines     []connectortest.Stored
	synced    int
	durable   bool // the piece itself was synced once, so that it is there after a crash
	prepared  bool
	published bool
	number    int // the order of publishing
}

// mark is the Data of a committable.
type mark struct {
	Lines int
	// Tries is how often the answer was lost: the disk wants to see it again.
	Tries int `json:",omitempty"`
}

func (m mark) bytes() []byte {
	data, _ := json.Marshal(m)
	return data
}

func markOf(c forebay.Committable) mark {
	var m mark
	_ = json.Unmarshal(c.Data, &m)
	return m
}

// heldLines is how many lines fill a piece that can be held.
const heldLines = 50

func (d *disk) is(bug string) bool { return d.bug == bug }

func (d *disk) read(context.Context) ([][]connectortest.Stored, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	shown := slices.Collect(maps.Values(d.pieces))
	shown = slices.DeleteFunc(shown, func(p *piece) bool {
		return !p.published && !d.is("shows what is written") && (!d.is("publishes at prepare") || !p.prepared)
	})
	slices.SortFunc(shown, func(a, b *piece) int { return cmp.Compare(a.id, b.id) })
	var out [][]connectortest.Stored
	for _, p := range shown {
		out = append(out, slices.Clone(p.lines))
	}
	return out, nil
}

func (d *disk) unpublished(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for id, p := range d.pieces {
		if !p.published {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// reopen is a crash: what was not synced is gone.
func (d *disk) reopen(connectortest.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, p := range d.pieces {
		if !p.durable && !p.published {
			delete(d.pieces, id)
			continue
		}
		if !p.published {
			p.lines = p.lines[:p.synced]
		}
	}
	if d.is("forgets the fence") {
		clear(d.fences)
	}
}

// diskSink is the sink of a disk.
type diskSink struct{ disk *disk }

func (s diskSink) Info() (forebay.SinkInfo, error) {
	return forebay.SinkInfo{Connector: "disk", Name: "disk", Way: forebay.WayTwoPhase}, nil
}

func (s diskSink) Start(_ context.Context, env forebay.SinkContext) (forebay.Target, error) {
	t := &diskTarget{disk: s.disk, pipeline: env.Pipeline}
	if s.disk.claims.Fences {
		return struct {
			*diskTarget
			diskFencer
		}{t, diskFencer{t}}, nil
	}
	return t, nil
}

// diskTarget is the target of a sink that takes pieces.
type diskTarget struct {
	disk     *disk
	pipeline string

	mu    sync.Mutex
	owner forebay.Owner
	next  int // numbers the pieces of this target
}

func (t *diskTarget) Close() error { return nil }

func (t *diskTarget) OpenLane(_ context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	t.mu.Lock()
	t.owner = lane.Owner
	t.mu.Unlock()
	l := &diskLane{target: t, disk: t.disk, lane: lane}
	d := t.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range lane.Restored {
		p := d.pieces[c.ID]
		if p == nil {
			return nil, forebay.Errorf("open lane", forebay.ClassLost, "%s is gone", c.ID)
		}
		if d.is("resumes without cutting off") {
			l.open, l.told = append(l.open, p), append(l.told, len(p.lines))
			continue
		}
		if !d.is("resumes from the beginning") {
			p.lines = p.lines[:markOf(c).Lines]
		}
		if d.is("resumes from the beginning") {
			p.lines = nil
		}
		p.synced, p.prepared, p.owner = min(p.synced, len(p.lines)), false, lane.Owner
		l.open = append(l.open, p)
		l.told = append(l.told, len(p.lines))
	}
	return l, nil
}

// diskLane writes the pieces of a lane. More than one is open only where earlier runs held more.
type diskLane struct {
	target *diskTarget
	disk   *disk
	lane   forebay.LaneContext
	open   []*piece
	// told is how many lines of each the last Prepared held.
	told  []int
	count int
}

// begin opens a piece.
func (l *diskLane) begin(ctx context.Context) (*piece, error) {
	l.target.mu.Lock()
	l.target.next++
	n := l.target.next
	l.target.mu.Unlock()
	l.count++
	o, d := l.lane.Owner, l.disk
	id := fmt.Sprintf("%s/%d-%s/%d/%d", o.Pipeline, o.Epoch, o.Holder, l.lane.Lane, n)
	switch d.bug {
	case "names without the epoch":
		id = fmt.Sprintf("%s/%d/%d", o.Pipeline, l.lane.Lane, n)
	case "names without the holder":
		id = fmt.Sprintf("%s/%d/%d/%d", o.Pipeline, o.Epoch, l.lane.Lane, n)
	case "names without the lane":
		id = fmt.Sprintf("%s/%d-%s/%d", o.Pipeline, o.Epoch, o.Holder, l.count)
	case "numbers anew in each lane":
		id = fmt.Sprintf("%s/%d-%s/%d/%d", o.Pipeline, o.Epoch, o.Holder, l.lane.Lane, l.count)
	}
	if d.claims.Notes && !d.is("does not note") {
		err := l.lane.Opened(ctx, forebay.Committable{ID: id})
		if err != nil && !d.is("goes on without the note") {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.fences[o.Pipeline]; f.Epoch > o.Epoch && d.claims.Fences && !d.is("fences nothing") {
		return nil, forebay.Errorf("write", forebay.ClassFenced, "epoch %d is newer", f.Epoch)
	}
	p := &piece{id: id, owner: o}
	d.pieces[id] = p
	l.open, l.told = append(l.open, p), append(l.told, 0)
	return p, nil
}

func (l *diskLane) Write(ctx context.Context, b *forebay.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	p := l.last()
	if p == nil {
		var err error
		if p, err = l.begin(ctx); err != nil {
			return err
		}
	}
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	for i := range b.Len() {
		stored, err := connectortest.ParseLine(strings.Clone(string(b.Value(i))))
		if err != nil {
			return err
		}
		p.lines = append(p.lines, stored)
	}
	return nil
}

func (l *diskLane) last() *piece {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if len(l.open) == 0 {
		return nil
	}
	return l.open[len(l.open)-1]
}

// part is a piece up to a line.
type part struct {
	piece *piece
	lines int
}

func (l *diskLane) Prepare(ctx context.Context, _ uint64, last bool) (
	wait func(context.Context) (forebay.Prepared, error), err error,
) {
	d := l.disk
	if len(l.open) == 0 && d.is("begins before the first record") {
		if _, err := l.begin(ctx); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var commit, held []part
	var keep []*piece
	var told []int
	for i, p := range l.open {
		n := len(p.lines)
		full := n >= heldLines || !d.claims.Holds || last && !d.is("holds at the last checkpoint")
		if full {
			commit = append(commit, part{p, n})
		}
		if !full || d.is("does not begin anew") {
			if n > l.told[i] {
				held = append(held, part{p, n})
			}
			keep, told = append(keep, p), append(told, n)
		}
	}
	l.open, l.told = keep, told
	if d.is("does not begin anew") {
		held = nil
	}
	if d.is("draws the line in wait") {
		l.open, l.told = nil, nil
		late := slices.Concat(commit, held)
		for _, p := range late {
			l.open, l.told = append(l.open, p.piece), append(l.told, 0)
		}
		return func(context.Context) (forebay.Prepared, error) {
			d.mu.Lock()
			for i := range commit {
				commit[i].lines = len(commit[i].piece.lines)
			}
			l.open, l.told = nil, nil
			d.mu.Unlock()
			return l.sync(commit, held), nil
		}, nil
	}
	return func(context.Context) (forebay.Prepared, error) { return l.sync(commit, held), nil }, nil
}

// sync makes pieces durable.
func (l *diskLane) sync(commit, held []part) forebay.Prepared {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	var out forebay.Prepared
	for _, p := range commit {
		p.piece.prepared = true
		out.Commit = append(out.Commit, l.disk.syncPart(p))
	}
	for _, p := range held {
		out.Held = append(out.Held, l.disk.syncPart(p))
	}
	return out
}

func (d *disk) syncPart(p part) forebay.Committable {
	if !d.is("prepares in memory only") {
		p.piece.durable, p.piece.synced = true, max(p.piece.synced, p.lines)
	}
	return forebay.Committable{ID: p.piece.id, Data: mark{Lines: p.lines}.bytes()}
}

// Flush publishes what was written: the run gives at-least-once.
func (l *diskLane) Flush(ctx context.Context) error {
	wait, err := l.Prepare(ctx, 0, true)
	if err != nil {
		return err
	}
	p, err := wait(ctx)
	if err != nil {
		return err
	}
	requests := make([]forebay.CommitRequest, len(p.Commit))
	for i, c := range p.Commit {
		requests[i].Committable = c
	}
	if err := l.target.Commit(ctx, requests); err != nil {
		return err
	}
	for _, r := range requests {
		if r.Outcome != forebay.OutcomeDone {
			return forebay.Errorf("flush", forebay.ClassAmbiguous, "the answer was lost")
		}
	}
	return nil
}

func (l *diskLane) Close() error {
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range l.open {
		if l.told[i] == 0 && p.owner == l.lane.Owner && !p.prepared && !p.published {
			delete(d.pieces, p.id)
		}
	}
	if d.is("Close removes what was prepared") {
		maps.DeleteFunc(d.pieces, func(_ string, p *piece) bool { return p.owner == l.lane.Owner && !p.published })
	}
	l.open, l.told = nil, nil
	return nil
}

func (t *diskTarget) Commit(_ context.Context, requests []forebay.CommitRequest) error {
	d := t.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	t.mu.Lock()
	owner := t.owner
	t.mu.Unlock()
	if f := d.fences[t.pipeline]; d.claims.Fences && owner.Epoch > 0 && f.Epoch > owner.Epoch && !d.is("fences nothing") {
		return forebay.Errorf("commit", forebay.ClassFenced, "epoch %d is newer", f.Epoch)
	}
	if d.is("answers in another order") {
		slices.SortFunc(requests, func(a, b forebay.CommitRequest) int {
			return -cmp.Compare(a.Committable.ID, b.Committable.ID)
		})
	}
	for i := range requests {
		d.commit(&requests[i])
	}
	if d.is("leaves one without an answer") && len(requests) > 1 {
		requests[len(requests)-1].Outcome = forebay.OutcomeMissing
	}
	return nil
}

func (d *disk) commit(r *forebay.CommitRequest) {
	p, m := d.pieces[r.Committable.ID], markOf(r.Committable)
	switch {
	case p == nil && d.is("calls what is gone committed"):
		r.Outcome = forebay.OutcomeAlready
		return
	case p == nil:
		r.Outcome, r.Err = forebay.OutcomeLost, fmt.Errorf("%s is not there", r.Committable.ID)
		return
	case p.published && d.is("refuses a repeat"):
		r.Outcome, r.Err = forebay.OutcomeLost, fmt.Errorf("%s is not prepared", r.Committable.ID)
		return
	case p.published && d.is("publishes a repeat"):
		p.lines = append(p.lines, p.lines...)
		fallthrough
	case p.published:
		r.Outcome = forebay.OutcomeAlready
		return
	}
	if d.lose && m.Tries == 0 || d.is("asks for ever") && (d.lose || m.Tries > 0) {
		d.lose = d.is("asks for ever")
		m.Tries++
		r.Outcome, r.Err = forebay.OutcomeRetry, fmt.Errorf("the answer was lost")
		r.Changed = &forebay.Committable{ID: r.Committable.ID, Data: m.bytes()}
		return
	}
	if m.Tries > 0 && d.is("loses what it changed") {
		r.Outcome, r.Err = forebay.OutcomeFatal, fmt.Errorf("%s was changed", r.Committable.ID)
		return
	}
	r.Outcome = forebay.OutcomeDone
	if d.is("commits nothing") {
		return
	}
	p.lines, p.published, p.number = p.lines[:m.Lines], true, d.opens
	d.opens++
}

func (t *diskTarget) Abort(_ context.Context, list []forebay.Committable) error {
	d := t.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range list {
		p := d.pieces[c.ID]
		switch {
		case d.is("aborts nothing"):
		case p == nil && d.is("fails on what is gone"):
			return forebay.Errorf("abort", forebay.ClassLost, "%s is not there", c.ID)
		case p == nil || p.published:
		case d.is("aborts the whole pipeline"):
			maps.DeleteFunc(d.pieces, func(_ string, o *piece) bool {
				return !o.published && o.owner.Pipeline == p.owner.Pipeline
			})
		case d.is("aborts by prefix"):
			maps.DeleteFunc(d.pieces, func(id string, o *piece) bool {
				return !o.published && strings.HasPrefix(id, t.pipeline)
			})
		default:
			delete(d.pieces, c.ID)
		}
	}
	return nil
}

func (t *diskTarget) ListOpen(_ context.Context, owner forebay.Owner) ([]forebay.Committable, error) {
	d := t.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.claims.Notes {
		return nil, nil
	}
	var out []forebay.Committable
	for id, p := range d.pieces {
		switch {
		case p.published && !d.is("lists what was committed"):
		case p.owner.Pipeline != owner.Pipeline && !d.is("lists other pipelines"):
		case p.owner.Epoch > owner.Epoch && !d.is("lists newer owners"):
		case !p.prepared && d.is("lists what is prepared only"):
		case p.owner.Epoch+1 != owner.Epoch && d.is("lists the last owner only"):
		default:
			out = append(out, forebay.Committable{ID: id})
		}
	}
	return out, nil
}

// diskFencer is the fence of a disk.
type diskFencer struct{ target *diskTarget }

func (f diskFencer) Owner(_ context.Context, pipeline string) (forebay.Owner, error) {
	d := f.target.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fences[pipeline], nil
}

func (f diskFencer) Fence(_ context.Context, owner forebay.Owner, held []forebay.Committable) error {
	d := f.target.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	stored := d.fences[owner.Pipeline]
	smaller := owner.Epoch < stored.Epoch && !d.is("fences for a smaller epoch")
	twin := owner.Epoch == stored.Epoch && owner.Holder != stored.Holder && !d.is("fences for another holder")
	if smaller || twin {
		return forebay.Errorf("fence", forebay.ClassFenced, "epoch %d is newer", stored.Epoch)
	}
	d.fences[owner.Pipeline] = owner
	for _, c := range held {
		if p := d.pieces[c.ID]; p != nil {
			p.owner = owner
		}
	}
	if d.is("fences what is held") {
		maps.DeleteFunc(d.pieces, func(_ string, p *piece) bool {
			return !p.published && p.owner.Pipeline == owner.Pipeline
		})
	}
	f.target.mu.Lock()
	f.target.owner = owner
	f.target.mu.Unlock()
	return nil
}

func (f diskFencer) Forget(_ context.Context, pipeline string) error {
	d := f.target.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.fences, pipeline)
	maps.DeleteFunc(d.pieces, func(_ string, p *piece) bool { return !p.published && p.owner.Pipeline == pipeline })
	if d.is("forgets what it published") {
		maps.DeleteFunc(d.pieces, func(_ string, p *piece) bool { return p.owner.Pipeline == pipeline })
	}
	return nil
}

func diskHarness(bug string, claims connectortest.SinkClaims) connectortest.SinkHarness {
	claims.TwoPhase = true
	return connectortest.SinkHarness{
		Claims: claims,
		New: func(connectortest.T) connectortest.System {
			d := &disk{bug: bug, claims: claims, pieces: map[string]*piece{}, fences: map[string]forebay.Owner{}}
			return connectortest.System{
				Sink: diskSink{d}, Read: d.read, Reopen: d.reopen, Unpublished: d.unpublished,
				LoseAnswer: func() { d.lose = true },
			}
		},
	}
}

// The kinds of two-phase sinks that the suite knows apart.
var (
	pieces  = connectortest.SinkClaims{Streams: true, Fences: true}
	holding = connectortest.SinkClaims{Streams: true, Fences: true, Holds: true}
	noting  = connectortest.SinkClaims{Streams: true, Notes: true, Holds: true}
)

func TestRightTwoPhaseSinkPasses(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]connectortest.SinkClaims{
		"pieces": pieces, "holding": holding, "noting": noting, "without a fence": {Streams: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSink(t, diskHarness("", claims))
		})
	}
}
