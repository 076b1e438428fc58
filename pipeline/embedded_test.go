// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/writer"
)

// A failed write in a program that embeds the pipeline: the program lives, the run ends, and every call answers
// corrupt until a new process opens the directory; there nothing is lost and nothing is there twice.
func TestAFailedWriteLeavesTheProgramAlive(t *testing.T) {
	t.Parallel()
	isWrite := func(k errorfs.OpKind) bool { return k == errorfs.OpFileWrite }
	isSync := func(k errorfs.OpKind) bool { return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData }
	for _, c := range []struct {
		name string
		kind func(errorfs.OpKind) bool
		file string
	}{
		{"log write", isWrite, ".log"}, {"log sync", isSync, ".log"}, {"manifest sync", isSync, "MANIFEST"},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", plain sink"}[plain], func(t *testing.T) {
				t.Parallel()
				var broken atomic.Bool
				disk := vfs.NewCrashableMem()
				state := openDisk(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if broken.Load() && c.kind(op.Kind) && strings.Contains(filepath.Base(op.Path), c.file) {
						return syscall.EIO
					}
					return nil
				})), nil)
				config := endless(state, plain)
				ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
				defer stop()
				p, err := pipeline.New(config)
				if err != nil {
					t.Fatal(err)
				}
				var others sync.WaitGroup
				others.Go(func() { breakAfterProgress(ctx, p, state, &broken) })
				summary, err := p.Run(ctx)
				others.Wait()
				if forebay.ClassOf(err) != forebay.ClassCorrupt || !strings.Contains(err.Error(), "input/output error") {
					t.Fatalf("the run: %+v, %v", summary, err)
				}
				if summary.Status != pipeline.StatusFailed || ctx.Err() != nil {
					t.Errorf("%+v", summary)
				}
				everyCallIsCorrupt(t, state, plain)
				if !plain {
					nothingIsLost(t, disk.CrashClone(vfs.CrashCloneCfg{}), config)
				}
			})
		}
	}
}

func openDisk(t *testing.T, fs vfs.FS, free func(string) (int64, error)) *pipeline.State {
	t.Helper()
	state, err := pipeline.OpenStateOn(t.Context(), pipeline.StateConfig{Dir: "/state", Memory: pipeline.MemoryMin},
		pipeline.Disk{FS: fs, FreeSpace: free})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// endless is a pipeline that keeps the disk busy and does not end by itself soon.
func endless(state *pipeline.State, plain bool) pipeline.Config {
	source := newSource(40_000_000, "a", "b")
	source.batch = 500
	config := pipeline.Config{
		Name: "p", Opened: state, Source: source, Sink: newTable(), Lanes: 2, Memory: pipeline.MemoryMin,
		Checkpoint: pipeline.CheckpointConfig{Bytes: 10 << 10, Interval: time.Millisecond},
	}
	if plain {
		// Its positions are all that is written.
		config.Sink = &flushSink{}
		source.blocks, source.pause, source.batch = true, time.Millisecond, 2
	}
	return config
}

// breakAfterProgress breaks the disk once a few records are through, and then keeps writing beside the run, so that
// logs and manifests change.
func breakAfterProgress(ctx context.Context, p *pipeline.Pipeline, state *pipeline.State, broken *atomic.Bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		if p.Progress().Delivered <= 100 {
			continue
		}
		broken.Store(true)
		entry := checkpoint.Entry{Split: "big", Position: forebay.Position{Detail: strings.Repeat("x", 200<<10)}}
		if err := state.Checkpoints().Save("other", []checkpoint.Entry{entry}, i%10 == 0); err != nil {
			return
		}
	}
}

func everyCallIsCorrupt(t *testing.T, state *pipeline.State, plain bool) {
	t.Helper()
	ctx := t.Context()
	_, again := (&world{t: t}).try(ctx, endless(state, plain))
	tables, checkpoints := state.Tables(), state.Checkpoints()
	_, taken := checkpoints.TakeEpoch(forebay.Owner{Pipeline: "p"}, 0, "none")
	_, loaded := checkpoints.Load("p")
	_, count := tables.Count(ctx, "out")
	_, held := tables.State(ctx, "p")
	_, scanned := tables.Scan(ctx, server.ScanRequest{Table: "out"})
	if plain { // there is no such table, which is known without the disk
		count, scanned = again, again
	}
	fenced := tables.Fence(ctx, forebay.Fence{Owner: forebay.Owner{Pipeline: "q", Epoch: 1, Holder: "h"}})
	for name, err := range map[string]error{
		"another run": again, "take epoch": taken, "load": loaded, "count": count, "state": held, "scan": scanned,
		"fence": fenced, "forget": tables.Forget(ctx, "p"),
		"save": checkpoints.Save("p", []checkpoint.Entry{{Split: "a", Epoch: 99}}, true),
	} {
		if forebay.ClassOf(err) != forebay.ClassCorrupt {
			t.Errorf("%s: class %s: %v", name, forebay.ClassOf(err), err)
		}
	}
	if err := state.Close(); err == nil {
		t.Error("a poisoned directory was closed as if nothing were")
	}
}

