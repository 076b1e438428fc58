// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// InUseError says who owns a state directory. Fields that LOCK did not show are zero.
type InUseError struct {
	Dir     string
	PID     int
	Command string
	Since   time.Time
	Socket  string
	// Address is where the owner serves its tables on the network; empty where it does not.
	Address string
}

// Error implements error.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("state directory %s is in use by another process: stop it, or use another directory", e.Dir)
	}
	return fmt.Sprintf("state directory %s is in use by process %d (%s) since %s: stop it, or use another directory",
		e.Dir, e.PID, e.Command, e.Since.Format(time.RFC3339))
}

// An owner writes its name right after it got the lock; who finds the file empty asks again for a moment.
const (
	ownerTries = 10
	ownerPause = time.Millisecond
)

// dirLock is the ownership of a state directory. The operating system gives it back when the process ends in
// whatever way. ST4: so a LOCK file without a lock on it means nothing.
type dirLock struct {
	path string
	file *os.File  // operating system
	held io.Closer // any other file system
	fs   vfs.FS
}

// lockDir takes the directory or names its owner.
func lockDir(ctx context.Context, l layout, config Config) (*dirLock, error) {
	d := &dirLock{path: l.path(lockName), fs: l.fs}
	if vfs.Root(l.fs) != vfs.Default {
		held, err := l.fs.Lock(d.path)
		if err != nil {
			return nil, &InUseError{Dir: l.dir}
		}
		d.held = held
		return d, nil
	}
	for {
		err := d.try()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, d.owner(ctx, l.dir)
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", d.path, err)
		}
		if d.file != nil {
			break
		}
	}
	if err := d.write(config); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", d.path, err), d.release())
	}
	return d, nil
}

// try takes the lock. Without error and without a file, an owner that just ended removed the file between our open
// and our lock: we hold a file that has no name, while another process may lock the next one of that name.
func (d *dirLock) try() error {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(err, f.Close())
	}
	ours, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	named, err := os.Stat(d.path)
	if err == nil && os.SameFile(ours, named) {
		d.file = f
		return nil
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (d *dirLock) write(config Config) error {
	oneLine := strings.NewReplacer("\n", " ", "\r", " ")
	text := fmt.Sprintf("pid: %d\ncommand: %s\nsince: %s\n",
		os.Getpid(), oneLine.Replace(config.Command), time.Now().UTC().Format(time.RFC3339Nano))
	if config.Socket != "" {
		text += "socket: " + oneLine.Replace(config.Socket) + "\n"
	}
	if config.Address != "" {
		text += "address: " + oneLine.Replace(config.Address) + "\n"
	}
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	_, err := d.file.WriteAt([]byte(text), 0)
	return err
}

// owner reads who holds the lock.
func (d *dirLock) owner(ctx context.Context, dir string) *InUseError {
	e := &InUseError{Dir: dir}
	for range ownerTries {
		text, err := os.ReadFile(d.path)
		if err != nil {
			return e
		}
		if e.parse(string(text)); !e.Since.IsZero() {
			return e
		}
		select {
		case <-time.After(ownerPause):
		case <-ctx.Done():
			return e
		}
	}
	return e
}

func (e *InUseError) parse(text string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "pid":
			if pid, err := strconv.Atoi(value); err == nil {
				e.PID = pid
			}
		case "command":
			e.Command = value
		case "since":
			if since, err := time.Parse(time.RFC3339Nano, value); err == nil {
				e.Since = since
			}
		case "socket":
			e.Socket = value
		case "address":
			e.Address = value
		}
	}
}

// release removes LOCK while the lock is held, then gives it back: who waits with the old file finds that it has
// lost its name, see try.
func (d *dirLock) release() error {
	if d.file == nil {
		return errors.Join(d.fs.Remove(d.path), d.held.Close())
	}
	return errors.Join(os.Remove(d.path), d.file.Close())
}
