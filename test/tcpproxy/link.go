// SPDX-License-Identifier: Apache-2.0

package tcpproxy

import (
	"net"
	"sync"
	"time"
)

// gateState is what happens to what comes along one direction of a connection.
type gateState uint8

const (
	gateOpen    gateState = iota // it is forwarded
	gateHold                     // it waits
	gateSwallow                  // it is read and thrown away
)

// gate is the switch of one direction.
type gate struct {
	mu      sync.Mutex
	state   gateState
	changed chan struct{} // closed when state changes
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) set(s gateState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
	close(g.changed)
	g.changed = make(chan struct{})
}

// pass waits while the gate holds, and says whether to forward. It gives up when ended is closed.
func (g *gate) pass(ended <-chan struct{}) bool {
	for {
		g.mu.Lock()
		state, changed := g.state, g.changed
		g.mu.Unlock()
		if state != gateHold {
			return state == gateOpen
		}
		select {
		case <-changed:
		case <-ended:
			return false
		}
	}
}

// link is one connection of a client, forwarded.
type link struct {
	proxy             *Proxy
	client, server    net.Conn
	requests, answers *gate
	ended             chan struct{} // closed by reset: nothing is forwarded any more
	endOnce           sync.Once
}

func newLink(client, server net.Conn, p *Proxy) *link {
	return &link{
		proxy: p, client: client, server: server, requests: newGate(), answers: newGate(), ended: make(chan struct{}),
	}
}

// reset ends the connection on both sides without a farewell.
func (l *link) reset() {
	l.endOnce.Do(func() {
		close(l.ended)
		for _, c := range []net.Conn{l.client, l.server} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// run forwards both directions until each has ended. A client that leaves while its requests are held does not take
// them back: they reach the server when the gate opens.
func (l *link) run() {
	var work sync.WaitGroup
	work.Go(func() { l.runPump(l.server, l.client, l.requests) })
	work.Go(func() { l.runPump(l.client, l.server, l.answers) })
	work.Wait()
	l.reset()
}

// runPump forwards one direction. Reading goes on while the gate holds, as a network keeps what is under way.
func (l *link) runPump(to, from net.Conn, g *gate) {
	pieces := make(chan []byte, 4096)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if !l.proxy.flow.pass(l.ended) {
				return
			}
			if n > 0 {
				select {
				case pieces <- buf[:n]:
				case <-l.ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	l.runForward(to, pieces, g)
	reading.Wait()
}

func (l *link) runForward(to net.Conn, pieces <-chan []byte, g *gate) {
	broken := false
	for piece := range pieces {
		if !g.pass(l.ended) || broken {
			continue
		}
		if g == l.answers && l.proxy.loses() {
			l.wait(lossDelay)
			l.reset()
		}
		l.wait(l.proxy.wait())
		if _, err := to.Write(piece); err != nil {
			broken = true
		}
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// lossDelay is how long a connection lives after an answer of it was lost.
const lossDelay = 200 * time.Millisecond

// wait waits for a time, unless the connection ends before.
func (l *link) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ended:
	}
}
