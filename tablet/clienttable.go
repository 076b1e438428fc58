// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
	"github.com/forebay-io/forebay/writer"
)

// refreshMin is how old what is known of a table must be before it is asked for again.
const refreshMin = 200 * time.Millisecond

// clientTable is a table of the server as writers and pipelines see it: a target, and the backend of its writers. All
// of a connection that write to one table share it.
//
// Concurrency: safe.
type clientTable struct {
	client     *Client
	name       string
	partitions *Partitions
	next       atomic.Uint32 // deals encoders without splits out over the tablets

	mu      sync.Mutex
	info    TableInfo
	asked   time.Time
	shapes  map[string]uint32 // ids of layouts by their columns
	refresh *refresh
}

// refresh is a look-up of the table under way.
type refresh struct {
	done chan struct{} // closed when err is set
	err  error
}

var (
	_ forebay.Target         = (*clientTable)(nil)
	_ forebay.Sequencer      = (*clientTable)(nil)
	_ forebay.ProgressHolder = (*clientTable)(nil)
	_ forebay.Backend        = (*clientTable)(nil)
	_ forebay.Committer      = (*clientTable)(nil)
	_ forebay.Locator        = (*clientTable)(nil)
)

// OpenTable implements forebay.Tables.
func (c *Client) OpenTable(ctx context.Context, spec forebay.TableSpec) (forebay.Target, error) {
	var info TableInfo
	err := c.call(ctx, "open table", false, func(ctx context.Context, to caller) error {
		m, err := to.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(spec), Open: true}, to.over)
		if err == nil {
			info, err = TableOf(m)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.table(info), nil
}

// table is what the connection shares of a table.
func (c *Client) table(info TableInfo) *clientTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tables[info.Name]
	if t == nil || t.id() != info.ID {
		t = &clientTable{client: c, name: info.Name, shapes: map[string]uint32{}}
		t.partitions = NewPartitions(info, t.createPartition)
		t.next.Store(rand.Uint32()) // or the first writers of all programs would meet in one tablet
		c.tables[info.Name] = t
	}
	t.setInfo(info)
	return t
}

func (t *clientTable) id() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info.ID
}

func (t *clientTable) setInfo(info TableInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.info, t.asked = info, time.Now()
}

func (t *clientTable) known() TableInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info
}

// Backend implements forebay.Sequencer.
func (t *clientTable) Backend() forebay.Backend { return t }

// Close implements forebay.Target. The connection keeps what it knows of the table.
func (t *clientTable) Close() error { return nil }

// Tablets implements forebay.Backend.
func (t *clientTable) Tablets() forebay.BackendInfo {
	info := t.known()
	return forebay.BackendInfo{Table: t.name, Tablets: t.partitions.Tablets(), Keyed: len(info.Key) > 0, Network: true}
}

// Encoder implements forebay.Backend.
//
// Blocking: on the server, for columns that were not written before.
func (t *clientTable) Encoder(layout *forebay.Layout) (forebay.Encoder, error) {
	id, err := t.shape(layout.Schema)
	if err != nil {
		return nil, err
	}
	return NewEncoder(EncoderConfig{
		Table: t.known(), Layout: layout, SchemaID: id, Partitions: t.partitions,
		Now:  func() int64 { return time.Now().UnixMicro() },
		Next: func() uint32 { return t.next.Add(1) - 1 },
	})
}

// shape is the id under which rows with the columns of a schema are written.
func (t *clientTable) shape(schema *forebay.Schema) (uint32, error) {
	columns := schema.String()
	t.mu.Lock()
	id, ok := t.shapes[columns]
	if !ok && schema.Equal(t.info.Schema) {
		id, ok = t.info.SchemaID, true
	}
	table := t.info.ID
	t.mu.Unlock()
	if ok {
		return id, nil
	}
	err := t.client.call(t.client.ctx, "open writer", false, func(ctx context.Context, to caller) error {
		m, err := to.Shape(ctx, &wire.ShapeRequest{TableId: table, Columns: wire.NewColumns(schema)}, to.over)
		id = m.GetSchemaId()
		return err
	})
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shapes[columns] = id
	return id, nil
}

// InitWriter implements forebay.Backend.
func (t *clientTable) InitWriter(ctx context.Context) (id string, err error) {
	err = t.client.call(ctx, "init writer", false, func(ctx context.Context, to caller) error {
		m, err := to.InitWriter(ctx, &wire.InitWriterRequest{}, to.over)
		id = m.GetWriterId()
		return err
	})
	return id, err
}

