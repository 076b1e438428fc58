// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/transform"
)

type tableScan struct {
	Name   string `arg:"" help:"The table."`
	Format string `help:"${format}" enum:",csv,ndjson,table" default:"" placeholder:"FORMAT"`
	Count  bool   `help:"Print the number of rows alone."`
	Where  string `help:"Only rows for which the expression is true." placeholder:"EXPR"`
	Select string `help:"Only these columns, in this order." placeholder:"A,B"`
	Limit  int64  `help:"Stop after so many rows." placeholder:"N"`

	FromOffset *int64 `help:"Begin at this offset of each tablet's log; only for a table without a key." placeholder:"N"`
	Follow     bool   `help:"Go on with rows as they come; only for a table without a key."`
	tableFlags
}

// Run prints the rows of a table.
func (c *tableScan) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 {
		return wrong("leave it out for all rows", "--limit %d is negative", c.Limit)
	}
	if c.FromOffset != nil && *c.FromOffset < 0 {
		return wrong("offsets begin at 0", "--from-offset %d is negative", *c.FromOffset)
	}
	if c.Follow && (c.Count || c.Format == "table") {
		return wrong("use --format csv or ndjson", "--follow prints rows as they come: there is no last one to wait for")
	}
	return a.at(ctx, c.tableFlags, func(s *access) error { return c.scan(ctx, a, s) }, "table", "scan", c.Name)
}

func (c *tableScan) scan(ctx context.Context, a *app, s *access) error {
	log := c.Follow || c.FromOffset != nil
	if c.Count && c.Where == "" && c.Limit == 0 && c.Select == "" && !log {
		n, err := s.Count(ctx, c.Name)
		if err != nil {
			return withNames(ctx, s, c.Name, err)
		}
		_, err = fmt.Fprintln(a.out, n)
		return err
	}
	info, err := s.Describe(ctx, c.Name)
	if err != nil {
		return withNames(ctx, s, c.Name, err)
	}
	request := tablet.ScanRequest{Table: c.Name, Limit: c.Limit}
	if request.Select, err = selected(info.Schema, c.Select); err != nil {
		return err
	}
	where, err := compileWhere(info.Schema, c.Where)
	if err != nil {
		return err
	}
	if where != nil {
		request.Where = where.keep
	}
	if log {
		return c.scanLog(ctx, a, s, logScan{info: info, request: request, where: where})
	}
	rows, err := s.Scan(ctx, request)
	if err != nil {
		return err
	}
	err = c.print(ctx, a, rows, where)
	return errors.Join(err, rows.Close())
}

// print prints the rows, or their number.
func (c *tableScan) print(ctx context.Context, a *app, rows tablet.Rows, where *condition) error {
	var printer rowPrinter
	var err error
	if !c.Count {
		if printer, err = newRowPrinter(a.format(c.Format), a.out, rows.Layout()); err != nil {
			return err
		}
	}
	b := forebay.NewBatch()
	count := int64(0)
	for {
		if err = rows.Next(ctx, b); err != nil || where.failed() != nil {
			break
		}
		count += int64(b.Len())
		if printer != nil {
			if err := printer.rows(b); err != nil {
				return err
			}
		}
	}
	if failed := where.failed(); failed != nil {
		return failed
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if printer != nil {
		return printer.end()
	}
	_, err = fmt.Fprintln(a.out, count)
	return err
}

// format is the one that was asked for, or that suits the output.
func (a *app) format(asked string) string {
	switch {
	case asked != "":
		return asked
	case a.outTerminal:
		return "table"
	default:
		return "csv"
	}
}

// condition is a compiled --where. A nil condition is always true.
type condition struct {
	program *transform.Program
	err     error
}

func compileWhere(schema *forebay.Schema, expr string) (*condition, error) {
	if expr == "" {
		return nil, nil
	}
	layout := forebay.NewLayout(schema)
	program, err := transform.Compile(forebay.Shape{Layout: layout, Width: layout.Width()}, expr)
	if err == nil {
		// A filter knows what a condition may be.
		_, err = transform.Filter(expr).Compile(forebay.Shape{Layout: layout, Width: layout.Width()})
	}
	if err != nil {
		return nil, &exitError{exitWrong, &exprError{"--where", err}}
	}
	return &condition{program: program}, nil
}

func (c *condition) keep(b *forebay.Batch, i int) bool {
	keep, err := c.program.EvalBool(b, i)
	if err != nil && c.err == nil {
		c.err = &exitError{exitFailed, fmt.Errorf("--where: a row cannot be compared: %w", err)}
	}
	return keep && err == nil
}

func (c *condition) failed() error {
	if c == nil {
		return nil
	}
	return c.err
}

// selected are the names of --select.
func selected(schema *forebay.Schema, text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if schema.Find(name) < 0 {
			return nil, noColumn("--select", name, schema)
		}
		names = append(names, name)
	}
	return names, nil
}

func noColumn(where, name string, schema *forebay.Schema) error {
	message := fmt.Sprintf("%s: there is no column %q", where, name)
	if near := config.Nearest(name, schema.Names()); near != "" {
		return wrong("there is "+words(schema.Names()), "%s; did you mean %q?", message, near)
	}
	return wrong("there is "+words(schema.Names()), "%s", message)
}

// withNames adds the nearest table to an error about one that does not exist.
func withNames(ctx context.Context, s *access, name string, err error) error {
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok || e.Code != "no-such-table" {
		return err
	}
	tables, listed := s.Tables(ctx)
	if listed != nil {
		return errors.Join(err, listed)
	}
	var names []string
	for _, t := range tables {
		names = append(names, t.Name)
	}
	message := fmt.Sprintf("there is no table %q", name)
	if near := config.Nearest(name, names); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) == 0 {
		return wrong("a run or table create makes one", "%s; %s holds no tables", message, s.what)
	}
	return wrong("there is "+words(names), "%s", message)
}
