// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/metrics"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/test/tcpproxy"
	"github.com/forebay-io/forebay/writer"
	"github.com/forebay-io/forebay/writer/tuning"
)

// writers writes to a log table and to one with a key, and shows its metrics, as a Go program does.
type writers struct {
	address string // of the metrics
	scrape  *http.Server
	listen  net.Listener
	conn    *tablet.Client
	counted *metrics.Metrics
	outs    map[string]*writer.Writer
}

func rowSchema() (*forebay.Schema, error) {
	return forebay.NewSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "country", Type: forebay.String}, forebay.Column{Name: "page", Type: forebay.String})
}

func newWriters(ctx context.Context, addresses string) (w *writers, err error) {
	w = &writers{outs: map[string]*writer.Writer{}}
	counted, handler, err := metrics.Process()
	if err != nil {
		return nil, err
	}
	if w.listen, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", handler)
	mux.Handle("/tuning", tuning.Handler(func() map[string]*writer.Writer { return w.outs }))
	w.counted, w.address = counted, w.listen.Addr().String()
	w.scrape = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	w.conn, err = tablet.Dial(ctx, addresses, tablet.Config{
		RequestTimeout: 3 * time.Second, Hooks: tablet.ClientHooks{PartitionCreated: counted.PartitionCreated},
	})
	if err != nil {
		return nil, errors.Join(err, w.listen.Close())
	}
	config := writer.Config{
		BufferMemory: 4 * forebay.MiB, Hooks: counted.Writer(),
		Tuning: writer.Tuning{BatchSize: 64 * forebay.KiB, BatchTimeout: 100 * time.Millisecond, Retries: 1000},
	}
	for table, open := range map[string]func(context.Context, string, writer.Config) (*writer.Writer, error){
		"events": w.conn.Append, "users": w.conn.Upsert,
	} {
		out, err := open(ctx, table, config)
		if err != nil {
			return nil, errors.Join(err, w.conn.Close(), w.listen.Close())
		}
		w.outs[table] = out
		counted.Watch(table, func() metrics.WriterFigures {
			s := out.Stats()
			return metrics.WriterFigures{Stats: s, Limiter: s.Limiter}
		})
	}
	return w, nil
}

// run writes until ctx ends, or until the first thing that fails.
func (w *writers) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.scrape.Serve(w.listen); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	for table, out := range w.outs {
		running.Go(func() {
			if err := write(ctx, out); err != nil {
				cancel(fmt.Errorf("table %s: %w", table, err))
			}
		})
	}
	<-ctx.Done()
	for _, out := range w.outs {
		_ = out.Close() // what was not sent yet is nobody's loss
	}
	err := errors.Join(context.Cause(ctx), w.scrape.Close())
	running.Wait()
	return errors.Join(err, w.conn.Close())
}

const (
	rowsPerTick = 20
	tick        = 20 * time.Millisecond
	// In every burstEvery ticks burstTicks are without a pause.
	burstEvery, burstTicks = 1000, 100
	burstRows              = 500
)

// write appends rows: 1,000 a second, and now and then more than the memory holds.
func write(ctx context.Context, out *writer.Writer) error {
	schema, err := rowSchema()
	if err != nil {
		return err
	}
	countries := []string{"de", "fr", "nl", "pl"}
	page := strings.Repeat("/page", 30)
	row := forebay.NewRow(schema)
	id := int64(0)
	for n := 0; ; n++ {
		rows := rowsPerTick
		if n%burstEvery >= burstEvery-burstTicks {
			rows = burstRows
		}
		for range rows {
			row.Clear()
			id++
			if err := errors.Join(row.Set("id", id), row.Set("country", countries[id%4]), row.Set("page", page)); err != nil {
				return err
			}
			switch _, err := out.Append(ctx, row); {
			case ctx.Err() != nil:
				return nil //nolint:nilerr // the load ends
			case err != nil:
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
		}
	}
}

// runDisturb does to the connections what networks do, until ctx ends.
func (s *stage) runDisturb(ctx context.Context) {
	each := func(do func(p *tcpproxy.Proxy)) func() {
		return func() {
			for _, p := range s.proxies {
				do(p)
			}
		}
	}
	owner := 0
	swap := func() {
		select {
		case s.swaps[owner] <- struct{}{}:
			owner = 1 - owner
		case <-ctx.Done():
		}
	}
	cut := each((*tcpproxy.Proxy).Cut)
	faults := []struct {
		after time.Duration
		do    func()
	}{
		{10 * time.Second, cut},
		{10 * time.Second, each((*tcpproxy.Proxy).DropAnswers)},
		{time.Second, cut},
		{10 * time.Second, each(func(p *tcpproxy.Proxy) { p.Delay(40 * time.Millisecond) })},
		{10 * time.Second, each(func(p *tcpproxy.Proxy) { p.Delay(0) })},
		{15 * time.Second, swap},
	}
	for n := 0; ; n++ {
		fault := faults[n%len(faults)]
		select {
		case <-ctx.Done():
			return
		case <-time.After(fault.after):
			fault.do()
		}
	}
}
