// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"errors"
	"time"

	"github.com/forebay-io/forebay"
)

// Config describes a writer. The zero value is the strongest: synced, idempotent, in order.
type Config struct {
	Tuning
	// Acks says when a row counts as applied; default when it is synced to disk.
	Acks forebay.Acks
	// WithoutIdempotence gives up sequences: a retry may apply a request twice, and may overtake another.
	WithoutIdempotence bool
	// Partial lets the target apply the rows of a request that it can, instead of none where one is refused. Without
	// it the writer takes the refused rows out and sends the others again.
	Partial bool
	// DeliveryTimeout bounds the time of a request from its first row; default none. What was never sent is then not
	// applied, what is in flight is unknown.
	DeliveryTimeout time.Duration
	// Jitter shortens each back-off by a random share, so that many writers do not come back at one moment.
	Jitter bool
	// Memory is shared with other writers; nil makes one of BufferMemory.
	Memory *Memory
	// BufferMemory bounds the rows that are not settled, in bytes; default 64 MB.
	BufferMemory forebay.Bytes
	// FailWhenFull makes Append fail instead of wait when the memory is used up.
	FailWhenFull bool
	// BlockTimeout bounds the time that Append waits for memory; default none.
	BlockTimeout time.Duration
	// Settled is called once for each request of the writer with the outcome of its rows: for each tablet in the order
	// of Append, on a goroutine of the writer, outside locks. The memory of the rows is taken until it returns. It may
	// be nil. It must not close the writer or wait for it.
	Settled func(Outcome)
	// Hooks are callbacks for telemetry and limiters.
	Hooks Hooks
	// Release is called once when the writer is closed; it may be nil.
	Release func() error
}

// Validate reports everything that is wrong, at once.
func (c Config) Validate() error {
	problems := c.validate(!c.WithoutIdempotence)
	if !c.WithoutIdempotence && c.Acks == forebay.AcksNone {
		problems = append(problems, errors.New("writer.acks 0 awaits no answer and cannot go with writer.idempotence"))
	}
	if c.DeliveryTimeout < 0 {
		problems = append(problems, errors.New("writer.delivery.timeout: must not be negative; 0 is none"))
	}
	if c.BlockTimeout < 0 {
		problems = append(problems, errors.New("writer.block.timeout: must not be negative; 0 is none"))
	}
	if c.BlockTimeout > 0 && c.FailWhenFull {
		problems = append(problems, errors.New("writer.block.timeout: a writer that fails when its memory is full does "+
			"not wait; give one of the two"))
	}
	if c.BufferMemory < 0 {
		problems = append(problems, errors.New("writer.buffer.memory: must not be negative; 0 is the default"))
	}
	return errors.Join(problems...)
}
