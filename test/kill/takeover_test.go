// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// pausePoints are where an owner is stopped: each point of a commit.
func pausePoints() []string {
	return []string{
		fault.PartFinished, fault.Prepared, fault.CheckpointBuilt, fault.CheckpointWritten, fault.CommitBegun,
		fault.PartRenamed, fault.PartDirectorySynced, fault.CommitDone, fault.CommittedWritten,
	}
}

// share are the points of one of two tests: in full all, else every second one.
func share(t *testing.T, which int) (points []string) {
	t.Helper()
	for i, point := range pausePoints() {
		if i%2 == which || Kills(t) >= KillsFull {
			points = append(points, point)
		}
	}
	return points
}

// pausedPace has an owner be in its middle when it is stopped.
const pausedPace = "FOREBAY_FAULT_PACE=8ms"

// paused reports whether SIGSTOP holds the process.
func (p *Process) paused() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	return err == nil && bytes.Contains(stat, []byte(") T "))
}

// run runs the campaign's pipeline with a state directory to its end.
func (c *Campaign) run(state string, args ...string) *Process {
	c.t.Helper()
	args = append([]string{"run", c.file, "--state", state, "--summary", "json"}, args...)
	p, err := Start(c.t.Context(), c.config.Binary, args, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if p.Lives(runMax) {
		_ = p.Kill(syscall.SIGKILL)
		c.t.Fatalf("the run did not end within %s: %s", runMax, p.Last())
	}
	return p
}

// pausedOwner is a run that was stopped at a point.
func pausedOwner(c *Campaign, point string) *Process {
	c.t.Helper()
	owner := c.launch(pausedPace, "FOREBAY_FAULT="+point+"=1*stop")
	if !owner.Await(func(fault.Trace) bool { return owner.paused() }) {
		c.t.Fatalf("the run ended before %s: %s%s", point, owner.stdout.String(), owner.Last())
	}
	c.t.Cleanup(func() { _ = owner.Kill(syscall.SIGKILL) })
	return owner
}

// wake lets the paused owner go on: it must fail, and publish nothing.
func wake(c *Campaign, out *Output, owner *Process) {
	c.t.Helper()
	seen, err := out.Parts()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := owner.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
	if owner.Lives(runMax) {
		c.t.Fatalf("the woken owner did not end within %s: %s", runMax, owner.Last())
	}
	if code := owner.state.ExitCode(); code != 1 {
		c.t.Errorf("the woken owner exits %d, expected 1: %s", code, owner.Last())
	}
	if s, err := owner.Summary(); err != nil || s.Status != "fenced" && s.Status != "failed" {
		c.t.Errorf("the woken owner ends as %q (%v), expected that it was fenced or failed", s.Status, err)
	}
	after, err := out.Parts()
	if err != nil {
		c.t.Fatal(err)
	}
	if !maps.Equal(seen, after) {
		c.t.Errorf("the woken owner changed what readers see: %d parts before, %d after", len(seen), len(after))
	}
}

// takenOver has another state directory take the base over from an owner that is stopped at the point.
func takenOver(t *testing.T, s chain, at place, point string) {
	t.Helper()
	c, out, expected := s.newParts(t, at, Config{})
	owner := pausedOwner(c, point)
	other := filepath.Join(t.TempDir(), "other")

	refused := c.run(other)
	if code := refused.state.ExitCode(); code != 2 {
		t.Errorf("a run of a second state directory exits %d, expected 2: %s", code, refused.Last())
	}
	for _, word := range []string{"belongs to run 1", "another state directory", "--take-over"} {
		if !strings.Contains(refused.Last(), word) {
			t.Errorf("the refusal does not say %q: %s", word, refused.Last())
		}
	}

	// What the owner had asked of a server when it was stopped has been answered by now.
	before, err := out.Parts()
	if err != nil {
		t.Fatal(err)
	}
	newer := c.run(other, "--take-over")
	if code := newer.state.ExitCode(); code != 0 {
		t.Fatalf("the new owner exits %d: %s%s", code, newer.stdout.String(), newer.Last())
	}
	wake(c, out, owner)
	out.Audit(c, expected, before) // the new owner knows nothing of what the older one had published
	out.Left(c)
	at.left(c)
	c.Verdict()
}

// restored goes on with a copy of the state directory, made while its owner is stopped at the point.
func restored(t *testing.T, s chain, at place, point string) {
	t.Helper()
	c, out, expected := s.newParts(t, at, Config{})
	owner := pausedOwner(c, point)
	backup := filepath.Join(t.TempDir(), "copy")
	// The program copies what os.CopyFS does not: a socket.
	if text, err := exec.CommandContext(t.Context(), "cp", "-r", c.state, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	newer := c.run(backup)
	if code := newer.state.ExitCode(); code != 0 {
		t.Fatalf("the run of the copy exits %d: %s%s", code, newer.stdout.String(), newer.Last())
	}
	out.Audit(c, expected, nil)
	c.Verdict()
	wake(c, out, owner)
	out.Audit(c, expected, nil)
	out.Left(c)
	at.left(c)
	c.Verdict()
}

// few is a source whose owner is in its middle when it is stopped.
func few(t *testing.T, _ int) (source Object, expected string) {
	t.Helper()
	path := linesOfYear(t, 5000)
	return Object{"file": Object{"path": path, "format": "ndjson", "range": "256KiB"}}, path
}

func TestPausedOwnerPublishesNothingOnceTakenOver(t *testing.T) {
	t.Parallel()
	s := chain{name: "few", source: few, sink: gzipParts("carrier={carrier}", "32KiB"), lanes: []int{2}}
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		for _, point := range pausePoints() {
			t.Run(point, func(t *testing.T) { takenOver(t, s, onDisk(t), point) })
		}
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		server := bucketServer(t)
		for _, point := range share(t, 0) {
			t.Run(point, func(t *testing.T) { takenOver(t, s, inBucket(server, point), point) })
		}
	})
	t.Run("bucket, copy of the state", func(t *testing.T) {
		t.Parallel()
		server := bucketServer(t)
		for _, point := range share(t, 1) {
			t.Run(point, func(t *testing.T) { restored(t, s, inBucket(server, point), point) })
		}
	})
}
