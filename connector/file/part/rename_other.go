// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package part

func renameNew(from, to string) error { return linkNew(from, to) }
