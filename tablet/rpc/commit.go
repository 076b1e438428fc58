// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// commitStream is a Commit stream: its reader applies commits in their order, and the goroutine of the call waits for
// their syncs in that order and answers. So a commit is applied while the ones before it are synced.
type commitStream struct {
	front  *Front
	stream grpc.BidiStreamingServer[wire.CommitRequest, wire.Answer]
	caller caller
	// applied are the commits whose answers are to be sent; its capacity is StreamCommits.
	applied chan appliedCommit
}

// appliedCommit is a commit whose order is decided.
type appliedCommit struct {
	id   uint64
	wait func(context.Context) forebay.Answer
	// settle lets go of what the commit holds; called once it was waited for.
	settle func()
}

// Commit implements wire.TabletsServer.
func (f *Front) Commit(stream grpc.BidiStreamingServer[wire.CommitRequest, wire.Answer]) error {
	c := &commitStream{
		front: f, stream: stream, caller: f.caller(stream.Context()),
		applied: make(chan appliedCommit, f.limits.StreamCommits),
	}
	if err := c.caller.allowed("commit"); err != nil {
		return wire.StatusError(err)
	}
	read := make(chan error, 1) // capacity 1: the reader ends after the sender has left
	f.readers.Go(func() {
		err := c.runReader()
		read <- err
		close(c.applied)
	})
	err := c.send(read)
	// What was applied and not waited for is let go of: nobody is there to read the answer.
	f.readers.Go(func() {
		for a := range c.applied {
			a.wait(stream.Context())
			a.settle()
		}
	})
	return err
}

// runReader reads commits until the stream ends, and returns io.EOF or what broke it.
func (c *commitStream) runReader() error {
	ctx := c.stream.Context()
	for {
		request := &wire.CommitRequest{}
		loan := &wire.Loan{Message: request}
		if err := c.stream.RecvMsg(loan); err != nil {
			return err
		}
		a := c.apply(ctx, request, loan)
		select {
		case c.applied <- a:
		case <-ctx.Done():
			a.wait(ctx)
			a.settle()
			return context.Cause(ctx)
		}
	}
}

// apply hands a commit to the server, or makes the refusal its answer.
func (c *commitStream) apply(ctx context.Context, m *wire.CommitRequest, loan *wire.Loan) appliedCommit {
	refuse := func(a forebay.Answer) appliedCommit {
		loan.Free()
		return appliedCommit{
			id: m.GetId(), wait: func(context.Context) forebay.Answer { return a }, settle: func() {},
		}
	}
	size := commitSize(m)
	if size > int64(c.front.limits.CommitBytes) {
		return refuse(forebay.Answer{
			Code: forebay.CodeTooLarge, Message: fmt.Sprintf("the commit has %s and the server takes %s", forebay.Bytes(size),
				c.front.limits.CommitBytes),
		})
	}
	to, moved := c.front.gate.enter(size)
	if moved != nil {
		return refuse(moved.answer())
	}
	commit, refused := c.commit(to, m)
	if refused != nil {
		c.front.gate.leave(size)
		return refuse(*refused)
	}
	wait := to.Commit(ctx, commit)
	return appliedCommit{
		id: m.GetId(),
		wait: func(ctx context.Context) forebay.Answer {
			a := wait(ctx)
			a.Pressure = max(a.Pressure, c.front.gate.pressure())
			return a
		},
		settle: func() {
			loan.Free()
			c.front.gate.leave(size)
		},
	}
}

// commitSize is what a commit is counted with.
func commitSize(m *wire.CommitRequest) int64 {
	const each = 64 // about what an entry takes beside its texts
	size := 0
	for _, r := range m.GetRequests() {
		size += len(r.GetBatchData()) + each
	}
	for _, l := range m.GetDeadLetters() {
		size += len(l.GetValue()) + len(l.GetReason()) + len(l.GetPlace()) + each
	}
	for _, p := range m.GetProgress() {
		size += len(p.GetSplit()) + len(p.GetDetail()) + len(p.GetFingerprint()) + each
	}
	return int64(size)
}

// commit is the commit in the words of the server, where the caller may write all that is in it.
func (c *commitStream) commit(to *server.Server, m *wire.CommitRequest) (
	*forebay.Commit, *forebay.Answer,
) {
	out := m.Forebay()
	pipeline := out.Owner.Pipeline
	if pipeline != "" || len(out.DeadLetters) > 0 {
		if a := c.denied(server.DeadLetterTable(pipeline)); a != nil {
			return nil, a
		}
	}
	out.Requests = make([]forebay.Request, len(m.GetRequests()))
	for i, r := range m.GetRequests() {
		var refused *forebay.Answer
		if out.Requests[i], refused = requestOf(to, r); refused != nil {
			return nil, refused
		}
		if a := c.denied(out.Requests[i].Table); a != nil {
			return nil, a
		}
		out.Requests[i].WriterID, out.Requests[i].Sequence = "", 0
	}
	return out, nil
}

func (c *commitStream) denied(table string) *forebay.Answer {
	if code, message := c.caller.refusal(RightWrite, table); code != 0 {
		return &forebay.Answer{Code: code, Message: message}
	}
	return nil
}

// send waits for commits in their order and sends their answers, until the client has ended the stream and has all of
// them, or the stream or the front ends.
func (c *commitStream) send(read <-chan error) error {
	ctx := c.stream.Context()
	for {
		select {
		case a, open := <-c.applied:
			if !open {
				if err := <-read; !errors.Is(err, io.EOF) {
					return err
				}
				return nil
			}
			if err := c.settle(ctx, a); err != nil {
				return err
			}
		case <-c.front.ended:
			return c.flush(ctx)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settle answers one commit.
func (c *commitStream) settle(ctx context.Context, a appliedCommit) error {
	answer := a.wait(ctx)
	c.front.commits.add(answer.Code)
	// RP4: the answer is on its way before the gate can be found empty.
	err := c.stream.Send(wire.NewAnswer(a.id, &answer))
	a.settle()
	return err
}

// flush answers what is left when the front ends.
func (c *commitStream) flush(ctx context.Context) error {
	for {
		select {
		case a, open := <-c.applied:
			if open {
				if err := c.settle(ctx, a); err != nil {
					return err
				}
				continue
			}
		default:
		}
		return wire.StatusError(errEnding)
	}
}
