// SPDX-License-Identifier: Apache-2.0

//go:build fault

package lossyfs

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FromEnvironment is the file system that FOREBAY_FAULT_FS asks for; nil is that of the operating system. A
// wrong name panics: a campaign that breaks nothing would prove nothing.
func FromEnvironment() vfs.FS {
	switch kind := os.Getenv("FOREBAY_FAULT_FS"); kind {
	case "":
		return nil
	case "lossy":
		return New(vfs.Default)
	default:
		panic("FOREBAY_FAULT_FS: " + kind + " is no file system: write lossy")
	}
}

// FilesFromEnvironment is the same for plain files; nil is the operating system.
func FilesFromEnvironment() *Files {
	fs := FromEnvironment()
	if fs == nil {
		return nil
	}
	return &Files{fs.(*lossyFS)}
}
