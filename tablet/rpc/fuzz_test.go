// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// fuzzed is a server that any bytes are sent to.
type fuzzed struct {
	server *server.Server
	info   tablet.TableInfo // of the log table clicks
	conn   *grpc.ClientConn
}

func beginFuzz(f *testing.F) fuzzed {
	f.Helper()
	s, err := server.Open(f.Context(), f.TempDir(), server.Config{})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Create(f.Context(), forebay.TableSpec{Name: "clicks", Schema: numbers(), Tablets: 1}); err != nil {
		f.Fatal(err)
	}
	info, err := s.Describe(f.Context(), "clicks")
	if err != nil {
		f.Fatal(err)
	}
	l, err := rpc.Listen(f.Context(), "127.0.0.1:0", rpc.Guard{})
	if err != nil {
		f.Fatal(err)
	}
	front, err := rpc.New(rpc.Config{Address: "x:1"})
	if err != nil {
		f.Fatal(err)
	}
	front.Serve(s)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	runLazy(func() { ended <- front.Run(ctx, l) })
	f.Cleanup(func() {
		end()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			f.Error(err)
		}
	})
	return fuzzed{server: s, info: info, conn: rawConn(f, l.Addr().String())}
}

// send sends one message and returns its answer, nil where there is none.
func (w fuzzed) send(t *testing.T, method string, data []byte) []byte {
	t.Helper()
	stream := rawStream(t, w.conn, method)
	if err := stream.SendMsg(data); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var out []byte
	if stream.RecvMsg(&out) != nil {
		return nil
	}
	return out
}

// FuzzWrite sends any bytes as a write request: the server lives, answers every message that is one, and applies only
// rows that are a row batch of the table.
func FuzzWrite(f *testing.F) {
	w := beginFuzz(f)
	s, info := w.server, w.info
	for _, r := range []*wire.WriteRequest{
		request(f, info, 1, 1, 2, 3), sequenced(request(f, info, 2, 4), "w", 0), {}, {TableId: 1 << 31, Tablet: 1 << 31},
	} {
		data, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := logEnd(t, s)
		out := w.send(t, wire.Tablets_Write_FullMethodName, data)
		answered := out != nil
		var request wire.WriteRequest
		if proto.Unmarshal(data, &request) != nil {
			return
		}
		var a wire.Answer
		if answered {
			if err := proto.Unmarshal(out, &a); err != nil || a.GetId() != request.GetId() {
				t.Fatalf("answered %v, %v", &a, err)
			}
		} else if request.GetAcks() != wire.Acks_ACKS_NONE {
			t.Fatal("not answered")
		}
		grown := logEnd(t, s) - before
		batch, err := forebay.OpenRowBatch(request.GetBatchData())
		fits := err == nil && request.GetTableId() == info.ID && batch.Records() == int(request.GetRecords())
		if grown != 0 && (!fits || grown != int64(batch.Records())) {
			t.Fatalf("%d rows were applied of %v", grown, &request)
		}
		if answered && (a.GetCode() == 200) != (grown > 0) && request.GetAcks() == wire.Acks_ACKS_ALL {
			t.Fatalf("answered %d and %d rows were applied", a.GetCode(), grown)
		}
	})
}

// FuzzCommit sends any bytes as a commit: the server lives, answers every message that is one, and what it refuses has
// changed nothing.
func FuzzCommit(f *testing.F) {
	w := beginFuzz(f)
	if err := w.server.Fence(f.Context(), forebay.Fence{
		Owner: forebay.Owner{Pipeline: "p", Epoch: 1, Holder: "h"}, Progress: true,
	}); err != nil {
		f.Fatal(err)
	}
	letter := commitOf("p", 1)
	letter.DeadLetters = []*wire.DeadLetter{{Split: "s", Stage: "sink"}}
	for _, c := range []*wire.CommitRequest{
		commitOf("p", 1, request(f, w.info, 0, 1, 2)), commitOf("q", 1), letter,
		{},
		{Requests: []*wire.WriteRequest{request(f, w.info, 0, 1), {}}},
	} {
		data, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := logEnd(t, w.server)
		out := w.send(t, wire.Tablets_Commit_FullMethodName, data)
		var commit wire.CommitRequest
		if proto.Unmarshal(data, &commit) != nil {
			return
		}
		var a wire.Answer
		if err := proto.Unmarshal(out, &a); out == nil || err != nil || a.GetId() != commit.GetId() {
			t.Fatalf("answered %v, %v", &a, err)
		}
		rows := int64(0)
		for _, r := range commit.GetRequests() {
			rows += int64(r.GetRecords())
		}
		if grown := logEnd(t, w.server) - before; grown != 0 && (a.GetCode() != 200 || grown != rows) {
			t.Fatalf("answered %d and %d of %d rows were applied", a.GetCode(), grown, rows)
		}
	})
}

func logEnd(t *testing.T, s *server.Server) int64 {
	t.Helper()
	n, err := s.Count(t.Context(), "clicks")
	if err != nil {
		t.Fatal(err)
	}
	return n
}
