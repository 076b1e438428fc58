// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"

	"github.com/forebay-io/forebay"
)

// handle is an open table: the target of a sink, and the backend of its writers.
//
// Concurrency: safe.
type handle struct {
	server *Server
	table  *table

	closeOnce sync.Once
}

var (
	_ forebay.Tables           = (*Server)(nil)
	_ forebay.DeadLetterHolder = (*Server)(nil)
	_ forebay.Target           = (*handle)(nil)
	_ forebay.Sequencer        = (*handle)(nil)
	_ forebay.ProgressHolder   = (*handle)(nil)
	_ forebay.Backend          = (*handle)(nil)
	_ forebay.Committer        = (*handle)(nil)
)

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
	return forebay.BackendInfo{Table: h.table.name, Tablets: len(h.table.tablets), Keyed: h.table.keyed}
}

// Encoder implements forebay.Backend.
func (h *handle) Encoder(layout *forebay.Layout) (forebay.Encoder, error) {
	return h.server.newEncoder(h.table, layout)
}

// InitWriter implements forebay.Backend: 128 random bits, so nothing has to be stored.
func (h *handle) InitWriter(context.Context) (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", forebay.Errorf("init writer", forebay.ClassTransient, "%w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// Send implements forebay.Backend.
func (h *handle) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	h.server.Send(ctx, r, done)
}

// Commit implements forebay.Committer.
func (h *handle) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	return h.server.Commit(ctx, c)
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
