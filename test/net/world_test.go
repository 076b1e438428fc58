// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/test/port"
	"github.com/forebay-io/forebay/test/tcpproxy"
)

// world is a tablet server on the loopback interface with a proxy before it.
type world struct {
	dir     string
	config  rpc.Config
	address string // of the server
	proxy   *tcpproxy.Proxy
	target  atomic.Pointer[string] // where the proxy goes

	server *server.Server
	end    func() // ends the server
}

func begin(t *testing.T) *world {
	t.Helper()
	return beginWith(t, rpc.Config{})
}

func beginWith(t *testing.T, config rpc.Config) *world {
	t.Helper()
	address, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: t.TempDir(), config: config, address: address}
	if w.proxy, err = tcpproxy.Listen(t.Context(), func() string { return *w.target.Load() }); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	t.Cleanup(func() {
		_ = w.proxy.Close()
		w.end()
	})
	return w
}

// start starts a server over the directory, at the address where the last one was.
func (w *world) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	opened, err := server.Open(ctx, w.dir, server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := rpc.Listen(ctx, w.address, rpc.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	w.server, w.address = opened, l.Addr().String()
	address := w.address
	w.target.Store(&address)
	config := w.config
	config.Address = w.proxy.Addr() // or clients would learn the way past it
	front, err := rpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	front.Serve(opened)
	var running sync.WaitGroup
	running.Go(func() {
		if err := front.Run(ctx, l); err != nil {
			t.Error(err)
		}
	})
	w.end = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
}

// dial connects through the proxy.
func (w *world) dial(t *testing.T, config tablet.Config) *tablet.Client {
	t.Helper()
	conn, err := tablet.Dial(t.Context(), w.proxy.Addr(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func numbers() *forebay.Schema {
	return forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "text", Type: forebay.String})
}

func (w *world) table(t *testing.T, spec forebay.TableSpec) {
	t.Helper()
	spec.Schema = numbers()
	if err := w.server.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// stored are the ids that a table holds, in the order of its scan on the server.
func (w *world) stored(t *testing.T, table string) []int64 {
	t.Helper()
	scan, err := w.server.Scan(t.Context(), tablet.ScanRequest{Table: table, Select: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	return scanned(t, scan)
}

// scanned are the ids of the rows that are left of a scan, which it closes.
func scanned(t *testing.T, rows tablet.Rows) []int64 {
	t.Helper()
	var ids []int64
	b := forebay.NewBatch()
	for {
		err := rows.Next(t.Context(), b)
		if err == io.EOF { //nolint:errorlint // the contract says this very error
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			ids = append(ids, b.Row(i).Int("id"))
		}
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	return ids
}

// ascending fails unless the ids are 0 up to n-1, in order.
func ascending(t *testing.T, ids []int64, n int) {
	t.Helper()
	if len(ids) != n {
		t.Errorf("the table holds %d rows, want %d", len(ids), n)
	}
	for i, id := range ids {
		if id != int64(i) {
			t.Fatalf("row %d is %d: lost, repeated or out of order", i, id)
		}
	}
}
