// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// Limits of streams.
const (
	// queueMax is how many requests wait on this side for the connection to take them; their rows are the writers'.
	queueMax = 64
	// streamIdle ends a stream that carried nothing for so long.
	streamIdle = time.Minute
	// releaseGrace is how long a connection may take to let go of rows before it is broken off, and buriedGrace how
	// long the end of a broken one is waited for.
	releaseGrace = time.Second
	buriedGrace  = 5 * time.Second
)

// streamConfig says what a stream is.
type streamConfig struct {
	node    *node
	open    func(context.Context, *node) (grpc.ClientStream, error)
	timeout time.Duration        // of the answer to a request
	failed  func(*stream, error) // called when the stream breaks, and when the server says that another one leads
	ended   func(*stream)        // called once, when its goroutines have ended
}

// stream is one Write or Commit stream to the leader: requests leave in the order of put, and each gets one answer.
//
// Guarantee: a request of which anything may have left is never answered as one that did not leave.
// Concurrency: safe.
type stream struct {
	streamConfig

	ctx    context.Context //nolint:containedctx // ends with the connection or the stream: it bounds no call
	cancel context.CancelCauseFunc
	slots  chan struct{} // one for each request in queue
	wake   chan struct{} // capacity 1: there is something to do for the sender
	over   chan struct{} // closed when nothing is taken any more
	late   sync.WaitGroup

	mu       sync.Mutex
	queue    []*call
	pending  map[uint64]*call   // sent, not answered
	lent     map[*call]struct{} // gRPC may read their rows, also of those that were answered or given up
	nextID   uint64
	used     time.Time
	retired  bool // nothing is taken any more; what was taken is answered
	answered bool // the server has answered something
	flight   sync.WaitGroup
}

