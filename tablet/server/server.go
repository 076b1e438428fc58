// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// Config says how a server runs. The zero value is the default.
type Config struct {
	// Logger gets state changes; nil is silence.
	Logger *slog.Logger
	// Now is the time in microseconds since 1970-01-01T00:00:00Z; nil is the machine's clock.
	Now func() int64
	// UnsafeNetworkDir lets Open take a directory on a network file system.
	UnsafeNetworkDir bool
	// Command is the command line that LOCK shows; only for Open.
	Command string
}

// Server is the tablet server in this process: catalogue, rows, logs, de-duplication and progress in one store.
//
// Concurrency: safe.
type Server struct {
	store  *store.Store
	owned  bool // Close closes the store
	now    func() int64
	logger *slog.Logger
	ledger *ledger
	cancel context.CancelFunc
	closed context.Context //nolint:containedctx // it is the server's life, which calls select on beside their own
	work   sync.WaitGroup
	spare  spares
	// executor applies the requests of writers.
	executor *executor
	// successor is set once the server hands over: what comes is answered with its address.
	successor atomic.Pointer[string]
	// partitionsCreated counts since the server was opened.
	partitionsCreated atomic.Int64

	closeOnce sync.Once
	closeErr  error

	// catalogueMu is held while the catalogue changes; then tablets may be locked.
	catalogueMu sync.Mutex

	// mu guards what is looked up; no other lock is taken under it.
	mu        sync.RWMutex
	tables    map[string]*table
	ids       map[uint32]*table // the same ones
	pipelines map[string]*pipeline

	nextID uint32 // guarded by catalogueMu
}

// New makes the server of an open store, which stays the caller's. It reads the catalogue; the logs of tablets
// are looked at when they are first used.
//
// Errors: corrupt where the catalogue cannot be read, and those of the store.
func New(ctx context.Context, st *store.Store, config Config) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start tablet server: %w", context.Cause(ctx))
	}
	s := &Server{
		store: st, now: config.Now, logger: config.Logger, ledger: newLedger(st),
		tables: make(map[string]*table), ids: make(map[uint32]*table), pipelines: make(map[string]*pipeline), nextID: 1,
	}
	if s.now == nil {
		s.now = func() int64 { return time.Now().UnixMicro() }
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if err := s.loadCatalogue(); err != nil {
		return nil, fmt.Errorf("start tablet server: %w", err)
	}
	s.closed, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.work.Go(func() { s.ledger.runFlusher(s.closed, unsyncedMax) })
	s.work.Go(s.runTrimmer)
	s.executor = newExecutor(s, defaultLimits())
	return s, nil
}

// Open opens the state directory and makes its server, for programs that embed one. Close closes both.
//
// Errors: misconfigured where the directory is in use, with its owner.
func Open(ctx context.Context, dir string, config Config) (*Server, error) {
	st, err := store.Open(ctx, store.Config{
		Dir: dir, Logger: config.Logger, UnsafeNetworkDir: config.UnsafeNetworkDir, Command: config.Command,
	})
	if err != nil {
		if inUse, ok := errors.AsType[*store.InUseError](err); ok {
			wrapped := forebay.Errorf("open tablet server", forebay.ClassMisconfigured, "%w", inUse)
			wrapped.Code = "in-use"
			return nil, wrapped
		}
		return nil, err
	}
	s, err := New(ctx, st, config)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s.owned = true
	return s, nil
}

// Close ends the server's own work and, where Open made it, closes the store, which syncs what was applied.
// Requests that are under way are answered first; later ones get 500 of the class transient. Closing twice gives the
// same answer.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.executor.close()
		s.cancel()
		s.work.Wait()
		if s.owned {
			s.closeErr = s.store.Close()
		}
	})
	return s.closeErr
}

// HandOver refuses every request and commit from now on with 302 and the address of the successor, which may be empty,
// and waits until everything that was accepted before is answered. Reads go on.
//
// Errors: the ctx's; the server hands over all the same.
func (s *Server) HandOver(ctx context.Context, successor string) error {
	s.successor.Store(&successor)
	return s.executor.drained(ctx)
}

// away is the answer to a request that comes after the server has handed over.
func (s *Server) away() (a forebay.Answer, gone bool) {
	to := s.successor.Load()
	if to == nil {
		return a, false
	}
	return forebay.Answer{Code: forebay.CodeNotLeader, Leader: *to, Message: "another server takes over"}, true
}

// Store is where the server keeps everything.
func (s *Server) Store() *store.Store { return s.store }

// find looks a table up.
func (s *Server) find(name string) *table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[name]
}

// errorAnswer is the answer to a request that the store refused.
func errorAnswer(err error) forebay.Answer {
	a := forebay.Answer{Code: forebay.CodeServerError, Message: err.Error(), Class: forebay.ClassOf(err)}
	switch {
	case errors.Is(err, store.ErrNoSpace):
		a.Code = forebay.CodeDiskFull
		a.RetryAfter = time.Second
	case errors.Is(err, store.ErrPoisoned):
		a.Class = forebay.ClassCorrupt
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, forebay.ErrStopped):
		a.Code = forebay.CodeTimeout
	}
	return a
}

// classified is an error of the store with the class that callers go by.
func classified(op string, err error) error {
	if _, known := errors.AsType[*forebay.Error](err); known {
		return fmt.Errorf("%s: %w", op, err)
	}
	class := forebay.ClassAmbiguous
	code := ""
	switch {
	case errors.Is(err, store.ErrNoSpace):
		class, code = forebay.ClassTransient, "disk-full"
	case errors.Is(err, store.ErrPoisoned):
		class, code = forebay.ClassCorrupt, "poisoned"
	}
	e := forebay.Errorf(op, class, "%w", err)
	e.Code = code
	return e
}
