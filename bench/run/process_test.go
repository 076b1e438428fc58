// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	helperVariable = "FOREBAY_BENCH_HELPER"
	helperSyncs    = 3
	helperBytes    = 70_000
)

// TestHelperWrites is no test: it is the program that the tests below run.
func TestHelperWrites(t *testing.T) {
	path := os.Getenv(helperVariable)
	if path == "" {
		return
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for range helperSyncs {
		if _, err := file.Write(make([]byte, helperBytes)); err != nil {
			t.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func helperPlace(t *testing.T, c *counts) *place {
	t.Helper()
	p := &place{bench: &bench{binaries: map[string]string{"helper": os.Args[0]}}, dir: t.TempDir(), procs: 1, counts: c}
	t.Setenv(helperVariable, filepath.Join(p.dir, "out"))
	return p
}

func TestTimedProcessShowsWhatItTook(t *testing.T) {
	p := helperPlace(t, nil)
	u, err := p.run(t.Context(), "helper", "-test.run=^TestHelperWrites$")
	if err != nil {
		t.Fatal(err)
	}
	if u.cpu <= 0 || u.wall <= 0 || u.rss < mebibyte || u.written < helperSyncs*helperBytes {
		t.Errorf("got %+v", u)
	}
}

func TestTracedProcessShowsItsSyncs(t *testing.T) {
	var c counts
	p := helperPlace(t, &c)
	if _, err := p.run(t.Context(), "helper", "-test.run=^TestHelperWrites$"); err != nil {
		t.Fatal(err)
	}
	if c.syncs != helperSyncs || c.calls < 2*helperSyncs || c.written < helperSyncs*helperBytes || c.rss < mebibyte {
		t.Errorf("got %+v, want %d fsyncs", c, helperSyncs)
	}
}

func TestFailedProcessIsAnError(t *testing.T) {
	for _, traced := range []*counts{nil, {}} {
		p := helperPlace(t, traced)
		_, err := p.run(t.Context(), "helper", "-no-such-flag")
		if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
			t.Errorf("traced %v: got %v, want what the process printed", traced != nil, err)
		}
	}
}

func TestCollectorLinesAddUpToWhatWasAllocated(t *testing.T) {
	t.Parallel()
	const text = `gc 1 @0.010s 1%: 0.01+0.2+0.01 ms clock, 0.02+0.1/0.2/0.0+0.02 ms cpu, 4->5->2 MB, 4 MB goal, 2 P
a line of the program -> with arrows
gc 2 @0.020s 1%: 0.01+0.2+0.01 ms clock, 0.02+0.1/0.2/0.0+0.02 ms cpu, 10->11->3 MB, 10 MB goal, 2 P (forced)
`
	var c counts
	c.readCollector([]byte(text))
	if c.collections != 2 || c.allocated != (4+8)*mebibyte {
		t.Errorf("got %d collections and %d MiB, want 2 and 12", c.collections, c.allocated/mebibyte)
	}
}

func TestLineCounterPassesOnWhatItCounts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := lineCounter{to: &out}
	if _, err := io.Copy(&c, strings.NewReader("a\nb\nc")); err != nil {
		t.Fatal(err)
	}
	if c.lines != 2 || out.String() != "a\nb\nc" {
		t.Errorf("got %d lines and %q", c.lines, out.String())
	}
}

func TestProcFieldIsTheNumberBehindTheName(t *testing.T) {
	t.Parallel()
	text := []byte("VmPeak:\t  100 kB\nVmHWM:\t   42 kB\nrchar: 7\n")
	for name, want := range map[string]int64{"VmHWM:": 42, "rchar:": 7, "wchar:": 0} {
		if got := procField(text, name); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
}
