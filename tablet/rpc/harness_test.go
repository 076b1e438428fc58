// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// world is a server with its front on a port of the loopback interface.
type world struct {
	server  *server.Server
	front   *rpc.Front
	address string
	wire.TabletsClient
	// end ends the front as a signal does and returns what Run returned.
	end func() error
}

// begin starts a front over a server in a new directory, and a client without tokens.
func begin(t *testing.T, config rpc.Config) *world {
	t.Helper()
	s, err := server.Open(t.Context(), t.TempDir(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := beginFront(t, config)
	w.server = s
	w.front.Serve(s)
	return w
}

// beginFront starts a front that follows.
func beginFront(t *testing.T, config rpc.Config) *world {
	t.Helper()
	l, err := rpc.Listen(t.Context(), "127.0.0.1:0", rpc.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	config.Address = cmp.Or(config.Address, l.Addr().String())
	front, err := rpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ran <- front.Run(ctx, l) })
	w := &world{front: front, address: l.Addr().String()}
	ended := false
	w.end = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		select {
		case err := <-ran:
			return err
		case <-time.After(30 * time.Second):
			t.Error("the front did not end")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	})
	w.TabletsClient = client(t, w.address)
	return w
}

// client dials a front with the codec that any program has.
func client(t *testing.T, address string, more ...grpc.DialOption) wire.TabletsClient {
	t.Helper()
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}, more...)
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return wire.NewTabletsClient(conn)
}

// bearer is a token as a client sends it.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func withToken(token string) grpc.DialOption { return grpc.WithPerRPCCredentials(bearer(token)) }

func withTLS(config *tls.Config) grpc.DialOption {
	return grpc.WithTransportCredentials(credentials.NewTLS(config))
}

func numbers() *forebay.Schema {
	return forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "text", Type: forebay.String})
}

// logTable makes a log table with one tablet unless the spec says otherwise.
func (w *world) logTable(t *testing.T, name string) tablet.TableInfo {
	t.Helper()
	return w.table(t, forebay.TableSpec{Name: name, Schema: numbers(), Tablets: 1})
}

func (w *world) table(t *testing.T, spec forebay.TableSpec) tablet.TableInfo {
	t.Helper()
	if err := w.server.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	info, err := w.server.Describe(t.Context(), spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// rows encodes rows with these ids, all for one tablet.
func rows(tb testing.TB, info tablet.TableInfo, ids ...int64) []byte {
	tb.Helper()
	e, err := tablet.NewEncoder(tablet.EncoderConfig{
		Table: info, Layout: forebay.NewLayout(info.Schema), SchemaID: info.SchemaID,
		Now: func() int64 { return 1 }, Next: func() uint32 { return 0 },
	})
	if err != nil {
		tb.Fatal(err)
	}
	data := e.Open(nil)
	row := forebay.NewRow(info.Schema)
	for _, id := range ids {
		row.Clear()
		if err := row.SetInt("id", id); err != nil {
			tb.Fatal(err)
		}
		if err := row.SetText("text", "row "+strconv.FormatInt(id, 10)); err != nil {
			tb.Fatal(err)
		}
		b, i := row.Batch()
		if len(info.Key) > 0 {
			b.Record(i).Op = forebay.OpUpsert
		}
		if _, err := e.Route(b, i); err != nil {
			tb.Fatal(err)
		}
		data = e.Append(data)
	}
	return e.Seal(data, len(ids))
}

// request is a request with these rows for the first tablet of a table.
func request(tb testing.TB, info tablet.TableInfo, id uint64, ids ...int64) *wire.WriteRequest {
	tb.Helper()
	return &wire.WriteRequest{Id: id, TableId: info.ID, Records: uint32(len(ids)), BatchData: rows(tb, info, ids...)}
}

// sequenced is a request of a writer.
func sequenced(r *wire.WriteRequest, writer string, sequence int64) *wire.WriteRequest {
	r.WriterId, r.SequenceNum = writer, sequence
	return r
}

// writes is a Write stream whose answers are kept.
type writes struct {
	grpc.BidiStreamingClient[wire.WriteRequest, wire.Answer]
}

func openWrites(t *testing.T, c wire.TabletsClient) writes {
	t.Helper()
	stream, err := c.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return writes{stream}
}

// ask sends one request and returns its answer.
func (w writes) ask(t *testing.T, r *wire.WriteRequest) *wire.Answer {
	t.Helper()
	if err := w.Send(r); err != nil {
		t.Fatal(err)
	}
	a, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if a.GetId() != r.GetId() {
		t.Fatalf("the answer to %d is to %d", r.GetId(), a.GetId())
	}
	return a
}

// wants fails unless the answer has the code.
func wants(t *testing.T, a *wire.Answer, code forebay.Code) {
	t.Helper()
	if forebay.Code(a.GetCode()) != code {
		t.Errorf("request %d is answered %d %q, want %d", a.GetId(), a.GetCode(), a.GetMessage(), code)
	}
}

// stored are the ids that a table holds, in the order of its scan.
func (w *world) stored(t *testing.T, table string) []int64 {
	t.Helper()
	scan, err := w.server.Scan(t.Context(), tablet.ScanRequest{Table: table, Select: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := scan.Close(); err != nil {
			t.Error(err)
		}
	}()
	var ids []int64
	b := forebay.NewBatch()
	for scan.Next(t.Context(), b) == nil {
		for i := range b.Len() {
			ids = append(ids, b.Row(i).Int("id"))
		}
	}
	return ids
}

func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !happened(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
