// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/forebay-io/forebay/writer"
)

// session writes the rows through a Session, as a program in its mode would: sync waits for each row, manual flushes
// now and then and looks at the responses, background flushes at the end. The time of an operation is taken in sync
// mode alone.
func (l *load) session(ctx context.Context) (f figures, err error) {
	modes := map[string]writer.FlushMode{
		"sync": writer.AutoFlushSync, "manual": writer.ManualFlush, "background": writer.AutoFlushBackground,
	}
	mode, found := modes[l.mode]
	if !found {
		return f, fmt.Errorf("-mode %s: sync, manual or background", l.mode)
	}
	open := l.conn.Append
	if l.Keys > 0 {
		open = l.conn.Upsert
	}
	s, err := writer.NewSession(open, writer.SessionConfig{Mode: mode})
	if err != nil {
		return f, err
	}
	t, err := s.Table(ctx, tableName)
	if err != nil {
		return f, err
	}
	row := t.NewRow()
	apply := t.Insert
	if l.Keys > 0 {
		apply = t.Upsert
	}
	began := time.Now()
	answered := 0
	for i := range l.N {
		if err := l.fill(row, i); err != nil {
			return f, err
		}
		response, err := apply(ctx, row)
		if err != nil {
			return f, errors.Join(err, s.Close())
		}
		switch {
		case mode == writer.AutoFlushSync:
			answered++
			f.requests = append(f.requests, response.Elapsed)
		case mode == writer.ManualFlush && (i+1)%l.flush == 0:
			n, err := flush(ctx, s)
			if answered += n; err != nil {
				return f, err
			}
		}
	}
	// In the background Flush gives the responses of the last two buffers alone: what fails is a pending error.
	n, err := flush(ctx, s)
	answered += n
	if err = errors.Join(err, s.Shutdown(ctx)); err != nil {
		return f, err
	}
	f.took = time.Since(began)
	if mode != writer.AutoFlushBackground && answered != l.N {
		return f, fmt.Errorf("%d responses for %d operations", answered, l.N)
	}
	return f, nil
}

func flush(ctx context.Context, s *writer.Session) (applied int, err error) {
	responses, err := s.Flush(ctx)
	for i := range responses {
		if responses[i].Applied == writer.Yes {
			applied++
		}
	}
	return applied, err
}
