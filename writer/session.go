// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// FlushMode says when a session sends the operations that it takes.
type FlushMode uint8

// The modes, by the names that Kudu gives them.
const (
	// AutoFlushSync sends each operation at once and waits for its outcome.
	AutoFlushSync FlushMode = iota
	// ManualFlush gathers operations in a buffer until Flush is called.
	ManualFlush
	// AutoFlushBackground gathers operations in one of two buffers; it sends a buffer that is full or old enough, while
	// the other one fills.
	AutoFlushBackground
)

var flushModeNames = [...]string{"AUTO_FLUSH_SYNC", "MANUAL_FLUSH", "AUTO_FLUSH_BACKGROUND"}

// String is Kudu's name of the mode.
func (m FlushMode) String() string {
	if int(m) < len(flushModeNames) {
		return flushModeNames[m]
	}
	return "unknown"
}

// Order says in which order the operations of a session reach one tablet.
type Order uint8

const (
	// OrderTablet applies the operations on a tablet in the order in which the session took them.
	OrderTablet Order = iota
	// OrderNone lets the operations of one buffer overtake those of the other, so that one that is tried again holds
	// nothing up. Each is still applied once.
	OrderNone
)

// Defaults of SessionConfig.
const (
	SessionBufferDefault        = 7 * forebay.MiB
	SessionOperationsDefault    = 65_536
	SessionFlushIntervalDefault = time.Second
	SessionTimeoutDefault       = 30 * time.Second
	SessionErrorsDefault        = 1000
	SessionErrorBytesDefault    = 1 * forebay.MiB
)

// NoTimeout is the value of SessionConfig.Timeout for operations that wait for their outcome for ever.
const NoTimeout time.Duration = -1

// SessionConfig describes a session. The zero value is Kudu's: AUTO_FLUSH_SYNC, 30 s.
type SessionConfig struct {
	// Mode may be changed by SetMode.
	Mode FlushMode
	// BufferBytes bounds each of the two buffers; default 7 MiB. An operation takes the bytes of its row, those of the
	// row's copy, and 128 more.
	BufferBytes forebay.Bytes
	// BufferOperations bounds each of the two buffers too; default 65,536, the most that a tablet server takes in one
	// request of a session.
	BufferOperations int
	// FlushInterval is the age at which a buffer is sent in the background; default 1 s.
	FlushInterval time.Duration
	// Timeout bounds an operation in AUTO_FLUSH_SYNC, and a buffer from its flush in the other modes; default 30 s.
	// NoTimeout stands for none.
	Timeout time.Duration
	// ErrorsMax and ErrorBytesMax bound the pending errors: their number, default 1000, and the bytes of their rows and
	// texts, default 1 MiB. Beyond, the oldest are dropped and counted.
	ErrorsMax     int
	ErrorBytesMax forebay.Bytes
	// Order is that of the operations on one tablet.
	Order Order
	// IgnoreAllDuplicateRows makes an insert of a key that is there no error, IgnoreAllNotFoundRows an update or delete
	// of one that is not.
	IgnoreAllDuplicateRows, IgnoreAllNotFoundRows bool
	// WithoutRows keeps no copies of rows: responses and errors name an operation by its number alone.
	WithoutRows bool
	// Memory holds what is not answered, and may be shared; nil makes one of Writer.BufferMemory.
	Memory *Memory
	// Writer configures the writers of the session's tables. Their batches are the session's buffers, their memory is the
	// session's; retries go on until the time-out unless Writer.Retries says otherwise. Their hooks must not call the
	// session.
	Writer Config
}

