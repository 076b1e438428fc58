// SPDX-License-Identifier: Apache-2.0

package part

// ring orders things by when they were used last, without an allocation for each use.
//
// Concurrency: one goroutine at a time.
type ring[T ringItem[T]] struct {
	oldest, newest T
	size           int
}

// ringItem is a pointer to what embeds a ringed.
type ringItem[T any] interface {
	comparable
	links() *ringed[T]
}

// ringed makes what embeds it a member of one ring.
type ringed[T any] struct {
	before, after T
	in            bool
}

func (r *ringed[T]) links() *ringed[T] { return r }

// first is the one whose use is longest ago, nil if there is none.
func (r *ring[T]) first() T { return r.oldest }

// touch makes x the newest.
func (r *ring[T]) touch(x T) {
	if r.newest == x {
		return
	}
	r.remove(x)
	var none T
	n := x.links()
	n.before, n.after, n.in = r.newest, none, true
	if r.newest == none {
		r.oldest = x
	} else {
		r.newest.links().after = x
	}
	r.newest = x
	r.size++
}

// remove takes x out, if it is in.
func (r *ring[T]) remove(x T) {
	n := x.links()
	if !n.in {
		return
	}
	var none T
	if n.before == none {
		r.oldest = n.after
	} else {
		n.before.links().after = n.after
	}
	if n.after == none {
		r.newest = n.before
	} else {
		n.after.links().before = n.before
	}
	n.before, n.after, n.in = none, none, false
	r.size--
}
