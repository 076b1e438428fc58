// SPDX-License-Identifier: Apache-2.0

// Package checkpoint holds what a pipeline's state remembers, and decides where a run continues.
//
//	entry.go   what is stored: Meta (what the positions depend on), Ownership, Entry (one split)
//	stored.go  the stored forms, which hold any bytes
//	store.go   where it is stored: the checkpoint key space of the state directory's store
//	pending.go what a two-phase sink opened, holds and prepared
//	sealed.go  the form of these: many small values
//	resume.go  the decision, without I/O: target state + entries + splits -> where each split continues
//
// Invariants:
//
//	C1  the epoch only rises, and is durable before anything is done under it
//	C2  for a target that holds progress, an entry never says more than the target has confirmed
//	C3  a position passes a rejected record only after its dead letter is durable
//	C4  a target that holds progress decides alone; entries count only where it never held any
package checkpoint
