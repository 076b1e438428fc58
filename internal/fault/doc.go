// SPDX-License-Identifier: Apache-2.0

// Package fault breaks the process on purpose, so that the kill campaigns can prove what survives. Without the
// build tag fault, Hit, Pace and Acked are empty and Bug is false: the product carries none of it.
//
//	points.go   the names of the kill points
//	bugs.go     the names of the bugs that can be planted
//	plan.go     the grammar of FOREBAY_FAULT
//	trace.go    the file in which a campaign reads how far a killed process was
//	hit_on.go   Hit, Pace, Acked and Bug with the tag; hit_off.go without it
//	lossyfs/    a file system that loses on SIGKILL what was not synced
//
// Environment of a binary with the tag:
//
//	FOREBAY_FAULT="commit-built=3*kill,fenced=1*stop"   at the third hit SIGKILL, at the first SIGSTOP
//	FOREBAY_FAULT_TRACE=FILE                            keep the last point and a count per point in FILE
//	FOREBAY_FAULT_PACE=200us                            wait that long per source batch
//	FOREBAY_FAULT_FS=lossy                              run on the lossy file system
//	FOREBAY_FAULT_BUG=no-sync                           make a bug that a campaign has to find
package fault
