// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/bench/load/rows"
	"github.com/forebay-io/forebay/tablet"
)

const tableName = rows.Table

// audit scans the table and compares each row with the one that must be there, and in a log table also their order.
func (l *load) audit(ctx context.Context) (text string, err error) {
	last := make([]int32, max(l.Keys, l.N-l.Last())) // by key, the row that must be there, counted from 1
	for i := l.Last(); i < l.N; i++ {
		last[l.Key(i)] = int32(i + 1)
	}
	scan, err := l.conn.Scan(ctx, tablet.ScanRequest{Table: tableName})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, scan.Close()) }()
	b := forebay.NewBatch()
	slots := scan.Layout().Slots
	count, sum := 0, uint64(0)
	for {
		if err := scan.Next(ctx, b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		for i := range b.Len() {
			cells := b.Cells(i)
			key, body := int(cells[slots[0]].Int()), string(cells[slots[1]].Bytes(b.Slab()))
			if key < 0 || key >= len(last) || last[key] == 0 {
				return "", fmt.Errorf("row %d: the key %d is there twice or was never written", count, key)
			}
			if body != l.Body(int(last[key])-1) || l.Keys == 0 && key != count {
				return "", fmt.Errorf("row %d: the key %d is in the wrong place, or has not the last row's letters", count, key)
			}
			last[key] = 0
			sum += rows.Sum(key, body)
			count++
		}
	}
	if want, wantSum := l.Final(); count != want || sum != wantSum {
		return "", fmt.Errorf("%d rows with the sum %x, expected %d with %x", count, sum, want, wantSum)
	}
	return fmt.Sprintf("%d rows, sum %x", count, sum), nil
}
