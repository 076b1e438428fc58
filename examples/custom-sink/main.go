// SPDX-License-Identifier: Apache-2.0

// Command custom-sink shows how a two-phase sink is written: lines into files of a directory, each record once,
// whatever is killed when. It runs 10,000 generated records through it:
//
//	go run ./examples/custom-sink -dir out
//
// A directory looks like this:
//
//	out/lines-1-0-1.txt                 published: the pipeline, the epoch, the lane, a number
//	out/.forebay/lines/owner-1          who fenced it with epoch 1
//	out/.forebay/lines/1/lines-1-0-2    what the run with epoch 1 writes, and what it has prepared
//	out/.forebay/lines/old-1/           the same once a newer run has fenced: nothing in it can be published any more
//
// docs/connectors/writing-one.md goes through it; the numbers of rules (T1 to T21) are explained there.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/pipeline"
)

func main() {
	dir := flag.String("dir", "out", "where the files go")
	state := flag.String("state", "./forebay-data", "state directory")
	count := flag.Int64("count", 10_000, "how many records")
	rate := flag.Int64("rate", 0, "how many a second; 0 for as fast as possible")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := pipeline.New(pipeline.Config{
		Name: "lines", State: *state,
		Source: generate.Source{Count: *count, Rate: *rate, Splits: 4},
		Sink:   Sink{Dir: *dir},
	})
	if err != nil {
		log.Fatal(err)
	}
	summary, err := p.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: delivered %d, %s\n", summary.Status, summary.Delivered, summary.Guarantee)
}

// Sink writes records as lines: event time, watermark, processing time and value, with tabs between. The value is
// quoted, so that it can hold anything.
type Sink struct {
	// Dir is made if it is missing.
	Dir string
}

// Info describes the sink without touching the directory.
func (s Sink) Info() (forebay.SinkInfo, error) {
	info := forebay.SinkInfo{
		Connector: "lines", Name: "directory " + s.Dir, Way: forebay.WayTwoPhase,
		Interval: 100 * time.Millisecond,
		// Positions are of no use in another directory: a run with another one is refused.
		Identity: []forebay.Setting{{Name: "dir", Value: s.Dir}},
	}
	if s.Dir == "" {
		return info, forebay.Errorf("lines", forebay.ClassMisconfigured, "dir is missing: say where the files go")
	}
	return info, nil
}

// Start makes the directory, durably: what is published in it must be found after a crash.
func (s Sink) Start(_ context.Context, env forebay.SinkContext) (forebay.Target, error) {
	if _, err := s.Info(); err != nil {
		return nil, err
	}
	t := &target{dir: s.Dir, own: filepath.Join(s.Dir, ".forebay", env.Pipeline), pipeline: env.Pipeline}
	if err := os.MkdirAll(t.own, 0o750); err != nil {
		return nil, classify("start", err)
	}
	for _, folder := range []string{filepath.Dir(filepath.Clean(s.Dir)), s.Dir, filepath.Dir(t.own)} {
		if err := syncFolder(folder); err != nil {
			return nil, classify("start", err)
		}
	}
	return t, nil
}

// target is a started sink.
type target struct {
	dir, own string
	pipeline string

	mu     sync.Mutex
	fenced bool
	next   int
}

// Close has nothing to close: files belong to lanes.
func (t *target) Close() error { return nil }

// number makes ids differ while the target is open, also where a lane is opened again (T6). The epoch makes them differ
// between runs.
func (t *target) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return t.next
}

// folder is where the run with that epoch writes.
func (t *target) folder(epoch uint64) string {
	return filepath.Join(t.own, strconv.FormatUint(epoch, 10))
}

// old is what becomes of that folder once a newer run has fenced.
func (t *target) old(epoch uint64) string {
	return filepath.Join(t.own, "old-"+strconv.FormatUint(epoch, 10))
}

// epochOf reads the epoch out of an id: pipeline-epoch-lane-number.
func epochOf(id string) uint64 {
	parts := strings.Split(id, "-")
	epoch, _ := strconv.ParseUint(parts[max(len(parts)-3, 0)], 10, 64)
	return epoch
}

// published is the name that readers see.
func (t *target) published(id string) string { return filepath.Join(t.dir, id+".txt") }

// OpenLane makes the writer of one lane. This sink holds nothing, so that nothing is restored.
func (t *target) OpenLane(_ context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	t.mu.Lock()
	fenced := t.fenced
	t.mu.Unlock()
	if !fenced {
		// A run that gives less than exactly-once does not fence. One that did has its folder, and must not make it again:
		// where it is gone, a newer run has taken it away.
		if err := os.MkdirAll(t.folder(lane.Owner.Epoch), 0o750); err != nil {
			return nil, classify("open lane", err)
		}
	}
	return &writer{target: t, lane: lane}, nil
}

// writer writes the files of a lane.
type writer struct {
	target *target
	lane   forebay.LaneContext

	// file is the one that Write goes on with; nil until there is a record for it (T8).
	file *file
}

// file is one that no Prepare has handed over yet.
type file struct {
	id   string
	file *os.File
	out  *bufio.Writer
}

