// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay/internal/store"
)

// Disk is what a test puts below a state directory.
type Disk struct {
	FS        vfs.FS
	FreeSpace func(dir string) (int64, error)
}

// OpenStateOn opens a state directory on a disk of the test's.
func OpenStateOn(ctx context.Context, config StateConfig, disk Disk) (*State, error) {
	return openState(ctx, config, store.Config{FS: disk.FS, FreeSpace: disk.FreeSpace})
}
