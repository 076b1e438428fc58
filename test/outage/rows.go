// SPDX-License-Identifier: Apache-2.0

package outage

import (
	"context"
	"errors"
	"io"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// columns are those of a table of numbered rows.
func columns(t interface{ Fatal(args ...any) }) *forebay.Schema {
	schema, err := forebay.NewSchema(
		forebay.Column{Name: "n", Type: forebay.Int64},
		forebay.Column{Name: "text", Type: forebay.String},
	)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// numbers reads the numbers in the log of each tablet, in its order.
func numbers(ctx context.Context, conn tablet.Conn, table string) ([][]int64, error) {
	info, err := conn.Describe(ctx, table)
	if err != nil {
		return nil, err
	}
	all := make([][]int64, len(info.Logs))
	for i := range info.Logs {
		if all[i], err = numbersOf(ctx, conn, tablet.LogRequest{Table: table, Tablet: i}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func numbersOf(ctx context.Context, conn tablet.Conn, r tablet.LogRequest) (out []int64, err error) {
	log, err := conn.OpenLog(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	b := forebay.NewBatch()
	for {
		switch err := log.Next(ctx, b); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		for i := range b.Len() {
			if want := int64(len(out)) + r.From; b.Record(i).Offset != want {
				return nil, wrongf("tablet %d: offset %d follows where %d is due", r.Tablet, b.Record(i).Offset, want)
			}
			out = append(out, b.Row(i).Int("n"))
		}
	}
}

// exactlyOnce checks that the tablets hold the numbers below count, each once, and in each tablet in their order.
func exactlyOnce(tablets [][]int64, count int64) error {
	seen := make([]bool, count)
	rows := int64(0)
	for i, numbers := range tablets {
		last := int64(-1)
		for _, n := range numbers {
			switch {
			case n < 0 || n >= count:
				return wrongf("tablet %d holds %d, which nobody wrote", i, n)
			case seen[n]:
				return wrongf("tablet %d holds %d, which is there already", i, n)
			case n < last:
				return wrongf("tablet %d holds %d behind %d", i, n, last)
			}
			seen[n], last = true, n
			rows++
		}
	}
	if rows != count {
		for n, there := range seen {
			if !there {
				return wrongf("%d of %d rows are there; the first that is missing is %d", rows, count, n)
			}
		}
	}
	return nil
}