// Validate reports everything that is wrong, at once.
func (c SessionConfig) Validate() error {
	var problems []error
	wrong := func(condition bool, text string) {
		if condition {
			problems = append(problems, errors.New(text))
		}
	}
	wrong(c.Mode > AutoFlushBackground, "session mode: must be AUTO_FLUSH_SYNC, MANUAL_FLUSH or AUTO_FLUSH_BACKGROUND")
	wrong(c.Order > OrderNone, "session order: must be tablet or none")
	wrong(c.BufferBytes < 0 || c.BufferBytes > forebay.GiB, "session buffer: must be 1B to 1GiB")
	wrong(c.BufferOperations < 0, "session buffer operations: must be at least 1")
	wrong(c.FlushInterval < 0, "session flush interval: must be above 0")
	wrong(c.Timeout < 0 && c.Timeout != NoTimeout, "session time-out: must be above 0, or NoTimeout")
	wrong(c.ErrorsMax < 0, "session errors: must be at least 1")
	wrong(c.ErrorBytesMax < 0, "session error bytes: must be at least 1B")
	if err := c.Writer.Validate(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (c SessionConfig) withDefaults() SessionConfig {
	c.BufferBytes = cmp.Or(c.BufferBytes, SessionBufferDefault)
	c.BufferOperations = cmp.Or(c.BufferOperations, SessionOperationsDefault)
	c.FlushInterval = cmp.Or(c.FlushInterval, SessionFlushIntervalDefault)
	c.Timeout = cmp.Or(c.Timeout, SessionTimeoutDefault)
	c.ErrorsMax = cmp.Or(c.ErrorsMax, SessionErrorsDefault)
	c.ErrorBytesMax = cmp.Or(c.ErrorBytesMax, SessionErrorBytesDefault)
	if c.Memory == nil {
		c.Memory = NewMemory(c.Writer.BufferMemory)
	}
	return c
}

// OpenWriter opens the writer of a table for a session, which closes it.
type OpenWriter func(ctx context.Context, table string, config Config) (*Writer, error)

// Session takes operations on the rows of several tables and says of each what became of it, in one of the modes that
// Kudu's sessions have. It stands on a writer for each of its tables.
//
// Guarantee: every operation that was taken is answered once: by Apply, in a response of Flush, or, where it fails in
// the background, by PendingErrors or Shutdown. Operations of one goroutine on one tablet are applied in their order.
// Concurrency: safe.
// Limits: two buffers of SessionConfig.BufferBytes; SessionConfig.Memory.
type Session struct {
	open    OpenWriter
	config  SessionConfig // with defaults
	memory  *Memory
	started time.Time

	work     sync.WaitGroup  // the timer, who waits for answers, and Apply in AUTO_FLUSH_SYNC
	flushing chan struct{}   // capacity 1: full while a Flush is under way
	changed  chan struct{}   // capacity 1: the timer is to look at the buffers again
	pressed  chan struct{}   // capacity 1: there is not enough memory
	closing  context.Context //nolint:containedctx // ends with the taking of operations: it bounds waits for room
	refuse   context.CancelCauseFunc
	ended    chan struct{}
	end      func() error // once

	mu       sync.Mutex
	mode     FlushMode
	timeout  time.Duration
	tables   map[string]*SessionTable
	closed   bool
	next     int64            // number of the next operation
	waiting  int              // operations that AUTO_FLUSH_SYNC waits for
	quiet    chan struct{}    // closed when waiting returns to 0; nil while nobody asks
	filling  *sessionBuffer   // nil: none
	sealed   []*sessionBuffer // flushed and not answered, or in MANUAL_FLUSH not reported; oldest first
	spare    *sessionBuffer
	timed    bool // the timer runs
	failures collector
}

// sessionBuffers is how many buffers there are: one fills while one is flushed.
const sessionBuffers = 2

// NewSession makes a session whose tables are opened by open.
//
// Errors: misconfigured.
func NewSession(open OpenWriter, config SessionConfig) (*Session, error) {
	if err := config.Validate(); err != nil {
		return nil, &forebay.Error{Op: "open session", Class: forebay.ClassMisconfigured, Err: err}
	}
	config = config.withDefaults()
	s := &Session{
		open: open, config: config, memory: config.Memory, started: time.Now(),
		flushing: make(chan struct{}, 1), changed: make(chan struct{}, 1), pressed: make(chan struct{}, 1),
		ended: make(chan struct{}),
		mode:  config.Mode, timeout: config.Timeout, tables: map[string]*SessionTable{},
		failures: collector{max: config.ErrorsMax, maxBytes: config.ErrorBytesMax},
	}
	s.closing, s.refuse = context.WithCancelCause(context.Background())
	s.end = sync.OnceValue(s.finish)
	return s, nil
}

// Mode is the mode now.
func (s *Session) Mode() FlushMode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// SetMode changes the mode.
//
// Errors: a *PendingError while operations are pending: the answers of their flush are the caller's.
func (s *Session) SetMode(mode FlushMode) error {
	if mode > AutoFlushBackground {
		return forebay.Errorf("set mode", forebay.ClassMisconfigured, "%d is no mode", mode)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errSessionClosed("set mode")
	}
	if n := s.pendingLocked(); n > 0 && mode != s.mode {
		return &PendingError{From: s.mode, To: mode, Operations: n}
	}
	s.mode = mode
	return nil
}

// SetTimeout changes the time-out of what is applied or flushed from now on; NoTimeout stands for none.
//
// Errors: misconfigured.
func (s *Session) SetTimeout(d time.Duration) error {
	if d <= 0 && d != NoTimeout {
		return forebay.Errorf("set time-out", forebay.ClassMisconfigured, "%s: must be above 0, or NoTimeout", d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeout = d
	return nil
}

// Pending is the number of operations that are not answered, or whose responses no Flush has returned yet.
func (s *Session) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingLocked()
}

func (s *Session) pendingLocked() int {
	n := s.waiting
	if s.filling != nil {
		n += len(s.filling.operations)
	}
	for _, b := range s.sealed {
		n += len(b.operations)
	}
	return n
}

// CountPendingErrors is the number of errors that PendingErrors would return.
func (s *Session) CountPendingErrors() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failures.errors)
}

// PendingErrors returns what failed in AUTO_FLUSH_BACKGROUND since the last call, and forgets it.
func (s *Session) PendingErrors() PendingErrors {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures.take()
}

// Shutdown takes no more operations, flushes and waits for the answers, then ends the session. When ctx ends first, the
// rest ends as Close would end it.
//
// Errors: *OperationsError with what failed and was neither returned by Flush nor read by PendingErrors.
// Blocking: until everything is answered or timed out, or ctx ends.
func (s *Session) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.sealLocked(sendNow)
	buffers := append([]*sessionBuffer(nil), s.sealed...)
	if s.waiting > 0 && s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	quiet := s.quiet
	s.mu.Unlock()
	s.refuse(errSessionClosed("apply"))
	var waits []<-chan struct{}
	for _, b := range buffers {
		waits = append(waits, b.done)
	}
	if quiet != nil {
		waits = append(waits, quiet)
	}
	for _, done := range waits {
		if err := await(ctx, done); err != nil {
			return errors.Join(fmt.Errorf("shut session down: %w", err), s.Close())
		}
	}
	return s.Close()
}

