// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// writeStream is a Write stream: its reader hands requests to the server in the order in which they come, and its
// sender, the goroutine of the call, sends the answers.
type writeStream struct {
	front  *Front
	stream grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]
	caller caller
	box    *outbox
}

// Write implements wire.TabletsServer.
func (f *Front) Write(stream grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
	w := &writeStream{front: f, stream: stream, caller: f.caller(stream.Context()), box: newOutbox(f.limits)}
	if err := w.caller.allowed("write"); err != nil {
		return wire.StatusError(err)
	}
	read := make(chan error, 1) // capacity 1: the reader ends after the sender has left
	f.readers.Go(func() { read <- w.runReader() })
	return w.send(read)
}

// runReader reads requests until the stream ends: it then returns io.EOF or what broke the stream. It never waits for
// the server, only for the client to take answers.
func (w *writeStream) runReader() error {
	ctx := w.stream.Context()
	for {
		for !w.box.hasRoom() {
			select {
			case <-w.box.room:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		// RP1: one goroutine takes requests off the stream and hands them to the server.
		request := &wire.WriteRequest{}
		loan := &wire.Loan{Message: request}
		if err := w.stream.RecvMsg(loan); err != nil {
			return err
		}
		w.box.hold()
		if a := w.hand(ctx, request, loan); a != nil {
			loan.Free()
			w.answer(request.GetId(), request.GetAcks(), *a)
		}
	}
}

// hand hands a request to the server, or returns why not.
func (w *writeStream) hand(ctx context.Context, m *wire.WriteRequest, loan *wire.Loan) *forebay.Answer {
	if a := w.front.checkRequest(m); a != nil {
		return a
	}
	size := int64(len(m.GetBatchData()))
	if after, fits := w.box.accept(size); !fits {
		return &forebay.Answer{
			Code: forebay.CodeOverload, Message: "the stream has as much outstanding as the server allows",
			RetryAfter: after, Pressure: 100,
		}
	}
	to, moved := w.front.gate.enter(size)
	if moved != nil {
		w.box.settle(size)
		a := moved.answer()
		return &a
	}
	r, refused := requestOf(to, m)
	if refused == nil {
		refused = w.denied(r.Table)
	}
	if refused != nil {
		w.box.settle(size)
		w.front.gate.leave(size)
		return refused
	}
	id, acks := m.GetId(), m.GetAcks()
	to.Send(ctx, &r, func(a forebay.Answer) {
		loan.Free()
		w.box.settle(size)
		a.Pressure = max(a.Pressure, w.front.gate.pressure())
		// RP4: the answer is in the box before the gate can be found empty.
		w.answer(id, acks, a)
		w.front.gate.leave(size)
	})
	return nil
}

func (w *writeStream) denied(table string) *forebay.Answer {
	if code, message := w.caller.refusal(RightWrite, table); code != 0 {
		return &forebay.Answer{Code: code, Message: message}
	}
	return nil
}

func (w *writeStream) answer(id uint64, acks wire.Acks, a forebay.Answer) {
	w.front.requests.add(a.Code)
	if acks == wire.Acks_ACKS_NONE {
		w.box.push(nil)
		return
	}
	w.box.push(wire.NewAnswer(id, &a))
}

// send sends answers until the client has ended the stream and has all of them, or the stream or the front ends.
func (w *writeStream) send(read <-chan error) error {
	ctx := w.stream.Context()
	var spare []*wire.Answer
	over, ending := false, false
	for {
		answers, held := w.box.take(spare)
		for _, a := range answers {
			if err := w.stream.Send(a); err != nil {
				return err
			}
		}
		w.box.sent(len(answers))
		spare = answers
		switch {
		case len(answers) > 0:
			continue
		case over && held == 0:
			return nil
		case ending:
			return wire.StatusError(errEnding)
		}
		ended := w.front.ended
		select {
		case <-w.box.wake:
		case err := <-read:
			if !errors.Is(err, io.EOF) {
				return err
			}
			over, read = true, nil
		case <-ended:
			ending = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errEnding is how streams end with the server.
var errEnding = forebay.Errorf("serve", forebay.ClassTransient, "the server has ended")

// checkRequest refuses a request that no table could take.
func (f *Front) checkRequest(m *wire.WriteRequest) *forebay.Answer {
	size := forebay.Bytes(len(m.GetBatchData()))
	switch {
	case size > f.limits.RequestBytes:
		return &forebay.Answer{
			Code: forebay.CodeTooLarge, Message: fmt.Sprintf("the request has %s and the server takes %s", size,
				f.limits.RequestBytes),
		}
	case m.GetSequenceNum() < 0:
		return malformed("the sequence is %d", m.GetSequenceNum())
	case m.GetAcks() < wire.Acks_ACKS_ALL || m.GetAcks() > wire.Acks_ACKS_NONE:
		return malformed("acks is %d", m.GetAcks())
	case m.GetRecords() == 0:
		return malformed("the request has no rows")
	}
	return nil
}

func malformed(format string, args ...any) *forebay.Answer {
	return &forebay.Answer{Code: forebay.CodeMalformed, Message: fmt.Sprintf(format, args...)}
}
