// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// logScan is a scan of a table's logs.
type logScan struct {
	info    tablet.TableInfo
	request tablet.ScanRequest
	where   *condition
}

// tabletsEvery is how often a follower looks for tablets of new partitions.
const tabletsEvery = time.Second

// scanLog prints the rows of the logs: tablet by tablet, or with --follow as they come.
func (c *tableScan) scanLog(ctx context.Context, a *app, s *access, scan logScan) error {
	if len(scan.info.Key) > 0 {
		return wrong("leave --from-offset and --follow out", "table %q has a key, and its rows have no offsets", c.Name)
	}
	shown, err := tablet.SelectColumns(forebay.NewLayout(scan.info.Schema), c.Name, scan.request.Select)
	if err != nil {
		return err
	}
	format := a.format(c.Format)
	if c.Follow && format == "table" {
		format = "ndjson" // columns cannot be lined up for rows that are not there yet
	}
	p := &logPrinter{scan: scan, shown: shown, left: c.Limit, limited: c.Limit > 0}
	if !c.Count {
		if p.printer, err = newRowPrinter(format, a.out, shown); err != nil {
			return err
		}
	}
	if c.Follow {
		err = c.follow(ctx, s, p)
	} else {
		err = c.readLogs(ctx, s, p)
	}
	switch {
	case errors.Is(err, errEnough):
	case err != nil && !(c.Follow && errors.Is(err, forebay.ErrStopped)):
		return err
	}
	if p.printer != nil {
		return p.printer.end()
	}
	_, err = fmt.Fprintln(a.out, p.count)
	return err
}

// from is the offset at which a tablet's log is begun.
func (c *tableScan) from(info *tablet.TableInfo, number int) int64 {
	if c.FromOffset != nil {
		return *c.FromOffset
	}
	return info.Logs[number].First
}

// readLogs prints the logs one after the other.
func (c *tableScan) readLogs(ctx context.Context, s *access, p *logPrinter) error {
	for number := range p.scan.info.Logs {
		log, err := s.logs.OpenLog(ctx, tablet.LogRequest{
			Table: c.Name, Tablet: number, From: c.from(&p.scan.info, number),
		})
		if err != nil {
			return err
		}
		b := forebay.NewBatch()
		for err == nil {
			if err = log.Next(ctx, b); err == nil {
				err = p.print(b)
			}
		}
		if closed := log.Close(); closed != nil || !errors.Is(err, io.EOF) {
			return errors.Join(err, closed)
		}
	}
	return nil
}

// follow prints the logs of all tablets as rows come, also of tablets that are made meanwhile.
func (c *tableScan) follow(ctx context.Context, s *access, p *logPrinter) error {
	group, ctx := errgroup.WithContext(ctx)
	rows := make(chan *forebay.Batch) // unbuffered: a batch is with its reader or with the printer
	printed := make(chan struct{})
	read := func(number int, from int64) {
		group.Go(func() error {
			log, err := s.logs.OpenLog(ctx, tablet.LogRequest{Table: c.Name, Tablet: number, From: from, Follow: true})
			if err != nil {
				return err
			}
			return errors.Join(handRows(ctx, log, rows, printed), log.Close())
		})
	}
	known := len(p.scan.info.Logs)
	for number := range known {
		read(number, c.from(&p.scan.info, number))
	}
	group.Go(func() error {
		for {
			select {
			case b := <-rows:
				if err := errors.Join(p.print(b), p.flush()); err != nil {
					return err
				}
				select {
				case printed <- struct{}{}:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	group.Go(func() error {
		look := time.NewTicker(tabletsEvery)
		defer look.Stop()
		for {
			select {
			case <-look.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			info, err := s.Describe(ctx, c.Name)
			if err != nil {
				return err
			}
			for ; known < len(info.Logs); known++ {
				read(known, c.from(&info, known))
			}
		}
	})
	return group.Wait()
}

// handRows hands the batches of a log to the printer, and waits until each was printed.
func handRows(ctx context.Context, log tablet.Log, rows chan<- *forebay.Batch, printed <-chan struct{}) error {
	b := forebay.NewBatch()
	for {
		if err := log.Next(ctx, b); err != nil {
			return err
		}
		select {
		case rows <- b:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-printed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errEnough ends a scan whose limit is reached.
var errEnough = errors.New("the limit is reached")

// logPrinter prints the batches of logs.
type logPrinter struct {
	scan    logScan
	shown   *forebay.Layout
	printer rowPrinter // nil: rows are counted
	left    int64
	limited bool
	count   int64
}

func (p *logPrinter) print(b *forebay.Batch) error {
	if !b.Layout().Schema.Equal(p.scan.info.Schema) {
		return fmt.Errorf("table %q has other columns now: run the command again", p.scan.info.Name)
	}
	if p.scan.request.Where != nil {
		b.Filter(func(i int) bool { return p.scan.request.Where(b, i) })
		if err := p.scan.where.failed(); err != nil {
			return err
		}
	}
	if p.limited {
		b.Filter(func(int) bool { p.left--; return p.left >= 0 })
	}
	b.SetLayout(p.shown)
	p.count += int64(b.Len())
	if p.printer != nil {
		if err := p.printer.rows(b); err != nil {
			return err
		}
	}
	if p.limited && p.left <= 0 {
		return errEnough
	}
	return nil
}

// flush shows what was printed.
func (p *logPrinter) flush() error { return p.printer.end() }
