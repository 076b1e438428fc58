// SPDX-License-Identifier: Apache-2.0

// Package lossyfs is a file system that loses on SIGKILL what was not synced: bytes, creations, renames, removals
// and truncations reach the file system below only with the fsync of the file, or of the directory that names it.
// Without it a killed process proves nothing about fsync, since the operating system keeps what it was given.
//
//	disk.go         names: directories and their entries
//	file.go         bytes: open files
//	plain.go        the same for programs that write plain files
//	environment_*   the choice of a binary with the build tag fault
package lossyfs
