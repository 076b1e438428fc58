// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
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
			scan, err := w.server.Scan(ctx, tablet.ScanRequest{Table: sink.Name})
			if err != nil {
				return nil, err
			}
			return connectortest.ReadTablets(ctx, scan, forebay.TabletsDefault)
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
