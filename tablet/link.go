// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// link is one network connection under gRPC. It knows when gRPC's writer has ended, after which nothing reads what was
// lent to it: gRPC itself does not say so of what it had not sent when the connection died.
//
// That is when a write has failed, which is the writer's last; or when gRPC closes the connection outside a write,
// which it does once the writer has ended.
type link struct {
	net.Conn

	mu      sync.Mutex
	writing bool

	once sync.Once
	dead chan struct{}
}

func newLink(conn net.Conn) *link { return &link{Conn: conn, dead: make(chan struct{})} }

// Write implements net.Conn. gRPC has one writer.
func (l *link) Write(p []byte) (int, error) {
	l.setWriting(true)
	n, err := l.Conn.Write(p)
	l.setWriting(false)
	if err != nil {
		l.bury()
	}
	return n, err
}

func (l *link) setWriting(now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = now
}

// order puts what gRPC's writer did before what comes next here: the writer takes the lock around every write.
func (l *link) order() {
	l.mu.Lock()
	defer l.mu.Unlock()
}

// Close implements net.Conn.
func (l *link) Close() error {
	err := l.Conn.Close()
	l.mu.Lock()
	writing := l.writing
	l.mu.Unlock()
	if !writing {
		l.bury()
	}
	return err
}

func (l *link) bury() { l.once.Do(func() { close(l.dead) }) }

// kill breaks the connection off: a write that waits fails, and gRPC then closes it.
func (l *link) kill() { _ = l.Conn.Close() }

// linkInfo carries a connection's link to the streams on it.
type linkInfo struct {
	credentials.AuthInfo
	link *link
}

// linkOf is the connection that a stream was opened on, nil where it never had one.
func linkOf(ctx context.Context) *link {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(linkInfo); ok {
			return info.link
		}
	}
	return nil
}

// linkCredentials puts a link around every connection that others have made safe.
type linkCredentials struct {
	credentials.TransportCredentials
	made func(*link)
}

// ClientHandshake implements credentials.TransportCredentials.
func (c linkCredentials) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	l := newLink(conn)
	c.made(l)
	return l, linkInfo{AuthInfo: info, link: l}, nil
}

// Clone implements credentials.TransportCredentials.
func (c linkCredentials) Clone() credentials.TransportCredentials {
	return linkCredentials{TransportCredentials: c.TransportCredentials.Clone(), made: c.made}
}
