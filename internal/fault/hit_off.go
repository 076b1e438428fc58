// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package fault

// Enabled says whether the build tag fault is set.
const Enabled = false

// Hit says that the process is at a kill point.
func Hit(string) {}

// Acked notes that so many records more are durable in the target, as far as the process was told.
func Acked(int64) {}

// Bug says whether the named bug is planted.
func Bug(string) bool { return false }

// Pace is called once per source batch.
func Pace() {}
