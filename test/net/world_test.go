// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
)

// world is a tablet server on the loopback interface with a proxy before it.
type world struct {
	dir     string
	config  rpc.Config
	address string // of the server
	proxy   *proxy

	server *server.Server
	end    func() // ends the server
}

func begin(t *testing.T) *world {
	t.Helper()
	return beginWith(t, rpc.Config{})
}

func beginWith(t *testing.T, config rpc.Config) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), config: config, address: "127.0.0.1:0", proxy: newProxy(t)}
	w.start(t)
	t.Cleanup(func() { w.end() })
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
	w.proxy.aim(w.address)
	config := w.config
	config.Address = w.proxy.address // or clients would learn the way past it
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
	conn, err := tablet.Dial(t.Context(), w.proxy.address, config)
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

// proxy passes bytes between clients and a server, until it is told to do worse.
type proxy struct {
	address string

	mu      sync.Mutex
	target  string
	pairs   map[*pair]struct{}
	stalled chan struct{} // closed when bytes flow again; nil while they flow
	losing  bool          // the next answer is to be lost, and its connection
	running sync.WaitGroup
}

type pair struct{ client, server net.Conn }

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), pairs: map[*pair]struct{}{}}
	p.running.Go(func() { p.runAccept(l) })
	t.Cleanup(func() {
		p.resume()
		_ = l.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) runAccept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target := p.target
		p.mu.Unlock()
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		p.pairs[c] = struct{}{}
		p.mu.Unlock()
		var passing sync.WaitGroup
		passing.Go(func() { p.runPass(client, server, false) })
		passing.Go(func() { p.runPass(server, client, true) })
		p.running.Go(func() {
			passing.Wait()
			p.mu.Lock()
			delete(p.pairs, c)
			p.mu.Unlock()
		})
	}
}

func (p *proxy) runPass(from, to net.Conn, answers bool) {
	defer func() {
		_ = from.Close()
		_ = to.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			stalled, lose := p.stalled, answers && p.losing
			if lose {
				p.losing = false
			}
			p.mu.Unlock()
			if lose {
				<-time.After(200 * time.Millisecond) // what came with it is applied meanwhile
				return
			}
			if stalled != nil {
				<-stalled
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// aim says where connections go from now on.
func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// lose loses the next bytes from the server, and breaks their connection.
func (p *proxy) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.losing = true
}

// cut breaks every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		_ = c.client.Close()
		_ = c.server.Close()
	}
}

// stall lets no byte through, in either direction, until resume.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
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
