// SPDX-License-Identifier: Apache-2.0

//go:build fault

package outage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// childEnv makes this test binary the program that TestMemoryStaysBoundedWhileAServerDoesNotAnswer watches: it names
// the addresses, and the file in which the program notes how many rows it appended.
const (
	childEnv     = "FOREBAY_OUTAGE_CHILD"
	childNoteEnv = "FOREBAY_OUTAGE_NOTE"
)

const (
	stuckRows  = 300
	stuckValue = 1 << 20
)

// appendLarge appends rows of 1 MB, with the default memory of 64 MB.
func appendLarge(ctx context.Context, addresses, note string) (err error) {
	conn, err := tablet.Dial(ctx, addresses, tablet.Config{RequestTimeout: time.Second, Ping: 10 * time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	w, err := conn.Append(ctx, "large", writer.Config{Tuning: writer.Tuning{Retries: forebay.Unlimited}})
	if err != nil {
		return err
	}
	row := forebay.NewRow(w.Layout().Schema)
	value := strings.Repeat("x", stuckValue)
	for n := range int64(stuckRows) {
		row.Clear()
		if err := errors.Join(row.SetInt("n", n), row.SetText("text", value)); err != nil {
			return err
		}
		if _, err := w.Append(ctx, row); err != nil {
			return err
		}
		if err := os.WriteFile(note, []byte(strconv.FormatInt(n+1, 10)), 0o600); err != nil {
			return err
		}
	}
	return w.Shutdown(ctx)
}

func noted(t *testing.T, note string) int {
	t.Helper()
	text, err := os.ReadFile(note)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(string(text)) // it may be read while it is written
	return n
}

// peak is the most memory that a process had, in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func TestMemoryStaysBoundedWhileAServerDoesNotAnswer(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	conn := dial(t, c.Addresses(), tablet.Config{})
	if err := conn.Create(t.Context(), forebay.TableSpec{Name: "large", Schema: columns(t)}); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(t.TempDir(), "note")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGQUIT) } // one that hangs says where
	child.Env = append(os.Environ(), childEnv+"="+c.Addresses(), childNoteEnv+"="+note)
	var said bytes.Buffer
	child.Stdout, child.Stderr = &said, &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); noted(t, note) < stuckRows/6; pause(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d rows after a minute: %s", noted(t, note), said.String())
		}
	}
	leader, other := c.Leader()
	for _, n := range []*node{leader, other} {
		n.proxy.DropAnswers()
	}
	pause(3 * time.Second)
	before := noted(t, note)
	pause(time.Second)
	if after := noted(t, note); after != before || after == stuckRows {
		t.Errorf("the caller does not block: %d rows, and %d a second later", before, after)
	}
	high := peak(t, child.Process.Pid)
	for _, n := range []*node{leader, other} {
		n.proxy.Cut()
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	stored, err := numbers(t.Context(), conn, "large")
	if err == nil {
		err = exactlyOnce(stored, stuckRows)
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("peak %d MiB, blocked at row %d", high>>20, before)
	if limit := int64(64+100) << 20; high > limit {
		t.Errorf("the process had %d MiB, at most %d are due", high>>20, limit>>20)
	}
}
