// SPDX-License-Identifier: Apache-2.0

// Package store is the one place that opens Pebble: it owns a state directory, its lock, the key spaces, the
// sync policy and the counters. One atomic Pebble batch is the unit of every change.
//
//	store.go     Config, Open, Close
//	layout.go    what lies in a state directory: FORMAT, LOCK, store/
//	lock.go      who owns the directory, decided by flock alone
//	batch.go     Batch, Apply: visible and ordered, not yet durable
//	sync.go      Sync, Commit: durable; callers that come close together share one fsync
//	read.go      Get, iterators, snapshots
//	poison.go    what happens after a failed write
//	disk.go      the file system that Pebble gets: counts, and stops the first failed write
//	stall.go     what takes too long; Probe
//	space.go     free space below the reserve refuses writes before Pebble is asked
//	keyspace.go  the first byte of every key
//
// Invariants:
//
//	ST1  Sync answers nil only when everything applied before the call is on disk.
//	ST2  After one failed write or sync every call answers ErrPoisoned, and no byte more reaches the disk.
//	ST3  No call waits for ever on Pebble: each one that can write runs on a goroutine of the store, and its
//	     caller waits for the answer or for the poison.
//	ST4  One process owns a state directory; the lock alone decides, never the content of the LOCK file.
//	ST5  A refused Config or a refused directory leaves nothing behind.
package store