// nothingIsLost opens what a crash leaves of the disk and runs on from there.
func nothingIsLost(t *testing.T, disk vfs.FS, config pipeline.Config) {
	t.Helper()
	state := openDisk(t, disk, nil)
	defer func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	}()
	source, sink := newSource(0, "a", "b"), newTable()
	source.batch = 500
	held, err := state.Tables().State(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range source.order {
		source.splits[id] = 1_000
		for _, p := range held.Splits {
			if p.Split == id {
				source.splits[id] = p.Position.Offset + 1_000
			}
		}
	}
	config.Opened, config.Source, config.Sink = state, source, sink
	w := &world{t: t, state: state}
	w.run(config)
	w.each(source, nil)
}

// A full disk: writes answer 507, the run waits, and goes on by itself once there is space.
func TestARunWaitsForSpaceOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []pipeline.Guarantee{pipeline.GuaranteeExactlyOnce, pipeline.GuaranteeAtLeastOnce} {
		t.Run(string(guarantee), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, _ *world) {
				var free atomic.Int64
				free.Store(int64(forebay.GiB))
				state := openDisk(t, vfs.NewMem(), func(string) (int64, error) { return free.Load(), nil })
				w := &world{t: t, state: state}
				defer w.close()
				source := newSource(600, "a", "b")
				source.blocks, source.pause = true, 100*time.Millisecond // 12 s
				config := w.config(source, newTable())
				config.Guarantee = guarantee
				classes := map[forebay.Class]int{}
				config.Hooks.Retried = func(e forebay.RetryEvent) { classes[forebay.ClassOf(e.Err)]++ }
				full := time.AfterFunc(3*time.Second, func() { free.Store(int64(forebay.MiB)) })
				defer full.Stop()
				asked := time.AfterFunc(10*time.Second, func() {
					_, err := state.Checkpoints().TakeEpoch(forebay.Owner{Pipeline: "other"}, 0, "none")
					if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Code != "disk-full" {
						t.Errorf("a write on the full disk: %v", err)
					}
				})
				defer asked.Stop()
				space := time.AfterFunc(10*time.Minute, func() { free.Store(int64(forebay.GiB)) })
				defer space.Stop()
				started := time.Now()
				summary := w.run(config)
				if took := time.Since(started); took < 10*time.Minute || took > 11*time.Minute {
					t.Errorf("the run took %s", took)
				}
				if summary.Read != 1_200 || summary.Retries == 0 || classes[forebay.ClassTransient] != int(summary.Retries) {
					t.Errorf("%+v, %v", summary, classes)
				}
				if guarantee == pipeline.GuaranteeExactlyOnce {
					w.each(source, nil)
				}
			})
		})
	}
}

// A writer of the same program meets the full disk too: its rows wait and are applied once.
func TestAWriterWaitsForSpaceOnAFullDisk(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, _ *world) {
		var free atomic.Int64
		free.Store(int64(forebay.GiB))
		state := openDisk(t, vfs.NewMem(), func(string) (int64, error) { return free.Load(), nil })
		w := &world{t: t, state: state}
		defer w.close()
		if err := state.Tables().Create(t.Context(), forebay.TableSpec{Name: "out", Schema: recordSchema()}); err != nil {
			t.Fatal(err)
		}
		out, err := state.Tables().Append(t.Context(), "out", writer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		free.Store(0)
		space := time.AfterFunc(time.Hour, func() { free.Store(int64(forebay.GiB)) })
		defer space.Stop()
		row := forebay.NewRow(recordSchema())
		if err := errors.Join(row.SetText("split", "a"), row.SetInt("n", 1), wait(t.Context(), time.Second)); err != nil {
			t.Fatal(err)
		}
		receipt, err := out.Append(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		result, err := receipt.Wait(t.Context())
		if err != nil || result.Applied != writer.Yes || time.Since(started) < 59*time.Minute {
			t.Errorf("%+v, %v after %s", result, err, time.Since(started))
		}
		if err := out.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := rows(t, state.Tables(), "out")["a"]; len(got) != 1 {
			t.Errorf("%d rows", len(got))
		}
	})
}
