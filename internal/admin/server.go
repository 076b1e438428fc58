// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// Config says what a server shows. Functions that are nil show nothing.
//
// Concurrency: the functions are called from several goroutines.
type Config struct {
	// Metrics answers /metrics.
	Metrics http.Handler
	// Health is how each part of the process is doing.
	Health func(now time.Time) []Health
	// Tunables are the parts that run now and have knobs.
	Tunables func() []Tunable
	Logger   *slog.Logger
}

// Limits of the server.
const (
	headerTimeout   = 5 * time.Second
	requestTimeout  = 30 * time.Second
	shutdownTimeout = time.Second
	bodyBytesMax    = 64 * forebay.KiB
	headerBytesMax  = 64 * forebay.KiB
)

// Server answers over HTTP.
type Server struct {
	config Config
	http   http.Server

	tuned sync.Mutex // guards no data: changes of knobs come one after the other
}

// NewServer makes a server.
func NewServer(config Config) *Server {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: config}
	mux := http.NewServeMux()
	if config.Metrics != nil {
		mux.Handle("GET /metrics", config.Metrics)
	}
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /tuning", s.tuning)
	mux.HandleFunc("PATCH /tuning", s.tune)
	mux.HandleFunc("POST /tuning", s.tune)
	s.http = http.Server{
		Handler:           http.NewCrossOriginProtection().Handler(mux), // H3: it refuses pages from elsewhere
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: requestTimeout, MaxHeaderBytes: int(headerBytesMax),
		ErrorLog: slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.http.Handler.ServeHTTP(w, r) }

// Listen opens the address of a server, which messages call by the setting that gives it. H2: without a host it is
// loopback.
//
// Errors: misconfigured where it is no address, or cannot be had.
func Listen(ctx context.Context, setting, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, listenError(setting, fmt.Errorf("%s %q: write host:port, such as 127.0.0.1:7878", setting, address))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, listenError(setting, fmt.Errorf("%s: %w", setting, err))
	}
	return l, nil
}

func listenError(setting string, err error) error {
	return &forebay.Error{
		Op: "listen", Class: forebay.ClassMisconfigured, Code: "http-listen", Err: err,
		Cure: "choose another port, or leave " + setting + " out",
	}
}

// Loopback says whether only this machine reaches a listener.
func Loopback(l net.Listener) bool {
	at, ok := l.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// Run answers until ctx ends. It closes the listener.
//
// Blocking: until ctx ends, and for the answers under way at most a second more.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(limit)
	if err != nil {
		err = s.http.Close() // a client that does not read cannot keep the process
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

// answer writes a value as JSON.
func (s *Server) answer(w http.ResponseWriter, code int, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		s.config.Logger.Error("an answer could not be written", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // the client is gone if it fails
}
