// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
	"github.com/forebay-io/forebay/writer"
)

// Config says how Dial connects. The zero value is the default.
type Config struct {
	// TLS encrypts connections; nil leaves them in the clear.
	TLS *tls.Config
	// Token is sent with every call; empty sends none.
	Token string
	// BufferMemory bounds the rows of all writers of the connection that are not settled; default 64 MB. A writer
	// that was given memory of its own does not share it.
	BufferMemory forebay.Bytes
	// MessageBytes bounds a request, and a commit with all that is in it: a larger one is answered as too large and
	// not sent. Default 64 MB, at most 1 GB.
	MessageBytes forebay.Bytes

	// ConnectTimeout bounds Dial, and every later search for the server that leads; default 10 s.
	ConnectTimeout time.Duration
	// CallTimeout bounds a call that is not a stream, with its retries; default 30 s.
	CallTimeout time.Duration
	// RequestTimeout is when a request without an answer is given up as one that may have been applied; default 30 s.
	RequestTimeout time.Duration
	// Ping asks a silent server whether it is there, and PingTimeout breaks the connection off where no answer comes.
	// Defaults 10 s, which is the shortest, and 5 s.
	Ping, PingTimeout time.Duration

	// Dialer makes connections; nil is TCP.
	Dialer func(ctx context.Context, address string) (net.Conn, error)
	// Logger gets state changes; nil is silence.
	Logger *slog.Logger
	Hooks  ClientHooks
}

// ClientHooks are callbacks for telemetry. Any may be nil.
//
// Blocking: they are called outside locks and must not wait.
// Concurrency: they are called at the same time.
type ClientHooks struct {
	// Moved is called when another server than before leads; from is empty the first time.
	Moved func(from, to string)
	// Broken is called when a stream of requests to a server breaks.
	Broken func(address string, cause error)
	// PartitionCreated is called when a partition that rows of this program needed was made, or was found to be there.
	PartitionCreated func(table, partition string)
}

const (
	messageBytesDefault = 64 * forebay.MiB
	// receiveBytesMax bounds a message from the server: rows, at least one of the largest size.
	receiveBytesMax = 64 * forebay.MiB
	// messageRoom is what a message may have beside what MessageBytes counts.
	messageRoom = forebay.MiB
	// streamWindow and connectionWindow bound what the server may send before it is read.
	streamWindow     = 4 * forebay.MiB
	connectionWindow = 16 * forebay.MiB
	// socketBuffer is what one write to the network takes at most.
	socketBuffer = 64 * forebay.KiB
	pingMin      = 10 * time.Second // gRPC takes no shorter one
	// closeGrace is how long Close waits for connections that take nothing before it breaks them off.
	closeGrace = time.Second
)

