// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// Front answers clients on the network for a tablet server of this process, or sends them to where the tables are
// served.
//
// Concurrency: safe.
type Front struct {
	wire.UnimplementedTabletsServer

	config   Config
	limits   Limits
	logger   *slog.Logger
	gate     *gate
	standbys standbys
	// leaving is closed when the front begins to leave: who reads rows is sent away.
	leaving chan struct{}
	// ended is closed when everything accepted was answered, or was waited for long enough: streams end.
	ended chan struct{}
	// readers are the goroutines that read streams; a stream's reader ends after its call.
	readers sync.WaitGroup
	// requests and commits count answers.
	requests, commits tally
	listening         atomic.Pointer[limitedListener] // nil before Run
}

// New makes a front that follows: it sends clients elsewhere until Serve gives it a server.
//
// Errors: misconfigured where limits contradict each other.
func New(config Config) (*Front, error) {
	limits := config.Limits.withDefaults()
	if err := limits.validate(); err != nil {
		return nil, err
	}
	f := &Front{
		config: config, limits: limits, logger: config.Logger, gate: newGate(limits), leaving: make(chan struct{}),
		ended: make(chan struct{}),
	}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Serve opens the front to the tables of a server, which stays the caller's and is closed after Run has returned.
func (f *Front) Serve(s *server.Server) { f.gate.serve(s, f.config.Address) }

// Follow notes where the tables are served while this front has no server; empty is nowhere.
func (f *Front) Follow(leader string) { f.gate.follow(leader) }

// streamWindow and connectionWindow bound what is received and not read: of one stream, and at first of all of a
// connection. They are set so that one request of the usual size is on its way while another one is read.
const (
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
)

func (f *Front) options() []grpc.ServerOption {
	l := f.limits
	pool := &wire.Pool{}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec{Pool: pool}),
		experimental.BufferPool(pool),
		grpc.MaxRecvMsgSize(l.messageBytes()),
		grpc.MaxConcurrentStreams(uint32(l.ConnectionCalls)),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(l.Handshake),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: l.Idle, Time: l.Ping, Timeout: l.PingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: l.PingMin, PermitWithoutStream: true}),
	}
	if f.config.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(f.config.TLS)))
	}
	return options
}

// Run serves the connections of a listener until ctx ends. Then it sends new requests to a standby, answers everything
// that was accepted, ends the streams and closes the listener. A front runs once.
//
// Errors: those of the listener; transient, with the number, where accepted requests were not answered in time.
// Blocking: until nobody uses the server any more.
func (f *Front) Run(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(f.options()...)
	wire.RegisterTabletsServer(g, f)
	served := make(chan error, 1) // capacity 1: it ends while we stop
	var serving sync.WaitGroup
	limited := limitListener(l, f.limits.Connections)
	f.listening.Store(limited)
	serving.Go(func() { served <- g.Serve(limited) })
	var broken error
	select {
	case <-ctx.Done():
	case broken = <-served:
		broken = fmt.Errorf("serve %s: %w", l.Addr(), broken)
	}
	left := f.leave()
	close(f.ended)
	f.stop(g)
	serving.Wait()
	f.readers.Wait()
	return errors.Join(broken, left)
}

// leave takes nothing new and waits until everything accepted was answered.
func (f *Front) leave() error {
	next := f.standbys.next(time.Now())
	empty := f.gate.shut(next)
	close(f.leaving)
	if next != "" {
		f.logger.Info("clients are sent to the standby", "address", next)
	}
	timer := time.NewTimer(f.limits.Shutdown)
	defer timer.Stop()
	select {
	case <-empty:
		return nil
	case <-timer.C:
		e := forebay.Errorf("end", forebay.ClassTransient, "%d accepted requests were not answered within %s",
			f.gate.inside(), f.limits.Shutdown)
		e.Code = "not-drained"
		return e
	}
}

// stopGrace is how long clients have to take their last answers.
const stopGrace = time.Second

// stop ends the connections once their streams have ended, or after a moment.
func (f *Front) stop(g *grpc.Server) {
	stopped := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() {
		g.GracefulStop()
		close(stopped)
	})
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		g.Stop()
	}
	stopping.Wait()
}
