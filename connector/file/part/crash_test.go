// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/raw"
)

// world is a pipeline that copies numbers into files, as the tests need it: a state directory that is durable at once,
// and the order of recovery of every run.
type world struct {
	t      *testing.T
	disk   disk
	base   string
	store  func(durable)
	config Config
	clock  time.Time
	batch  *forebay.Batch
	// names replaces what makes names of parts unique.
	names func(*lane)
}

const (
	worldSplits  = 2
	worldRecords = 24 // of each split
	worldBatch   = 3
	worldRound   = 2 // batches of each split between two barriers
	worldBase    = "/data/out"
)

// durable is what the state directory holds: a checkpoint, and whether it was committed.
type durable struct {
	epoch     uint64
	holder    string
	positions [worldSplits]int
	held      map[string]forebay.Committable
	pending   []forebay.Committable
	runs      int
	done      bool
}

func (d durable) clone() durable {
	d.held = maps.Clone(d.held)
	d.pending = slices.Clone(d.pending)
	return d
}

// line is a record; its bucket is in its event time.
func line(split, n int) string { return fmt.Sprintf("%d/%d:%s", split, n, strings.Repeat("x", n%7)) }

func worldBucket(split, n int) int64 { return int64((split+n)%3) * microsPerDay }

func (w *world) batchOf(split, from int) *forebay.Batch {
	b := w.batch
	b.Reset(forebay.Split{ID: fmt.Sprint(split)}, 0)
	for n := from; n < min(from+worldBatch, worldRecords); n++ {
		b.Record(b.Append(int64(n), []byte(line(split, n)))).Time = worldBucket(split, n)
	}
	return b
}

// worldRun is one run of the pipeline.
type worldRun struct {
	*world
	state  durable
	target *Target
	lanes  []*lane
}

// run does what a run does, in the order of recovery.
func (w *world) run(state durable, lanes int) error {
	w.clock = w.clock.Add(time.Second)
	w.batch = forebay.NewBatch()
	local, err := openLocal(LocalConfig{Base: w.base, Pipeline: "p", Descriptors: 2}, w.disk)
	if err != nil {
		return err
	}
	r := &worldRun{world: w, state: state.clone()}
	if r.target, err = NewTarget(w.config, nil, local); err != nil {
		return err
	}
	noted, err := r.target.Owner(w.t.Context(), "p")
	if err != nil {
		return err
	}
	if noted.Epoch > 0 && noted.Holder != state.holder && noted.Epoch > state.epoch {
		return fmt.Errorf("the owner is %+v, and the state knows %d %s", noted, state.epoch, state.holder)
	}
	r.state.runs++
	r.state.epoch = max(state.epoch, noted.Epoch) + 1
	r.state.holder = fmt.Sprintf("holder %d", r.state.runs)
	r.save()
	if err := r.commit(); err != nil {
		return err
	}
	owner := forebay.Owner{Pipeline: "p", Epoch: r.state.epoch, Holder: r.state.holder}
	held := slices.SortedFunc(maps.Values(r.state.held), func(a, b forebay.Committable) int {
		return strings.Compare(a.ID, b.ID)
	})
	if err := r.target.Fence(w.t.Context(), owner, held); err != nil {
		return err
	}
	if err := r.abort(owner); err != nil {
		return err
	}
	for i := range lanes {
		id := forebay.LaneContext{Lane: i, Owner: owner, Now: func() time.Time { return w.clock }}
		for k, c := range held {
			if k%lanes == i {
				id.Restored = append(id.Restored, c)
			}
		}
		l, err := r.target.openLane(w.t.Context(), id)
		if err != nil {
			return err
		}
		if w.names != nil {
			w.names(l)
		}
		r.lanes = append(r.lanes, l)
	}
	err = r.deliver()
	for _, l := range r.lanes {
		err = errors.Join(err, l.Close())
	}
	return err
}

func (r *worldRun) save() { r.store(r.state.clone()) }

func (r *worldRun) abort(owner forebay.Owner) error {
	open, err := r.target.ListOpen(r.t.Context(), owner)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(c forebay.Committable) bool { _, held := r.state.held[c.ID]; return held })
	return r.target.Abort(r.t.Context(), open)
}