func (c Config) withDefaults() Config {
	c.MessageBytes = cmp.Or(c.MessageBytes, messageBytesDefault)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	c.CallTimeout = cmp.Or(c.CallTimeout, 30*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 30*time.Second)
	c.Ping = cmp.Or(c.Ping, pingMin)
	c.PingTimeout = cmp.Or(c.PingTimeout, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports everything that is wrong, at once.
func (c Config) Validate() error {
	var problems []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", c.ConnectTimeout},
		{"CallTimeout", c.CallTimeout},
		{"RequestTimeout", c.RequestTimeout},
		{"PingTimeout", c.PingTimeout},
	} {
		if d.value < 0 {
			problems = append(problems, fmt.Errorf("%s: %s, must be more than 0", d.name, d.value))
		}
	}
	if c.Ping != 0 && c.Ping < pingMin {
		problems = append(problems, fmt.Errorf("%s: %s, must be at least %s", "Ping", c.Ping, pingMin))
	}
	if c.MessageBytes < 0 || c.MessageBytes > forebay.GiB {
		problems = append(problems, fmt.Errorf("MessageBytes: %d, must be 1 to 1GiB", c.MessageBytes))
	}
	if c.BufferMemory < 0 {
		problems = append(problems, fmt.Errorf("BufferMemory: %d, must be more than 0", c.BufferMemory))
	}
	return errors.Join(problems...)
}

// Client is a connection to a tablet server, and to those that take over from it. It implements Conn.
//
// Concurrency: safe.
type Client struct {
	config  Config
	memory  *writer.Memory
	cluster *cluster

	ctx    context.Context //nolint:containedctx // ends with Close: it bounds the goroutines, no call
	cancel context.CancelCauseFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	streams map[streamKey]*stream
	tables  map[string]*clientTable
}

// streamKey names a stream: that of all writers, or that of a pipeline's lane.
type streamKey struct {
	pipeline string
	lane     int
}

// writeLane is the lane of the stream that all writers share.
const writeLane = -1

var _ Conn = (*Client)(nil)

// Dial connects to a tablet server. Addresses are host:port, several separated by commas: whoever of them leads is
// found, and again when another takes over; servers that these know of are tried too.
//
// Errors: misconfigured for a wrong configuration or a token that is not known; transient, with the code unreachable,
// where no server answers.
// Blocking: until a server answers, Config.ConnectTimeout has passed or ctx ends.
func Dial(ctx context.Context, addresses string, config Config) (*Client, error) {
	err := config.Validate()
	known := make([]string, 0, 1)
	for address := range strings.SplitSeq(addresses, ",") {
		if address = strings.TrimSpace(address); address != "" {
			known = append(known, address)
			if _, _, splitErr := net.SplitHostPort(address); splitErr != nil {
				err = errors.Join(err, fmt.Errorf("address %q: must be host:port", address))
			}
		}
	}
	if len(known) == 0 || len(known) > addressesMax {
		err = errors.Join(err, fmt.Errorf("%d addresses, must be 1 to %d", len(known), addressesMax))
	}
	if err != nil {
		return nil, &forebay.Error{Op: "dial", Class: forebay.ClassMisconfigured, Err: err}
	}
	c := &Client{
		config: config.withDefaults(), memory: writer.NewMemory(config.BufferMemory),
		streams: map[streamKey]*stream{}, tables: map[string]*clientTable{},
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.cluster = &cluster{
		dial: c.dialNode, timeout: c.config.ConnectTimeout, found: c.noteLeader, known: known, named: len(known),
		nodes: map[string]*node{},
	}
	if _, err := c.leader(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Client) noteLeader(from, to string) {
	if from != "" {
		c.config.Logger.Info("another tablet server leads", "from", from, "to", to)
	}
	if c.config.Hooks.Moved != nil {
		c.config.Hooks.Moved(from, to)
	}
}

// dialNode makes the connection to an address. Nothing is sent before the first call.
func (c *Client) dialNode(address string) (*node, error) {
	n := &node{address: address}
	safe := insecure.NewCredentials()
	if c.config.TLS != nil {
		safe = credentials.NewTLS(c.config.TLS)
	}
	dialer := c.config.Dialer
	if dialer == nil {
		tcp := &net.Dialer{}
		dialer = func(ctx context.Context, address string) (net.Conn, error) {
			return tcp.DialContext(ctx, "tcp", address)
		}
	}
	pool := &wire.Pool{}
	options := []grpc.DialOption{
		experimental.WithBufferPool(pool),
		grpc.WithTransportCredentials(linkCredentials{TransportCredentials: safe, made: n.add}),
		grpc.WithContextDialer(dialer),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec{Pool: pool}),
			grpc.MaxCallSendMsgSize(int(c.config.MessageBytes+messageRoom)),
			grpc.MaxCallRecvMsgSize(int(receiveBytesMax)),
			grpc.MaxRetryRPCBufferSize(0),
		),
		grpc.WithInitialWindowSize(int32(streamWindow)),
		grpc.WithInitialConnWindowSize(int32(connectionWindow)),
		grpc.WithWriteBufferSize(int(socketBuffer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: c.config.Ping, Timeout: c.config.PingTimeout, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: searchWaitMin, Multiplier: 2, Jitter: 0.5, MaxDelay: searchWaitMax},
			MinConnectTimeout: c.config.ConnectTimeout,
		}),
	}
	if c.config.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(c.config.Token)))
	}
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return nil, forebay.Errorf("dial", forebay.ClassMisconfigured, "%s: %w", address, err)
	}
	n.conn, n.calls = conn, wire.NewTabletsClient(conn)
	return n, nil
}

// bearer sends a token with every call.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: whether a token may go in the clear is for whoever
// leaves Config.TLS out.
func (bearer) RequireTransportSecurity() bool { return false }