// createPartition makes a partition unless it is there.
func (t *clientTable) createPartition(ctx context.Context, name string) (p Partition, err error) {
	err = t.client.call(ctx, "create partition", false, func(ctx context.Context, to caller) error {
		m, err := to.CreatePartition(ctx, &wire.CreatePartitionRequest{TableId: t.id(), Name: name}, to.over)
		p = Partition{Name: m.GetName(), FirstTablet: int(m.GetFirstTablet())}
		return err
	})
	if hook := t.client.config.Hooks.PartitionCreated; hook != nil && err == nil {
		hook(t.name, p.Name)
	}
	return p, err
}

// place is where the requests of a tablet go. Its partition is made where it is missing.
func (t *clientTable) place(ctx context.Context, tablet int) (wire.Place, *forebay.Answer) {
	if tablet < 0 || tablet >= t.partitions.Tablets() {
		return wire.Place{}, &forebay.Answer{
			Code: forebay.CodeNotFound, Message: fmt.Sprintf("table %q has no tablet %d", t.name, tablet),
		}
	}
	if _, located := t.partitions.InTable(tablet); !located {
		if err := t.partitions.Locate(ctx, tablet, false); err != nil {
			a := notSent(err)
			if forebay.ClassOf(err) == forebay.ClassMisconfigured {
				a.Code = forebay.CodeNotFound
			}
			return wire.Place{}, &a
		}
	}
	to := wire.Place{TableID: t.id()}
	to.Partition, to.Tablet = t.partitions.Place(tablet)
	return to, nil
}

// InTable implements forebay.Locator.
func (t *clientTable) InTable(tablet int) (number int, located bool) {
	return t.partitions.InTable(tablet)
}

// Locate implements forebay.Locator: it makes the tablet's partition.
//
// Errors: misconfigured, with the code table-replaced, where the table was dropped and made again.
// Blocking: while the server that leads is searched for, until ctx ends.
func (t *clientTable) Locate(ctx context.Context, tablet int, refresh bool) error {
	if _, err := t.client.leader(ctx); err != nil {
		return err
	}
	if refresh {
		if err := t.ask(ctx); err != nil {
			return err
		}
	}
	return t.partitions.Locate(ctx, tablet, refresh)
}

// ask looks the table up again. However many ask, one call is made, and none where one came back just now.
func (t *clientTable) ask(ctx context.Context) error {
	t.mu.Lock()
	r := t.refresh
	if r == nil {
		if time.Since(t.asked) < refreshMin {
			t.mu.Unlock()
			return nil
		}
		r = &refresh{done: make(chan struct{})}
		t.refresh = r
		// The lock of the client comes before that of a table.
		t.mu.Unlock()
		if !t.client.start(func() { t.runRefresh(r) }) {
			t.endRefresh(r, forebay.ErrClosed)
		}
	} else {
		t.mu.Unlock()
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start runs f until it returns, unless the connection is closed.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Go(f)
	}
	return !c.closed
}

func (t *clientTable) runRefresh(r *refresh) {
	info, err := t.client.Describe(t.client.ctx, t.name)
	if err == nil {
		err = t.renew(info)
	}
	t.endRefresh(r, err)
}

// endRefresh tells everybody who waits.
func (t *clientTable) endRefresh(r *refresh, err error) {
	t.mu.Lock()
	t.refresh = nil
	t.mu.Unlock()
	r.err = err
	close(r.done)
}

// renew notes what a look-up found.
func (t *clientTable) renew(info TableInfo) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if info.ID != t.info.ID {
		e := forebay.Errorf(fmt.Sprintf("table %q", t.name), forebay.ClassMisconfigured,
			"it was dropped and made again since it was opened")
		e.Code, e.Cure = "table-replaced", "open it again"
		return e
	}
	t.info, t.asked = info, time.Now()
	return nil
}

// Send implements forebay.Backend.
//
// Blocking: while the server that leads is searched for, and while the connection takes nothing, until ctx ends.
func (t *clientTable) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	to, refused := t.check(ctx, r)
	if refused != nil {
		done(*refused)
		return
	}
	c := newCall(wire.NewWriteRequest(r, to, time.Now()), done)
	c.noAnswer = r.Acks == forebay.AcksNone
	t.client.put(ctx, streamKey{lane: writeLane}, c)
}

// check finds out where a request goes, or why it cannot.
func (t *clientTable) check(ctx context.Context, r *forebay.Request) (wire.Place, *forebay.Answer) {
	if forebay.Bytes(len(r.Data)) > t.client.config.MessageBytes {
		return wire.Place{}, t.client.tooLarge(len(r.Data))
	}
	return t.place(ctx, r.Tablet)
}

