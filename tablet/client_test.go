// SPDX-License-Identifier: Apache-2.0

package tablet_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/wire"
)

func TestTC1RequestsLeaveInTheOrderOfSend(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var mu sync.Mutex
	var seen []int64
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(r *wire.WriteRequest) *wire.Answer {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, r.GetSequenceNum())
			return &wire.Answer{Code: 200, Offset: r.GetSequenceNum()}
		})
	}
	to := backend(t, dial(t, f.address, tablet.Config{}))
	var answers []<-chan forebay.Answer
	for i := range 300 {
		answers = append(answers, send(t.Context(), to, request(int64(i), 5000)))
	}
	for i, from := range answers {
		if a := answer(t, "a request", from, forebay.CodeOK); a.Offset != int64(i) {
			t.Errorf("request %d has the answer of %d", i, a.Offset)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i, sequence := range seen {
		if sequence != int64(i) {
			t.Fatalf("request %d came as number %d", sequence, i)
		}
	}
}

// What left is answered as unknown when the stream breaks, and what certainly did not leave as not sent.
func TestTC2ABrokenStreamTellsWhatLeftFromWhatDidNot(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	received, breakOff := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		if once.Swap(true) {
			return answerAll(s, func(*wire.WriteRequest) *wire.Answer { return &wire.Answer{Code: 200} })
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		close(received)
		<-breakOff // and nothing more is read: the window fills up
		return status.Error(codes.Internal, "out of order")
	}
	to := backend(t, dial(t, f.address, tablet.Config{}))
	first := send(t.Context(), to, request(0, 5000))
	<-received
	var later []<-chan forebay.Answer
	for i := range 30 {
		later = append(later, send(t.Context(), to, request(int64(i+1), 100_000)))
	}
	close(breakOff)
	answer(t, "a request that was received", first, forebay.CodeTimeout)
	unsent := 0
	for _, from := range later {
		a := <-from
		switch a.Code {
		case forebay.CodeNotLeader:
			unsent++
		case forebay.CodeTimeout:
			if unsent > 0 {
				t.Error("one that left came after one that did not")
			}
		default:
			t.Errorf("answer %d (%s)", a.Code, a.Message)
		}
	}
	if unsent == 0 {
		t.Error("every request left")
	}
	answer(t, "the next one", send(t.Context(), to, request(0, 10)), forebay.CodeOK)
}

func TestARequestWithoutAnAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	received := make(chan struct{}, 2)
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(r *wire.WriteRequest) *wire.Answer {
			if r.GetSequenceNum() == 0 {
				received <- struct{}{}
				return nil
			}
			return &wire.Answer{Code: 200}
		})
	}
	to := backend(t, dial(t, f.address, tablet.Config{RequestTimeout: 200 * time.Millisecond}))
	silent := send(t.Context(), to, request(0, 10))
	answer(t, "another one", send(t.Context(), to, request(1, 10)), forebay.CodeOK)
	answer(t, "the silent one", silent, forebay.CodeTimeout)
	given, giveUp := context.WithCancel(t.Context())
	<-received
	silent = send(given, to, request(0, 10))
	<-received
	giveUp()
	answer(t, "one that nobody waits for", silent, forebay.CodeTimeout)
}

// slowConn takes its time for every write.
type slowConn struct{ net.Conn }

func (c slowConn) Write(p []byte) (int, error) {
	<-time.After(5 * time.Millisecond)
	return c.Conn.Write(p)
}

// The rows are their owner's again when the answer has come, also where the connection is slow, takes nothing or
// breaks. Only the race detector sees it when they are not.
func TestTC3RowsAreTheirOwnersAgainWithTheAnswer(t *testing.T) {
	t.Parallel()
	read := func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(*wire.WriteRequest) *wire.Answer { return nil })
	}
	stall := func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		<-s.Context().Done()
		return nil
	}
	for name, test := range map[string]struct {
		write func(grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error
		end   func(f *fake, giveUp func())
	}{
		"given up on a slow connection":    {read, func(_ *fake, giveUp func()) { giveUp() }},
		"given up on a stalled connection": {stall, func(_ *fake, giveUp func()) { giveUp() }},
		"a slow connection breaks":         {read, func(f *fake, _ func()) { f.stop() }},
		"a stalled connection breaks":      {stall, func(f *fake, _ func()) { f.stop() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.write = test.write
			conn := dial(t, f.address, tablet.Config{
				ConnectTimeout: time.Second,
				Dialer: func(ctx context.Context, address string) (net.Conn, error) {
					c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
					return slowConn{c}, err
				},
			})
			to := backend(t, conn)
			given, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			var answered sync.WaitGroup
			for i := range 6 {
				answered.Add(1)
				r := request(int64(i), 1<<20)
				to.Send(given, r, func(a forebay.Answer) {
					defer answered.Done()
					clear(r.Data)
					if a.Code != forebay.CodeTimeout && a.Code != forebay.CodeNotLeader {
						t.Errorf("answer %d (%s)", a.Code, a.Message)
					}
				})
			}
			<-time.After(50 * time.Millisecond)
			test.end(f, giveUp)
			answered.Wait()
		})
	}
}

func TestAWriterWithoutAcksIsAnsweredHere(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(*wire.WriteRequest) *wire.Answer { return nil })
	}
	to := backend(t, dial(t, f.address, tablet.Config{}))
	for range 3 {
		r := request(0, 5000)
		r.Acks = forebay.AcksNone
		answer(t, "acks 0", send(t.Context(), to, r), forebay.CodeOK)
	}
}