// leader is the server to talk to.
//
// Blocking: while it is searched for, until ctx ends.
func (c *Client) leader(ctx context.Context) (*node, error) {
	n, s := c.search()
	if n != nil {
		return n, nil
	}
	select {
	case <-s.done:
		return s.leader, s.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// search is the leader, or the search for it.
func (c *Client) search() (*node, *search) {
	return c.cluster.begin(func(s *search) {
		c.work.Go(func() { c.cluster.runSearch(c.ctx, s) })
	})
}

// call makes a call to the leader. Where that has moved or cannot be reached, it is made again, but for a call that may
// not be made twice and whose request may have arrived.
func (c *Client) call(ctx context.Context, op string, once bool, do func(context.Context, caller) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.config.CallTimeout)
	defer cancel()
	for wait := searchWaitMin; ; wait = min(2*wait, searchWaitMax) {
		n, err := c.leader(bounded)
		if err != nil {
			if ctx.Err() == nil && bounded.Err() != nil {
				err = forebay.Errorf(op, forebay.ClassTransient, "no server leads: %w", err)
			}
			return err
		}
		var over peer.Peer
		err = do(bounded, caller{TabletsClient: n.calls, over: grpc.Peer(&over)})
		if err == nil {
			return nil
		}
		problem := callError(op, err)
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), problem)
		}
		if !again(problem, err, once && over.Addr != nil) {
			return problem
		}
		c.cluster.suspect(n, "")
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-bounded.Done():
			timer.Stop()
			return problem
		}
	}
}

// caller makes calls, with an option that tells whether one left.
type caller struct {
	wire.TabletsClient

	over grpc.CallOption
}

// again says whether a call that failed may be made again, to whoever leads then.
func again(problem *forebay.Error, err error, doubtful bool) bool {
	if wire.FromStatus(err) != nil {
		return problem.Class == forebay.ClassMoved || problem.Class == forebay.ClassTransient
	}
	return status.Code(err) == codes.Unavailable && !doubtful
}

// callError is the error of a call: the server's own, or that of the transport.
func callError(op string, err error) *forebay.Error {
	if e := wire.FromStatus(err); e != nil {
		return e
	}
	if e, ok := errors.AsType[*forebay.Error](err); ok {
		return e
	}
	st := status.Convert(err)
	class := forebay.ClassAmbiguous
	switch st.Code() {
	case codes.Unavailable:
		class = forebay.ClassTransient
	case codes.ResourceExhausted:
		class = forebay.ClassTooLarge
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		class = forebay.ClassMisconfigured
	default: // it may have been done
	}
	return forebay.Errorf(op, class, "%s: %s", strings.ToLower(st.Code().String()), st.Message())
}

// stream is the stream of that name to the leader, nil where the connection is closed.
func (c *Client) stream(key streamKey, n *node) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	s := c.streams[key]
	switch {
	case s == nil || s.isRetired():
	case s.node == n || c.cluster.current() != n: // or the caller has an old one
		return s
	default:
		s.retire() // what it holds is answered by whom it was sent to
	}
	open := openCommit
	if key.lane == writeLane {
		open = openWrite
	}
	s = newStream(c.ctx, streamConfig{
		node: n, open: open, timeout: c.config.RequestTimeout, failed: c.streamFailed,
		ended: func(s *stream) { c.dropStream(key, s) },
	})
	c.streams[key] = s
	c.work.Go(s.run)
	return s
}

func openWrite(ctx context.Context, n *node) (grpc.ClientStream, error) { return n.calls.Write(ctx) }

func openCommit(ctx context.Context, n *node) (grpc.ClientStream, error) { return n.calls.Commit(ctx) }

func (c *Client) streamFailed(s *stream, cause error) {
	if moved, ok := errors.AsType[movedError](cause); ok {
		s.retire()
		c.cluster.suspect(s.node, moved.leader)
		return
	}
	c.cluster.suspect(s.node, "")
	if c.ctx.Err() != nil {
		return
	}
	c.config.Logger.Info("a stream to the tablet server broke", "address", s.node.address, "cause", cause.Error())
	if c.config.Hooks.Broken != nil {
		c.config.Hooks.Broken(s.node.address, cause)
	}
}

func (c *Client) dropStream(key streamKey, s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[key] == s {
		delete(c.streams, key)
	}
}

// Close implements Conn.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel(forebay.ErrClosed)
	nodes := c.cluster.close()
	var closing sync.WaitGroup
	closed := make(chan struct{})
	for _, n := range nodes {
		closing.Go(func() { _ = n.conn.Close() }) // it says only that it was closed before
	}
	closing.Go(func() {
		timer := time.NewTimer(closeGrace)
		defer timer.Stop()
		select {
		case <-closed:
		case <-timer.C:
			for _, n := range nodes {
				n.kill()
			}
		}
	})
	c.work.Wait()
	close(closed)
	closing.Wait()
	return nil
}
