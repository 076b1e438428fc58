// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/wire"
)

// RP1
func TestRequestsOfATabletApplyInTheOrderOfTheStream(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	stream := openWrites(t, w)
	const requests = 500
	for i := range int64(requests) {
		if err := stream.Send(sequenced(request(t, clicks, uint64(i), i), "w", i)); err != nil {
			t.Fatal(err)
		}
	}
	offsets := make([]int64, requests)
	for range requests {
		a, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		wants(t, a, forebay.CodeOK)
		offsets[a.GetId()] = a.GetOffset()
	}
	want := make([]int64, requests)
	for i := range want {
		want[i] = int64(i)
	}
	if diff := cmp.Diff(want, offsets); diff != "" {
		t.Errorf("offsets by request (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(want, w.stored(t, "clicks")); diff != "" {
		t.Errorf("stored (-want +got)\n%s", diff)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestRequestsAreAnsweredBySequence(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	keyed := w.table(t, forebay.TableSpec{Name: "users", Schema: numbers(), Key: []string{"id"}, Tablets: 1})
	stream := openWrites(t, w)
	answered := map[forebay.Code]int64{}
	for _, test := range []struct {
		name string
		r    *wire.WriteRequest
		want forebay.Code
	}{
		{"the first", sequenced(request(t, clicks, 1, 10), "w", 0), forebay.CodeOK},
		{"the first again", sequenced(request(t, clicks, 2, 10), "w", 0), forebay.CodeDuplicate},
		{"one is missing", sequenced(request(t, clicks, 3, 12), "w", 2), forebay.CodeSequenceGap},
		{"the missing one", sequenced(request(t, clicks, 4, 11), "w", 1), forebay.CodeOK},
		{"a writer that nobody knows", sequenced(request(t, clicks, 5, 13), "v", 7), forebay.CodeUnknownWriter},
		{"other bytes under its number", sequenced(request(t, clicks, 6, 99), "w", 1), forebay.CodeServerError},
		{"a negative number", sequenced(request(t, clicks, 7, 99), "w", -1), forebay.CodeMalformed},
		{"no writer", request(t, clicks, 8, 14), forebay.CodeOK},
		{"no writer again", request(t, clicks, 9, 14), forebay.CodeOK},
		{"a table with a key", request(t, keyed, 10, 1), forebay.CodeOK},
		{"rows of a log for a key", &wire.WriteRequest{
			Id: 11, TableId: keyed.ID, Records: 1, BatchData: rows(t, clicks, 1),
		}, forebay.CodeMalformed},
		{
			"no such table", &wire.WriteRequest{Id: 12, TableId: 77, Records: 1, BatchData: rows(t, clicks, 1)},
			forebay.CodeNotFound,
		},
		{"no such tablet", &wire.WriteRequest{
			Id: 13, TableId: clicks.ID, Tablet: 1 << 31, Records: 1, BatchData: rows(t, clicks, 1),
		}, forebay.CodeNotFound},
		{"no such partition", &wire.WriteRequest{
			Id: 14, TableId: clicks.ID, Partition: "x", Records: 1, BatchData: rows(t, clicks, 1),
		}, forebay.CodeNotFound},
		{"no rows", &wire.WriteRequest{Id: 15, TableId: clicks.ID}, forebay.CodeMalformed},
		{"another number of rows", &wire.WriteRequest{
			Id: 16, TableId: clicks.ID, Records: 2, BatchData: rows(t, clicks, 1),
		}, forebay.CodeMalformed},
		{
			"no row batch", &wire.WriteRequest{Id: 17, TableId: clicks.ID, Records: 1, BatchData: []byte("x")},
			forebay.CodeMalformed,
		},
		{"acks that nobody knows", &wire.WriteRequest{
			Id: 18, TableId: clicks.ID, Records: 1, BatchData: rows(t, clicks, 1), Acks: 9,
		}, forebay.CodeMalformed},
	} {
		a := stream.ask(t, test.r)
		if forebay.Code(a.GetCode()) != test.want {
			t.Errorf("%s: %d %q, want %d", test.name, a.GetCode(), a.GetMessage(), test.want)
		}
		if a.GetCode() != 200 && a.GetCode() != 409 && a.GetMessage() == "" {
			t.Errorf("%s: %d without a message", test.name, a.GetCode())
		}
		answered[test.want]++
	}
	stats := w.front.Stats()
	if diff := cmp.Diff(answered, stats.Requests); diff != "" {
		t.Errorf("counted (-want +got)\n%s", diff)
	}
	if !stats.Serving || stats.Connections == 0 || stats.Readers != 0 || len(stats.Commits) != 0 {
		t.Errorf("the figures: %+v", stats)
	}
	if diff := cmp.Diff([]int64{10, 11, 14, 14}, w.stored(t, "clicks")); diff != "" {
		t.Errorf("stored (-want +got)\n%s", diff)
	}
}

// RP5: also where the table is made again between the front and the tablet.
func TestTheServerComparesTheIDOfTheTable(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	for id, want := range map[uint32]forebay.Code{
		0: forebay.CodeOK, clicks.ID: forebay.CodeOK, clicks.ID + 1: forebay.CodeNotFound,
	} {
		r := &forebay.Request{Table: "clicks", TableID: id, Records: 1, Data: rows(t, clicks, 1)}
		if a := forebay.Await(t.Context(), w.server, r); a.Code != want {
			t.Errorf("id %d: %d %q, want %d", id, a.Code, a.Message, want)
		}
	}
}

// RP5
func TestARequestDoesNotReachATableThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	old := w.logTable(t, "clicks")
	stream := openWrites(t, w)
	wants(t, stream.ask(t, request(t, old, 1, 1)), forebay.CodeOK)
	if err := w.server.Drop(t.Context(), "clicks"); err != nil {
		t.Fatal(err)
	}
	wants(t, stream.ask(t, request(t, old, 2, 2)), forebay.CodeNotFound)
	again := w.logTable(t, "clicks")
	wants(t, stream.ask(t, request(t, old, 3, 3)), forebay.CodeNotFound)
	wants(t, stream.ask(t, request(t, again, 4, 4)), forebay.CodeOK)
	if diff := cmp.Diff([]int64{4}, w.stored(t, "clicks")); diff != "" {
		t.Errorf("stored (-want +got)\n%s", diff)
	}
}

func TestUnansweredRequestsApply(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	stream := openWrites(t, w)
	for i := range int64(10) {
		r := request(t, clicks, uint64(i), i)
		r.Acks = wire.Acks_ACKS_NONE
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	a := stream.ask(t, request(t, clicks, 100, 10))
	wants(t, a, forebay.CodeOK)
	if a.GetOffset() != 10 {
		t.Errorf("the last one is at %d", a.GetOffset())
	}
}

func TestARequestThatIsTooLargeIsAnswered(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{RequestBytes: 1000}})
	clicks := w.logTable(t, "clicks")
	stream := openWrites(t, w)
	var many []int64
	for i := range int64(200) {
		many = append(many, i)
	}
	wants(t, stream.ask(t, request(t, clicks, 1, many...)), forebay.CodeTooLarge)
	wants(t, stream.ask(t, request(t, clicks, 2, 1)), forebay.CodeOK)
}

// sendMany sends requests without waiting, then takes all answers.
func sendMany(t *testing.T, stream writes, numbered func(i int) *wire.WriteRequest, n int) []*wire.Answer {
	t.Helper()
	for i := range n {
		if err := stream.Send(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	answers := slices.Repeat([]*wire.Answer{nil}, n)
	for i := range answers {
		var err error
		if answers[i], err = stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

// RP3
func TestTooMuchOutstandingIsRefusedAndPasses(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]rpc.Limits{
		"requests of a stream": {StreamRequests: 2},
		"bytes of a stream":    {RequestBytes: 1000, StreamBytes: 1000},
		"requests of all":      {AllRequests: 2},
		"bytes of all":         {RequestBytes: 1000, CommitBytes: 1000, StreamBytes: 1000, AllBytes: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, rpc.Config{Limits: limits})
			clicks := w.logTable(t, "clicks")
			stream := openWrites(t, w)
			answers := sendMany(t, stream, func(i int) *wire.WriteRequest {
				return request(t, clicks, uint64(i), int64(i))
			}, 2000)
			applied := 0
			for _, a := range answers {
				switch forebay.Code(a.GetCode()) {
				case forebay.CodeOK:
					applied++
				case forebay.CodeOverload:
					if a.GetRetryAfterMs() < 5 || a.GetRetryAfterMs() > 2000 {
						t.Fatalf("429 asks to wait %d ms", a.GetRetryAfterMs())
					}
				default:
					t.Fatalf("answered %d %q", a.GetCode(), a.GetMessage())
				}
			}
			if applied == 0 || applied == len(answers) {
				t.Errorf("%d of %d were applied", applied, len(answers))
			}
			if got := len(w.stored(t, "clicks")); got != applied {
				t.Errorf("%d rows are stored and %d were acknowledged", got, applied)
			}
			wants(t, stream.ask(t, request(t, clicks, 1, 1)), forebay.CodeOK)
		})
	}
}

// RP3: nothing more is read of a client that takes no answers, and the others do not notice.
func TestAClientThatTakesNoAnswersStopsOnlyItself(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{StreamRequests: 10, StreamAnswers: 10}})
	clicks := w.logTable(t, "clicks")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := client(t, w.address, grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<20))
	lazy, err := c.Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Answers with long messages, so that the lazy client's window is full soon.
	parts := w.table(t, forebay.TableSpec{
		Name: "parts", Schema: numbers(), PartitionBy: forebay.PartitionBy{Column: "text", Template: "value"},
	})
	bad := request(t, clicks, 1, 1)
	bad.TableId = parts.ID
	bad.Partition = string(slices.Repeat([]byte("x"), 1<<16))
	sent := make(chan int, 1)
	ran := make(chan struct{})
	runLazy(func() {
		defer close(ran)
		for i := range 100_000 {
			if lazy.Send(bad) != nil {
				return
			}
			select {
			case <-sent:
			default:
			}
			sent <- i
		}
	})
	last, same := -1, 0
	until(t, "the lazy client is stopped", func() bool {
		select {
		case n := <-sent:
			last, same = n, 0
		case <-time.After(50 * time.Millisecond):
			same++
		}
		return same > 5
	})
	if last > 300 {
		t.Errorf("%d requests of 64 KiB were read of a client that takes nothing", last)
	}
	began := time.Now()
	other := openWrites(t, c)
	for i := range 100 {
		wants(t, other.ask(t, request(t, clicks, uint64(i), int64(i))), forebay.CodeOK)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("another stream of the same connection took %s", took)
	}
	cancel()
	<-ran
}

func TestWhatAStreamHoldsIsGivenBackWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{AllRequests: 50}})
	clicks := w.logTable(t, "clicks")
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := w.Write(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := stream.Send(request(t, clicks, uint64(i), int64(i))); err != nil {
				break
			}
		}
		cancel()
	}
	stream := openWrites(t, w)
	until(t, "requests are taken again", func() bool {
		return stream.ask(t, request(t, clicks, 1, 1)).GetCode() == uint32(forebay.CodeOK)
	})
}

func TestAMessageThatIsNoneEndsItsStreamAlone(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	other := openWrites(t, w)
	wants(t, other.ask(t, request(t, clicks, 1, 1)), forebay.CodeOK)
	raw := rawStream(t, rawConn(t, w.address), wire.Tablets_Write_FullMethodName)
	if err := raw.SendMsg([]byte{0x0a, 0xff}); err != nil {
		t.Fatal(err)
	}
	if err := raw.RecvMsg(&[]byte{}); status.Code(err) != codes.Internal {
		t.Errorf("ends with %v", err)
	}
	wants(t, other.ask(t, request(t, clicks, 2, 2)), forebay.CodeOK)
}
