// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay/internal/fault"
)

// Object is a piece of a pipeline file.
type Object map[string]any

// Config describes a campaign.
type Config struct {
	// Binary is the program, built with the tag fault.
	Binary string
	// Pipeline is the pipeline file; its name is the pipeline's.
	Pipeline Object
	// Measured is the pipeline file of the run that measures the source, where it must not write to the same target.
	Measured Object
	// Table is the table whose rows are counted after kills; empty for a sink without one.
	Table string
	// Lanes are the lane counts that the runs draw from; none leaves it to the pipeline file.
	Lanes []int
	// Kills is how many kills are planned, random and named: the pace follows from it. 0 is no pace.
	Kills int
	// Lossy runs on the file system that loses what was not synced.
	Lossy bool
	// Bug is a planted bug.
	Bug string
	// AfterKill is called with the campaign after each kill; it may be nil.
	AfterKill func(*Campaign)
	// AfterEnd is called with the campaign after each run that ended cleanly; it may be nil.
	AfterEnd func(*Campaign)
}

// waitMax bounds the random time between a first delivery and the kill.
const waitMax = 150 * time.Millisecond

// runMax is when a process that was not killed counts as stuck.
const runMax = 2 * time.Minute

// Campaign is one pipeline and what became of its runs.
//
// Concurrency: one goroutine.
type Campaign struct {
	t      *testing.T
	config Config
	dir    string
	file   string
	state  string
	seed   uint64
	random *rand.Rand

	pace      pacing
	starts    int
	counted   int // random kills that count
	early     int // random kills before the first delivery
	named     int
	stopped   int   // SIGTERM
	delivered int64 // by runs that ended by themselves
	acked     bool  // some process was told that its records are durable
	unproven  bool  // nothing was delivered since the last kill that counts
	hits      Tally
	began     time.Time
	findings  []Finding
}

// New makes a campaign with a fresh state directory.
func New(t *testing.T, config Config) *Campaign {
	t.Helper()
	c := &Campaign{
		t: t, config: config, dir: t.TempDir(), seed: number(t, "FOREBAY_KILL_SEED", uint64(time.Now().UnixNano())),
		hits: Tally{}, began: time.Now(),
	}
	c.random = rand.New(rand.NewPCG(c.seed, 0))
	c.file, c.state = filepath.Join(c.dir, "pipeline.yaml"), filepath.Join(c.dir, "state")
	c.Rewrite(config.Pipeline)
	if config.Kills > 0 {
		c.setPace()
	}
	return c
}

// setPace measures the source with a run into a state of its own and paces it.
func (c *Campaign) setPace() {
	c.t.Helper()
	state, lanes := c.state, max(1, slices.Max(append([]int{1}, c.config.Lanes...)))
	c.state = filepath.Join(c.dir, "measured")
	if c.config.Measured != nil {
		c.Rewrite(c.config.Measured)
	}
	p := c.launch()
	s, err := p.Summary()
	c.Rewrite(c.config.Pipeline)
	if err != nil || p.state.ExitCode() != 0 {
		c.t.Fatalf("the run without faults: exit %d, %v: %s", p.state.ExitCode(), err, p.Last())
	}
	batches := p.Progress().Hits[fault.SourceRead]
	c.state, c.starts = state, 0
	c.pace = newPacing(c.config.Kills, s.Delivered, float64(lanes)/float64(max(1, batches)))
	c.t.Logf("seed %d (FOREBAY_KILL_SEED); %d batches (%d records) in up to %d lanes, at first %s for each: a run "+
		"without faults lasts at least %s for %d kills, %s for each", c.seed, batches, s.Read, lanes,
		c.pace.batch.Round(time.Microsecond), time.Duration(c.config.Kills)*perKillMin, c.config.Kills, perKillMin)
}

