// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/admin"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/server"
)

func TestServeShowsMetricsAndWhoIsReady(t *testing.T) {
	state := shortDir(t)
	owner := serve(t, "--state", state, "--http", "127.0.0.1:0")
	url := "http://" + addressIn.FindString(owner.says(t, "metrics and health at "))
	owner.serves(t, "serving ")
	standby := serve(t, "--state", state, "--standby", "--http", "127.0.0.1:0")
	second := "http://" + addressIn.FindString(standby.says(t, "metrics and health at "))
	standby.serves(t, "standing by at ")
	var c console
	mustRun(t, c, "table", "create", "ids", "--column", "id:int64", "--column", "text:string", "--key", "id",
		"--address", owner.address)
	writeRows(t, span{owner.address, 0, 30}, tablet.Conn.Upsert)
	if code, text := asked(t, http.MethodGet, url+"/readyz", ""); code != http.StatusOK {
		t.Errorf("the owner: %d %s", code, text)
	}
	code, text := asked(t, http.MethodGet, second+"/readyz", "")
	if code != http.StatusServiceUnavailable || !strings.Contains(text, owner.address) {
		t.Errorf("the standby: %d %s", code, text)
	}
	if code, text := asked(t, http.MethodGet, second+"/healthz", ""); code != http.StatusOK {
		t.Errorf("a standby is well: %d %s", code, text)
	}
	_, text = asked(t, http.MethodGet, url+"/metrics", "")
	for _, line := range []string{
		"forebay_server_serving 1\n", "forebay_server_tables 1\n", `forebay_server_requests_total{code="ok",kind="write"} `,
		"forebay_server_disk_pressure_ratio 0", "forebay_server_sync_seconds_count ", "go_goroutines ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the metrics have no %q: %s", line, text)
		}
	}
	for _, line := range []string{
		`forebay_server_requests_total{code="ok",kind="write"} 0`, "forebay_server_sync_seconds_count 0",
	} {
		if strings.Contains(text, line) {
			t.Errorf("after writes the metrics say %q", line)
		}
	}
	if _, text := asked(t, http.MethodGet, second+"/metrics", ""); !strings.Contains(text, "forebay_server_serving 0\n") ||
		strings.Contains(text, "forebay_server_sync_seconds_bucket") {
		t.Errorf("the standby's metrics: %s", text)
	}
	owner.signal(t, syscall.SIGTERM)
	owner.ends(t)
	standby.says(t, "serving ")
	if code, text := asked(t, http.MethodGet, second+"/readyz", ""); code != http.StatusOK {
		t.Errorf("after the take-over: %d %s", code, text)
	}
	third := serve(t, "--state", shortDir(t), "--http", strings.TrimPrefix(second, "http://"))
	if code := third.ends(t); code != exitWrong || !strings.Contains(third.said.String(), "--http") {
		t.Errorf("an address that is taken: exit %d, %q", code, third.said.String())
	}
}

// ailing is a tablet server whose disk fails on demand.
type ailing struct {
	process *serveProcess
	free    atomic.Int64
	broken  atomic.Bool
}

