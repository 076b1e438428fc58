// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/forebay-io/forebay"
)

// Listen listens where the guards allow it: beside the loopback interface only with TLS and tokens, or where insecure
// says so.
//
// Errors: misconfigured, before anything is made.
func Listen(ctx context.Context, address string, guard Guard) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, forebay.Errorf("listen", forebay.ClassMisconfigured, "%q is no HOST:PORT to listen on: %w", address, err)
	}
	if !resolved.IP.IsLoopback() && !guard.Insecure && (!guard.TLS || !guard.Tokens) {
		e := forebay.Errorf("listen", forebay.ClassMisconfigured, "%s can be reached from other machines, and %s",
			address, guard.missing())
		e.Code = "not-protected"
		e.Cure = "give --tls-cert, --tls-key and --tokens, listen on 127.0.0.1, or say --insecure"
		return nil, e
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", resolved.String())
	if err != nil {
		return nil, forebay.Errorf("listen", forebay.ClassMisconfigured, "%w", err)
	}
	return l, nil
}

// Guard says what protects a listener.
type Guard struct {
	TLS, Tokens bool
	// Insecure allows to listen without protection.
	Insecure bool
}

func (g Guard) missing() string {
	switch {
	case !g.TLS && !g.Tokens:
		return "neither TLS nor tokens protect it"
	case !g.TLS:
		return "its tokens would travel in the clear without TLS"
	default:
		return "without tokens everybody may write"
	}
}

// String says what protects the listener, for people.
func (g Guard) String() string {
	switch {
	case g.TLS && g.Tokens:
		return "TLS, tokens"
	case g.TLS:
		return "TLS, no tokens: everybody who can connect may read and write"
	case g.Tokens:
		return "tokens, no TLS"
	default:
		return "no TLS, no tokens: everybody who can connect may read and write"
	}
}

// LoadTLS reads a certificate and its key for a server.
//
// Errors: misconfigured.
func LoadTLS(certFile, keyFile string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, forebay.Errorf("load TLS", forebay.ClassMisconfigured, "%s and %s: %w", certFile, keyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// limitedListener closes connections above a number at once.
type limitedListener struct {
	net.Listener
	max int

	mu   sync.Mutex
	open int
}

func limitListener(l net.Listener, connections int) *limitedListener {
	return &limitedListener{Listener: l, max: connections}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.take() {
			return &limitedConn{Conn: c, release: sync.OnceFunc(l.release)}, nil
		}
		_ = c.Close() // its client sees that, and nothing else was done with it
	}
}

func (l *limitedListener) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.max {
		return false
	}
	l.open++
	return true
}

func (l *limitedListener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

func (l *limitedListener) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// limitedConn counts as open until it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
