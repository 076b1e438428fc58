// SPDX-License-Identifier: Apache-2.0

package store

import "syscall"

// fsType returns the number by which statfs names the file system of dir.
func fsType(dir string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, err
	}
	// 32-bit systems have the number signed.
	return int64(uint32(stat.Type)), nil
}
