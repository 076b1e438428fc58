// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet/server"
)

// gate lets some commits through to a server and holds the next ones until it is opened.
type gate struct {
	*server.Server
	held chan struct{} // closed when a commit is held
	open chan struct{} // closed to let the held ones go
	once sync.Once

	mu      sync.Mutex
	left    int
	holding bool
}

func newGate(srv *server.Server, commits int) *gate {
	return &gate{Server: srv, left: commits, held: make(chan struct{}), open: make(chan struct{})}
}

// release opens the gate; a second time it does nothing.
func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) OpenTable(ctx context.Context, spec forebay.TableSpec) (forebay.Target, error) {
	target, err := g.Server.OpenTable(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &gatedTarget{Target: target, ProgressHolder: target.(forebay.ProgressHolder), gate: g}, nil
}

func (g *gate) pass() {
	g.mu.Lock()
	g.left--
	through := g.left >= 0
	if !through && !g.holding {
		g.holding = true
		close(g.held)
	}
	g.mu.Unlock()
	if !through {
		<-g.open
	}
}

type gatedTarget struct {
	forebay.Target
	forebay.ProgressHolder
	gate *gate
}

func (t *gatedTarget) Backend() forebay.Backend {
	return &gatedBackend{Backend: t.Target.(forebay.Sequencer).Backend(), gate: t.gate}
}

type gatedBackend struct {
	forebay.Backend
	gate *gate
}

func (b *gatedBackend) Commit(ctx context.Context, c *forebay.Commit) func(context.Context) forebay.Answer {
	b.gate.pass()
	return b.Backend.(forebay.Committer).Commit(ctx, c)
}

const numbersCount = 300_000

// numbers is a pipeline of 0, 1, 2 and so on into a table of a server, with a state directory of its own.
func numbers(t *testing.T, conn forebay.Tables) pipeline.Config {
	t.Helper()
	return pipeline.Config{
		Name: "numbers", State: t.TempDir(), Lanes: 2,
		Source: generate.Source{
			Count: numbersCount, Splits: 5, Fields: []generate.Field{{Name: "n", Sequence: &generate.Sequence{}}},
		},
		Sink:       table.Sink{Name: "numbers", Conn: conn},
		Checkpoint: pipeline.CheckpointConfig{Bytes: 64 * forebay.KiB},
		Shutdown:   pipeline.ShutdownConfig{Timeout: time.Second},
	}
}

// ran is how a run ended.
type ran struct {
	summary pipeline.Summary
	err     error
}

func runNumbers(t *testing.T, config pipeline.Config) <-chan ran {
	t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan ran, 1)
	var run sync.WaitGroup
	run.Go(func() {
		summary, err := p.Run(t.Context())
		ended <- ran{summary, err}
	})
	t.Cleanup(run.Wait)
	return ended
}

func openServer(t *testing.T) *server.Server {
	t.Helper()
	srv, err := server.Open(t.Context(), t.TempDir(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func count(t *testing.T, srv *server.Server) int64 {
	t.Helper()
	n, err := srv.Count(t.Context(), "numbers")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// auditNumbers checks that the table holds each number once.
func auditNumbers(t *testing.T, srv *server.Server) {
	t.Helper()
	rows, err := srv.Scan(t.Context(), server.ScanRequest{Table: "numbers"})
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]int, numbersCount)
	b := forebay.NewBatch()
	for {
		err := rows.Next(t.Context(), b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			seen[b.Cells(i)[0].Int()]++
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for n, times := range seen {
		if times != 1 {
			t.Fatalf("the number %d is there %d times", n, times)
		}
	}
}

func fenced(t *testing.T, older ran) {
	t.Helper()
	if !errors.Is(older.err, forebay.ErrFenced) || older.summary.Status != pipeline.StatusFailed {
		t.Errorf("the older run ended with %q and the error %v; expected that it was fenced", older.summary.Status, older.err)
	}
}

func TestOlderOfTwoRunsOnOneServerIsFencedAndTouchesNothing(t *testing.T) {
	srv := openServer(t)
	olderGate, newerGate := newGate(srv, 4), newGate(srv, 0)
	defer olderGate.release()
	defer newerGate.release()
	older := runNumbers(t, numbers(t, olderGate))
	<-olderGate.held // in the middle: four transactions are in, the next ones are on their way
	newer := runNumbers(t, numbers(t, newerGate))
	<-newerGate.held // it has fenced, and nothing of it is in the table
	before := count(t, srv)
	olderGate.release()
	end := <-older
	if after := count(t, srv); after != before || before == 0 {
		t.Fatalf("the table held %d rows when the older run was fenced, and %d when it had ended", before, after)
	}
	fenced(t, end)
	newerGate.release()
	last := <-newer
	if last.err != nil || last.summary.Status != pipeline.StatusDone || last.summary.Delivered+before != numbersCount {
		t.Errorf("the newer run, after %d rows: %+v, %v", before, last.summary, last.err)
	}
	auditNumbers(t, srv)
}

func TestRunsThatTakeOverFromEachOtherAtFullSpeedDeliverOnce(t *testing.T) {
	srv := openServer(t)
	defer auditNumbers(t, srv)
	var older <-chan ran
	for range 4 {
		config := numbers(t, srv)
		begun := make(chan struct{})
		var once sync.Once
		config.Hooks.Committed = func(forebay.CommitEvent) { once.Do(func() { close(begun) }) }
		next := runNumbers(t, config)
		select {
		case <-begun:
		case end := <-next: // the older one had left nothing
			if end.err != nil {
				t.Errorf("the run ended before its first commit: %v", end.err)
			}
			return
		}
		if older != nil {
			// It may have been past its last commit before it was fenced.
			if end := <-older; end.err != nil {
				fenced(t, end)
			}
		}
		older = next
	}
	if last := <-older; last.err != nil {
		t.Error(last.err)
	}
}
