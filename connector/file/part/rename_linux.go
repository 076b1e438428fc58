// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames without replacing. File systems that cannot do so in one step get a second name instead.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		return linkNew(from, to)
	default:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
}
