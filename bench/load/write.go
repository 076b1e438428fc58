// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// write writes the rows through a Writer. At a rate the time of a request is that from when its first row was due to
// its outcome, so that a writer which falls behind is not flattered; else it is that from its send to its answer.
func (l *load) write(ctx context.Context) (f figures, err error) {
	o := &outcomes{load: l}
	config := l.config
	config.Settled = o.settled
	if l.every == 0 {
		config.Hooks.Answered = o.answered
	}
	open := l.conn.Append
	if l.Keys > 0 {
		open = l.conn.Upsert
	}
	w, err := open(ctx, tableName, config)
	if err != nil {
		return f, err
	}
	row := forebay.NewRow(w.Layout().Schema)
	now := time.Now()
	o.began = now
	for i := range l.N {
		if l.every > 0 {
			for due := o.due(i); due.After(now); now = time.Now() {
				time.Sleep(due.Sub(now).Round(time.Millisecond))
			}
		}
		if err := l.fill(row, i); err != nil {
			return f, err
		}
		if _, err := w.Append(ctx, row); err != nil {
			return f, errors.Join(err, w.Close())
		}
	}
	if err := w.Shutdown(ctx); err != nil {
		return f, err
	}
	f.took, f.retries = time.Since(o.began), w.Stats().Retries
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil && o.rows != l.N {
		o.failed = errors.New("not every row has an outcome")
	}
	f.requests = o.took
	return f, o.failed
}

// outcomes gathers what became of requests.
//
// Concurrency: the writer's goroutines.
type outcomes struct {
	*load
	began time.Time

	mu     sync.Mutex
	rows   int
	took   []time.Duration
	failed error
}

// due is when row i is to be appended.
func (o *outcomes) due(i int) time.Time { return o.began.Add(time.Duration(i) * o.every) }

// settled is called for each request in the order of its rows: the table has one tablet.
func (o *outcomes) settled(outcome writer.Outcome) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range outcome.Rows() {
		if _, err := outcome.Result(i); err != nil && o.failed == nil {
			o.failed = err
		}
	}
	if o.every > 0 {
		o.took = append(o.took, now.Sub(o.due(o.rows)))
	}
	o.rows += outcome.Rows()
}

func (o *outcomes) answered(e writer.AnsweredEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took = append(o.took, e.Took)
}
