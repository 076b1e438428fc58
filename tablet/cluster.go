// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// Limits of the search for the leader.
const (
	addressesMax  = 32
	searchWaitMin = 50 * time.Millisecond
	searchWaitMax = time.Second
	askTimeout    = 2 * time.Second
)

// node is a server that may lead, with its connection.
type node struct {
	address string
	conn    *grpc.ClientConn
	calls   wire.TabletsClient

	mu    sync.Mutex
	links []*link // those that live
}

func (n *node) add(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links = append(slices.DeleteFunc(n.links, func(old *link) bool {
		select {
		case <-old.dead:
			return true
		default:
			return false
		}
	}), l)
}

// kill breaks the connections of the node off.
func (n *node) kill() {
	n.mu.Lock()
	links := slices.Clone(n.links)
	n.mu.Unlock()
	for _, l := range links {
		l.kill()
	}
}

// cluster knows the servers that were named or learned, and which of them leads. However many ask for the leader while
// it is not known, one search runs.
//
// Concurrency: safe.
type cluster struct {
	dial    func(address string) (*node, error)
	timeout time.Duration // of a search
	found   func(from, to string)

	mu     sync.Mutex
	known  []string // those that were named, then those that were learned
	named  int
	nodes  map[string]*node
	leader *node
	last   string // address of the last leader
	search *search
	closed bool
}

// search is a look-up of the leader under way.
type search struct {
	done   chan struct{} // closed when the others are set
	leader *node
	err    error
}

// current is the leader, nil while none is known.
func (c *cluster) current() *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}

// suspect gives up a leader that does not answer, or that says that another one leads.
func (c *cluster) suspect(n *node, hint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == n {
		c.leader = nil
	}
	c.learnLocked(hint)
}

func (c *cluster) learnLocked(addresses ...string) {
	for _, a := range addresses {
		if a == "" || slices.Contains(c.known, a) {
			continue
		}
		if len(c.known) >= addressesMax {
			if c.named == len(c.known) {
				return
			}
			c.known = slices.Delete(c.known, c.named, c.named+1)
		}
		c.known = append(c.known, a)
	}
}

// begin returns the leader, or the search for it, which it starts where none is under way.
func (c *cluster) begin(start func(s *search)) (*node, *search) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader != nil {
		return c.leader, nil
	}
	if c.search == nil {
		s := &search{done: make(chan struct{})}
		if c.closed {
			s.err = forebay.ErrClosed
			close(s.done)
			return nil, s
		}
		c.search = s
		start(s)
	}
	return nil, c.search
}

// finish ends a search that has set its result.
func (c *cluster) finish(s *search) {
	c.mu.Lock()
	if s.err == nil && c.closed {
		s.leader, s.err = nil, forebay.ErrClosed
	}
	c.leader, c.search = s.leader, nil
	from := c.last
	if s.leader != nil {
		c.last = s.leader.address
	}
	to := c.last
	c.mu.Unlock()
	close(s.done)
	if s.err == nil && from != to && c.found != nil {
		c.found(from, to)
	}
}

// runSearch asks all servers until one says that it leads, with back-off between the rounds, and ends s.
func (c *cluster) runSearch(ctx context.Context, s *search) {
	defer c.finish(s)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for wait := searchWaitMin; ; wait = min(2*wait, searchWaitMax) {
		if s.leader, s.err = c.round(ctx); s.leader != nil || s.err != nil && final(s.err) {
			return
		}
		// Jitter keeps the clients of a server that went away from coming back at one moment.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			s.err = c.unreachable(s.err)
			return
		}
	}
}

// final says whether asking again cannot help.
func final(err error) bool { return forebay.ClassOf(err) == forebay.ClassMisconfigured }

func (c *cluster) unreachable(cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cause == nil {
		cause = errors.New("no server says that it leads")
	}
	e := forebay.Errorf("find the tablet server", forebay.ClassTransient, "%s: %w", strings.Join(c.known, ", "), cause)
	e.Code, e.Cure = "unreachable", "see that forebay serve runs there"
	return e
}

// reply is what one server said.
type reply struct {
	node   *node
	answer *wire.ClusterAnswer
	err    error
}

// round asks every known server at once, and then those that it learned.
func (c *cluster) round(ctx context.Context) (*node, error) {
	var asked []string
	var problem error
	for {
		c.mu.Lock()
		next := slices.DeleteFunc(slices.Clone(c.known), func(a string) bool { return slices.Contains(asked, a) })
		c.mu.Unlock()
		if len(next) == 0 {
			return nil, problem
		}
		asked = append(asked, next...)
		leader, err := c.ask(ctx, next)
		if leader != nil {
			return leader, nil
		}
		problem = errors.Join(problem, err)
	}
}

// ask asks some servers and returns as soon as one says that it leads.
func (c *cluster) ask(ctx context.Context, addresses []string) (*node, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	replies := make(chan reply, len(addresses)) // so that nobody waits for a reader who has found the leader
	for _, address := range addresses {
		asking.Go(func() {
			n, err := c.node(address)
			if err != nil {
				replies <- reply{err: err}
				return
			}
			answer, err := n.calls.Cluster(ctx, &wire.ClusterRequest{})
			replies <- reply{node: n, answer: answer, err: err}
		})
	}
	var problem error
	for range addresses {
		r := <-replies
		if r.err != nil {
			problem = errors.Join(problem, callError("ask "+addressOf(r.node), r.err))
			continue
		}
		c.mu.Lock()
		c.learnLocked(append([]string{r.answer.GetLeader()}, r.answer.GetAddresses()...)...)
		c.mu.Unlock()
		if r.answer.GetServing() {
			return r.node, nil
		}
	}
	return nil, problem
}

func addressOf(n *node) string {
	if n == nil {
		return "a server"
	}
	return n.address
}

// node is the connection to an address. Nothing is sent before the first call.
func (c *cluster) node(address string) (*node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, forebay.ErrClosed
	}
	if n := c.nodes[address]; n != nil {
		return n, nil
	}
	n, err := c.dial(address)
	if err != nil {
		return nil, err
	}
	c.nodes[address] = n
	return n, nil
}

// close gives all connections up. It returns those that are to be closed.
func (c *cluster) close() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.leader = true, nil
	nodes := make([]*node, 0, len(c.nodes))
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	clear(c.nodes)
	return nodes
}