func newStream(ctx context.Context, config streamConfig) *stream {
	s := &stream{
		streamConfig: config, slots: make(chan struct{}, queueMax), wake: make(chan struct{}, 1),
		over: make(chan struct{}), pending: map[uint64]*call{}, lent: map[*call]struct{}{}, used: time.Now(),
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// put takes a request, whose done is then called in any case. It returns false where the stream takes nothing more.
//
// Blocking: while queueMax requests wait to be sent, until ctx ends.
func (s *stream) put(ctx context.Context, c *call) bool {
	select {
	case <-s.over:
		return false
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		c.decide(notSent(context.Cause(ctx)))()
		return true
	}
	s.mu.Lock()
	if s.retired {
		s.mu.Unlock()
		<-s.slots
		return false
	}
	s.nextID++
	c.setID(s.nextID)
	s.flight.Add(1)
	done := c.done
	c.done = func(a forebay.Answer) {
		done(a)
		s.flight.Done()
	}
	s.queue = append(s.queue, c) // TC1: the sender takes them in this order
	s.mu.Unlock()
	c.watch(context.AfterFunc(ctx, func() { s.abandon(c, notSent(context.Cause(ctx)), noAnswer(context.Cause(ctx))) }))
	s.poke()
	return true
}

func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// notSent answers a request that certainly never left.
func notSent(cause error) forebay.Answer {
	return forebay.Answer{Code: forebay.CodeNotLeader, Message: fmt.Sprintf("it was not sent: %v", cause)}
}

// noAnswer answers a request that left, or may have.
func noAnswer(cause error) forebay.Answer {
	return forebay.Answer{
		Code: forebay.CodeTimeout, Message: fmt.Sprintf("no answer came, and it may have been applied: %v", cause),
	}
}

// abandon answers a request that nobody waits for any more, by whether it was sent. Rows that the connection does not
// let go of soon end the stream: else they would never be their owner's again.
func (s *stream) abandon(c *call, unsent, sent forebay.Answer) {
	s.mu.Lock()
	answer := sent
	if slices.Contains(s.queue, c) {
		answer = unsent // the sender passes over it
	}
	delete(s.pending, c.id)
	end := c.decide(answer)
	if c.isLent() {
		// No late goroutine starts once the stream has ended: until then this call counts as in flight.
		s.late.Go(func() { s.release(c) })
	}
	s.mu.Unlock()
	end()
	s.poke()
}

func (s *stream) release(c *call) {
	timer := time.NewTimer(releaseGrace)
	defer timer.Stop()
	select {
	case <-c.freed:
	case <-s.ctx.Done():
	case <-timer.C:
		s.cancel(errors.New("the connection takes nothing"))
	}
}

// run opens the stream and sends what is put, until it breaks or is retired. It returns when every request that was
// put has ended.
func (s *stream) run() {
	defer s.ended(s)
	var receiving sync.WaitGroup
	var on *link
	gs, err := s.open(s.ctx, s.node)
	if err == nil {
		on = linkOf(gs.Context())
		receiving.Go(func() { s.runReceiver(gs) })
		receiving.Go(s.runClock)
		err = s.send(gs)
	}
	if err == nil { // retired: nothing is outstanding
		_ = gs.CloseSend()
		err = forebay.ErrStopped
	}
	s.cancel(err)
	receiving.Wait()
	s.fail(context.Cause(s.ctx), on)
	s.flight.Wait()
	s.late.Wait()
}

// send sends what is put. It returns nil once the stream is retired and everything is answered.
func (s *stream) send(gs grpc.ClientStream) error {
	for {
		c, over := s.next()
		if over {
			return nil
		}
		if c == nil {
			select {
			case <-s.wake:
				continue
			case <-s.ctx.Done():
				return context.Cause(s.ctx)
			}
		}
		s.mu.Lock()
		s.lent[c] = struct{}{}
		s.mu.Unlock()
		lease := c.lend(func() { s.freed(c) })
		err := gs.SendMsg(lease)
		lease.End()
		if err != nil {
			return s.cause(err)
		}
		if c.noAnswer {
			s.mu.Lock()
			delete(s.pending, c.id)
			s.mu.Unlock()
			c.decide(forebay.Answer{Code: forebay.CodeOK})()
		}
	}
}

// cause is why SendMsg failed: where the server ended the stream, the receiver learns it.
func (s *stream) cause(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	timer := time.NewTimer(releaseGrace)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	case <-timer.C:
		return err
	}
}

// freed is called by gRPC, perhaps from its writer, which must not wait for what the end of a request brings.
func (s *stream) freed(c *call) {
	s.mu.Lock()
	delete(s.lent, c)
	s.mu.Unlock()
	if end := c.free(); end != nil {
		s.late.Go(end)
	}
}

// next is the request to send now, nil where there is none. over says that there will be none.
func (s *stream) next() (c *call, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		c := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		<-s.slots
		if c.isDecided() {
			continue
		}
		s.used = time.Now()
		c.deadline = s.used.Add(s.timeout)
		s.pending[c.id] = c // TC2: from here on it may have left
		return c, false
	}
	return nil, s.retired && len(s.pending) == 0
}

// runReceiver takes the answers.
func (s *stream) runReceiver(gs grpc.ClientStream) {
	for {
		m := &wire.Answer{}
		if err := gs.RecvMsg(m); err != nil {
			s.cancel(err)
			return
		}
		s.mu.Lock()
		c := s.pending[m.GetId()]
		delete(s.pending, m.GetId())
		s.answered = true
		over := s.retired && len(s.pending) == 0
		s.mu.Unlock()
		if c == nil {
			continue // it was given up
		}
		a := m.Forebay()
		if a.Code == forebay.CodeNotLeader {
			s.failed(s, movedError{leader: a.Leader})
		}
		c.decide(a)()
		if over {
			s.poke()
		}
	}
}

// movedError says that another server leads.
type movedError struct{ leader string }

func (e movedError) Error() string { return "another server leads: " + e.leader }

// runClock gives up requests without an answer, and retires a stream that nobody uses.
func (s *stream) runClock() {
	ticker := time.NewTicker(max(s.timeout/8, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-ticker.C:
			s.tick(now)
		}
	}
}

func (s *stream) tick(now time.Time) {
	var expired []*call
	s.mu.Lock()
	for _, c := range s.pending {
		if now.After(c.deadline) {
			expired = append(expired, c)
		}
	}
	idle := len(s.pending)+len(s.queue) == 0 && now.Sub(s.used) > streamIdle
	s.mu.Unlock()
	slices.SortFunc(expired, func(a, b *call) int { return int(a.id - b.id) })
	cause := fmt.Errorf("the server has not answered within %s", s.timeout)
	for _, c := range expired {
		s.abandon(c, notSent(cause), noAnswer(cause))
	}
	if idle {
		s.retire()
	}
}

