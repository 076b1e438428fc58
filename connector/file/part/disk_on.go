// SPDX-License-Identifier: Apache-2.0

//go:build fault

package part

import "github.com/forebay-io/forebay/internal/fault/lossyfs"

// systemDisk can be one that loses on SIGKILL what was not synced.
func systemDisk() disk {
	if lossy := lossyfs.FilesFromEnvironment(); lossy != nil {
		return lossy
	}
	return osDisk{}
}
