// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	_ "time/tzdata" // zones in expressions and formats, also where the system has none

	"golang.org/x/term"

	"github.com/forebay-io/forebay"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitWrong       = 2
	exitInterrupted = 130
)

func main() {
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())), errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		width: func() int {
			width, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
		lookupEnv: os.LookupEnv, environ: os.Environ,
	}
	os.Exit(runProcess(a, os.Args[1:]))
}

// app is what a command has around it.
type app struct {
	in          io.Reader
	out, err    io.Writer
	outTerminal bool
	errTerminal bool
	width       func() int
	lookupEnv   func(string) (string, bool)
	environ     func() []string
}

// runProcess runs a command under the signals of the process: the first one asks it to stop, the second one
// ends it at once.
func runProcess(a *app, args []string) int {
	ctx, stop := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2) // two are told apart
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // a reader that has gone is an error of the write, not the end of the process
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-ended:
			return
		case <-signals:
			stop(forebay.ErrStopped)
		}
		select {
		case <-ended:
		case <-signals:
			fmt.Fprintln(a.err, "interrupted twice: stopped at once; run the same command to go on")
			os.Exit(exitInterrupted)
		}
	})
	code := run(ctx, a, args)
	signal.Stop(signals)
	close(ended)
	watcher.Wait()
	stop(nil)
	return code
}

// run runs one command line and returns the process's exit code.
func run(ctx context.Context, a *app, args []string) int {
	err := a.command(ctx, args)
	if err == nil {
		return exitDone
	}
	if coded, ok := errors.AsType[*exitError](err); ok {
		if coded.err != nil {
			a.report(coded.err)
		}
		return coded.code
	}
	a.report(err)
	switch {
	case errors.Is(err, forebay.ErrStopped), errors.Is(err, context.Canceled):
		return exitInterrupted
	case forebay.ClassOf(err) == forebay.ClassMisconfigured:
		return exitWrong
	default:
		return exitFailed
	}
}

// exitError ends the process with a code; err is nil where what happened was shown already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// wrong is an error of the command line.
func wrong(cure, format string, args ...any) error {
	e := forebay.Errorf("", forebay.ClassMisconfigured, format, args...)
	e.Cure = cure
	return e
}

// title is the command as the lock of a state directory shows it: without values, which may be secrets.
func title(words ...string) string { return "forebay " + strings.Join(words, " ") }
