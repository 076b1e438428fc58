// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/tablet"
)

// remoteSystem is a server behind a proxy as connectortest sees it.
func remoteSystem(t *testing.T, sink table.Sink) connectortest.System {
	t.Helper()
	w := begin(t)
	conn := w.dial(t, tablet.Config{})
	return connectortest.System{
		Sink:    sink,
		Context: func() forebay.SinkContext { return forebay.SinkContext{Tables: conn} },
		Read: func(ctx context.Context) ([][]connectortest.Stored, error) {
			return readTablets(ctx, w, sink.Name)
		},
		Reopen: func(connectortest.T) {
			w.end()
			w.start(t)
		},
		LoseAnswer: w.proxy.LoseAnswer,
		Stall:      w.proxy.Stall,
		Spoil: func(b *forebay.Batch, i int) {
			text := strings.Repeat("x", int(tablet.RowBytesMax)+1)
			b.Cells(i)[1] = forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text))
		},
	}
}

func readTablets(ctx context.Context, w *world, name string) ([][]connectortest.Stored, error) {
	scan, err := w.server.Scan(ctx, tablet.ScanRequest{Table: name})
	if err != nil {
		return nil, err
	}
	tablets := make([][]connectortest.Stored, forebay.TabletsDefault)
	b := forebay.NewBatch()
	for {
		if err = scan.Next(ctx, b); err != nil {
			break
		}
		at, _ := strconv.Atoi(b.Split().ID)
		for i := range b.Len() {
			row := b.Row(i)
			tablets[at] = append(tablets[at], connectortest.Stored{ID: row.Int("id"), Text: row.Text("text")})
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return tablets, errors.Join(err, scan.Close())
}

func TestARemoteTableConforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sink  table.Sink
		keyed bool
	}{
		"log table": {sink: table.Sink{Name: "events"}},
		"key table": {sink: table.Sink{Name: "things", Key: []string{"id"}}, keyed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSink(t, connectortest.SinkHarness{
				Claims: connectortest.SinkClaims{Rows: true, Keyed: c.keyed, Sequences: true, Progress: true},
				New: func(ct connectortest.T) connectortest.System {
					check, ok := ct.(*testing.T)
					if !ok {
						t.Fatal("the suite runs with another T")
					}
					return remoteSystem(check, c.sink)
				},
			})
		})
	}
}
