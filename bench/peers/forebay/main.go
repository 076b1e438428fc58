// SPDX-License-Identifier: Apache-2.0

// Command forebay writes rows to a tablet server, as the clients of the peers do to theirs: it answers the commands
// of bench/peers/run, one a line on standard input, with one line each on standard output.
//
//	forebay ADDRESS MODE
//
// MODE is append (a log table), append-log (the same with acks 1: rows are acknowledged when they are in the log, and
// are synced within 100 ms), upsert (a key table) or session (upserts through a session in AUTO_FLUSH_BACKGROUND).
// Everything else is the default of the library: rows are acknowledged when they are synced to disk.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

const (
	tablets    = 4
	textLength = 84
	textCount  = 1 << 16
)

func main() {
	if err := answer(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "forebay: "+err.Error())
		os.Exit(1)
	}
}

// load is what the commands work with.
type load struct {
	conn  *tablet.Client
	mode  string
	texts []string
}

func answer(ctx context.Context) error {
	if len(os.Args) != 3 {
		return errors.New("usage: forebay ADDRESS append|append-log|upsert|session")
	}
	conn, err := tablet.Dial(ctx, os.Args[1], tablet.Config{})
	if err != nil {
		return err
	}
	l := &load{conn: conn, mode: os.Args[2], texts: texts()}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		n, err := l.command(ctx, strings.Fields(in.Text()))
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", in.Text(), err), conn.Close())
		}
		fmt.Println("ok", n)
	}
	return errors.Join(in.Err(), conn.Close())
}

func (l *load) command(ctx context.Context, words []string) (int64, error) {
	switch {
	case len(words) == 2 && words[0] == "table":
		return 0, l.conn.Create(ctx, l.table(words[1]))
	case len(words) == 2 && words[0] == "count":
		return l.conn.Count(ctx, words[1])
	case len(words) == 2 && words[0] == "drop":
		return 0, l.conn.Drop(ctx, words[1])
	case len(words) == 4 && words[0] == "load":
		first, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return 0, err
		}
		count, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil {
			return 0, err
		}
		if l.mode == "session" {
			return 0, l.session(ctx, words[1], first, count)
		}
		return 0, l.write(ctx, words[1], first, count)
	}
	return 0, errors.New("unknown command")
}

func (l *load) table(name string) forebay.TableSpec {
	spec := forebay.TableSpec{Name: name, Tablets: tablets, Schema: forebay.MustSchema(
		forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "value", Type: forebay.Int64},
		forebay.Column{Name: "text", Type: forebay.String},
	)}
	if !strings.HasPrefix(l.mode, "append") {
		spec.Key = []string{"id"}
	}
	return spec
}

// write writes rows with a writer and returns when each is acknowledged.
func (l *load) write(ctx context.Context, table string, first, count int64) error {
	var applied atomic.Int64
	open, acks := l.conn.Upsert, forebay.AcksAll
	if strings.HasPrefix(l.mode, "append") {
		open = l.conn.Append
	}
	if l.mode == "append-log" {
		acks = forebay.AcksOne
	}
	w, err := open(ctx, table, writer.Config{Acks: acks, Settled: func(o writer.Outcome) {
		for i := range o.Rows() {
			if r, err := o.Result(i); err == nil && r.Applied == writer.Yes {
				applied.Add(1)
			}
		}
	}})
	if err != nil {
		return err
	}
	row := forebay.NewRow(w.Layout().Schema)
	for id := first; id < first+count; id++ {
		l.fill(row, id)
		if _, err := w.Append(ctx, row); err != nil {
			return err
		}
	}
	if err := w.Shutdown(ctx); err != nil {
		return err
	}
	if applied.Load() != count {
		return fmt.Errorf("%d of %d rows were applied", applied.Load(), count)
	}
	return nil
}

// session upserts rows in the background and returns when each is acknowledged.
func (l *load) session(ctx context.Context, table string, first, count int64) error {
	s, err := writer.NewSession(l.conn.Upsert, writer.SessionConfig{Mode: writer.AutoFlushBackground})
	if err != nil {
		return err
	}
	t, err := s.Table(ctx, table)
	if err != nil {
		return err
	}
	row := t.NewRow()
	for id := first; id < first+count; id++ {
		l.fill(row, id)
		if _, err := t.Upsert(ctx, row); err != nil {
			return err
		}
	}
	return s.Shutdown(ctx)
}

// fill sets the columns by their position, as the peers' clients do.
func (l *load) fill(row forebay.Row, id int64) {
	text := l.texts[id&(textCount-1)]
	row.Clear()
	b, _ := row.Batch()
	row.SetCell(0, forebay.Int64Cell(id))
	row.SetCell(1, forebay.Int64Cell(id*31))
	row.SetCell(2, forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text)))
}

// texts are those of all rows: row i has the one of i modulo their number. The peers make the same.
func texts() []string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	all := make([]string, textCount)
	state := uint64(88172645463325252)
	text := make([]byte, textLength)
	for i := range all {
		for k := range text {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			text[k] = letters[state>>58]
		}
		all[i] = string(text)
	}
	return all
}