func (r *worldRun) deliver() error {
	for !r.state.done {
		r.clock = r.clock.Add(time.Second)
		positions, last := r.state.positions, true
		for range worldRound {
			for split := range worldSplits {
				if err := r.lanes[split%len(r.lanes)].Write(r.t.Context(), r.batchOf(split, positions[split])); err != nil {
					return err
				}
				positions[split] = min(positions[split]+worldBatch, worldRecords)
				last = last && positions[split] == worldRecords
			}
		}
		next := r.state.clone()
		next.positions, next.done = positions, last
		if next.held == nil {
			next.held = map[string]forebay.Committable{}
		}
		for _, l := range r.lanes {
			wait, err := l.Prepare(r.t.Context(), 0, last)
			if err != nil {
				return err
			}
			prepared, err := wait(r.t.Context())
			if err != nil {
				return err
			}
			for _, c := range prepared.Held {
				next.held[c.ID] = c
			}
			for _, c := range prepared.Commit {
				delete(next.held, c.ID)
				next.pending = append(next.pending, c)
			}
		}
		r.state = next
		r.save()
		if err := r.commit(); err != nil {
			return err
		}
	}
	return nil
}

// commit publishes what the last checkpoint prepared, and notes that it did.
func (r *worldRun) commit() error {
	if len(r.state.pending) == 0 {
		return nil
	}
	requests := make([]forebay.CommitRequest, len(r.state.pending))
	for i, c := range r.state.pending {
		requests[i].Committable = c
	}
	if err := r.target.Commit(r.t.Context(), requests); err != nil {
		return err
	}
	for i := range requests {
		if o := requests[i].Outcome; o != forebay.OutcomeDone && o != forebay.OutcomeAlready {
			return fmt.Errorf("the commit of %s answers %d: %w", requests[i].Committable.ID, o, requests[i].Err)
		}
	}
	r.state.pending = nil
	r.save()
	return nil
}

// visible are the published parts.
func visible(d *simDisk) map[string]string { return published(d.files(worldBase)) }

func published(files map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.DeleteFunc(out, func(path, _ string) bool { return strings.HasPrefix(path, homeFolder) })
	return out
}

// audit counts the records of published parts.
func audit(parts map[string]string) (map[string]int, error) {
	count := map[string]int{}
	for path, data := range parts {
		text := data
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(strings.NewReader(data))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			unpacked, err := io.ReadAll(z)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			text = string(unpacked)
		}
		if !strings.HasSuffix(text, "\n") {
			return nil, fmt.Errorf("%s does not end with a whole line: %q", path, text)
		}
		for one := range strings.Lines(text) {
			var split, n int
			if _, err := fmt.Sscanf(one, "%d/%d:", &split, &n); err != nil || line(split, n)+"\n" != one {
				return nil, fmt.Errorf("%s has a damaged line %q", path, one)
			}
			day := time.UnixMicro(worldBucket(split, n)).UTC().Format("2006-01-02")
			if !strings.HasPrefix(path, "day="+day+"/") {
				return nil, fmt.Errorf("%s has a line of %s", path, day)
			}
			count[one]++
		}
	}
	for one, n := range count {
		if n > 1 {
			return nil, fmt.Errorf("the line %q is there %d times", one, n)
		}
	}
	return count, nil
}

// complete says whether everything was published once and nothing else is left.
func complete(files map[string]string) error {
	for path := range files {
		if ours, found := strings.CutPrefix(path, homeFolder+"/p/"); found && !strings.HasPrefix(ours, ownerPrefix) {
			return fmt.Errorf("%s is left", path)
		}
	}
	count, err := audit(published(files))
	if err == nil && len(count) != worldSplits*worldRecords {
		err = fmt.Errorf("%d records of %d were published", len(count), worldSplits*worldRecords)
	}
	return err
}

func worldConfig(t *testing.T, c Compression) Config {
	t.Helper()
	pattern, err := ParsePattern("day={@event:%Y-%m-%d}")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Format: raw.Format{}, Compression: c, Bucket: pattern,
		Roll: Roll{Size: 40, Age: forebay.Unlimited, Inactivity: forebay.Unlimited},
	}
}

// plant puts a mistake into a world.
type plant func(*world)

func newWorld(t *testing.T, sim *simDisk, config Config, mistake plant) *world {
	w := &world{t: t, disk: sim, base: worldBase, config: config, clock: time.Unix(1_000_000, 0)}
	w.store = func(d durable) { sim.store(d) }
	if mistake != nil {
		mistake(w)
	}
	return w
}

// enumeration is a run, or two, that is crashed at each moment.
type enumeration struct {
	config  Config
	mistake plant
	// every thins the moments out, random is how many random choices are tried at each.
	every, random int
}

