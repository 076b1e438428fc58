// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"sync"
	"time"

	"github.com/forebay-io/forebay/tablet/wire"
)

// outbox holds the answers of a Write stream until its sender takes them, and counts what the stream has outstanding.
// RP3: it holds at most as many answers as requests were held, and the reader holds no more than the limit allows.
//
// Concurrency: safe; one sender and one reader.
type outbox struct {
	limits Limits
	wake   chan struct{} // capacity 1: there are answers, or the last one has left
	room   chan struct{} // capacity 1: there is room again

	mu      sync.Mutex
	answers []*wire.Answer
	held    int  // requests whose answers were not sent yet
	pending load // of these, the ones that the server has
}

func newOutbox(limits Limits) *outbox {
	most := amount{requests: limits.StreamRequests, bytes: int64(limits.StreamBytes)}
	return &outbox{
		limits: limits, wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
		pending: load{most: most, first: limits.RetryAfter},
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hasRoom says whether one more request can be read.
func (o *outbox) hasRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held < o.limits.StreamAnswers
}

// hold counts a request that was read.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held++
}

// accept counts a request that is to be handed to the server. Where the stream has enough outstanding, after is how
// long to wait.
func (o *outbox) accept(bytes int64) (after time.Duration, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending.enter(bytes, time.Now())
}

// settle takes a request back that accept counted.
func (o *outbox) settle(bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending.leave(bytes, time.Now())
}

// push adds the answer of a held request. Without an answer the request is let go of.
func (o *outbox) push(a *wire.Answer) {
	o.mu.Lock()
	if a == nil {
		o.held--
	} else {
		o.answers = append(o.answers, a)
	}
	o.mu.Unlock()
	signal(o.wake)
	if a == nil {
		signal(o.room)
	}
}

// take hands all answers to the sender, who gives back the slice of the last time.
func (o *outbox) take(spare []*wire.Answer) (answers []*wire.Answer, held int) {
	clear(spare)
	o.mu.Lock()
	defer o.mu.Unlock()
	answers, o.answers = o.answers, spare[:0]
	return answers, o.held
}

// sent lets go of requests whose answers were sent.
func (o *outbox) sent(n int) {
	o.mu.Lock()
	o.held -= n
	o.mu.Unlock()
	signal(o.room)
}
