// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// call is one request of a stream: it ends once it has its answer and gRPC reads its rows no more.
//
// Concurrency: safe. The lock of a stream may be held, never the other way.
type call struct {
	message  proto.Message
	id       uint64
	noAnswer bool // the server sends none
	deadline time.Time

	mu     sync.Mutex
	done   func(forebay.Answer) // nil once it is called
	answer *forebay.Answer
	lent   bool
	freed  chan struct{} // closed when it is lent no more
	stop   func() bool   // forgets the end of the caller's context
}

func newCall(message proto.Message, done func(forebay.Answer)) *call {
	return &call{message: message, done: done, freed: make(chan struct{})}
}

// setID names the request on its stream.
func (c *call) setID(id uint64) {
	c.id = id
	switch m := c.message.(type) {
	case *wire.WriteRequest:
		m.Id = id
	case *wire.CommitRequest:
		m.Id = id
	}
}

// lend makes the message ready for gRPC. released is called once gRPC has let go of it.
func (c *call) lend(released func()) *wire.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lent = true
	return wire.Lend(c.message, released)
}

// isLent says whether gRPC may read the rows.
func (c *call) isLent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lent
}

// decide gives the call its answer; a second one counts for nothing. end ends the call where it can end now, and is to
// be called without locks.
func (c *call) decide(a forebay.Answer) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer != nil {
		return func() {}
	}
	c.answer = &a
	return c.endLocked()
}

func (c *call) isDecided() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer != nil
}

// free notes that gRPC reads the rows no more. end is nil where nothing is to be done.
func (c *call) free() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lent {
		return nil
	}
	c.lent = false
	close(c.freed)
	if c.answer == nil {
		return nil
	}
	return c.endLocked()
}

func (c *call) endLocked() func() {
	// TC3: while the rows are lent the answer waits.
	if c.lent || c.done == nil {
		return func() {}
	}
	done, answer, stop := c.done, *c.answer, c.stop
	c.done, c.stop = nil, nil
	return func() {
		if stop != nil {
			stop()
		}
		done(answer)
	}
}

// watch keeps what forgets the end of the caller's context.
func (c *call) watch(stop func() bool) {
	c.mu.Lock()
	over := c.done == nil
	if !over {
		c.stop = stop
	}
	c.mu.Unlock()
	if over {
		stop()
	}
}
