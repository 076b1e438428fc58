// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// RowBytesMax bounds one row.
const RowBytesMax = tablet.RowBytesMax

// handle is an open table: the target of a sink, and the backend of its writers.
//
// Concurrency: safe.
type handle struct {
	server *Server
	table  *table
	// partitions numbers the tablets that the encoders route rows to.
	partitions *tablet.Partitions

	closeOnce sync.Once
}

var (
	_ tablet.Conn              = (*Server)(nil)
	_ forebay.DeadLetterHolder = (*Server)(nil)
	_ forebay.Target           = (*handle)(nil)
	_ forebay.Sequencer        = (*handle)(nil)
	_ forebay.ProgressHolder   = (*handle)(nil)
	_ forebay.Backend          = (*handle)(nil)
	_ forebay.Committer        = (*handle)(nil)
	_ forebay.Locator          = (*handle)(nil)
)

func newHandle(s *Server, t *table) *handle {
	info := tablet.TableInfo{TableSpec: t.descriptor.Load().spec(), ID: t.id, Partitions: t.partitions()}
	create := func(ctx context.Context, name string) (tablet.Partition, error) {
		p, _, err := s.CreatePartition(ctx, t.name, name)
		return p, err
	}
	return &handle{server: s, table: t, partitions: tablet.NewPartitions(info, create)}
}

// Backend implements forebay.Sequencer.
func (h *handle) Backend() forebay.Backend { return h }

// Close lets go of the table, which may then be dropped. Closing twice is fine.
func (h *handle) Close() error {
	h.closeOnce.Do(func() {
		h.server.catalogueMu.Lock()
		defer h.server.catalogueMu.Unlock()
		h.table.handles--
	})
	return nil
}

// Tablets implements forebay.Backend.
func (h *handle) Tablets() forebay.BackendInfo {
	return forebay.BackendInfo{Table: h.table.name, Tablets: h.partitions.Tablets(), Keyed: h.table.keyed}
}

// Encoder implements forebay.Backend.
func (h *handle) Encoder(layout *forebay.Layout) (forebay.Encoder, error) {
	return h.server.newEncoder(h.table, layout, h.partitions)
}

// newEncoder fits an encoder to a layout, whose columns must be columns of the table. The partitions are those of its
// backend, nil where the table has none.
func (s *Server) newEncoder(t *table, layout *forebay.Layout, partitions *tablet.Partitions) (forebay.Encoder, error) {
	schemaID, err := s.shape(t, layout.Schema)
	if err != nil {
		return nil, err
	}
	return tablet.NewEncoder(tablet.EncoderConfig{
		Table: tablet.TableInfo{TableSpec: t.descriptor.Load().spec(), ID: t.id}, Layout: layout, SchemaID: schemaID,
		Now: s.now, Partitions: partitions, Next: func() uint32 { return t.nextTablet.Add(1) - 1 },
	})
}

// InitWriter implements forebay.Backend: 128 random bits, so nothing has to be stored.
func (h *handle) InitWriter(context.Context) (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", forebay.Errorf("init writer", forebay.ClassTransient, "%w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// Locate implements forebay.Locator: it makes the partition of the tablet.
func (h *handle) Locate(ctx context.Context, tablet int, refresh bool) error {
	return h.partitions.Locate(ctx, tablet, refresh)
}

// partitioned says whether the numbers of tablets that the encoders give are not those of the table.
func (h *handle) partitioned() bool { return h.table.descriptor.Load().partitionBy.Column != "" }

// Send implements forebay.Backend.
func (h *handle) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	if !h.partitioned() {
		h.server.Send(ctx, r, done)
		return
	}
	number, err := h.locatedInTable(ctx, r.Tablet)
	if err != nil {
		done(locateAnswer(err))
		return
	}
	located := *r
	located.Tablet = number
	h.server.Send(ctx, &located, done)
}

// InTable implements forebay.Locator.
func (h *handle) InTable(tablet int) (number int, located bool) { return h.partitions.InTable(tablet) }

// locatedInTable is the number in the table of a tablet, whose partition is made where it is missing.
func (h *handle) locatedInTable(ctx context.Context, tablet int) (int, error) {
	number, located := h.partitions.InTable(tablet)
	if located {
		return number, nil
	}
	if err := h.partitions.Locate(ctx, tablet, false); err != nil {
		return 0, err
	}
	number, _ = h.partitions.InTable(tablet)
	return number, nil
}

// locateAnswer is the answer to a request whose partition cannot be made.
func locateAnswer(err error) forebay.Answer {
	a := errorAnswer(err)
	if a.Code == forebay.CodeServerError && a.Class == forebay.ClassMisconfigured {
		a.Code = forebay.CodeNotFound
	}
	return a
}

// Commit implements forebay.Committer. Partitions that are missing are made before anything is applied.
func (h *handle) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	if !h.partitioned() {
		return h.server.Commit(ctx, c)
	}
	located := *c
	located.Requests = slices.Clone(c.Requests)
	for i := range located.Requests {
		r := &located.Requests[i]
		if r.Table != h.table.name {
			continue
		}
		var err error
		if r.Tablet, err = h.locatedInTable(ctx, r.Tablet); err != nil {
			answer := locateAnswer(err)
			return func(context.Context) forebay.Answer { return answer }
		}
	}
	return h.server.Commit(ctx, &located)
}

// State implements forebay.ProgressHolder.
func (h *handle) State(ctx context.Context, pipeline string) (forebay.TargetState, error) {
	return h.server.State(ctx, pipeline)
}

// Fence implements forebay.ProgressHolder.
func (h *handle) Fence(ctx context.Context, f forebay.Fence) error { return h.server.Fence(ctx, f) }

// Forget implements forebay.ProgressHolder.
func (h *handle) Forget(ctx context.Context, pipeline string) error {
	return h.server.Forget(ctx, pipeline)
}

// Append makes a writer for a log table: rows of one writer go to one tablet, in order.
//
// Errors: misconfigured where there is no such table, it has a key, or the configuration is wrong.
func (s *Server) Append(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return s.writers().Append(ctx, table, config)
}

// Upsert makes a writer for a table with a key: a row replaces the one with its key, and Delete removes it.
//
// Errors: misconfigured where there is no such table, it has no key, or the configuration is wrong.
func (s *Server) Upsert(ctx context.Context, table string, config writer.Config) (*writer.Writer, error) {
	return s.writers().Upsert(ctx, table, config)
}

// Session makes a session over the server's tables, with a key or without one.
//
// Errors: misconfigured where the configuration is wrong.
func (s *Server) Session(config writer.SessionConfig) (*writer.Session, error) {
	return s.writers().Session(config)
}

func (s *Server) writers() tablet.Writers {
	return tablet.Writers{
		Describe: s.Describe,
		Open: func(ctx context.Context, info tablet.TableInfo) (forebay.Target, error) {
			return s.OpenTable(ctx, info.TableSpec)
		},
	}
}
