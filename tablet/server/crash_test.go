// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

func newMem() *vfs.MemFS { return vfs.NewMem() }

// TestCrashKeepsWhatWasAcknowledgedTS1TS2: of every commit all is there or nothing, progress and dead letters
// included, and what was answered 200, read by a scan, a log reader or a state survives.
func TestCrashKeepsWhatWasAcknowledgedTS1TS2(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{0, 30, 70, 100} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("unsynced=%d/seed=%d", percent, seed), func(t *testing.T) {
				t.Parallel()
				crashOnce(t, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))})
			})
		}
	}
}

// evidence is what somebody was told before the crash.
type evidence struct {
	mu        sync.Mutex
	committed int64 // commits answered 200
	scanned   int64 // commits seen by a scan
	logged    int64 // rows seen by a log reader
	stated    uint64
}

func crashOnce(t *testing.T, crash vfs.CrashCloneCfg) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := openOn(t, fs, Config{})
	o := openTable(t, s, logSpec("flights"))
	keyed := openTable(t, s, keySpec("last"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	ctx, cancel := context.WithCancel(t.Context())
	var told evidence
	var wg sync.WaitGroup
	crashAt := crash.RNG.IntN(40)
	var disk *vfs.MemFS
	at := o.one("a", "0,x").Tablet
	wg.Go(func() { told.followLog(ctx, t, s, at) })
	wg.Go(func() { told.scanNow(ctx, t, s) })
	waits := make(chan func(context.Context) forebay.Answer, 3)
	wg.Go(func() {
		for wait := range waits {
			if a := wait(t.Context()); a.Code == forebay.CodeOK {
				told.mu.Lock()
				told.committed++
				told.mu.Unlock()
			}
		}
	})
	var seen evidence
	for i := range 40 {
		if i == crashAt {
			told.mu.Lock()
			seen.committed, seen.scanned, seen.logged, seen.stated = told.committed, told.scanned, told.logged, told.stated
			disk = fs.CrashClone(crash)
			told.mu.Unlock()
			break
		}
		waits <- o.handle.Commit(t.Context(), crashCommit(o, keyed, i))
	}
	close(waits)
	cancel()
	wg.Wait()

	after := openOn(t, disk, Config{})
	o = openTable(t, after, logSpec("flights"))
	state := o.state()
	diff(t, "owner", state.Owner, me)
	version := int64(0)
	if len(state.Splits) > 0 {
		version = int64(state.Splits[0].Version)
	}
	least := max(seen.committed, seen.scanned, seen.logged, int64(seen.stated))
	if version < least {
		t.Errorf("%d commits survived, and %+v was told", version, &seen)
	}
	var want []string
	for i := range version {
		want = append(want, fmt.Sprintf("%d,x", i))
	}
	diff(t, "rows", scan(t, after, ScanRequest{Table: "flights"}), want)
	if version > 0 {
		diff(t, "row of the key table", scan(t, after, ScanRequest{Table: "last"}), []string{fmt.Sprintf("1,%d", version-1)})
		diff(t, "dead letters", count(t, after, DeadLetterTable("flights")), version)
	}
	// The lane goes on from what is stored.
	wantCode(t, o.commit(*crashCommit(o, openTable(t, after, keySpec("last")), int(version))), forebay.CodeOK)
}

func crashCommit(o, keyed *opened, i int) *forebay.Commit {
	requests := append(o.requests("a", fmt.Sprintf("%d,x", i)), keyed.requests("a", fmt.Sprintf("1,%d", i))...)
	return &forebay.Commit{
		Owner: owner(1, "me"), Progress: progress("a", uint64(i+1), int64(i)), Requests: requests,
		DeadLetters: []forebay.DeadLetter{{Reject: forebay.Reject{Origin: forebay.Origin{Split: "a", Offset: int64(i)}}}},
	}
}

// followLog notes what a reader of the log was given.
func (e *evidence) followLog(ctx context.Context, t *testing.T, s *Server, tablet int) {
	t.Helper()
	r, err := s.ReadLog("flights", tablet, 0)
	if err != nil {
		t.Error(err)
		return
	}
	b := forebay.NewBatch()
	for r.Next(ctx, b) == nil {
		e.mu.Lock()
		e.logged = r.Offset()
		e.mu.Unlock()
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// scanNow notes what scans and states said.
func (e *evidence) scanNow(ctx context.Context, t *testing.T, s *Server) {
	t.Helper()
	for ctx.Err() == nil {
		rows, err := s.Count(context.Background(), "flights")
		if err != nil {
			t.Error(err)
		}
		state, err := s.State(context.Background(), "flights")
		if err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		e.scanned = rows
		if len(state.Splits) > 0 {
			e.stated = state.Splits[0].Version
		}
		e.mu.Unlock()
	}
}

// gate is a disk whose syncs can be held up.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // closed when the gate opens; nil while it is open
	asked  chan struct{} // capacity 1: a sync stands at the gate
}

func (g *gate) MaybeError(op errorfs.Op) error {
	if !isSync(op) {
		return nil
	}
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		select {
		case g.asked <- struct{}{}:
		default:
		}
		<-closed
	}
	return nil
}

func (g *gate) String() string { return "gate" }

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.asked = make(chan struct{}), make(chan struct{}, 1)
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.closed)
	g.closed = nil
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

