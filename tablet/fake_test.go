// SPDX-License-Identifier: Apache-2.0

package tablet_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/wire"
)

// fake is a tablet server that does what a test tells it.
type fake struct {
	wire.UnimplementedTabletsServer

	address string
	stop    func()
	asked   atomic.Int64  // calls of Cluster
	remade  atomic.Uint32 // how often the table was made again

	// write is a Write stream; nil answers every request with 200.
	write func(grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error

	mu     sync.Mutex
	leader string // where Cluster sends clients; empty is here
}

func newFake(tb testing.TB, options ...grpc.ServerOption) *fake {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	f := &fake{address: l.Addr().String()}
	g := grpc.NewServer(append(options, grpc.ForceServerCodecV2(wire.Codec{}), grpc.MaxRecvMsgSize(80<<20))...)
	wire.RegisterTabletsServer(g, f)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	f.stop = sync.OnceFunc(func() {
		g.Stop()
		serving.Wait()
	})
	tb.Cleanup(f.stop)
	return f
}

func (f *fake) follow(leader string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader = leader
}

func (f *fake) leading() (leader string, here bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader, f.leader == ""
}

func (f *fake) Cluster(context.Context, *wire.ClusterRequest) (*wire.ClusterAnswer, error) {
	f.asked.Add(1)
	leader, here := f.leading()
	if here {
		leader = f.address
	}
	return &wire.ClusterAnswer{Leader: leader, Addresses: []string{leader, f.address}, Serving: here}, nil
}

func (f *fake) CreateTable(_ context.Context, r *wire.CreateTableRequest) (*wire.Table, error) {
	t := r.GetTable()
	t.Id, t.SchemaId, t.Tablets = 7, 1, 4
	return t, nil
}

func (f *fake) DescribeTable(_ context.Context, r *wire.DescribeTableRequest) (*wire.Table, error) {
	return &wire.Table{
		Name: r.GetName(), Id: 7 + f.remade.Load(), SchemaId: 1, Tablets: 4, Columns: wire.NewColumns(schema()),
	}, nil
}

func (f *fake) Write(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
	if f.write != nil {
		return f.write(s)
	}
	return answerAll(s, func(*wire.WriteRequest) *wire.Answer { return &wire.Answer{Code: 200} })
}

// answerAll answers every request of a stream that has an answer.
func answerAll(
	s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer], answer func(*wire.WriteRequest) *wire.Answer,
) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if a := answer(r); a != nil {
			a.Id = r.GetId()
			if err := s.Send(a); err != nil {
				return err
			}
		}
	}
}

func schema() *forebay.Schema {
	return forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64})
}

func dial(tb testing.TB, addresses string, config tablet.Config) *tablet.Client {
	tb.Helper()
	conn, err := tablet.Dial(tb.Context(), addresses, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Error(err)
		}
	})
	return conn
}

func backend(tb testing.TB, conn *tablet.Client) forebay.Backend {
	tb.Helper()
	target, err := conn.OpenTable(tb.Context(), forebay.TableSpec{Name: "clicks", Schema: schema()})
	if err != nil {
		tb.Fatal(err)
	}
	return target.(forebay.Sequencer).Backend()
}

// request is a request of that many bytes, of one writer and for one tablet.
func request(sequence int64, size int) *forebay.Request {
	return &forebay.Request{Table: "clicks", WriterID: "w", Sequence: sequence, Records: 1, Data: make([]byte, size)}
}

// send sends a request; its answer comes through the channel.
func send(ctx context.Context, to forebay.Backend, r *forebay.Request) <-chan forebay.Answer {
	answered := make(chan forebay.Answer, 1)
	to.Send(ctx, r, func(a forebay.Answer) { answered <- a })
	return answered
}

// answer waits for an answer and fails unless it has the code.
func answer(t *testing.T, what string, from <-chan forebay.Answer, code forebay.Code) forebay.Answer {
	t.Helper()
	select {
	case a := <-from:
		if a.Code != code {
			t.Errorf("%s: answer %d (%s), want %d", what, a.Code, a.Message, code)
		}
		return a
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: no answer", what)
		return forebay.Answer{}
	}
}