// Close ends the session at once. What was not sent is not applied; the fate of what has no answer is unknown. It may
// be called twice, and after Shutdown.
//
// Errors: *OperationsError with what failed and was neither returned by Flush nor read by PendingErrors.
func (s *Session) Close() error {
	err := s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	unread := s.unreadLocked()
	switch {
	case unread == nil:
		return err
	case err == nil:
		return unread
	}
	return errors.Join(err, unread)
}

// finish ends everything. The writers settle what is left, and so end those who wait for it.
func (s *Session) finish() error {
	s.mu.Lock()
	s.closed = true
	s.sealLocked(sendNever)
	var writers []*Writer
	for _, t := range s.tables {
		writers = append(writers, t.writers...)
	}
	s.mu.Unlock()
	s.refuse(errSessionClosed("apply"))
	close(s.ended)
	var err error
	for _, w := range writers {
		err = errors.Join(err, w.Close())
	}
	s.work.Wait()
	return err
}

// unreadLocked takes the failures that nobody has seen.
func (s *Session) unreadLocked() *OperationsError {
	pending := s.failures.take()
	unread := &OperationsError{Op: "close session", Errors: pending.Errors, Dropped: pending.Dropped}
	for _, b := range s.sealed { // only MANUAL_FLUSH leaves any
		for _, f := range b.failed {
			unread.Errors = append(unread.Errors, f.err)
		}
	}
	s.sealed = nil
	if len(unread.Errors)+unread.Dropped == 0 {
		return nil
	}
	return unread
}

func errSessionClosed(op string) error {
	return fmt.Errorf("%s: the session is %w", op, forebay.ErrClosed)
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