func newAiling(t *testing.T) *ailing {
	t.Helper()
	a := &ailing{process: &serveProcess{}}
	a.free.Store(1 << 40)
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if a.broken.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
			return syscall.EIO
		}
		return nil
	}))
	st, err := store.Open(t.Context(), store.Config{
		Dir: t.TempDir(), FS: fs, FreeSpace: func(string) (int64, error) { return a.free.Load(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := server.New(t.Context(), st, server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(tables.Close(), st.Close())
		if err != nil && !errors.Is(err, store.ErrPoisoned) {
			t.Error(err)
		}
	})
	if a.process.front, err = rpc.New(rpc.Config{}); err != nil {
		t.Fatal(err)
	}
	a.process.front.Serve(tables)
	a.process.tables.Store(tables)
	return a
}

func (a *ailing) health() admin.Health { return a.process.health(time.Now())[0] }

// becomes waits until the health is as wanted, for as long as a probe may be wrong.
func (a *ailing) becomes(t *testing.T, ready bool) admin.Health {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		h := a.health()
		if h.Ready == ready {
			return h
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after 5 s it is still %+v", h)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAServerWhoseDiskIsFullIsNotReadyUntilThereIsSpace(t *testing.T) {
	t.Parallel()
	a := newAiling(t)
	if h := a.health(); !h.Ready || !h.Healthy {
		t.Fatalf("at first: %+v", h)
	}
	a.free.Store(1 << 20)
	h := a.becomes(t, false)
	if h.State != "failing" || !h.Healthy || !strings.Contains(h.Cause, "no space left") {
		t.Errorf("with a full disk: %+v", h)
	}
	a.free.Store(1 << 40)
	if h := a.becomes(t, true); h.Cause != "" {
		t.Errorf("with space again: %+v", h)
	}
}

func TestAServerWhoseDiskBrokeIsNeitherReadyNorHealthy(t *testing.T) {
	t.Parallel()
	a := newAiling(t)
	a.broken.Store(true)
	schema := forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64})
	if err := a.process.tables.Load().Create(t.Context(), forebay.TableSpec{Name: "ids", Schema: schema}); err == nil {
		t.Error("a table was made on a broken disk")
	}
	h := a.becomes(t, false)
	if h.State != "stopped" || h.Healthy || !strings.Contains(h.Cause, "input/output error") {
		t.Errorf("with a broken disk: %+v", h)
	}
	if f := a.process.figures(); !f.Serving {
		t.Error("the figures of a poisoned server cannot be read")
	}
}

// hanging is the disk in memory, whose syncs of the log do not return while it hangs.
type hanging struct {
	mu      sync.Mutex
	release chan struct{} // nil while it answers
}

func (h *hanging) wait() {
	h.mu.Lock()
	release := h.release
	h.mu.Unlock()
	if release != nil {
		<-release
	}
}

func (h *hanging) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release = make(chan struct{})
}

func (h *hanging) answer() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.release)
	h.release = nil
}

// disk is a file system with these syncs.
func (h *hanging) disk() vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		syncs := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
		if syncs && strings.HasSuffix(op.Path, ".log") {
			h.wait()
		}
		return nil
	}))
}

// readyz asks for the readiness.
func readyz(t *testing.T, health func(time.Time) []admin.Health) (code int, text string) {
	t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil)
	admin.NewServer(admin.Config{Health: health}).ServeHTTP(answer, request)
	return answer.Code, answer.Body.String()
}

// A disk that hangs is known within five seconds, also where nobody writes, and so is that it answers again.
func TestAServerWhoseDiskHangsIsNotReadyUntilItAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h hanging
		st, err := store.Open(t.Context(), store.Config{Dir: "/state", FS: h.disk()})
		if err != nil {
			t.Fatal(err)
		}
		tables, err := server.New(t.Context(), st, server.Config{})
		if err != nil {
			t.Fatal(err)
		}
		p := &serveProcess{}
		if p.front, err = rpc.New(rpc.Config{}); err != nil {
			t.Fatal(err)
		}
		p.front.Serve(tables)
		p.tables.Store(tables)
		ctx, cancel := context.WithCancel(t.Context())
		var probing sync.WaitGroup
		probing.Go(func() { p.runProbe(ctx) })
		j := &job{name: "flights", store: st}
		j.summary.Status = pipeline.StatusDone
		run := func(now time.Time) []admin.Health { return healthOf([]*job{j}, now) }
		for range 2 {
			<-time.After(3 * time.Second)
			for part, health := range map[string]func(time.Time) []admin.Health{"serve": p.health, "run": run} {
				if code, text := readyz(t, health); code != http.StatusOK {
					t.Errorf("%s: %d %s", part, code, text)
				}
			}
			h.hang()
			<-time.After(5 * time.Second)
			for part, health := range map[string]func(time.Time) []admin.Health{"serve": p.health, "run": run} {
				code, text := readyz(t, health)
				if code != http.StatusServiceUnavailable || !strings.Contains(text, "a sync has not returned for ") ||
					!strings.Contains(text, `"healthy": true`) {
					t.Errorf("%s: %d %s", part, code, text)
				}
			}
			h.answer()
		}
		h.hang()
		<-time.After(time.Minute)
		cancel() // the probe does not wait for the disk
		probing.Wait()
		h.answer()
		if err := errors.Join(tables.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
}