func TestClientsFollowTheLeader(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	second.follow(first.address)
	moved := make(chan string, 10)
	conn := dial(t, second.address, tablet.Config{
		Hooks: tablet.ClientHooks{Moved: func(_, to string) { moved <- to }},
	})
	if to := <-moved; to != first.address {
		t.Errorf("the leader is %s, want %s", to, first.address)
	}
	to := backend(t, conn)
	answer(t, "at the first", send(t.Context(), to, request(0, 10)), forebay.CodeOK)
	first.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(*wire.WriteRequest) *wire.Answer {
			return &wire.Answer{Code: uint32(forebay.CodeNotLeader), Leader: second.address}
		})
	}
	first.follow(second.address)
	second.follow("")
	first.stop() // it comes back as one that follows
	answered := 0
	for answered < 2 {
		if a := <-send(t.Context(), to, request(1, 10)); a.Code == forebay.CodeOK {
			answered++
		} else if a.Code != forebay.CodeNotLeader && a.Code != forebay.CodeTimeout {
			t.Fatalf("answer %d (%s)", a.Code, a.Message)
		}
	}
	if to := <-moved; to != second.address {
		t.Errorf("the leader is %s, want %s", to, second.address)
	}
}

func TestAnAnswer302SendsTheNextRequestToTheLeaderItNames(t *testing.T) {
	t.Parallel()
	first, second := newFake(t), newFake(t)
	conn := dial(t, first.address, tablet.Config{})
	to := backend(t, conn)
	first.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(*wire.WriteRequest) *wire.Answer {
			return &wire.Answer{Code: uint32(forebay.CodeNotLeader), Leader: second.address}
		})
	}
	first.follow("somewhere:1") // Cluster does not know the new leader yet
	a := answer(t, "at the first", send(t.Context(), to, request(0, 10)), forebay.CodeNotLeader)
	if a.Leader != second.address {
		t.Errorf("it names %q", a.Leader)
	}
	if err := to.(forebay.Locator).Locate(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}
	answer(t, "at the second", send(t.Context(), to, request(0, 10)), forebay.CodeOK)
}

func TestManyCallersCauseOneSearch(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	conn := dial(t, f.address, tablet.Config{})
	to := backend(t, conn)
	answer(t, "a request", send(t.Context(), to, request(0, 10)), forebay.CodeOK)
	f.follow("127.0.0.1:1")
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		return answerAll(s, func(*wire.WriteRequest) *wire.Answer {
			return &wire.Answer{Code: uint32(forebay.CodeNotLeader)}
		})
	}
	<-send(t.Context(), to, request(1, 10))
	before := f.asked.Load()
	time.AfterFunc(300*time.Millisecond, func() {
		f.follow("")
	})
	var calling sync.WaitGroup
	for range 200 {
		calling.Go(func() {
			if err := to.(forebay.Locator).Locate(t.Context(), 0, true); err != nil {
				t.Error(err)
			}
		})
	}
	calling.Wait()
	if asked := f.asked.Load() - before; asked > 12 {
		t.Errorf("the server was asked %d times who leads", asked)
	}
}

func TestRequestsThatAreTooLargeAreToldSo(t *testing.T) {
	t.Parallel()
	f := newFake(t, grpc.MaxRecvMsgSize(1<<20))
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		for {
			r, err := s.Recv()
			if err != nil {
				return err
			}
			if r.GetSequenceNum() > 0 {
				continue
			}
			if err := s.Send(&wire.Answer{Id: r.GetId(), Code: 200}); err != nil {
				return err
			}
		}
	}
	to := backend(t, dial(t, f.address, tablet.Config{MessageBytes: 90 * forebay.MiB}))
	answer(t, "a small one", send(t.Context(), to, request(0, 10)), forebay.CodeOK)
	small := send(t.Context(), to, request(1, 10))
	answer(t, "one above the server's limit", send(t.Context(), to, request(2, 85<<20)), forebay.CodeTooLarge)
	answer(t, "one before it", small, forebay.CodeTimeout)
	answer(t, "one above our limit", send(t.Context(), to, request(3, 91<<20)), forebay.CodeTooLarge)
	wrong := request(0, 10)
	wrong.Tablet = 4
	answer(t, "no such tablet", send(t.Context(), to, wrong), forebay.CodeNotFound)
}

func TestATokenTravelsAndItsRefusalIsFinal(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.write = func(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
		got := metadata.ValueFromIncomingContext(s.Context(), "authorization")
		if strings.Join(got, "") != "Bearer secret" {
			t.Errorf("the token came as %q", got)
		}
		e := forebay.Errorf("write", forebay.ClassMisconfigured, "the call needs a token")
		e.Code = "unauthorized"
		return wire.StatusError(e)
	}
	to := backend(t, dial(t, f.address, tablet.Config{Token: "secret"}))
	answer(t, "a request", send(t.Context(), to, request(0, 10)), forebay.CodeUnauthorized)
}

func TestATableThatWasMadeAgainIsNotTheSame(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	conn := dial(t, f.address, tablet.Config{})
	target, err := conn.OpenTable(t.Context(), forebay.TableSpec{Name: "clicks", Schema: schema()})
	if err != nil {
		t.Fatal(err)
	}
	locator := target.(forebay.Locator)
	if err := locator.Locate(t.Context(), 0, false); err != nil {
		t.Error(err)
	}
	<-time.After(250 * time.Millisecond) // what is known is not asked for again sooner
	if err := locator.Locate(t.Context(), 0, true); err != nil {
		t.Error(err)
	}
	f.remade.Add(1)
	<-time.After(250 * time.Millisecond)
	e, ok := errors.AsType[*forebay.Error](locator.Locate(t.Context(), 0, true))
	if !ok || e.Code != "table-replaced" {
		t.Errorf("the table was made again: %v", e)
	}
	if err := errors.Join(target.Close(), target.Close()); err != nil {
		t.Error(err)
	}
}