// enumerate crashes a run at each moment in each way, recovers, and returns what went wrong first.
func (e enumeration) enumerate(t *testing.T) (states int, wrong error) {
	t.Helper()
	sim := newSimDisk()
	if err := newWorld(t, sim, e.config, e.mistake).run(durable{}, 1); err != nil {
		return 0, err
	}
	if err := complete(sim.files(worldBase)); err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for moment := 1; moment <= len(sim.log); moment += e.every {
		for _, s := range crashes(sim.unsynced(moment), rng, e.random) {
			states++
			if err := e.recover(t, sim, moment, s, rng); err != nil {
				return states, fmt.Errorf("crash before change %d of %d, %s: %w", moment, len(sim.log), s.name, err)
			}
		}
	}
	return states, nil
}

// recover goes on after a crash with two lanes, crashes again somewhere, and goes on to the end.
func (e enumeration) recover(t *testing.T, sim *simDisk, moment int, s survivors, rng *rand.Rand) error {
	t.Helper()
	disk, state := sim.crash(moment, s)
	before := visible(disk)
	if _, err := audit(before); err != nil {
		return fmt.Errorf("before recovery: %w", err)
	}
	held, _ := state.(durable)
	begin := len(disk.log)
	if err := newWorld(t, disk, e.config, e.mistake).run(held, 2); err != nil {
		return err
	}
	if rng.IntN(3) > 0 {
		return stable(before, disk)
	}
	second := begin + rng.IntN(len(disk.log)-begin) + 1
	again, state := disk.crash(second, survivors{keep: func(int) bool { return rng.IntN(2) == 0 }})
	if state == nil {
		state = held
	}
	if err := newWorld(t, again, e.config, e.mistake).run(state.(durable), 1); err != nil {
		return fmt.Errorf("second crash before change %d: %w", second, err)
	}
	return errors.Join(stable(before, disk), stable(before, again))
}

// stable says whether a run is complete, and left what had been published as it was.
func stable(before map[string]string, d *simDisk) error {
	if err := complete(d.files(worldBase)); err != nil {
		return err
	}
	after := visible(d)
	for path, data := range before {
		if after[path] != data {
			return fmt.Errorf("the published part %s changed", path)
		}
	}
	return nil
}

func TestEveryCrashStateRecoversFP3(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]enumeration{
		"plain": {config: worldConfig(t, None), every: 1, random: 1},
		"gzip":  {config: worldConfig(t, Gzip), every: 6, random: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, err := e.enumerate(t)
			if err != nil {
				t.Fatal(err)
			}
			if states < 50 {
				t.Fatalf("only %d states", states)
			}
			t.Logf("%d states", states)
		})
	}
}

// lazyDisk leaves something out.
type lazyDisk struct {
	disk
	skipSync func(name string) bool
	keepTail bool
}

func (d lazyDisk) Sync(name string) error {
	if d.skipSync != nil && d.skipSync(name) {
		return nil
	}
	return d.disk.Sync(name)
}

func (d lazyDisk) Append(name string, size int64) (io.WriteCloser, error) {
	if d.keepTail {
		if now, err := d.Size(name); err == nil {
			size = max(size, now)
		}
	}
	return d.disk.Append(name, size)
}

// FP3, FP5: what the protocol leaves out is seen.
func TestPlantedMistakesAreSeen(t *testing.T) {
	t.Parallel()
	isPart := func(name string) bool { return strings.HasSuffix(name, ".txt") }
	lazy := func(d lazyDisk) plant {
		return func(w *world) {
			d.disk = w.disk
			w.disk = d
		}
	}
	for name, mistake := range map[string]plant{
		"no folder is synced": lazy(lazyDisk{skipSync: func(name string) bool { return !isPart(name) }}),
		"folders of buckets are not synced": lazy(lazyDisk{
			skipSync: func(name string) bool { return strings.Contains(name, "day=") && !isPart(name) },
		}),
		"the base is not synced":  lazy(lazyDisk{skipSync: func(name string) bool { return name == worldBase }}),
		"parts are not synced":    lazy(lazyDisk{skipSync: isPart}),
		"nothing is cut off":      lazy(lazyDisk{keepTail: true}),
		"names are used again":    func(w *world) { w.names = func(l *lane) { l.random, l.id.Owner.Epoch = "same", 0 } },
		"the epoch is not synced": lazy(lazyDisk{skipSync: func(name string) bool { return strings.HasSuffix(name, "/p") }}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, err := enumeration{config: worldConfig(t, None), mistake: mistake, every: 1, random: 1}.enumerate(t)
			if err == nil {
				t.Fatalf("%d states, and nothing was seen", states)
			}
			t.Logf("seen after %d states: %v", states, err)
		})
	}
}
