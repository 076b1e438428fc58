// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault/lossyfs"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet/server"
)

// State is an opened state directory: one store, in which the embedded tablet server and the checkpoints lie
// side by side, so that a lane's rows, progress and dead letters are one atomic write.
//
// Concurrency: safe; several pipelines of a process may share one.
type State struct {
	store       *store.Store
	server      *server.Server
	checkpoints *checkpoint.Store
}

// StateConfig says where the state lies.
type StateConfig struct {
	Dir string
	// Memory is the process's budget, of which the store takes a share; default 256 MB.
	Memory forebay.Bytes
	// Upserts says that a table with a key will be written to: see forebay.SinkInfo.
	Upserts bool
	// Command names the process in the directory's lock, for the message that another one gets.
	Command string
	// Socket is the path that the lock names, where the process can be asked.
	Socket string
	// Address is where the process serves its tables on the network, for the lock; empty where it does not.
	Address string
	// UnsafeNetworkDir allows a directory on a network file system.
	UnsafeNetworkDir bool
	Logger           *slog.Logger
}

// OpenState opens a state directory, and makes it if it is missing.
//
// Errors: misconfigured (code state-in-use) where another process owns it, with that process.
func OpenState(ctx context.Context, config StateConfig) (*State, error) {
	return openState(ctx, config, store.Config{FS: lossyfs.FromEnvironment()})
}

// openState opens the directory on a disk.
func openState(ctx context.Context, config StateConfig, disk store.Config) (*State, error) {
	memory := config.Memory
	if memory == 0 {
		memory = MemoryDefault
	}
	disk.Dir, disk.UnsafeNetworkDir, disk.Logger = config.Dir, config.UnsafeNetworkDir, config.Logger
	disk.Command, disk.Socket, disk.Address = config.Command, config.Socket, config.Address
	disk.MemTableSize, disk.CacheSize = int64(memTableSize(memory, config.Upserts)), int64(memory/32)
	st, err := store.Open(ctx, disk)
	if err != nil {
		return nil, openError(config.Dir, err)
	}
	srv, err := server.New(ctx, st, server.Config{Logger: config.Logger})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &State{store: st, server: srv, checkpoints: checkpoint.NewStore(st)}, nil
}

func openError(dir string, err error) error {
	e := &forebay.Error{Op: "open state " + dir, Class: forebay.ClassMisconfigured, Err: err}
	if _, inUse := errors.AsType[*store.InUseError](err); inUse {
		e.Code = "state-in-use"
		e.Cure = "name another directory with --state DIR"
	}
	return e
}

// Tables is the embedded tablet server.
func (s *State) Tables() *server.Server { return s.server }

// Checkpoints is what the state remembers of its pipelines.
func (s *State) Checkpoints() *checkpoint.Store { return s.checkpoints }

// poisoned reports whether a failed write ended the life of the store.
func (s *State) poisoned() bool {
	select {
	case <-s.store.Poisoned():
		return true
	default:
		return false
	}
}

// Close closes the directory; every run that uses it must have ended.
func (s *State) Close() error { return errors.Join(s.server.Close(), s.store.Close()) }
