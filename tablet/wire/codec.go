// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// Codec is the codec of all calls, for grpc.ForceCodecV2 and grpc.ForceServerCodecV2. Its bytes are those of protobuf.
// The rows of WriteRequest, CommitRequest, RowsAnswer and LogAnswer are handed over as they lie in memory, and those
// that come are parts of one buffer that holds the whole message.
//
// Concurrency: safe.
// Ownership: rows that are sent without a Lease belong to gRPC from then on.
type Codec struct {
	// Pool is where received messages lie; nil is gRPC's own pool.
	Pool mem.BufferPool
}

var _ encoding.CodecV2 = Codec{}

// Name is that of gRPC's own codec for protobuf, so that clients of any language understand the answers.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	lease, leased := v.(*Lease)
	if leased {
		v = lease.message
	}
	var out segments
	var err error
	switch m := v.(type) {
	case *WriteRequest:
		err = out.writeRequest(m)
	case *CommitRequest:
		err = out.commitRequest(m)
	case *RowsAnswer:
		err = out.rowsAnswer(m)
	case *LogAnswer:
		err = out.logAnswer(m)
	case proto.Message:
		out.head, err = proto.Marshal(m)
	default:
		err = fmt.Errorf("%T is no message", v)
	}
	if err != nil {
		return nil, err
	}
	return out.buffers(lease), nil
}

// Unmarshal implements encoding.CodecV2. It never panics, whatever the bytes are.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if loan, ok := v.(*Loan); ok {
		loan.Free()
		buffer := data.MaterializeToBuffer(c.pool())
		if err := decode(buffer.ReadOnlyData(), loan.Message); err != nil {
			buffer.Free()
			return err
		}
		loan.buffer = buffer
		return nil
	}
	switch v.(type) {
	case *WriteRequest, *CommitRequest, *RowsAnswer, *LogAnswer:
		return decode(data.Materialize(), v) // the message keeps these bytes
	default:
		buffer := data.MaterializeToBuffer(c.pool())
		defer buffer.Free()
		return decode(buffer.ReadOnlyData(), v)
	}
}

func (c Codec) pool() mem.BufferPool {
	if c.Pool == nil {
		return mem.DefaultBufferPool()
	}
	return c.Pool
}

// decode reads one message. WP2: every length is checked against what is left of data. The rows of those that have any
// are parts of data.
func decode(data []byte, v any) error {
	switch m := v.(type) {
	case *WriteRequest:
		m.Reset()
		return decodeWriteRequest(data, m)
	case *CommitRequest:
		m.Reset()
		return decodeCommitRequest(data, m)
	case *RowsAnswer:
		m.Reset()
		return decodeRowsAnswer(data, m)
	case *LogAnswer:
		m.Reset()
		return decodeLogAnswer(data, m)
	case proto.Message:
		return proto.Unmarshal(data, m)
	default:
		return fmt.Errorf("%T is no message", v)
	}
}

// Lease is a message to send whose rows stay the sender's: it learns when gRPC has let go of them. A Lease is sent
// once, with SendMsg.
//
// Concurrency: released is called from any goroutine, also one of gRPC's, where it must not wait.
type Lease struct {
	message  proto.Message
	released func()
	holders  atomic.Int32
}

var _ mem.BufferPool = (*Lease)(nil)

// Lend makes a message ready to be sent. released is called once: after End was called and gRPC reads the rows no
// more. gRPC forgets to say so of what it still holds when a connection dies.
func Lend(message proto.Message, released func()) *Lease {
	l := &Lease{message: message, released: released}
	l.holders.Store(1)
	return l
}

// End says that SendMsg has returned, or will not be called.
func (l *Lease) End() { l.drop() }

func (l *Lease) drop() {
	// WP3: the sender holds one reference until End, and each stretch of rows one until gRPC has dropped its last.
	if l.holders.Add(-1) == 0 {
		l.released()
	}
}

// Get implements mem.BufferPool for gRPC, which copies into such a pool nothing that it was lent.
func (l *Lease) Get(length int) *[]byte {
	l.holders.Add(1)
	data := make([]byte, length)
	return &data
}

// Put implements mem.BufferPool: gRPC has dropped its last reference to one stretch of rows.
func (l *Lease) Put(*[]byte) { l.drop() }

// Loan is a message to receive with RecvMsg whose rows lie in memory that is used again.
//
// Concurrency: one goroutine at a time.
// Ownership: rows of the message must not be read after Free.
type Loan struct {
	// Message is what is received, empty.
	Message proto.Message

	buffer mem.Buffer
}

// Free gives the memory back. It may be called again, and a Loan may then receive again.
func (l *Loan) Free() {
	if l.buffer != nil {
		l.buffer.Free()
		l.buffer = nil
	}
}