// TestAnswersWaitForTheSyncOfWhatTheySawTS2 holds up the disk after a commit was applied: nobody may be told.
func TestAnswersWaitForTheSyncOfWhatTheySawTS2(t *testing.T) {
	t.Parallel()
	key := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "n", Type: forebay.Int64}))
	if err := key.SetInt("n", 1); err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func(o *opened, c *forebay.Commit) error{
		"scan": func(o *opened, _ *forebay.Commit) error {
			sc, err := o.handle.server.Scan(o.t.Context(), ScanRequest{Table: "users"})
			if err != nil {
				return err
			}
			return sc.Close()
		},
		"count": func(o *opened, _ *forebay.Commit) error {
			_, err := o.handle.server.Count(o.t.Context(), "users")
			return err
		},
		"get": func(o *opened, _ *forebay.Commit) error {
			_, err := o.handle.server.Get(o.t.Context(), "users", key, forebay.NewBatch())
			return err
		},
		"state": func(o *opened, _ *forebay.Commit) error {
			_, err := o.handle.State(o.t.Context(), "flights")
			return err
		},
		"log": func(o *opened, c *forebay.Commit) error {
			r, err := o.handle.server.ReadLog("users", c.Requests[0].Tablet, 0)
			if err != nil {
				return err
			}
			return errors.Join(r.Next(o.t.Context(), forebay.NewBatch()), r.Close())
		},
		"commit": func(o *opened, c *forebay.Commit) error {
			next := forebay.Commit{Owner: c.Owner, Progress: progress("a", 2, 2)}
			return o.handle.Commit(o.t.Context(), &next)(o.t.Context()).Err("commit")
		},
		"duplicate": func(o *opened, c *forebay.Commit) error {
			return o.handle.Commit(o.t.Context(), c)(o.t.Context()).Err("commit")
		},
		"repeat": func(o *opened, c *forebay.Commit) error {
			r := sequenced(c.Requests[0], "w", 0)
			first := *r
			first.Acks = forebay.AcksOne
			o.handle.Send(o.t.Context(), &first, func(forebay.Answer) {})
			if a := forebay.Await(o.t.Context(), o.handle, r); a.Code != forebay.CodeDuplicate {
				return fmt.Errorf("a repeat is answered %+v", a)
			}
			return nil
		},
		"gap": func(o *opened, c *forebay.Commit) error {
			ahead := forebay.Commit{Owner: c.Owner, Progress: progress("a", 7, 1)}
			if a := o.handle.Commit(o.t.Context(), &ahead)(o.t.Context()); a.Code != forebay.CodeSequenceGap {
				return a.Err("commit")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gate{}
			s := openOn(t, errorfs.Wrap(vfs.NewMem(), g), Config{})
			o := openTable(t, s, keySpec("users"))
			me := owner(1, "me")
			o.fence(forebay.Fence{Owner: me, Progress: true})
			c := &forebay.Commit{Owner: me, Progress: progress("a", 1, 1), Requests: o.requests("a", "1,x")}
			g.shut()
			_ = o.handle.Commit(t.Context(), c)
			answered := make(chan error, 1)
			var wg sync.WaitGroup
			wg.Go(func() { answered <- ask(o, c) })
			// Whoever asks brings the sync about, or the flusher does, which gives a hasty answer time to show.
			<-g.asked
			select {
			case err := <-answered:
				t.Errorf("it was answered before the sync: %v", err)
			default:
			}
			g.open()
			wg.Wait()
			select {
			case err := <-answered:
				if err != nil {
					t.Error(err)
				}
			default:
			}
		})
	}
}

