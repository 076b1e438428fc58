// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Errors that callers branch on.
var (
	// ErrPoisoned means that a write, a sync or background work failed: what is on disk is no longer known, and
	// only a new process may open the directory again. The error that is returned also wraps the first cause.
	ErrPoisoned = errors.New("store is poisoned by a failed write")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("store is closed")
	// ErrNotFound means that the key is not there.
	ErrNotFound = errors.New("key not found")
)

// poison remembers the first failed write of a store and wakes everybody who waits.
type poison struct {
	logger *slog.Logger
	done   chan struct{} // closed by the first failure

	once sync.Once
	err  error // written once, before done is closed
}

func newPoison(logger *slog.Logger) *poison {
	return &poison{logger: logger, done: make(chan struct{})}
}

// set records the first cause; later ones are consequences and are dropped.
func (p *poison) set(cause error) {
	p.once.Do(func() {
		p.err = fmt.Errorf("%w: %w; the directory can be opened again by a new process", ErrPoisoned, cause)
		close(p.done)
		p.logger.Error("store is poisoned", "cause", cause.Error())
	})
}

// cause returns nil while the store is whole.
func (p *poison) cause() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// park keeps a goroutine that carries a failed write from going back into Pebble. Pebble answers a failed write
// by panics in the middle of its locks or by retries without end; a goroutine that stays where it is leaves
// Pebble consistent in memory, so that readers on other goroutines still get an answer. None of Pebble's mutexes
// that readers need is held across a write to a file.
func park() {
	select {}
}

// pebbleLogger is what Pebble may say: nothing but errors.
type pebbleLogger struct {
	poison *poison
	logger *slog.Logger
}

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf never returns. Failed writes do not come this far, see disk.go; what is left are broken invariants. The
// goroutine is parked rather than ended: Fatalf is called between an unlock and a deferred unlock, where running
// the deferred calls would end the process.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.poison.set(fmt.Errorf("pebble: "+format, args...))
	park()
}

// listener turns failures of background work into poison. Pebble retries such work at once and for ever.
func (l pebbleLogger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			l.poison.set(fmt.Errorf("background work: %w", err))
			// Pebble holds its mutex here, and gives it back by a deferred call.
			runtime.Goexit()
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			// May be a reader's goroutine: it goes on and gets its error from Pebble.
			l.poison.set(fmt.Errorf("corrupt file %s: %w", info.Path, info.Details))
		},
	}
}
