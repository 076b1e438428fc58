// SPDX-License-Identifier: Apache-2.0

package tcpproxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections to a target that may change.
//
// Concurrency: safe.
type Proxy struct {
	listener net.Listener
	target   func() string
	flow     *gate // of all connections, in both directions
	work     sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]bool
	counts map[string]int
	delay  time.Duration
	losing bool
	closed bool
}

// Listen makes a proxy on a free port of the loopback interface. target gives the address of the server each time that
// a client connects.
func Listen(ctx context.Context, target func() string) (*Proxy, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		listener: l, target: target, flow: newGate(), links: map[*link]bool{}, counts: map[string]int{},
	}
	p.work.Go(p.runAccept)
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Counts is how often each fault was done to a connection.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Cut resets every connection.
func (p *Proxy) Cut() { p.each("cut", (*link).reset) }

// Delay holds each piece back for so long from now on, in both directions; 0 ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
	if d > 0 {
		p.counts["delay"] += len(p.links)
	}
}

// HalfOpen forwards nothing of the present connections any more, in no direction, and leaves them open.
func (p *Proxy) HalfOpen() {
	p.each("half-open", func(l *link) {
		l.requests.set(gateSwallow)
		l.answers.set(gateSwallow)
	})
}

// DropAnswers lets requests of the present connections through and swallows their answers.
func (p *Proxy) DropAnswers() {
	p.each("answers dropped", func(l *link) { l.answers.set(gateSwallow) })
}

// HoldRequests keeps what clients send over the present connections until release is called, also when the client has
// gone meanwhile: the server then gets it late. Answers pass.
func (p *Proxy) HoldRequests() (release func()) {
	var held []*link
	p.each("requests held", func(l *link) {
		l.requests.set(gateHold)
		held = append(held, l)
	})
	return func() {
		for _, l := range held {
			l.requests.set(gateOpen)
		}
	}
}

// LoseAnswer loses the next bytes that come from a server, and resets their connection a moment later: what came with
// them is done meanwhile.
func (p *Proxy) LoseAnswer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.losing = true
}

// loses says whether bytes from a server are those to be lost.
func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.losing {
		return false
	}
	p.losing = false
	p.counts["answer lost"]++
	return true
}

// Stall lets nothing pass in either direction until resume is called, and takes nothing in: whoever sends soon waits.
// Connections that are made meanwhile stall too.
func (p *Proxy) Stall() (resume func()) {
	p.flow.set(gateHold)
	p.each("stalled", func(*link) {})
	return func() { p.flow.set(gateOpen) }
}

func (p *Proxy) each(fault string, do func(l *link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		p.counts[fault]++
		do(l)
	}
}

// Close resets every connection and stops.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.work.Wait()
	return err
}

func (p *Proxy) runAccept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.work.Go(func() { p.runLink(client) })
	}
}

// runLink connects a client with the target and returns when both directions have ended.
func (p *Proxy) runLink(client net.Conn) {
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	server, err := dialer.DialContext(ctx, "tcp", p.target())
	cancel()
	if err != nil {
		_ = client.Close()
		return
	}
	l := newLink(client, server, p)
	p.mu.Lock()
	if p.closed {
		l.reset()
	}
	p.links[l] = true
	p.mu.Unlock()
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// wait is the present delay of a piece.
func (p *Proxy) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}