// retire takes nothing more; the stream ends when everything is answered.
func (s *stream) retire() {
	s.mu.Lock()
	if !s.retired {
		s.retired = true
		close(s.over)
	}
	s.mu.Unlock()
	s.poke()
}

func (s *stream) isRetired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.retired
}

// fail answers everything outstanding of a stream that has ended.
func (s *stream) fail(cause error, on *link) {
	s.retire()
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	sent := make([]*call, 0, len(s.pending))
	for _, c := range s.pending {
		sent = append(sent, c)
	}
	clear(s.pending)
	refused := refusal(cause, s.answered)
	s.mu.Unlock()
	if cause != forebay.ErrStopped || len(queue)+len(sent) > 0 { //nolint:errorlint // it is the sentinel itself
		s.failed(s, cause)
	}
	slices.SortFunc(sent, func(a, b *call) int { return int(a.id - b.id) })
	ends := make([]func(), 0, len(queue)+len(sent))
	tooLarge := largestIfTooLarge(cause, sent)
	for _, c := range sent {
		answer := noAnswer(cause)
		switch {
		case refused != nil:
			answer = *refused
		case c == tooLarge:
			answer = forebay.Answer{Code: forebay.CodeTooLarge, Message: status.Convert(cause).Message()}
		}
		ends = append(ends, c.decide(answer))
	}
	for _, c := range queue {
		answer := notSent(cause)
		if refused != nil {
			answer = *refused
		}
		ends = append(ends, c.decide(answer))
	}
	for _, end := range ends {
		end()
	}
	s.reclaim(on)
}

// refusal is the answer to everything on a stream that the server refused before it read anything of it, such as for a
// missing token; nil for any other end.
func refusal(cause error, answered bool) *forebay.Answer {
	e := wire.FromStatus(cause)
	if e == nil || answered || e.Class != forebay.ClassMisconfigured {
		return nil
	}
	code := forebay.CodeForbidden
	if e.Code == "unauthorized" {
		code = forebay.CodeUnauthorized
	}
	return &forebay.Answer{Code: code, Message: e.Error()}
}

// largestIfTooLarge finds the request that ended its stream because the server takes no message of its size: the
// largest one was over the limit too, so it was not applied.
func largestIfTooLarge(cause error, sent []*call) *call {
	if status.Code(cause) != codes.ResourceExhausted || wire.FromStatus(cause) != nil || len(sent) == 0 {
		return nil
	}
	return slices.MaxFunc(sent, func(a, b *call) int { return messageSize(a.message) - messageSize(b.message) })
}

// reclaim returns when gRPC reads no rows of the ended stream any more. It says so itself of almost all; of what it
// forgets, a call that went the same way afterwards and came back tells, and so does the end of the connection.
func (s *stream) reclaim(on *link) {
	s.mu.Lock()
	left := slices.Collect(maps.Keys(s.lent))
	s.mu.Unlock()
	if len(left) == 0 {
		return
	}
	if !s.passed(on) && on != nil {
		select {
		case <-on.dead:
		default:
			on.kill()
		}
		timer := time.NewTimer(buriedGrace)
		defer timer.Stop()
		select {
		case <-on.dead:
		case <-timer.C:
		}
	}
	if on != nil {
		on.order()
	}
	for _, c := range left {
		s.freed(c)
	}
}

// passed makes a call over the connection and says whether it came back.
func (s *stream) passed(on *link) bool {
	if on == nil {
		return true // it never had a connection
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), releaseGrace)
	defer cancel()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	defer close(stop)
	watching.Go(func() {
		select {
		case <-on.dead:
			cancel()
		case <-stop:
		}
	})
	var over peer.Peer
	_, err := s.node.calls.Cluster(ctx, &wire.ClusterRequest{}, grpc.Peer(&over))
	info, ok := over.AuthInfo.(linkInfo)
	return ok && info.link == on && (err == nil || wire.FromStatus(err) != nil)
}
