// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"context"
	"time"
)

// Acks says when a request is answered.
type Acks uint8

// When a request is answered.
const (
	// AcksAll answers when the rows are synced to disk.
	AcksAll Acks = iota
	// AcksOne answers when the rows are in the log, before they are synced.
	AcksOne
	// AcksNone awaits no answer.
	AcksNone
)

// Request is rows for one tablet.
type Request struct {
	Table string
	// TableID is the id that the table must have, so that one that was dropped and made again takes nothing that was
	// meant for the other; 0 is any.
	TableID uint32
	// Tablet is a number that the backend's encoder gave.
	Tablet int
	// WriterID and Sequence let the target drop a repeat. A request inside a Commit has neither.
	WriterID string
	Sequence int64
	Acks     Acks
	// Partial applies the rows that can be applied and reports the others, instead of nothing.
	Partial bool
	// Expires is when the target must not apply it any more; zero is never.
	Expires time.Time
	// Records is the number of rows in Data.
	Records int
	// Data is what the backend's Encoder made.
	Data []byte
}

// Code is the target's answer to a request.
type Code int

// The codes that a target answers with.
const (
	CodeOK            Code = 200
	CodeNotLeader     Code = 302
	CodeMalformed     Code = 400
	CodeUnauthorized  Code = 401
	CodeForbidden     Code = 403
	CodeNotFound      Code = 404
	CodeTimeout       Code = 408
	CodeDuplicate     Code = 409
	CodeUnknownWriter Code = 410
	CodeFenced        Code = 412
	CodeTooLarge      Code = 413
	CodeRowsRejected  Code = 422
	CodeSequenceGap   Code = 425
	CodeOverload      Code = 429
	CodeServerError   Code = 500
	CodeDiskFull      Code = 507
	codeClassUnlisted      = ClassAmbiguous
)

// Class says what the caller of a request with this answer is to do. CodeOK has no class and must be
// checked first.
func (c Code) Class() Class {
	switch c {
	case CodeNotLeader:
		return ClassMoved
	case CodeMalformed, CodeUnauthorized, CodeForbidden, CodeNotFound:
		return ClassMisconfigured
	case CodeDuplicate, CodeOK:
		return ClassDuplicate
	case CodeFenced:
		return ClassFenced
	case CodeTooLarge:
		return ClassTooLarge
	case CodeRowsRejected:
		return ClassRejected
	case CodeSequenceGap, CodeDiskFull:
		return ClassTransient
	case CodeOverload:
		return ClassThrottled
	default:
		return codeClassUnlisted
	}
}

// Answer is a target's answer to a Request or a Commit.
type Answer struct {
	Code    Code
	Message string
	// Class overrides the code's class where the target knows better, such as corrupt for a poisoned store;
	// it counts only with CodeServerError.
	Class Class
	// Leader is where the tablet lives, with CodeNotLeader.
	Leader     string
	RetryAfter time.Duration
	// Rows are the rows that were refused, with CodeRowsRejected.
	Rows []RowError
	// Offset is that of the request's first row in the tablet's log.
	Offset int64
	// Progress is what is stored of the splits concerned, with CodeSequenceGap for a Commit.
	Progress []SplitProgress
	// Pressure is how full the target's queues are, from 0 to 100, where it says so.
	Pressure int
}

// RowError is one refused row of a request, or of a Commit's request.
type RowError struct {
	Request int
	Row     int
	Code    string
	Reason  string
}

// Err is the answer as an error, nil for CodeOK and CodeDuplicate.
func (a Answer) Err(op string) error {
	if a.Code == CodeOK || a.Code == CodeDuplicate {
		return nil
	}
	class := a.Code.Class()
	if a.Code == CodeServerError {
		class = a.Class
	}
	e := Errorf(op, class, "%s", a.Message)
	e.RetryAfter = a.RetryAfter
	for _, row := range a.Rows {
		e.Records = append(e.Records, RecordError{
			Index: row.Row, Code: row.Code, Err: Errorf(op, ClassRejected, "%s", row.Reason),
		})
	}
	return e
}

// Commit is everything that a lane delivers in one transaction: the rows for all tablets, the dead letters
// and the progress that covers both.
type Commit struct {
	Owner Owner
	// Lane is the lane's number in its run. Commits of a lane are applied in their order.
	Lane int
	// Progress is empty for a lane that runs without exactly-once.
	Progress    []SplitProgress
	Requests    []Request
	DeadLetters []DeadLetter
}

// Encoder turns the records of batches with one layout into the data of requests. The caller keeps the
// data; the encoder keeps only what the last Route found out.
//
// Concurrency: one goroutine at a time.
type Encoder interface {
	// Route finds the tablet of record i: a number that stays the same while the backend lives, and that is
	// below the next one. An error is about this record alone and of class rejected.
	Route(b *Batch, i int) (tablet int, err error)
	// Append adds the record that was routed last to a request's data.
	Append(data []byte) []byte
	// Open starts a request's data in an empty buffer.
	Open(data []byte) []byte
	// Seal completes a request's data; nothing is appended afterwards.
	Seal(data []byte, records int) []byte
	// Cut adds to an empty buffer a request with some of the rows of a sealed one, which stays as it is, and completes
	// it. Rows are numbered from 0. It leaves what the last Route found out.
	Cut(dst, sealed []byte, keep func(row int) bool) []byte
}

// Backend is what the writer sends requests through.
//
// Concurrency: safe. It does not batch and does not retry.
type Backend interface {
	// Encoder makes the encoder for batches of a layout.
	//
	// Errors: misconfigured where the layout does not fit the table.
	Encoder(layout *Layout) (Encoder, error)
	// InitWriter returns a writer id that no writer ever had.
	InitWriter(ctx context.Context) (string, error)
	// Send hands one request over. Requests of one tablet reach the target in the order of the calls. done is
	// called once with the answer, from any goroutine and possibly before Send returns; after ctx has ended it is
	// called soon. A request that certainly never left, such as over a refused connection, is CodeNotLeader.
	//
	// Blocking: while the target's connection takes nothing, until ctx ends.
	// Ownership: the request's data belongs to the backend until done is called.
	Send(ctx context.Context, r *Request, done func(Answer))
	// Tablets describes where requests go.
	Tablets() BackendInfo
}

// RequestSender is the part of a Backend that sends.
type RequestSender interface {
	Send(ctx context.Context, r *Request, done func(Answer))
}

// Await sends one request and waits for its answer.
func Await(ctx context.Context, to RequestSender, r *Request) Answer {
	answered := make(chan Answer, 1)
	to.Send(ctx, r, func(a Answer) { answered <- a })
	return <-answered
}

// Locator is a backend whose tablets may have to be found or made before requests go to them: a partition
// that does not exist, a leader that moved.
//
// Concurrency: safe. Several callers that ask for one tablet cause one look-up.
type Locator interface {
	// Locate returns once requests for the tablet can be sent. After CodeNotLeader or CodeSequenceGap the writer
	// asks again with refresh.
	//
	// Errors: misconfigured where the tablet cannot exist, such as above the limit of partitions; others pass.
	Locate(ctx context.Context, tablet int, refresh bool) error
	// InTable is the number that the tablet has in the table, which is what users see: the encoder's numbers are those
	// of one backend where the table has partitions. It is false before the tablet was located.
	InTable(tablet int) (number int, located bool)
}

// BackendInfo names the table of a backend and the number of its tablets.
type BackendInfo struct {
	Table string
	// Tablets is their number now; it grows with partitions.
	Tablets int
	Keyed   bool
	// Network says that requests travel over a network, so that how long their answers take says how many to send.
	Network bool
}
