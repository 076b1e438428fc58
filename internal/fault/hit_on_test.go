// SPDX-License-Identifier: Apache-2.0

//go:build fault

package fault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// childEnv turns the test binary into the process that is killed.
const childEnv = "FOREBAY_FAULT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		for range 5 {
			Pace()
			Hit(SourceRead)
			Hit(CommitBuilt)
			Acked(10)
		}
		os.Exit(7)
	}
	os.Exit(m.Run())
}

func TestHitKillsAtTheNamedHitAndLeavesATrace(t *testing.T) {
	t.Parallel()
	trace := filepath.Join(t.TempDir(), "trace")
	start := time.Now()
	status := runChild(t, "FOREBAY_FAULT=commit-built=3*kill", "FOREBAY_FAULT_TRACE="+trace, "FOREBAY_FAULT_PACE=20ms")
	if !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("status %v, want SIGKILL", status)
	}
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Fatalf("three paced batches took %v", took)
	}
	got, err := ReadTrace(trace)
	if err != nil {
		t.Fatal(err)
	}
	want := Trace{Last: CommitBuilt, Acked: 20, Hits: map[string]int64{SourceRead: 3, CommitBuilt: 3}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestHitStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1", "FOREBAY_FAULT=source-read=2*stop")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	if !status.Stopped() {
		t.Fatalf("status %v, want stopped", status)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status := waitStatus(t, cmd.Wait()); status.ExitStatus() != 7 {
		t.Fatalf("status %v, want the process to end by itself", status)
	}
}

func TestWrongEnvironmentPanics(t *testing.T) {
	t.Parallel()
	for _, env := range []string{
		"FOREBAY_FAULT=nowhere=1*kill", "FOREBAY_FAULT_PACE=fast",
		"FOREBAY_FAULT_TRACE=/nowhere/trace", "FOREBAY_FAULT_BUG=nowhere",
	} {
		if status := runChild(t, env); status.ExitStatus() != 2 {
			t.Errorf("%s: status %v, want a panic", env, status.ExitStatus())
		}
	}
}

func TestBugIsPlantedByName(t *testing.T) {
	t.Parallel()
	a, err := arm(func(name string) string { return map[string]string{"FOREBAY_FAULT_BUG": BugNoSync}[name] })
	if err != nil || a.bug != BugNoSync {
		t.Fatalf("bug %v, error %v", a, err)
	}
	if Bug(BugNoSync) {
		t.Fatal("a bug is planted that nobody asked for")
	}
}

func TestHitOfAnUnknownPointPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "nowhere") {
			t.Fatalf("recovered %v", r)
		}
	}()
	Hit("nowhere")
}

func runChild(t *testing.T, env ...string) syscall.WaitStatus {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"=1"), env...)
	return waitStatus(t, cmd.Run())
}

func waitStatus(t *testing.T, err error) syscall.WaitStatus {
	t.Helper()
	exit, found := errors.AsType[*exec.ExitError](err)
	if !found {
		t.Fatalf("child ended with %v", err)
	}
	return exit.Sys().(syscall.WaitStatus)
}
