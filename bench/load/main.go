// SPDX-License-Identifier: Apache-2.0

// Command load writes rows into a tablet server as a program would, and says how fast; bench/run starts it.
//
//	main.go     the command line and what is printed
//	write.go    a Writer, as fast as it can or at a rate
//	session.go  a Session in one of its modes
//	audit.go    what is in the table, beside what must be
//
// Goroutines: none of its own; callbacks come from the writer's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/bench/load/rows"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// load is the command line.
type load struct {
	*rows.Rows
	address string
	config  writer.Config
	every   time.Duration // between two rows; 0 is as fast as it can
	mode    string
	flush   int // MANUAL_FLUSH: after so many operations

	conn *tablet.Client
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	var l load
	n := flag.Int("n", 1000, "how many rows")
	keys := flag.Int("keys", 0, "how many keys, a power of two; 0 is a log table")
	flag.StringVar(&l.address, "address", "", "the server")
	batch := flag.Int("batch", int(writer.BatchSizeDefault), "writer.batch.size")
	flag.IntVar(&l.config.Retries, "retries", writer.RetriesDefault, "writer.retries; 0 is none")
	flag.BoolVar(&l.config.WithoutIdempotence, "without-idempotence", false, "give up sequences")
	rate := flag.Float64("rate", 0, "rows a second; 0 is as fast as it can")
	flag.StringVar(&l.mode, "mode", "", "a session: sync, manual or background")
	flag.IntVar(&l.flush, "flush", 10_000, "manual: operations between two flushes")
	audit := flag.Bool("audit", false, "write nothing; compare what is there")
	flag.Parse()
	l.Rows = rows.New(*n, *keys)
	l.config.BatchSize = forebay.Bytes(*batch)
	if l.config.Retries == 0 {
		l.config.Retries = writer.NoRetries
	}
	if *rate > 0 {
		l.every = time.Duration(float64(time.Second) / *rate)
	}
	if l.conn, err = tablet.Dial(ctx, l.address, tablet.Config{}); err != nil {
		return err
	}
	defer func() { _ = l.conn.Close() }() // nothing is left in it
	if *audit {
		text, err := l.audit(ctx)
		fmt.Fprintln(out, text)
		return err
	}
	if err := l.create(ctx); err != nil {
		return err
	}
	do := l.write
	if l.mode != "" {
		do = l.session
	}
	f, err := do(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(f.report(l.N))
}

// create makes the table, with one tablet: what is measured is one stream of requests.
func (l *load) create(ctx context.Context) error {
	schema, err := forebay.NewSchema(
		forebay.Column{Name: rows.Number, Type: forebay.Int64}, forebay.Column{Name: rows.Body, Type: forebay.String},
	)
	if err != nil {
		return err
	}
	spec := forebay.TableSpec{Name: rows.Table, Schema: schema, Tablets: 1}
	if l.Keys > 0 {
		spec.Key = []string{rows.Number}
	}
	return l.conn.Create(ctx, spec)
}

// fill gives a row the values of row i.
func (l *load) fill(row forebay.Row, i int) error {
	row.Clear()
	if err := row.SetInt(rows.Number, int64(l.Key(i))); err != nil {
		return err
	}
	return row.SetText(rows.Body, l.Body(i))
}

// figures are what a load measured.
type figures struct {
	took     time.Duration // from the first row to the last answer
	requests []time.Duration
	retries  int64
}

// report is what is printed: bench/run reads it.
type report struct {
	Rows     int     `json:"rows"`
	Bytes    int     `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Requests int     `json:"requests"`
	Retries  int64   `json:"retries"`
	MeanMS   float64 `json:"mean_ms"`
	P99MS    float64 `json:"p99_ms"`
}

func (f figures) report(n int) report {
	r := report{
		Rows: n, Bytes: n * rows.Bytes, Seconds: f.took.Seconds(), Requests: len(f.requests), Retries: f.retries,
	}
	if len(f.requests) == 0 {
		return r
	}
	slices.Sort(f.requests)
	sum := time.Duration(0)
	for _, took := range f.requests {
		sum += took
	}
	r.MeanMS = sum.Seconds() * 1000 / float64(len(f.requests))
	r.P99MS = f.requests[len(f.requests)*99/100].Seconds() * 1000
	return r
}
