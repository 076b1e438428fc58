// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// repeatEvery is how often a message that keeps coming is shown with its count.
const repeatEvery = 10 * time.Second

// repeatsMax bounds the messages that are remembered.
const repeatsMax = 1000

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// newLogger logs to out. A warning or error with the same message and cause is shown once, then with a count.
func newLogger(out io.Writer, level, format string, repeats *repeats) *slog.Logger {
	options := &slog.HandlerOptions{Level: levels[level]}
	var inner slog.Handler = slog.NewTextHandler(out, options)
	if format == "json" {
		inner = slog.NewJSONHandler(out, options)
	}
	return slog.New(&repeatHandler{inner: inner, repeats: repeats})
}

// repeats remembers the messages of all loggers of a process.
//
// Concurrency: safe.
type repeats struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]*repeated
}

// repeated is a message that was shown.
type repeated struct {
	shown   time.Time
	count   int
	last    slog.Record
	handler slog.Handler
}

func newRepeats(now func() time.Time) *repeats {
	return &repeats{now: now, seen: map[string]*repeated{}}
}

// admit says whether a message is to be shown now; one that is not is counted.
func (r *repeats) admit(key string, record slog.Record, handler slog.Handler) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.seen[key]; e != nil {
		e.count++
		e.last, e.handler = record.Clone(), handler
		return false
	}
	if len(r.seen) >= repeatsMax {
		clear(r.seen)
	}
	r.seen[key] = &repeated{shown: r.now()}
	return true
}

// flush shows what came again since it was last shown, at most every repeatEvery; all says at once.
func (r *repeats) flush(ctx context.Context, all bool) {
	r.mu.Lock()
	var due []repeated
	now := r.now()
	for _, e := range r.seen {
		if e.count > 0 && (all || now.Sub(e.shown) >= repeatEvery) {
			due = append(due, *e)
			e.count, e.shown = 0, now
		}
	}
	r.mu.Unlock()
	slices.SortFunc(due, func(a, b repeated) int { return a.last.Time.Compare(b.last.Time) })
	for _, e := range due {
		e.last.AddAttrs(slog.Int("repeated", e.count))
		_ = e.handler.Handle(ctx, e.last) // a log that cannot be written has no place to say so
	}
}

// repeatHandler passes on what is new.
type repeatHandler struct {
	inner   slog.Handler
	repeats *repeats
	scope   string
}

// Enabled implements slog.Handler.
func (h *repeatHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *repeatHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelWarn {
		key := []string{h.scope, record.Level.String(), record.Message}
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" || a.Key == "cause" {
				key = append(key, a.Value.String())
			}
			return true
		})
		if !h.repeats.admit(strings.Join(key, "\x00"), record, h.inner) {
			return nil
		}
	}
	return h.inner.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *repeatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	scope := []string{h.scope}
	for _, a := range attrs {
		if a.Key == "pipeline" || a.Key == "error" || a.Key == "cause" {
			scope = append(scope, a.Value.String())
		}
	}
	return &repeatHandler{inner: h.inner.WithAttrs(attrs), repeats: h.repeats, scope: strings.Join(scope, "\x00")}
}

// WithGroup implements slog.Handler.
func (h *repeatHandler) WithGroup(name string) slog.Handler {
	return &repeatHandler{inner: h.inner.WithGroup(name), repeats: h.repeats, scope: h.scope + "\x00" + name}
}