// Rewrite changes the pipeline file for the next runs. JSON is YAML.
func (c *Campaign) Rewrite(pipeline Object) {
	c.t.Helper()
	text, err := json.MarshalIndent(pipeline, "", "  ")
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.file, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// State is the campaign's state directory.
func (c *Campaign) State() string { return c.state }

// launch starts the next run, with more environment.
func (c *Campaign) launch(env ...string) *Process {
	c.t.Helper()
	c.starts++
	trace := filepath.Join(c.dir, "trace")
	// A trace of the run before must not be taken for this one's.
	if err := os.Remove(trace); err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	args := []string{"run", c.file, "--state", c.state, "--summary", "json"}
	if len(c.config.Lanes) > 0 {
		args = append(args, "--set", fmt.Sprintf("lanes=%d", c.config.Lanes[c.random.IntN(len(c.config.Lanes))]))
	}
	env = append(env, "FOREBAY_FAULT_TRACE="+trace)
	if c.config.Lossy {
		env = append(env, "FOREBAY_FAULT_FS=lossy")
	}
	if c.config.Bug != "" {
		env = append(env, "FOREBAY_FAULT_BUG="+c.config.Bug)
	}
	p, err := Start(c.t.Context(), c.config.Binary, args, env)
	if err != nil {
		c.t.Fatal(err)
	}
	p.trace = trace
	return p
}

func (c *Campaign) paced() string { return "FOREBAY_FAULT_PACE=" + c.pace.batch.String() }

// delivering reports whether the process has delivered something.
func delivering(t fault.Trace) bool { return t.Acked > 0 }

// Random kills processes at random times until n kills count: the process had delivered something since its
// start, and had not finished. Each fifth kill may come earlier, in the middle of a recovery.
func (c *Campaign) Random(n int) {
	c.t.Helper()
	for counted := 0; counted < n; {
		before := c.countBefore()
		p := c.launch(c.paced())
		if c.random.IntN(5) == 0 {
			p.Lives(time.Duration(c.random.Int64N(int64(waitMax))))
		} else if p.Await(delivering) {
			p.Lives(time.Duration(c.random.Int64N(int64(waitMax))))
		}
		if err := p.Kill(syscall.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
		if !p.Killed() {
			c.t.Fatalf("the run ended by itself after %d of %d kills: %s%s", counted, n, p.stdout.String(), p.Last())
		}
		c.after(p, before)
		if !delivering(p.Progress()) {
			c.early++
			continue
		}
		counted++
		c.counted++
		c.hits[p.Progress().Last]++
		c.unproven = true
	}
}

// Named arms a kill point at a hit and runs until it kills.
func (c *Campaign) Named(point string, hit int) {
	c.t.Helper()
	c.namedWith(point, hit, c.paced())
}

// NamedUnpaced is Named at the full speed of the source, for points that lie at its end.
func (c *Campaign) NamedUnpaced(point string, hit int) {
	c.t.Helper()
	c.namedWith(point, hit, "")
}

func (c *Campaign) namedWith(point string, hit int, pace string) {
	c.t.Helper()
	c.named++
	before := c.countBefore()
	p := c.launch(pace, fmt.Sprintf("FOREBAY_FAULT=%s=%d*kill", point, hit))
	lives := p.Lives(runMax)
	if !lives && p.Killed() {
		c.hits[point]++
		c.after(p, before)
		return
	}
	if !lives && c.config.Bug != "" && p.state.ExitCode() > 0 {
		c.find(FindingFailed, "before kill point %s was hit: %s", point, p.Last())
		return // the run itself noticed what the bug spoilt
	}
	_ = p.Kill(syscall.SIGKILL)
	c.t.Fatalf("kill point %s was not hit %d times (trace %v): %s%s",
		point, hit, p.Progress(), p.stdout.String(), p.Last())
}

// NamedWhileDraining sends SIGTERM to a process that has delivered something; the armed point kills it.
func (c *Campaign) NamedWhileDraining(point string) {
	c.t.Helper()
	c.named++
	before := c.countBefore()
	p := c.launch(c.paced(), "FOREBAY_FAULT="+point+"=1*kill")
	p.Await(delivering)
	if err := p.Kill(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if !p.Killed() {
		c.t.Fatalf("kill point %s was not hit while draining: %s%s", point, p.stdout.String(), p.Last())
	}
	c.hits[point]++
	c.after(p, before)
}

// Terminate stops n runs with SIGTERM at random times after their first delivery.
func (c *Campaign) Terminate(n int) {
	c.t.Helper()
	for range n {
		p := c.launch(c.paced())
		if p.Await(delivering) {
			p.Lives(time.Duration(c.random.Int64N(int64(waitMax))))
		}
		if err := p.Kill(syscall.SIGTERM); err != nil {
			c.t.Fatal(err)
		}
		c.stopped++
		c.ended(p, "stopped")
		c.pace.follow(p.Progress().Acked)
	}
}

// Finish runs to the end without faults. That something was delivered after the last random kill shows that no
// process was killed when it had finished.
func (c *Campaign) Finish() Summary {
	c.t.Helper()
	p := c.launch()
	if p.Lives(runMax) {
		_ = p.Kill(syscall.SIGKILL)
		c.find(FindingStuck, "the last run did not end within %s: %s", runMax, p.Last())
		return Summary{}
	}
	s := c.ended(p, "done")
	if c.unproven && s.Delivered == 0 && c.config.Bug == "" {
		c.t.Errorf("nothing was left after the last random kill: it came after the end and does not count")
	}
	c.t.Logf("%d random kills that count, %d before a first delivery, %d named, %d SIGTERM, %d starts in %s, "+
		"%s to %s for each batch; the last run delivered %d records\n%s", c.counted, c.early, c.named, c.stopped,
		c.starts, time.Since(c.began).Round(time.Millisecond), c.pace.least.Round(time.Microsecond),
		c.pace.most.Round(time.Microsecond), s.Delivered, c.hits)
	return s
}

// ended checks a run that was not killed.
func (c *Campaign) ended(p *Process, status string) Summary {
	c.t.Helper()
	s, err := p.Summary()
	if code := p.state.ExitCode(); code != 0 || err != nil {
		c.find(FindingFailed, "exit %d (%v): %s", code, err, p.Last())
		return s
	}
	c.delivered += s.Delivered
	if s.Status != status || s.Error != "" {
		c.find(FindingFailed, "the summary says status %q and error %q, expected %q", s.Status, s.Error, status)
	}
	if s.DuplicatesDropped > 0 {
		c.find(FindingRepeated, "the summary counts %d duplicates", s.DuplicatesDropped)
	}
	c.leftovers()
	if c.config.AfterEnd != nil {
		c.config.AfterEnd(c)
	}
	return s
}

// leftovers looks for what a clean end must not leave.
func (c *Campaign) leftovers() {
	c.t.Helper()
	err := filepath.WalkDir(c.state, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".lossy-") {
			return nil // of the lossy file system itself, when its process was killed
		}
		name, _ := filepath.Rel(c.state, path)
		known := slices.Contains([]string{".", "FORMAT", "store"}, name)
		if !known && filepath.Dir(name) != "store" {
			c.find(FindingLeft, "a clean end left %s", name)
		}
		for _, mark := range []string{"tmp", "temp"} {
			if strings.Contains(entry.Name(), mark) {
				c.find(FindingLeft, "a clean end left the temporary file %s", name)
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// countUnknown says that the rows were not counted.
const countUnknown = -1

// countBefore counts the rows before one run in three, so that the kill can be held against what was
// acknowledged. Counting opens the store, so the others recover from exactly what the kill left.
func (c *Campaign) countBefore() int64 {
	if c.config.Table == "" || !c.acked || c.random.IntN(3) > 0 {
		return countUnknown
	}
	return c.Count(c.config.Table)
}

// after checks what a kill must not have undone: what the process was told is durable is there.
func (c *Campaign) after(p *Process, before int64) {
	c.t.Helper()
	acked := p.Progress().Acked
	c.acked = c.acked || acked > 0
	c.pace.follow(acked)
	c.unproven = c.unproven && acked == 0
	if before != countUnknown {
		if now := c.Count(c.config.Table); now < before+acked {
			c.find(FindingLost, "%d rows were there, %d more were acknowledged, and after the kill there are %d",
				before, acked, now)
		}
	}
	if c.config.AfterKill != nil {
		c.config.AfterKill(c)
	}
}
