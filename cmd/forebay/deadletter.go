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
	"github.com/forebay-io/forebay/tablet/server"
)

type deadLetterCommand struct {
	Ls   deadLetterLs   `cmd:"" help:"List the pipelines with rejected records."`
	Show deadLetterShow `cmd:"" help:"Show rejected records with reason, place and original bytes."`
}

type deadLetterLs struct {
	stateFlag
}

// Run lists the pipelines that have dead letters.
func (c *deadLetterLs) Run(ctx context.Context, a *app) error {
	return a.with(ctx, c.State, func(s *access) error {
		names, err := deadLetterPipelines(ctx, s)
		if err != nil {
			return err
		}
		g := grid{head: []string{"PIPELINE", "REJECTED"}}
		for _, name := range names {
			n, err := s.Count(ctx, server.DeadLetterTable(name))
			if err != nil {
				return err
			}
			g.add(name, fmt.Sprint(n))
		}
		return g.write(a.out)
	}, "dlq", "ls")
}

func deadLetterPipelines(ctx context.Context, s *access) ([]string, error) {
	tables, err := s.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range tables {
		if name, found := strings.CutPrefix(t.Name, server.DeadLetterTable("")); found {
			names = append(names, name)
		}
	}
	return names, nil
}

type deadLetterShow struct {
	Name   string `arg:"" help:"The pipeline."`
	Limit  int64  `help:"Stop after so many (default ${default}; 0 is all)." default:"20" placeholder:"N"`
	Format string `help:"${enum} (default ${default})." enum:"text,csv,ndjson,table" default:"text" placeholder:"FORMAT"`
	stateFlag
}

// Run shows the dead letters of a pipeline.
func (c *deadLetterShow) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 {
		return wrong("0 shows all", "--limit %d is negative", c.Limit)
	}
	return a.with(ctx, c.State, func(s *access) error {
		rows, err := s.Scan(ctx, tablet.ScanRequest{Table: server.DeadLetterTable(c.Name), Limit: c.Limit})
		if e, ok := errors.AsType[*forebay.Error](err); ok && e.Code == "no-such-table" {
			return c.none(ctx, a, s)
		}
		if err != nil {
			return err
		}
		err = c.print(ctx, a, rows)
		return errors.Join(err, rows.Close())
	}, "dlq", "show", c.Name)
}

// none is the answer for a pipeline without dead letters.
func (c *deadLetterShow) none(ctx context.Context, a *app, s *access) error {
	list, err := s.checkpoints.list(ctx)
	if err != nil {
		return err
	}
	var known []string
	for _, p := range list {
		if p.Pipeline == c.Name {
			fmt.Fprintf(a.err, "pipeline %s has rejected nothing\n", c.Name)
			return nil
		}
		known = append(known, p.Pipeline)
	}
	message := fmt.Sprintf("no pipeline called %q has state here", c.Name)
	if near := config.Nearest(c.Name, known); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	return wrong("see forebay checkpoint ls", "%s", message)
}

func (c *deadLetterShow) print(ctx context.Context, a *app, rows tablet.Rows) error {
	var printer rowPrinter = &letterPrinter{out: a.out}
	if c.Format != "text" {
		var err error
		if printer, err = newRowPrinter(c.Format, a.out, rows.Layout()); err != nil {
			return err
		}
	}
	b := forebay.NewBatch()
	for {
		switch err := rows.Next(ctx, b); {
		case errors.Is(err, io.EOF):
			return printer.end()
		case err != nil:
			return err
		}
		if err := printer.rows(b); err != nil {
			return err
		}
	}
}

// letterPrinter prints a dead letter as a few lines.
type letterPrinter struct {
	out  io.Writer
	many bool
}

func (p *letterPrinter) rows(b *forebay.Batch) error {
	var out strings.Builder
	for i := range b.Len() {
		r := b.Row(i)
		if p.many {
			out.WriteByte('\n')
		}
		p.many = true
		fmt.Fprintf(&out, "%s\n", r.Text("reason"))
		place := r.Text("place")
		if place == "" {
			place = fmt.Sprintf("%s, offset %d", r.Text("split"), r.Int("offset"))
		}
		fmt.Fprintf(&out, "  at %s  %s, %s, %s\n", place, r.Text("stage"), r.Text("code"), instant(r.Get("time").Int()))
		value := r.Get("value")
		if value.IsNull() {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(value.Bytes(b.Slab())), "\n"), "\n") {
			fmt.Fprintf(&out, "  | %s\n", visible(line))
		}
	}
	_, err := io.WriteString(p.out, out.String())
	return err
}

// visible keeps a record from steering the terminal.
func visible(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '\ufffd'
		}
		return r
	}, text)
}

func (p *letterPrinter) end() error { return nil }
