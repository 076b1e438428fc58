// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package lossyfs

import "github.com/cockroachdb/pebble/v2/vfs"

// FromEnvironment is the file system that a binary with the tag fault can be told to use; nil is that of the
// operating system.
func FromEnvironment() vfs.FS { return nil }

// FilesFromEnvironment is the same for plain files; nil is the operating system.
func FilesFromEnvironment() *Files { return nil }
