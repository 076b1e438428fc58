// SPDX-License-Identifier: Apache-2.0

package part_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/file/part"
)

// ledger is what the state of a pipeline with one lane would hold: it delivers the numbers from 0 on.
type ledger struct {
	cloud  *cloud
	random *rand.Rand
	config part.Config
	epoch  uint64
	// position, held and commit are those of the last durable checkpoint; commit is not known to be committed.
	position int
	held     map[string]forebay.Committable
	commit   []forebay.Committable
	opened   map[string]forebay.Committable
	mu       sync.Mutex
	failures int
}

// run is one run until its end or a failure. It ends like a process that is killed, but for closing connections.
func (l *ledger) run(ctx context.Context, until int) (err error) {
	l.epoch++
	me := owner("p", l.epoch)
	medium, err := part.OpenS3(ctx, part.S3Config{Bucket: l.cloud.connect(), Base: "out", Pipeline: "p"})
	if err != nil {
		return err
	}
	target, err := part.NewTarget(l.config, nil, medium)
	if err != nil {
		l.cloud.t.Fatal(err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := l.recover(ctx, target, me); err != nil {
		return err
	}
	writer, err := target.OpenLane(ctx, forebay.LaneContext{
		Owner: me, Memory: 12 * forebay.MiB, Restored: l.sortedHeld(), Opened: l.noteOpened,
	})
	if err != nil {
		return err
	}
	lane := writer.(forebay.Preparer)
	if l.random.IntN(2) == 0 {
		defer func() { err = errors.Join(err, lane.Close()) }()
	}
	for position := l.position; ; {
		if position, err = l.write(ctx, lane, position, until); err != nil {
			return err
		}
		if err := l.checkpoint(ctx, target, lane, position); err != nil || position == until {
			return err
		}
	}
}

func (l *ledger) noteOpened(_ context.Context, c forebay.Committable) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened[c.ID] = c
	if _, held := l.held[c.ID]; held {
		return errors.New("it is held, and is opened again")
	}
	return nil
}

func (l *ledger) sortedHeld() (out []forebay.Committable) {
	for _, c := range l.held {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b forebay.Committable) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// recover does what a pipeline does before its lanes start.
func (l *ledger) recover(ctx context.Context, target *part.Target, me forebay.Owner) error {
	if err := l.publish(ctx, target); err != nil {
		return err
	}
	if err := target.Fence(ctx, me, l.sortedHeld()); err != nil {
		return err
	}
	list, err := target.ListOpen(ctx, me)
	if err != nil {
		return err
	}
	for _, c := range l.opened {
		list = append(list, c)
	}
	list = slices.DeleteFunc(list, func(c forebay.Committable) bool { return l.held[c.ID].ID != "" })
	if err := target.Abort(ctx, list); err != nil {
		return err
	}
	clear(l.opened)
	return nil
}

func (l *ledger) publish(ctx context.Context, target *part.Target) error {
	requests := make([]forebay.CommitRequest, len(l.commit))
	for i, c := range l.commit {
		requests[i].Committable = c
	}
	var group sync.WaitGroup
	defer group.Wait()
	if l.failures < 10 && len(requests) > 0 && l.random.IntN(3) == 0 {
		l.failures++
		group.Go(func() { l.cloud.server.Restart(l.cloud.t) }) // while it publishes
	}
	if err := target.Commit(ctx, requests); err != nil {
		return err
	}
	for _, r := range requests {
		switch r.Outcome {
		case forebay.OutcomeDone, forebay.OutcomeAlready:
		case forebay.OutcomeRetry:
			return r.Err
		default:
			l.cloud.t.Fatalf("%s: outcome %d, %v", r.Committable.ID, r.Outcome, r.Err)
		}
	}
	l.commit = nil
	return nil
}

func (l *ledger) write(ctx context.Context, lane forebay.Preparer, from, until int) (int, error) {
	b := forebay.NewBatch()
	for range 1 + l.random.IntN(8) {
		b.Reset(forebay.Split{ID: "s"}, 0)
		for ; from < until && b.Len() < 500; from++ {
			b.Append(int64(from), fmt.Appendf(nil, "%d %s", from, padding[:from*7919%4000]))
		}
		if err := lane.Write(ctx, b); err != nil {
			return from, err
		}
		l.maybeKill(3)
	}
	return from, nil
}

var padding = strings.Repeat("0123456789abcdef", 250)

var errPlanned = errors.New("planned")

// checkpoint ends one, and commits it. It fails at a random step now and then.
func (l *ledger) checkpoint(ctx context.Context, target *part.Target, lane forebay.Preparer, position int) error {
	wait, err := lane.Prepare(ctx, 0, false)
	if err != nil {
		return err
	}
	l.maybeKill(4)
	prepared, err := wait(ctx)
	if err != nil {
		return err
	}
	if l.random.IntN(6) == 0 {
		return errPlanned // before the checkpoint is durable
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position = position
	l.commit = append(l.commit, prepared.Commit...)
	for _, c := range prepared.Held {
		l.held[c.ID] = c
	}
	for _, c := range prepared.Commit {
		delete(l.held, c.ID)
	}
	for _, id := range prepared.Dropped {
		delete(l.held, id)
	}
	l.maybeKill(4)
	if l.random.IntN(6) == 0 {
		return errPlanned // before anything is committed
	}
	if err := l.publish(ctx, target); err != nil {
		return err
	}
	if l.random.IntN(6) == 0 {
		return errPlanned
	}
	return nil
}

// maybeKill kills the server one time of n, and starts it again: uploads and connections in flight fail.
func (l *ledger) maybeKill(n int) {
	if l.failures < 10 && l.random.IntN(n) == 0 {
		l.failures++
		l.cloud.server.Restart(l.cloud.t)
	}
}

// TestEveryRecordIsInTheBucketOnce kills the server ten times, and the pipeline's side after random steps. In the end
// each record is there once, and no upload is open.
func TestEveryRecordIsInTheBucketOnce(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]part.Config{
		"plain":  {Format: raw.Format{}, Roll: part.Roll{Size: 7 * forebay.MiB}},
		"gzip":   {Format: raw.Format{}, Compression: part.Gzip, Roll: part.Roll{Size: 12 * forebay.MiB}},
		"rolled": {Format: raw.Format{}, Roll: part.Roll{Checkpoint: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(rand.Uint32())
			t.Logf("seed %d", seed)
			l := &ledger{
				cloud: newCloud(t), random: rand.New(rand.NewPCG(seed, 1)), config: config,
				held: map[string]forebay.Committable{}, opened: map[string]forebay.Committable{},
			}
			const records = 8_000
			for runs := 1; ; runs++ {
				err := l.run(t.Context(), records)
				if err == nil && l.position == records {
					t.Logf("%d runs, the server was killed %d times", runs, l.failures)
					break
				}
				if class := forebay.ClassOf(err); class == forebay.ClassLost || class == forebay.ClassCorrupt {
					t.Fatal(err)
				}
				if runs > 300 {
					t.Fatalf("no end: %v", err)
				}
			}
			l.end(t)
			l.audit(t, records)
			l.cloud.wantUploads()
		})
	}
}

// end is a last run, which finishes what is held.
func (l *ledger) end(t *testing.T) {
	t.Helper()
	l.epoch++
	me := owner("p", l.epoch)
	target, err := part.NewTarget(l.config, nil, l.cloud.medium("p", 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.recover(t.Context(), target, me); err != nil {
		t.Fatal(err)
	}
	writer, err := target.OpenLane(t.Context(), forebay.LaneContext{
		Owner: me, Restored: l.sortedHeld(), Opened: l.noteOpened,
	})
	if err != nil {
		t.Fatal(err)
	}
	wait, err := writer.(forebay.Preparer).Prepare(t.Context(), 0, true)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := wait(t.Context())
	if err != nil || len(prepared.Held) > 0 {
		t.Fatal(prepared.Held, err)
	}
	l.commit = prepared.Commit
	if err := l.publish(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) audit(t *testing.T, records int) {
	t.Helper()
	counts := make([]int, records)
	objects := l.cloud.published()
	for key, data := range objects {
		if strings.HasSuffix(key, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			var out bytes.Buffer
			if err == nil {
				_, err = out.ReadFrom(z)
			}
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			data = out.Bytes()
		}
		for line := range strings.Lines(string(data)) {
			number, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			n, err := strconv.Atoi(number)
			if err != nil || n >= records || rest != padding[:n*7919%4000] {
				t.Fatalf("%s: damaged line %.40q", key, line)
			}
			counts[n]++
		}
	}
	wrong := 0
	for n, count := range counts {
		if count != 1 {
			if wrong++; wrong < 10 {
				t.Errorf("record %d is there %d times", n, count)
			}
		}
	}
	t.Logf("%d objects", len(objects))
}
