// SPDX-License-Identifier: Apache-2.0

package outage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/forebay-io/forebay/tablet/wire"
	"github.com/forebay-io/forebay/test/kill"
	"github.com/forebay-io/forebay/test/port"
	"github.com/forebay-io/forebay/test/tcpproxy"
)

// Cluster is a state directory, the server that owns it, and one that stands by.
//
// Concurrency: one goroutine, but for Addresses.
type Cluster struct {
	t       *testing.T
	binary  string
	env     []string
	dir     string
	nodes   [2]*node
	random  *rand.Rand
	counts  map[string]int
	settled time.Duration // longest time without a leader
}

// node is one of the two servers.
type node struct {
	listen  string
	proxy   *tcpproxy.Proxy
	process *kill.Process
}

// leaderWait bounds how long a cluster may be without a leader.
const leaderWait = 30 * time.Second

// NewCluster starts two servers of a fresh directory. env is added to their environment.
func NewCluster(t *testing.T, binary string, env ...string) *Cluster {
	t.Helper()
	c := &Cluster{
		t: t, binary: binary, env: env, dir: filepath.Join(t.TempDir(), "state"), counts: map[string]int{},
		random: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))),
	}
	for i := range c.nodes {
		n := &node{listen: freeAddress(t)}
		proxy, err := tcpproxy.Listen(t.Context(), func() string { return n.listen })
		if err != nil {
			t.Fatal(err)
		}
		n.proxy = proxy
		t.Cleanup(func() { _ = proxy.Close() })
		c.nodes[i] = n
		c.start(n)
		c.Leader()
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			_ = n.process.Kill(syscall.SIGKILL)
		}
	})
	return c
}

// freeAddress is one at which a server can come back.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := port.Free(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (c *Cluster) start(n *node) {
	c.t.Helper()
	args := []string{
		"serve", "--state", c.dir, "--listen", n.listen, "--advertise", n.proxy.Addr(), "--standby",
	}
	p, err := kill.Start(c.t.Context(), c.binary, args, c.env)
	if err != nil {
		c.t.Fatal(err)
	}
	n.process = p
}

// Addresses are those of the proxies, as a client is given them.
func (c *Cluster) Addresses() string { return c.nodes[0].proxy.Addr() + "," + c.nodes[1].proxy.Addr() }

// Dir is the state directory.
func (c *Cluster) Dir() string { return c.dir }

// Leader waits until one of the servers serves.
func (c *Cluster) Leader() (leader, other *node) {
	c.t.Helper()
	began := time.Now()
	for time.Since(began) < leaderWait {
		for i, n := range c.nodes {
			if n != nil && n.process != nil && serves(c.t.Context(), n.listen) {
				c.settled = max(c.settled, time.Since(began))
				return n, c.nodes[1-i]
			}
		}
		pause(10 * time.Millisecond)
	}
	for _, n := range c.nodes {
		if n != nil && n.process != nil {
			c.t.Logf("%s: %s", n.listen, n.process.Last())
		}
	}
	c.t.Fatalf("no server serves within %s", leaderWait)
	return nil, nil
}

func pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

func serves(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // it was only asked
	answer, err := wire.NewTabletsClient(conn).Cluster(ctx, &wire.ClusterRequest{})
	return err == nil && answer.Serving
}

// TakeOver kills the server that serves; the other one takes over, and a new one stands by.
func (c *Cluster) TakeOver() {
	c.t.Helper()
	leader, _ := c.Leader()
	c.kill(leader)
	c.counts["take-over"]++
	c.Leader()
	c.start(leader)
}

// KillAll kills both servers, and starts them again.
func (c *Cluster) KillAll() {
	c.t.Helper()
	leader, other := c.Leader()
	c.kill(other)
	c.kill(leader)
	c.counts["kill"]++
	c.start(leader)
	c.Leader()
	c.start(other)
}

// HandOver ends the server that serves by SIGTERM.
func (c *Cluster) HandOver() {
	c.t.Helper()
	leader, _ := c.Leader()
	if err := leader.process.Kill(syscall.SIGTERM); err != nil {
		c.t.Error(err)
	}
	c.counts["hand-over"]++
	c.Leader()
	c.start(leader)
}

func (c *Cluster) kill(n *node) {
	c.t.Helper()
	if err := n.process.Kill(syscall.SIGKILL); err != nil {
		c.t.Error(err)
	}
	if !n.process.Killed() {
		c.t.Errorf("the server at %s ended by itself: %s", n.listen, n.process.Last())
	}
}

// Disturb does one random thing to the network.
func (c *Cluster) Disturb() {
	for _, n := range c.nodes {
		switch c.random.IntN(5) {
		case 0:
			n.proxy.Cut()
		case 1:
			n.proxy.Delay(time.Duration(c.random.IntN(20)) * time.Millisecond)
		case 2:
			n.proxy.HalfOpen()
		case 3:
			n.proxy.DropAnswers()
		case 4:
			n.proxy.Delay(0)
			release := n.proxy.HoldRequests()
			time.AfterFunc(time.Duration(c.random.IntN(300))*time.Millisecond, release)
		}
	}
}

// starved is how long Starve lasts: longer than the default number of attempts.
const starved = 1500 * time.Millisecond

// Starve swallows all answers from now on; end waits for a while and cuts the connections.
func (c *Cluster) Starve() (end func()) {
	for _, n := range c.nodes {
		n.proxy.DropAnswers()
	}
	return func() {
		pause(starved)
		for _, n := range c.nodes {
			n.proxy.Cut()
		}
	}
}

// Calm ends delays.
func (c *Cluster) Calm() {
	for _, n := range c.nodes {
		n.proxy.Delay(0)
	}
}

// Report prints which faults were done.
func (c *Cluster) Report() {
	for _, n := range c.nodes {
		for fault, times := range n.proxy.Counts() {
			c.counts[fault] += times
		}
	}
	c.t.Logf("faults %v, longest time without a leader %s", c.counts, c.settled.Round(time.Millisecond))
}

// background runs do until stop is called, which waits for its end and returns its error.
func background(do func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var err error
	work.Go(func() { err = do(ctx) })
	return func() error {
		cancel()
		work.Wait()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}

var errTable = errors.New("the table does not hold what it must")

func wrongf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errTable, fmt.Sprintf(format, args...))
}
