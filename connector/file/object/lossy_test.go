// SPDX-License-Identifier: Apache-2.0

package object_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay/test/servers/s3"
)

// What a lossyLink loses of writes.
const (
	loseNothing int32 = iota
	loseRequest
	loseAnswer
)

// lossyLink passes requests on to a server, and loses some.
type lossyLink struct {
	url  string
	lose atomic.Int32
}

func lossy(t *testing.T, s *s3.Server) *lossyLink {
	t.Helper()
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	link := &lossyLink{url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	serve := func(w http.ResponseWriter, r *http.Request) {
		change := r.Method == http.MethodPost || r.Method == http.MethodPut
		if change && link.lose.Load() == loseRequest {
			panic(http.ErrAbortHandler)
		}
		if change && link.lose.Load() == loseAnswer {
			proxy.ServeHTTP(&nowhere{}, r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}
	server := &http.Server{Handler: http.HandlerFunc(serve), ReadHeaderTimeout: time.Second}
	var group sync.WaitGroup
	group.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		group.Wait()
	})
	return link
}

// nowhere takes an answer that nobody gets.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header {
	if n.header == nil {
		n.header = http.Header{}
	}
	return n.header
}

func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
