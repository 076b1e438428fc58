// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/forebay-io/forebay/internal/admin"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/metrics"
)

// serveHTTP is the HTTP side of a tablet server. A nil one does nothing.
type serveHTTP struct {
	server   *admin.Server
	listener net.Listener
	logger   *slog.Logger
}

// listenHTTP opens the HTTP side; nil where no address is given.
func (p *serveProcess) listenHTTP(ctx context.Context, address string) (*serveHTTP, error) {
	if address == "" {
		return nil, nil
	}
	counted, scrape, err := metrics.Process()
	if err != nil {
		return nil, err
	}
	l, err := admin.Listen(ctx, "--http", address)
	if err != nil {
		return nil, err
	}
	counted.Server(p.figures)
	if !admin.Loopback(l) {
		p.logger.Warn("--http is open to other machines: whoever reaches it can read metrics and health",
			"address", l.Addr().String())
	}
	fmt.Fprintf(p.app.err, "metrics and health at http://%s\n", l.Addr())
	return &serveHTTP{
		server:   admin.NewServer(admin.Config{Metrics: scrape, Health: p.health, Logger: p.logger}),
		listener: l, logger: p.logger,
	}, nil
}

func (h *serveHTTP) close() error {
	if h == nil {
		return nil
	}
	return h.listener.Close()
}

// begin answers until end is called, also after ctx has ended. beside runs as long.
func (h *serveHTTP) begin(ctx context.Context, beside func(context.Context)) (end func()) {
	if h == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var answering sync.WaitGroup
	answering.Go(func() { beside(ctx) })
	answering.Go(func() {
		if err := h.server.Run(ctx, h.listener); err != nil {
			h.logger.Warn("the http server ended", "error", err)
		}
	})
	return func() {
		cancel()
		answering.Wait()
	}
}

// probeEvery is how often a disk is asked whether it answers, so that one that hangs is known within five seconds also
// where nobody writes: this and store.StalledAfter are less.
const probeEvery = 1500 * time.Millisecond

// runProbe asks the disk of a store now and then until ctx ends. What it finds the store says.
func runProbe(ctx context.Context, of func() *store.Store) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		if st := of(); st != nil {
			_ = st.Probe(ctx) // the store remembers
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// runProbe asks the disk of the directory, once that is ours.
func (p *serveProcess) runProbe(ctx context.Context) {
	runProbe(ctx, func() *store.Store {
		if tables := p.tables.Load(); tables != nil {
			return tables.Store()
		}
		return nil
	})
}

// health is how the tablet server is doing: ready while writes succeed.
func (p *serveProcess) health(time.Time) []admin.Health {
	out := admin.Health{Name: "tablet server", State: "serving", Ready: true, Healthy: true}
	front := p.front.Stats()
	tables := p.tables.Load()
	var failed error
	if tables != nil {
		failed = tables.Store().Err()
	}
	switch {
	case tables == nil:
		out.State, out.Ready, out.Cause = "standing by", false, "another process owns the state directory"
		if front.Leader != "" {
			out.Cause += " and serves at " + front.Leader
		}
	case errors.Is(failed, store.ErrPoisoned):
		out.State, out.Ready, out.Healthy, out.Cause = "stopped", false, false, failed.Error()
	case front.Leaving:
		out.State, out.Ready, out.Cause = "ending", false, "what was accepted is answered, and nothing new is taken"
	case failed != nil:
		out.State, out.Ready, out.Cause = "failing", false, failed.Error()
	case !front.Serving:
		out.State, out.Ready, out.Cause = "starting", false, "clients are not served yet"
	}
	return []admin.Health{out}
}

// figures are those of a scrape.
func (p *serveProcess) figures() metrics.ServerFigures {
	front := p.front.Stats()
	f := metrics.ServerFigures{
		Serving: front.Serving, Connections: front.Connections, Readers: front.Readers, Pressure: front.Pressure,
		Requests: front.Requests, Commits: front.Commits,
	}
	tables := p.tables.Load()
	if tables == nil {
		return f
	}
	s := tables.Stats()
	f.Tables, f.Partitions, f.PartitionsCreated = s.Tables, s.Partitions, s.PartitionsCreated
	f.QueueRequests, f.QueueBytes, f.QueueBytesMax = s.QueueRequests, s.QueueBytes, s.QueueBytesMax
	f.Pressure, f.Disk = max(front.Pressure, s.Pressure), s.Disk
	f.SyncBounds, f.SyncCounts, f.SyncTotal = s.Syncs.Bounds, s.Syncs.Counts, s.Syncs.Total
	return f
}