// TestCommitIsOneBatchTS1 looks at the store itself while commits come: rows, progress and dead letters of a commit
// appear together.
func TestCommitIsOneBatchTS1(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("flights"))
	keyed := openTable(t, s, keySpec("last"))
	o.fence(forebay.Fence{Owner: owner(1, "me"), Progress: true})
	wantCode(t, o.commit(*crashCommit(o, keyed, 0)), forebay.CodeOK)
	letters := s.find(DeadLetterTable("flights"))
	tablet := o.handle.table.list()[o.one("a", "1,x").Tablet]
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 500 {
			o.handle.Commit(t.Context(), crashCommit(o, keyed, i+1))
		}
	})
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		snapshot, err := s.store.NewSnapshot()
		if err != nil {
			t.Fatal(err)
		}
		state, errState := readPipeline(snapshot, "flights")
		_, end, errLog := logBounds(snapshot, tablet.place)
		dead, errLetters := countRows(t.Context(), snapshot, letters.list()[0].place, false)
		if err := errors.Join(errState, errLog, errLetters, snapshot.Close()); err != nil {
			t.Fatal(err)
		}
		if version := int64(state.splits["a"].progress.Version); version != end || version != dead {
			t.Fatalf("a commit is there in part: version %d, %d rows, %d dead letters", version, end, dead)
		}
	}
	wg.Wait()
}

// TestPoisonedStoreAnswersCorrupt: after a failed sync of the log every call answers corrupt, and none waits.
func TestPoisonedStoreAnswersCorrupt(t *testing.T) {
	t.Parallel()
	toggle := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isSync(op) {
			return errorfs.ErrInjected
		}
		return nil
	})}
	s := openOn(t, errorfs.Wrap(vfs.NewMem(), &toggle), Config{})
	o := openTable(t, s, logSpec("clicks"))
	reader, err := s.ReadLog("clicks", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	toggle.On()
	a := o.commit(forebay.Commit{Requests: o.requests("a", "1,x")})
	for i := range 3 {
		if a.Code != forebay.CodeServerError || a.Class != forebay.ClassCorrupt {
			t.Fatalf("answer %d: %+v, want corrupt", i, a)
		}
		r := o.one("a", "2,x")
		a = forebay.Await(t.Context(), s, &r)
	}
	if _, err := s.State(t.Context(), "flights"); forebay.ClassOf(err) != forebay.ClassCorrupt {
		t.Errorf("state: %v", err)
	}
	if _, err := s.Scan(t.Context(), ScanRequest{Table: "clicks"}); forebay.ClassOf(err) != forebay.ClassCorrupt {
		t.Errorf("scan: %v", err)
	}
	if err := s.Fence(t.Context(), forebay.Fence{Owner: owner(1, "x")}); forebay.ClassOf(err) != forebay.ClassCorrupt {
		t.Errorf("fence: %v", err)
	}
	if err := reader.Next(t.Context(), forebay.NewBatch()); forebay.ClassOf(err) != forebay.ClassCorrupt {
		t.Errorf("log reader: %v", err)
	}
}

func TestFullDiskAnswers507AndResumes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	free := int64(1 << 40)
	measure := func(string) (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		return free, nil
	}
	st, err := store.Open(t.Context(), store.Config{Dir: "state", FS: newMem(), FreeSpace: measure})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), st, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	o := openTable(t, s, logSpec("clicks"))
	me := owner(1, "me")
	o.fence(forebay.Fence{Owner: me, Progress: true})
	set := func(n int64) { mu.Lock(); free = n; mu.Unlock() }
	set(0)
	refused := 0
	version := uint64(1)
	for i := 0; refused == 0; i++ {
		a := o.commit(forebay.Commit{Owner: me, Progress: progress("a", version, 1), Requests: o.requests("a", "1,x")})
		switch a.Code {
		case forebay.CodeOK:
			version++
		case forebay.CodeDiskFull:
			refused++
		default:
			t.Fatalf("%+v", a)
		}
	}
	diff(t, "rows", count(t, s, "clicks"), int64(version-1))
	set(1 << 40)
	for {
		a := o.commit(forebay.Commit{Owner: me, Progress: progress("a", version, 1), Requests: o.requests("a", "1,x")})
		if a.Code == forebay.CodeOK {
			break
		}
		wantCode(t, a, forebay.CodeDiskFull)
	}
	if rows := scan(t, s, ScanRequest{Table: "clicks"}); !slices.Contains(rows, "1,x") || len(rows) != int(version) {
		t.Errorf("%d rows, want %d", len(rows), version)
	}
}
