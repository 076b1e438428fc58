// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay/test/port"
)

// What a client needs beside the address.
const (
	Region    = "us-east-1"
	AccessKey = "forebay-test"
	SecretKey = "forebay-test-secret"
)

const (
	// startMax is how long a server may take to answer, on a machine that does other things too.
	startMax = 30 * time.Second
	// pollEvery is how often a server that starts is asked.
	pollEvery = 20 * time.Millisecond
)

// Server is one S3 server on loopback with its data in a folder of the test.
//
// Concurrency: one goroutine, but for requests to it.
type Server struct {
	program string
	address string
	dir     string
	process *exec.Cmd
	said    bytes.Buffer
}

// Start starts a server, which ends with the test. Where its program cannot be had the test skips, or fails if
// FOREBAY_REQUIRE_SERVERS is 1.
func Start(tb testing.TB) *Server {
	tb.Helper()
	file, err := program(tb.Context())
	if err != nil {
		missing := tb.Skipf
		if os.Getenv("FOREBAY_REQUIRE_SERVERS") == "1" {
			missing = tb.Fatalf
		}
		missing("no S3 server: %v\nIt is built by the Go tool with: go install %s/cmd/versitygw@%s", err, module, version)
	}
	address, err := port.Free(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	// Not TempDir: a server that still ends would disturb its removal.
	dir, err := os.MkdirTemp("", "forebay-s3-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{program: file, address: address, dir: dir}
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("the S3 server said: %s", &s.said)
		}
		_ = os.RemoveAll(dir)
	})
	s.Restart(tb)
	return s
}

// URL is the endpoint.
func (s *Server) URL() string { return "http://" + s.address }

// Address is the host and port.
func (s *Server) Address() string { return s.address }

// Bucket makes a bucket.
func (s *Server) Bucket(tb testing.TB, name string) {
	tb.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		tb.Fatal(err)
	}
}

// Folder is where a bucket's objects lie as plain files, for readers that know nothing of S3.
func (s *Server) Folder(bucket string) string { return filepath.Join(s.dir, bucket) }

// Kill ends the server with SIGKILL, if it runs. What it has is kept.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Pause stops the server without ending it, until Resume: it takes connections and answers nothing.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	if err := s.process.Process.Signal(syscall.SIGSTOP); err != nil {
		tb.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid)
	for deadline := time.Now().Add(startMax); time.Now().Before(deadline); runtime.Gosched() {
		if text, err := os.ReadFile(stat); err != nil || bytes.Contains(text, []byte(") T ")) {
			return // without such a file there is nothing to wait for
		}
	}
	tb.Fatal("the S3 server does not stop")
}

// Resume goes on after Pause. Killing goes on, too.
func (s *Server) Resume() {
	if s.process != nil {
		_ = s.process.Process.Signal(syscall.SIGCONT)
	}
}

// Restart starts the server at the same address over the same data, after killing it if it runs, and returns once it
// answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	if err := s.recover(); err != nil {
		tb.Fatal(err)
	}
	process := exec.Command(s.program, "--port", s.address, "--region", Region, //nolint:noctx // Kill ends it
		"--keep-alive", "--quiet", "--health", "/health", "posix", s.dir)
	process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it also ends with a test that is killed
	process.Stdout, process.Stderr = &s.said, &s.said
	if err := process.Start(); err != nil {
		tb.Fatal(err)
	}
	s.process = process
	if err := s.await(tb.Context()); err != nil {
		tb.Fatalf("the S3 server at %s does not answer: %v", s.address, err)
	}
}

// recover gives uploads their names back which the server was killed in completing. It does that itself where
// completing fails; one that was killed takes such an upload for completed for ever, which no real store does.
func (s *Server) recover() error {
	const busy = ".inprogress"
	paths, err := filepath.Glob(filepath.Join(s.dir, "*", ".sgwtmp", "multipart", "*", "*"+busy))
	for _, path := range paths {
		id, _, _ := strings.Cut(filepath.Base(path), ".")
		err = errors.Join(err, os.Rename(path, filepath.Join(filepath.Dir(path), id)))
	}
	return err
}

// await returns once the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-poll.C:
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/health", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only the status counts
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", answer.Status)
	}
	return nil
}