func (w *writer) begin() (*file, error) {
	id := fmt.Sprintf("%s-%d-%d-%d", w.target.pipeline, w.lane.Owner.Epoch, w.lane.Lane, w.target.number())
	f, err := os.OpenFile(filepath.Join(w.target.folder(w.lane.Owner.Epoch), id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, forebay.Errorf("write", forebay.ClassFenced, "a newer run has taken %s over", w.target.dir)
	}
	if err != nil {
		return nil, classify("write", err)
	}
	return &file{id: id, file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

// Write appends the records to the lane's file. The batch is the caller's again on return, so nothing of it is kept.
func (w *writer) Write(_ context.Context, b *forebay.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	if w.file == nil {
		f, err := w.begin()
		if err != nil {
			return err
		}
		w.file = f
	}
	// The context of a sink: processing time and watermark for the batch, and event time for each record.
	now, watermark := w.lane.Now().UnixMicro(), b.Watermark()
	for i := range b.Len() {
		_, err := fmt.Fprintf(w.file.out, "%s\t%s\t%s\t%q\n",
			clock(b.Record(i).Time), clock(watermark), clock(now), b.Value(i))
		if err != nil {
			return classify("write", err)
		}
	}
	return nil
}

// clock prints a time in microseconds, or that there is none.
func clock(micros int64) string {
	if micros == forebay.NoTime {
		return "-"
	}
	return time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
}

// Prepare sets the file aside, so that Write begins another (T7, T15). The slow part is left to wait. A file that fails
// here stays the lane's, which is closed then.
func (w *writer) Prepare(context.Context, uint64, bool) (
	wait func(context.Context) (forebay.Prepared, error), err error,
) {
	f := w.file
	if f == nil {
		return func(context.Context) (forebay.Prepared, error) { return forebay.Prepared{}, nil }, nil
	}
	if err := f.out.Flush(); err != nil {
		return nil, classify("prepare", err)
	}
	w.file = nil
	return func(context.Context) (forebay.Prepared, error) {
		size, err := f.finish()
		if err == nil {
			err = syncFolder(w.target.folder(w.lane.Owner.Epoch))
		}
		if err != nil {
			return forebay.Prepared{}, classify("prepare", err)
		}
		data := strconv.AppendInt(nil, size, 10)
		return forebay.Prepared{Commit: []forebay.Committable{{ID: f.id, Data: data}}}, nil
	}, nil
}

// finish makes the file's content durable (T5); its name is its folder's affair.
func (f *file) finish() (size int64, err error) {
	if err = f.file.Sync(); err == nil {
		size, err = f.file.Seek(0, 1)
	}
	return size, errors.Join(err, f.file.Close())
}

// Flush publishes what was written, for runs that give less than exactly-once.
func (w *writer) Flush(ctx context.Context) error {
	wait, err := w.Prepare(ctx, 0, true)
	if err != nil {
		return err
	}
	prepared, err := wait(ctx)
	if err != nil || len(prepared.Commit) == 0 {
		return err
	}
	request := []forebay.CommitRequest{{Committable: prepared.Commit[0]}}
	if err := w.target.Commit(ctx, request); err != nil {
		return err
	}
	return request[0].Err
}

// Close gives up the file that was not prepared, and nothing else (T16).
func (w *writer) Close() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return classify("close", cmp.Or(f.file.Close(), w.target.remove(f.id)))
}

// Commit publishes by renaming, which a reader sees as a whole or not at all. Each request is answered (T4).
func (t *target) Commit(_ context.Context, requests []forebay.CommitRequest) error {
	for i := range requests {
		r := &requests[i]
		r.Outcome, r.Err = t.publish(r.Committable)
	}
	if len(requests) == 0 {
		return nil
	}
	// Without this none of the answers would be true after a crash: the call fails, and comes again.
	return classify("commit", syncFolder(t.dir))
}

// publish looks first whether it is published already (T3).
func (t *target) publish(c forebay.Committable) (forebay.Outcome, error) {
	from, to := filepath.Join(t.folder(epochOf(c.ID)), c.ID), t.published(c.ID)
	size := func(name string) (string, error) {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		return strconv.FormatInt(info.Size(), 10), nil
	}
	answer := forebay.OutcomeAlready
	found, err := size(to)
	if errors.Is(err, fs.ErrNotExist) {
		answer = forebay.OutcomeDone
		found, err = size(from)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return forebay.OutcomeLost, forebay.Errorf("commit", forebay.ClassLost, "neither %s nor %s is there", from, to)
	case err != nil:
		return forebay.OutcomeRetry, classify("commit", err)
	case found != string(c.Data):
		return forebay.OutcomeFatal, forebay.Errorf("commit", forebay.ClassCorrupt,
			"%s has %s bytes and was prepared with %s", c.ID, found, c.Data)
	case answer == forebay.OutcomeAlready:
		return answer, nil
	}
	if err := os.Rename(from, to); errors.Is(err, fs.ErrNotExist) {
		return forebay.OutcomeLost, forebay.Errorf("commit", forebay.ClassLost, "%s is gone", from)
	} else if err != nil {
		return forebay.OutcomeRetry, classify("commit", err)
	}
	return answer, nil
}

// Abort removes exactly what it is given (T11, T12).
func (t *target) Abort(_ context.Context, list []forebay.Committable) error {
	for _, c := range list {
		if err := t.remove(c.ID); err != nil {
			return classify("abort", err)
		}
	}
	return nil
}

func (t *target) remove(id string) error {
	for _, folder := range []string{t.folder(epochOf(id)), t.old(epochOf(id))} {
		if err := os.Remove(filepath.Join(folder, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ListOpen lists what lies in the folders of this pipeline's owners up to this one (T13, T14).
func (t *target) ListOpen(_ context.Context, owner forebay.Owner) ([]forebay.Committable, error) {
	var out []forebay.Committable
	for _, pattern := range []string{"[0-9]*", "old-*"} {
		names, err := filepath.Glob(filepath.Join(t.own, pattern, "*"))
		if err != nil {
			return nil, classify("list", err)
		}
		for _, name := range names {
			if id := filepath.Base(name); epochOf(id) <= owner.Epoch {
				out = append(out, forebay.Committable{ID: id})
			}
		}
	}
	return out, nil
}

// Owner is the newest owner that fenced the directory for the pipeline.
func (t *target) Owner(_ context.Context, pipeline string) (forebay.Owner, error) {
	own := filepath.Join(t.dir, ".forebay", pipeline)
	names, err := filepath.Glob(filepath.Join(own, "owner-*"))
	owner := forebay.Owner{Pipeline: pipeline}
	for _, name := range names {
		epoch, _ := strconv.ParseUint(strings.TrimPrefix(filepath.Base(name), "owner-"), 10, 64)
		owner.Epoch = max(owner.Epoch, epoch)
	}
	if err != nil || owner.Epoch == 0 {
		return owner, classify("owner", err)
	}
	holder, err := os.ReadFile(filepath.Join(own, fmt.Sprintf("owner-%d", owner.Epoch)))
	owner.Holder = string(holder)
	return owner, classify("owner", err)
}

// Fence makes the owner the only one that can publish: each epoch can be taken once, by the link that fails where the
// name exists; then the folders of older epochs are renamed away, and with them the names that older runs publish from
// (T17, T18). This sink holds nothing, so that nothing has to stay usable.
func (t *target) Fence(ctx context.Context, owner forebay.Owner, _ []forebay.Committable) error {
	newest, err := t.Owner(ctx, owner.Pipeline)
	if err != nil {
		return err
	}
	own := filepath.Join(t.dir, ".forebay", owner.Pipeline)
	if newest.Epoch < owner.Epoch {
		if err := os.MkdirAll(filepath.Join(own, strconv.FormatUint(owner.Epoch, 10)), 0o750); err != nil {
			return classify("fence", err)
		}
		if err := take(filepath.Join(own, fmt.Sprintf("owner-%d", owner.Epoch)), owner.Holder); err != nil {
			return classify("fence", err)
		}
		if newest, err = t.Owner(ctx, owner.Pipeline); err != nil {
			return err
		}
	}
	if newest != owner {
		return forebay.Errorf("fence", forebay.ClassFenced, "%s belongs to epoch %d (%s)", t.dir, newest.Epoch, newest.Holder)
	}
	t.mu.Lock()
	t.fenced = true
	t.mu.Unlock()
	folders, err := filepath.Glob(filepath.Join(own, "[0-9]*"))
	if err != nil {
		return classify("fence", err)
	}
	for _, folder := range folders {
		epoch, err := strconv.ParseUint(filepath.Base(folder), 10, 64)
		if err != nil || epoch >= owner.Epoch {
			continue
		}
		if err := os.Rename(folder, filepath.Join(own, "old-"+filepath.Base(folder))); err != nil {
			return classify("fence", err)
		}
	}
	return classify("fence", syncFolder(own))
}

// take makes a file with that content, unless the name exists: its content is complete before the name is there.
func take(name, content string) error {
	draft, err := os.CreateTemp(filepath.Dir(name), "draft-*")
	if err != nil {
		return err
	}
	_, err = draft.WriteString(content)
	err = cmp.Or(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Link(draft.Name(), name)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil // another run took it: who it was is read behind this
	}
	return errors.Join(err, os.Remove(draft.Name()))
}

// Forget removes everything of the pipeline that is not published.
func (t *target) Forget(_ context.Context, pipeline string) error {
	return classify("forget", os.RemoveAll(filepath.Join(t.dir, ".forebay", pipeline)))
}

// syncFolder makes the names in a folder durable.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// classify says what the error of a file means to the run: a missing right or a full disk is for a person to mend, of
// everything else it is not known what became of it.
func classify(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &forebay.Error{Op: op, Class: forebay.ClassMisconfigured, Err: err}
	case errors.Is(err, syscall.ENOSPC):
		return &forebay.Error{Op: op, Class: forebay.ClassTransient, Code: "disk-full", Err: err}
	default:
		return &forebay.Error{Op: op, Class: forebay.ClassAmbiguous, Err: err}
	}
}