func (c *Client) tooLarge(size int) *forebay.Answer {
	return &forebay.Answer{Code: forebay.CodeTooLarge, Message: fmt.Sprintf("it has %d bytes, and the connection "+
		"sends at most %s at once", size, c.config.MessageBytes)}
}

// put hands a call to the stream of that name.
func (c *Client) put(ctx context.Context, key streamKey, request *call) {
	for {
		n, err := c.leader(ctx)
		if err != nil {
			request.decide(notSent(err))()
			return
		}
		s := c.stream(key, n)
		if s == nil {
			request.decide(notSent(forebay.ErrClosed))()
			return
		}
		if s.put(ctx, request) {
			return
		}
	}
}

// messageSize is what a message is counted with: its rows and what else may be large.
func messageSize(m proto.Message) int {
	switch m := m.(type) {
	case *wire.WriteRequest:
		return len(m.GetBatchData())
	case *wire.CommitRequest:
		size := 0
		for _, r := range m.GetRequests() {
			size += len(r.GetBatchData())
		}
		for _, l := range m.GetDeadLetters() {
			size += len(l.GetValue()) + len(l.GetReason()) + len(l.GetPlace())
		}
		return size
	default:
		return 0
	}
}

// Commit implements forebay.Committer.
//
// Blocking: while the server that leads is searched for, and while the connection takes nothing, until ctx ends.
func (t *clientTable) Commit(ctx context.Context, c *forebay.Commit) (wait func(context.Context) forebay.Answer) {
	message, refused := t.commitMessage(ctx, c)
	if refused != nil {
		return func(context.Context) forebay.Answer { return *refused }
	}
	answered := make(chan forebay.Answer, 1)
	given, giveUp := context.WithCancelCause(ctx)
	t.client.put(given, streamKey{pipeline: c.Owner.Pipeline, lane: c.Lane},
		newCall(message, func(a forebay.Answer) { answered <- a }))
	return func(ctx context.Context) forebay.Answer {
		defer giveUp(nil)
		select {
		case a := <-answered:
			return a
		case <-ctx.Done():
			giveUp(context.Cause(ctx)) // the answer comes soon now
			return <-answered
		}
	}
}

func (t *clientTable) commitMessage(
	ctx context.Context, c *forebay.Commit,
) (*wire.CommitRequest, *forebay.Answer) {
	message, err := wire.NewCommitRequest(c)
	if err != nil {
		return nil, &forebay.Answer{Code: forebay.CodeMalformed, Message: err.Error()}
	}
	now := time.Now()
	message.Requests = make([]*wire.WriteRequest, len(c.Requests))
	for i := range c.Requests {
		to, refused := t.check(ctx, &c.Requests[i])
		if refused != nil {
			return nil, refused
		}
		message.Requests[i] = wire.NewWriteRequest(&c.Requests[i], to, now)
	}
	if size := messageSize(message); forebay.Bytes(size) > t.client.config.MessageBytes {
		return nil, t.client.tooLarge(size)
	}
	return message, nil
}

// State implements forebay.ProgressHolder.
func (t *clientTable) State(ctx context.Context, pipeline string) (state forebay.TargetState, err error) {
	err = t.client.call(ctx, "read progress", false, func(ctx context.Context, to caller) error {
		m, err := to.State(ctx, &wire.StateRequest{Pipeline: pipeline}, to.over)
		state = m.Forebay()
		return err
	})
	return state, err
}

// Fence implements forebay.ProgressHolder.
func (t *clientTable) Fence(ctx context.Context, f forebay.Fence) error {
	message, err := wire.NewFenceRequest(f)
	if err != nil {
		return err
	}
	return t.client.call(ctx, "fence", false, func(ctx context.Context, to caller) error {
		_, err := to.TabletsClient.Fence(ctx, message, to.over)
		return err
	})
}

// Forget implements forebay.ProgressHolder.
func (t *clientTable) Forget(ctx context.Context, pipeline string) error {
	return t.client.call(ctx, "forget progress", false, func(ctx context.Context, to caller) error {
		_, err := to.Forget(ctx, &wire.ForgetRequest{Pipeline: pipeline}, to.over)
		return err
	})
}

// Append implements Opener.
func (c *Client) Append(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return c.writers().Append(ctx, table, config)
}

// Upsert implements Opener.
func (c *Client) Upsert(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return c.writers().Upsert(ctx, table, config)
}

// Session implements Opener.
func (c *Client) Session(config writer.SessionConfig) (*writer.Session, error) {
	return c.writers().Session(config)
}

func (c *Client) writers() Writers {
	return Writers{
		Describe: c.Describe,
		Open:     func(_ context.Context, info TableInfo) (forebay.Target, error) { return c.table(info), nil },
		Memory:   c.memory,
	}
}
