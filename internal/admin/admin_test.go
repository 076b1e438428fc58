// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/admin"
	"github.com/forebay-io/forebay/writer"
)

// fakeWriter has a writer's knobs, and refuses what a writer would.
type fakeWriter struct {
	mu     sync.Mutex
	tuning writer.Tuning
	tunes  int
	refuse error
}

func newFakeWriter() *fakeWriter {
	return &fakeWriter{tuning: writer.Tuning{
		BatchSize: 2 * forebay.MiB, BatchTimeout: 500 * time.Millisecond, Retries: 3, MaxInflight: 5,
	}}
}

func (w *fakeWriter) Stats() writer.Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return writer.Stats{Tuning: w.tuning}
}

func (w *fakeWriter) Tune(t writer.Tuning) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.tuning = t
	w.tunes++
	return nil
}

// running is a server on a port of its own.
type running struct {
	url string
	t   *testing.T
}

func serve(t *testing.T, config admin.Config) *running {
	t.Helper()
	l, err := admin.Listen(t.Context(), "http.listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	if !admin.Loopback(l) {
		t.Fatalf("H2: listens on %s, want loopback", l.Addr())
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	s := admin.NewServer(config)
	done.Go(func() {
		if err := s.Run(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		done.Wait()
		response, err := http.Get("http://" + l.Addr().String() + "/healthz") //nolint:noctx // it is refused
		if err == nil {
			_ = response.Body.Close()
			t.Error("the server answers after its end")
		}
	})
	return &running{url: "http://" + l.Addr().String(), t: t}
}

func (r *running) ask(method, path, body string, header ...string) (code int, text string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

func TestTuningShowsTheKnobsOfRunningWriters(t *testing.T) {
	w := newFakeWriter()
	r := serve(t, admin.Config{Tunables: func() []admin.Tunable { return []admin.Tunable{admin.Writer("clicks", w)} }})
	code, text := r.ask(http.MethodGet, "/tuning", "")
	var got, want any
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v: %s", code, err, text)
	}
	err := json.Unmarshal([]byte(`{"parts": [{"name": "clicks", "knobs": {
		"batch.size": {"value": "2MB", "allowed": "1B to 1GB"},
		"batch.timeout": {"value": "500ms", "allowed": "1ms to 1h0m0s"},
		"retries": {"value": "3", "allowed": "0 to 1073741824 or unlimited"},
		"max.inflight": {"value": "5", "allowed": "1 to 65536"}}}]}`), &want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTuningChangesKnobs(t *testing.T) {
	for body, want := range map[string]writer.Tuning{
		`{"batch.size": "5MB", "batch.timeout": "1s"}`: {
			BatchSize: 5 * forebay.MiB, BatchTimeout: time.Second, Retries: 3, MaxInflight: 5,
		},
		`{"name": "clicks", "writer.retries": 0, "max.inflight": "1"}`: {
			BatchSize: 2 * forebay.MiB, BatchTimeout: 500 * time.Millisecond, Retries: writer.NoRetries, MaxInflight: 1,
		},
		`{"retries": "unlimited"}`: {
			BatchSize: 2 * forebay.MiB, BatchTimeout: 500 * time.Millisecond, Retries: forebay.Unlimited, MaxInflight: 5,
		},
	} {
		for _, method := range []string{http.MethodPatch, http.MethodPost} {
			w := newFakeWriter()
			r := serve(t, admin.Config{Tunables: func() []admin.Tunable { return []admin.Tunable{admin.Writer("clicks", w)} }})
			if code, text := r.ask(method, "/tuning", body); code != http.StatusOK || !strings.Contains(text, "clicks") {
				t.Errorf("%s %s: %d %s", method, body, code, text)
			}
			if got := w.Stats().Tuning; got != want {
				t.Errorf("%s %s: %+v, want %+v", method, body, got, want)
			}
		}
	}
}

// What is wrong answers 400 with what is right, and changes nothing.
func TestTuningRefusesWhatIsWrongAndChangesNothing(t *testing.T) {
	w, other := newFakeWriter(), newFakeWriter()
	r := serve(t, admin.Config{Tunables: func() []admin.Tunable {
		return []admin.Tunable{admin.Writer("clicks", w), admin.Writer("views", other)}
	}})
	before := w.Stats().Tuning
	for body, says := range map[string]string{
		`{"batch.size": "9TB"}`:                            "1B to 1GB",
		`{"batch.size": "0B"}`:                             "out of range; write 1B to 1GB",
		`{"batch.size": 5}`:                                "5 has no unit; write 1B to 1GB",
		`{"batch.size": "5"}`:                              "no value for it; write 1B to 1GB",
		`{"batch.size": ["5MB"]}`:                          "no value for it",
		`{"batch.timeout": "soon"}`:                        "1ms to 1h",
		`{"batch.timeout": "-1s"}`:                         "out of range",
		`{"retries": -1}`:                                  "0 to 1073741824 or unlimited",
		`{"retries": 1.5}`:                                 "no value for it",
		`{"max.inflight": 0}`:                              "1 to 65536",
		`{"max.inflight": "unlimited"}`:                    "1 to 65536",
		`{"batch.sise": "5MB"}`:                            "known: batch.size, batch.timeout, max.inflight, retries",
		`{"batch.size": "1MB", "max.inflight": "x"}`:       "max.inflight",
		`{"name": "clocks", "retries": 1}`:                 `"clocks"; running: clicks, views`,
		`{"name": 7, "retries": 1}`:                        "write the name",
		`{}`:                                               "nothing is to be changed",
		`{"name": "clicks"}`:                               "nothing is to be changed",
		`[1]`:                                              "no JSON object",
		`{"batch.size": "1MB"`:                             "no JSON object",
		`{"a": "` + strings.Repeat("x", 70_000) + `"}`:     "read the request",
		`{"batch.size": "` + strings.Repeat("9", 99) + `"`: "no JSON object",
	} {
		code, text := r.ask(http.MethodPatch, "/tuning", body)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusBadRequest {
			t.Errorf("%.60s: %d %v %s", body, code, err, text)
		}
		if !strings.Contains(answer.Error, says) || len(answer.Error) > 400 {
			t.Errorf("%.60s: %q does not say %q", body, answer.Error, says)
		}
	}
	if w.tunes+other.tunes != 0 || w.Stats().Tuning != before {
		t.Errorf("refused requests changed something: %+v", w.Stats().Tuning)
	}
}

// H1: a part that refuses undoes the change of the parts before it.
func TestTuningIsAllOrNothing(t *testing.T) {
	w, other := newFakeWriter(), newFakeWriter()
	other.refuse = errors.New("writer.max.inflight: must be 1 to 5 with writer.idempotence")
	r := serve(t, admin.Config{Tunables: func() []admin.Tunable {
		return []admin.Tunable{admin.Writer("clicks", w), admin.Writer("views", other)}
	}})
	before := w.Stats().Tuning
	code, text := r.ask(http.MethodPatch, "/tuning", `{"max.inflight": 9}`)
	if code != http.StatusBadRequest || !strings.Contains(text, "views: writer.max.inflight: must be 1 to 5") {
		t.Errorf("%d %s", code, text)
	}
	if got := w.Stats().Tuning; got != before {
		t.Errorf("the first writer has %+v, want %+v again", got, before)
	}
	if code, _ := r.ask(http.MethodPatch, "/tuning", `{"name": "clicks", "max.inflight": 4}`); code != http.StatusOK {
		t.Errorf("the one that takes it, by name: %d", code)
	}
}

// H3: a page from elsewhere, in the browser of someone on this machine, changes nothing.
func TestTuningRefusesPagesFromElsewhere(t *testing.T) {
	w := newFakeWriter()
	r := serve(t, admin.Config{Tunables: func() []admin.Tunable { return []admin.Tunable{admin.Writer("clicks", w)} }})
	code, _ := r.ask(http.MethodPost, "/tuning", `{"retries": 1}`,
		"Origin", "https://example.org", "Sec-Fetch-Site", "cross-site")
	if code != http.StatusForbidden {
		t.Errorf("from another origin: %d", code)
	}
	code, text := r.ask(http.MethodPost, "/tuning", `{"retries": 1}`, "Content-Type", "text/plain")
	if code != http.StatusUnsupportedMediaType || !strings.Contains(text, "application/json") {
		t.Errorf("as a form would send it: %d %s", code, text)
	}
	if code, _ := r.ask(http.MethodDelete, "/tuning", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", code)
	}
	if w.tunes != 0 {
		t.Error("something was changed")
	}
}

func TestHealthIsPerPartWithItsCause(t *testing.T) {
	var mu sync.Mutex
	parts := []admin.Health{{Name: "flights", State: "running", Ready: true, Healthy: true}}
	r := serve(t, admin.Config{Health: func(time.Time) []admin.Health {
		mu.Lock()
		defer mu.Unlock()
		return append([]admin.Health(nil), parts...)
	}})
	check := func(path string, want int, says ...string) {
		t.Helper()
		code, text := r.ask(http.MethodGet, path, "")
		if code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, text)
		}
		for _, word := range says {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %s does not say %s", path, text, word)
			}
		}
	}
	check("/healthz", http.StatusOK, `"healthy"`, "flights")
	check("/readyz", http.StatusOK, `"ready"`)
	mu.Lock()
	parts = append(parts, admin.Health{
		Name: "clicks", State: "failing", Healthy: true, Cause: "commit: connection refused",
	})
	mu.Unlock()
	check("/healthz", http.StatusOK, "connection refused")
	check("/readyz", http.StatusServiceUnavailable, "not ready", "clicks", "connection refused")
	mu.Lock()
	parts[1].Healthy, parts[1].State = false, "stopped"
	mu.Unlock()
	check("/healthz", http.StatusServiceUnavailable, "not healthy", "stopped")
}

// H2: who names no host does not open a port to other machines.
func TestListenWithoutAHostIsLoopback(t *testing.T) {
	l, err := admin.Listen(t.Context(), "http.listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for its address
	if address, ok := l.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		t.Errorf("it listens on %s", l.Addr())
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	taken, err := admin.Listen(t.Context(), "http.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, address := range []string{"7878", "here", "127.0.0.1:99999", taken.Addr().String()} {
		_, err := admin.Listen(t.Context(), "http.listen", address)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(fmt.Sprint(err), "http.listen") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A client that does not read its answer cannot keep the server from ending.
func TestServerEndsBesideASlowClient(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	l, err := admin.Listen(t.Context(), "http.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := admin.NewServer(admin.Config{Health: func(time.Time) []admin.Health {
		close(entered)
		<-release
		return nil
	}})
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		url := "http://" + l.Addr().String() + "/healthz"
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	})
	ended := make(chan error, 1)
	work.Go(func() { ended <- s.Run(ctx, l) })
	<-entered
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
	}
	close(release)
	work.Wait()
}
