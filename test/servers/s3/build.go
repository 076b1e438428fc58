// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// module is the server's program, and version what is built of it.
const (
	module  = "github.com/versity/versitygw"
	version = "v1.8.0"
)

// buildMax bounds a build, downloads included.
const buildMax = 8 * time.Minute

// program is the file of the server's program, which is built where it is missing.
func program(ctx context.Context) (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, "test", "servers", "cache")
	file := filepath.Join(cache, "versitygw-"+version)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() //nolint:errcheck // it holds nothing but the lock, which ends with it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", cache, err)
	}
	if _, err := os.Stat(file); err == nil {
		return file, nil // another test package built it meanwhile
	}
	return file, build(ctx, cache, file)
}

func build(ctx context.Context, cache, file string) error {
	scratch, err := os.MkdirTemp(cache, "build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // what stays is only space
	ctx, cancel := context.WithTimeout(ctx, buildMax)
	defer cancel()
	tool := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", module+"/cmd/versitygw@"+version)
	tool.Dir = scratch
	tool.Env = append(os.Environ(), "GOBIN="+scratch, "GOFLAGS=", "CGO_ENABLED=0", "GOWORK=off")
	if out, err := tool.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", tool, err, out)
	}
	return os.Rename(filepath.Join(scratch, "versitygw"), file)
}

// repository is the folder of go.mod above the working directory, which in a test is that of its package.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
