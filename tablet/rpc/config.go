// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/forebay-io/forebay"
)

// Config says how a front serves. The zero value is the default.
type Config struct {
	// Address is what clients are to dial: answers that send somebody here name it.
	Address string
	// TLS encrypts connections; nil leaves them in the clear.
	TLS *tls.Config
	// Tokens says who may read and write which tables; nil lets everybody do everything.
	Tokens *Tokens
	Limits Limits
	// Logger gets state changes; nil is silence.
	Logger *slog.Logger
}

// Limits bounds what clients can take. Zero is the default of each.
type Limits struct {
	// RequestBytes bounds the rows of a write request; a larger one is answered 413. Default 32 MiB.
	RequestBytes forebay.Bytes
	// CommitBytes bounds a commit with everything in it; a larger one is answered 413. Default 64 MiB. A message that
	// is larger than it by more than a mebibyte ends its stream unread.
	CommitBytes forebay.Bytes

	// StreamRequests and StreamBytes bound what a Write stream has outstanding: the next request is answered 429.
	// Defaults 1024 and 64 MiB.
	StreamRequests int
	StreamBytes    forebay.Bytes
	// StreamAnswers bounds the answers of a stream that its client has not taken; then no more is read of the stream.
	// Default 4096.
	StreamAnswers int
	// StreamCommits bounds the commits that a Commit stream has outstanding; then no more is read of it. Default 4.
	StreamCommits int
	// AllRequests and AllBytes bound what all streams have outstanding together: the next request or commit is
	// answered 429. Defaults 65536 and 256 MiB.
	AllRequests int
	AllBytes    forebay.Bytes
	// RetryAfter is the delay that an answer 429 asks for before it is measured how fast requests are answered; from then
	// on it is the time that they take to make room, of 5 ms to 2 s. Default 20 ms.
	RetryAfter time.Duration

	// Connections bounds the open connections; a further one is closed at once. Default 1024.
	Connections int
	// ConnectionCalls bounds the calls and streams of one connection; further ones wait at the client. Default 256.
	ConnectionCalls int
	// Readers bounds the scans and log readers of all connections; a further one is refused. Default 256.
	Readers int
	// LookupKeys bounds the keys of one look-up. Default 10000.
	LookupKeys int

	// Idle closes a connection that has carried no call for so long. Default 15 min.
	Idle time.Duration
	// Ping asks a silent client whether it is there, and PingTimeout closes the connection without an answer.
	// Defaults 20 s and 10 s.
	Ping, PingTimeout time.Duration
	// PingMin is how often a client may ask; one that asks more often is cut off. Default 5 s.
	PingMin time.Duration
	// Handshake bounds how long a new connection may take to become one. Default 10 s.
	Handshake time.Duration
	// Stalled ends a scan or a log reader whose client has taken nothing for so long while rows wait. Default 60 s.
	Stalled time.Duration
	// Shutdown bounds how long the end waits for accepted requests. Default 25 s.
	Shutdown time.Duration
}

func (l Limits) withDefaults() Limits {
	l.RequestBytes = cmp.Or(l.RequestBytes, 32*forebay.MiB)
	l.CommitBytes = cmp.Or(l.CommitBytes, 64*forebay.MiB)
	l.StreamRequests = cmp.Or(l.StreamRequests, 1024)
	l.StreamBytes = cmp.Or(l.StreamBytes, 64*forebay.MiB)
	l.StreamAnswers = cmp.Or(l.StreamAnswers, 4096)
	l.StreamCommits = cmp.Or(l.StreamCommits, 4)
	l.AllRequests = cmp.Or(l.AllRequests, 65536)
	l.AllBytes = cmp.Or(l.AllBytes, 256*forebay.MiB)
	l.RetryAfter = cmp.Or(l.RetryAfter, 20*time.Millisecond)
	l.Connections = cmp.Or(l.Connections, 1024)
	l.ConnectionCalls = cmp.Or(l.ConnectionCalls, 256)
	l.Readers = cmp.Or(l.Readers, 256)
	l.LookupKeys = cmp.Or(l.LookupKeys, 10_000)
	l.Idle = cmp.Or(l.Idle, 15*time.Minute)
	l.Ping = cmp.Or(l.Ping, 20*time.Second)
	l.PingTimeout = cmp.Or(l.PingTimeout, 10*time.Second)
	l.PingMin = cmp.Or(l.PingMin, 5*time.Second)
	l.Handshake = cmp.Or(l.Handshake, 10*time.Second)
	l.Stalled = cmp.Or(l.Stalled, time.Minute)
	l.Shutdown = cmp.Or(l.Shutdown, 25*time.Second)
	return l
}

// messageRoom is what a message may take beside the bytes that the limits count.
const messageRoom = forebay.MiB

// messageBytes bounds a message of the transport.
func (l Limits) messageBytes() int { return int(max(l.RequestBytes, l.CommitBytes) + messageRoom) }

// validate reports every problem of limits that have their defaults.
func (l Limits) validate() error {
	var problems []error
	positive := func(name string, value int64) {
		if value < 0 {
			problems = append(problems, fmt.Errorf("%s is %d: allowed are 1 and more", name, value))
		}
	}
	positive("RequestBytes", int64(l.RequestBytes))
	positive("CommitBytes", int64(l.CommitBytes))
	positive("StreamRequests", int64(l.StreamRequests))
	positive("StreamAnswers", int64(l.StreamAnswers))
	positive("StreamCommits", int64(l.StreamCommits))
	positive("AllRequests", int64(l.AllRequests))
	positive("Connections", int64(l.Connections))
	positive("ConnectionCalls", int64(l.ConnectionCalls))
	positive("Readers", int64(l.Readers))
	positive("LookupKeys", int64(l.LookupKeys))
	if l.StreamBytes < l.RequestBytes {
		problems = append(problems, fmt.Errorf("StreamBytes is %s and one request may have %s", l.StreamBytes,
			l.RequestBytes))
	}
	if all := max(l.StreamBytes, l.CommitBytes); l.AllBytes < all {
		problems = append(problems, fmt.Errorf("AllBytes is %s and one stream may hold %s", l.AllBytes, all))
	}
	if l.StreamAnswers < l.StreamRequests {
		problems = append(problems, fmt.Errorf("StreamAnswers is %d and one stream may have %d requests outstanding",
			l.StreamAnswers, l.StreamRequests))
	}
	if len(problems) == 0 {
		return nil
	}
	return forebay.Errorf("serve", forebay.ClassMisconfigured, "%w", errors.Join(problems...))
}
