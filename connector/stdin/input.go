// SPDX-License-Identifier: Apache-2.0

package stdin

import (
	"context"
	"errors"
	"io"
	"sync"
)

// blockBytes is how much one read of the input asks for.
const blockBytes = 64 << 10

// input reads on request, so that nothing is taken from a pipe before it is asked for, in a goroutine of its
// own, so that waiting can be given up.
//
// Concurrency: one goroutine at a time.
type input struct {
	in io.Reader

	// requests has room for the one request that may be open, answers for its answer: neither side waits to send.
	requests chan []byte
	answers  chan answer
	reads    sync.WaitGroup
	running  bool
	asked    bool
	closed   bool

	// interrupt ends a wait.
	interrupt <-chan struct{}
	// ready was read and not yet handed on.
	ready []byte
	err   error
}

type answer struct {
	data []byte
	err  error
}

var errInterrupted = errors.New("the wait for input was given up")

func newInput(in io.Reader) *input {
	return &input{in: in, requests: make(chan []byte, 1), answers: make(chan answer, 1)}
}

// during makes reads end with errInterrupted when ctx ends.
func (in *input) during(ctx context.Context) { in.interrupt = ctx.Done() }

// Read hands on what the next read of the input gives.
//
// Blocking: until something comes, the input ends, or the wait is interrupted.
func (in *input) Read(p []byte) (int, error) {
	for len(in.ready) == 0 {
		if in.err != nil {
			return 0, in.err
		}
		if err := in.await(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.ready)
	in.ready = in.ready[n:]
	return n, nil
}

func (in *input) await() error {
	if !in.running {
		in.running = true
		in.reads.Go(in.runReads)
	}
	if !in.asked {
		in.asked = true
		in.requests <- make([]byte, blockBytes)
	}
	select {
	case a := <-in.answers:
		in.asked, in.ready, in.err = false, a.data, a.err
		return nil
	case <-in.interrupt:
		return errInterrupted
	}
}

func (in *input) runReads() {
	for block := range in.requests {
		n, err := in.in.Read(block)
		in.answers <- answer{data: block[:n], err: err}
	}
}

// close lets the goroutine end. It waits for it only where no read is open: an open read of the standard
// input ends when something comes or the process does.
func (in *input) close() {
	if in.closed {
		return
	}
	in.closed = true
	close(in.requests)
	if !in.asked {
		in.reads.Wait()
	}
}

// sample reads the beginning of the input for a format that learns from it, and keeps what it read.
type sample struct {
	input *input
	kept  []byte
}

func (s *sample) Read(p []byte) (int, error) {
	n, err := s.input.Read(p)
	s.kept = append(s.kept, p[:n]...)
	return n, err
}

// giveBack makes the input begin with what the sample took.
func (s *sample) giveBack() {
	s.input.ready = append(s.kept, s.input.ready...)
}
