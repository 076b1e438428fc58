// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"time"

	"github.com/forebay-io/forebay"
)

// Hooks are callbacks for telemetry and for limiters. Any may be nil. An attempt is one send of a request: each Sent
// is followed by one Answered, and each request of which rows are left by one Settled.
//
// Blocking: they are called outside locks, on the goroutine that did the work; they must not wait and must not call
// the writer.
// Concurrency: goroutines of one writer call them at the same time.
type Hooks struct {
	// Sent is called before a request is handed to the backend.
	Sent func(SentEvent)
	// Answered is called for each answer of the target.
	Answered func(AnsweredEvent)
	// Retried is called when a request is to be sent again.
	Retried func(RetriedEvent)
	// Settled is called when the outcome of a request is known, or can no longer be known.
	Settled func(SettledEvent)
	// Moved is called when a tablet is looked up again because it moved.
	Moved func(MovedEvent)
	// Waited is called when an Append that found no memory goes on.
	Waited func(WaitedEvent)
}

// SentEvent is one attempt on its way.
type SentEvent struct {
	Table   string
	Tablet  int
	Rows    int
	Bytes   forebay.Bytes
	Attempt int // from 1
	// InFlight is the number of requests of the writer that wait for an answer, with this one.
	InFlight int
}

// AnsweredEvent is the answer to one attempt.
type AnsweredEvent struct {
	Table   string
	Tablet  int
	Rows    int
	Bytes   forebay.Bytes
	Attempt int
	Code    forebay.Code
	// Took is the time since the backend was given the request.
	Took time.Duration
	// RetryAfter and Pressure are the target's.
	RetryAfter time.Duration
	Pressure   int
	// InFlight is the number of requests of the writer that wait for an answer, without this one.
	InFlight int
}

// RetriedEvent is one more attempt to come.
type RetriedEvent struct {
	Table   string
	Tablet  int
	Attempt int // the one that failed, from 1
	Code    forebay.Code
	Wait    time.Duration
}

// SettledEvent is the end of a request.
type SettledEvent struct {
	Table    string
	Tablet   int
	Rows     int
	Bytes    forebay.Bytes
	Applied  Applied
	Rejected int // rows that can never be accepted; they are not applied, whatever Applied says
	// Code is that of the last answer; 0 where there was none.
	Code forebay.Code
	// Duplicate says that the target had applied it before.
	Duplicate bool
	Attempts  int
	// Took is the time since its first row was appended.
	Took time.Duration
}

// MovedEvent is a tablet that is looked up again.
type MovedEvent struct {
	Table  string
	Tablet int
}

// WaitedEvent is an Append that waited for memory.
type WaitedEvent struct {
	Bytes forebay.Bytes
	// Waiters is the number of those who still wait.
	Waiters int
	Took    time.Duration
	// Failed says that it got none.
	Failed bool
}

// Stats are the figures of a writer.
type Stats struct {
	// Rows and Requests are those that are not settled; InFlight the requests among them that wait for an answer,
	// Retrying those that will be sent again, Ready those that wait for their first send.
	Rows, Requests, InFlight, Retrying, Ready int
	// Locating is the number of tablets that are being looked up.
	Locating int
	// Used, Limit and Waiters are the memory's, which other writers may share.
	Used, Limit forebay.Bytes
	Waiters     int
	// Sends, Retries, Duplicates, Moves and Incarnations count since the writer was opened.
	Sends, Retries, Duplicates, Moves, Incarnations int64
	// Limiter is what bounds the requests of all tablets together.
	Limiter LimiterState
	// Tuning are the knobs as they are now, with defaults.
	Tuning Tuning
}
