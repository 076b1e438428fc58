// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/server"
)

// openState is a state directory that this process owns.
type openState struct {
	state  *pipeline.State
	config pipeline.StateConfig
}

// socketOf is where the owner of a state directory listens.
func (a *app) socketOf(dir string) string {
	runtimeDir, _ := a.lookupEnv("XDG_RUNTIME_DIR")
	return tablet.SocketPath(absolute(dir), cmp.Or(runtimeDir, os.TempDir()))
}

func openDirectory(ctx context.Context, a *app, config pipeline.StateConfig) (*openState, error) {
	config.Socket = a.socketOf(config.Dir)
	state, err := pipeline.OpenState(ctx, config)
	if err != nil {
		return nil, err
	}
	// The lock is ours, so a socket that is there was left by a process that was killed.
	if err := os.Remove(config.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("remove the stale socket: %w", err), state.Close())
	}
	return &openState{state: state, config: config}, nil
}

func (s *openState) close() error { return s.state.Close() }

// runControl answers the commands of other processes until ctx ends. A run goes on without: only they suffer.
func (s *openState) runControl(ctx context.Context, jobs []*job, more map[string]http.Handler) {
	l, err := server.ListenControl(ctx, s.config.Socket)
	if err == nil {
		err = s.serve(ctx, l, jobs, more)
	}
	if err != nil {
		s.config.Logger.Warn("other commands cannot look into the state while this runs", "error", err)
	}
}

func (s *openState) serve(ctx context.Context, l net.Listener, jobs []*job, more map[string]http.Handler) error {
	running := map[string]bool{}
	for _, j := range jobs {
		if j.state == s {
			running[j.name] = true
		}
	}
	paths := handlers(&localCheckpoints{state: s.state, running: running})
	maps.Copy(paths, more)
	return s.state.Tables().ServeControl(ctx, l, paths)
}

// access is tables as commands look at them: in a state directory that is opened, through the socket of the process
// that owns it, or at a server.
type access struct {
	tablet.Catalogue
	tablet.Reader
	logs        logs
	checkpoints checkpoints // nil at a server
	what        string      // where the tables are
	close       func() error
}

// logs is the part of a tablet.Opener that commands read with.
type logs interface {
	OpenLog(ctx context.Context, r tablet.LogRequest) (tablet.Log, error)
}

// theDirectory is what messages call a state directory.
const theDirectory = "the state directory"

// How long a command waits for another one that holds the directory and cannot be asked.
const (
	ownerWait  = 3 * time.Second
	ownerPause = 20 * time.Millisecond
)

// lookMemory is the budget of a command that only looks.
const lookMemory = 64 * forebay.MiB

// open opens a state directory that exists.
func (a *app) open(ctx context.Context, dir string, command ...string) (*access, error) {
	if !stateExists(dir) {
		return nil, wrong("name it with --state DIR; a run makes it", "there is no state directory %q", dir)
	}
	return a.openOrMake(ctx, dir, command...)
}

// openOrMake tries the lock first, and asks the owner where another process has it.
func (a *app) openOrMake(ctx context.Context, dir string, command ...string) (*access, error) {
	deadline := time.Now().Add(ownerWait)
	for {
		s, err := openDirectory(ctx, a, pipeline.StateConfig{
			Dir: dir, Memory: lookMemory, Command: title(command...), Logger: discard(),
		})
		if err == nil {
			tables := s.state.Tables()
			return &access{
				Catalogue: tables, Reader: tables, logs: tables, checkpoints: &localCheckpoints{state: s.state},
				what: theDirectory, close: s.close,
			}, nil
		}
		owner, inUse := errors.AsType[*store.InUseError](err)
		if !inUse {
			return nil, err
		}
		control := tablet.DialControl(cmp.Or(owner.Socket, a.socketOf(dir)))
		_, asked := control.Tables(ctx)
		if asked == nil {
			return &access{
				Catalogue: control, Reader: control, logs: control, checkpoints: &remoteCheckpoints{control},
				what: theDirectory, close: control.Close,
			}, nil
		}
		if closed := control.Close(); closed != nil || time.Now().After(deadline) {
			return nil, errors.Join(err, closed)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(ownerPause):
		}
	}
}

// with opens a state directory for as long as a function runs.
func (a *app) with(ctx context.Context, dir string, do func(*access) error, command ...string) error {
	s, err := a.open(ctx, dir, command...)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.close())
}
