// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
	"github.com/forebay-io/forebay/writer/tuning"
)

// patch asks a handler to change knobs.
func patch(t *testing.T, url, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// A program turns the knobs of its running writer over HTTP: the next request already has the new size.
func TestARunningWriterIsTunedOverHTTP(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks", Tablets: 1})
	var mu sync.Mutex
	var sizes []int
	out, err := w.dial(t, tablet.Config{}).Append(t.Context(), "clicks", writer.Config{
		Tuning: writer.Tuning{BatchSize: forebay.MiB, BatchTimeout: time.Hour},
		Hooks: writer.Hooks{Sent: func(e writer.SentEvent) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, int(e.Bytes))
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/tuning", tuning.Handler(func() map[string]*writer.Writer {
		return map[string]*writer.Writer{"clicks": out}
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	receipts := appendRows(t, out, 0, 1000) // less than a request
	const small = 4 << 10
	for body, want := range map[string]int{
		`{"batch.size": "0B"}`:                    http.StatusBadRequest,
		`{"name": "views", "batch.size": "4KB"}`:  http.StatusBadRequest,
		`{"name": "clicks", "batch.size": "4KB"}`: http.StatusOK,
	} {
		if code, text := patch(t, server.URL+"/tuning", body); code != want {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	receipts = append(receipts, appendRows(t, out, 1000, 3000)...)
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	mu.Lock()
	defer mu.Unlock()
	if len(sizes) < 5 {
		t.Errorf("%d requests for 3,000 rows, of %v bytes", len(sizes), sizes)
	}
	for _, size := range sizes[min(1, len(sizes)):] {
		if size > 2*small {
			t.Errorf("a request has %d bytes after the size was set to %d", size, small)
		}
	}
}
