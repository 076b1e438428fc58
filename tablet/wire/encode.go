// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The field numbers of tablet.proto in the messages that are written and read here.
const (
	requestWriterID  protowire.Number = 1
	requestSequence  protowire.Number = 2
	requestData      protowire.Number = 3
	requestID        protowire.Number = 4
	requestTableID   protowire.Number = 5
	requestPartition protowire.Number = 6
	requestTablet    protowire.Number = 7
	requestRecords   protowire.Number = 8
	requestAcks      protowire.Number = 9
	requestPartial   protowire.Number = 10
	requestExpires   protowire.Number = 11

	commitID       protowire.Number = 1
	commitOwner    protowire.Number = 2
	commitProgress protowire.Number = 3
	commitLetters  protowire.Number = 4
	commitRequests protowire.Number = 5

	rowsColumns protowire.Number = 1
	rowsRows    protowire.Number = 2
	rowsOffset  protowire.Number = 3
	rowsFound   protowire.Number = 4

	logColumns protowire.Number = 1
	logOffset  protowire.Number = 2
	logRows    protowire.Number = 3
	logOps     protowire.Number = 4
)

var errUTF8 = errors.New("a text field is not valid UTF-8")

// segments is a message while it is written: the bytes of its small fields, and between them stretches of rows that
// are not copied.
type segments struct {
	head []byte
	bulk []stretch
}

// stretch is rows that go behind the first bytes of head.
type stretch struct {
	behind int
	data   []byte
}

// headRoom is enough for the small fields of most messages.
const headRoom = 128

// buffers are the bytes of the message for gRPC. A lease learns when its rows are let go of.
func (s *segments) buffers(lease *Lease) mem.BufferSlice {
	out := make(mem.BufferSlice, 0, 2*len(s.bulk)+1)
	at := 0
	for i := range s.bulk {
		b := &s.bulk[i]
		out = append(out, mem.SliceBuffer(s.head[at:b.behind]))
		at = b.behind
		if lease == nil {
			out = append(out, mem.SliceBuffer(b.data))
			continue
		}
		lease.holders.Add(1)
		out = append(out, mem.NewBuffer(&b.data, lease))
	}
	if at < len(s.head) {
		out = append(out, mem.SliceBuffer(s.head[at:]))
	}
	return out
}

// rows adds a field of bytes that are handed over, unless they are so few that gRPC would not keep count of them.
func (s *segments) rows(number protowire.Number, data []byte) {
	if len(data) == 0 {
		return
	}
	s.head = protowire.AppendTag(s.head, number, protowire.BytesType)
	s.head = protowire.AppendVarint(s.head, uint64(len(data)))
	s.add(data)
}

func (s *segments) add(data []byte) {
	if mem.IsBelowBufferPoolingThreshold(len(data)) {
		s.head = append(s.head, data...)
		return
	}
	s.bulk = append(s.bulk, stretch{behind: len(s.head), data: data})
}

func (s *segments) writeRequest(m *WriteRequest) error {
	// WP1: the fields and their numbers are those of tablet.proto; the rows go behind their length.
	head, err := appendRequestHead(make([]byte, 0, headRoom), m)
	if err != nil {
		return err
	}
	s.head = head
	s.add(m.GetBatchData())
	return nil
}

// appendRequestHead appends all of a request but the bytes of its rows, which come next.
func appendRequestHead(b []byte, m *WriteRequest) ([]byte, error) {
	if !utf8.ValidString(m.GetWriterId()) || !utf8.ValidString(m.GetPartition()) {
		return nil, errUTF8
	}
	b = appendText(b, requestWriterID, m.GetWriterId())
	b = appendNumber(b, requestSequence, uint64(m.GetSequenceNum()))
	b = appendNumber(b, requestID, m.GetId())
	b = appendNumber(b, requestTableID, uint64(m.GetTableId()))
	b = appendText(b, requestPartition, m.GetPartition())
	b = appendNumber(b, requestTablet, uint64(m.GetTablet()))
	b = appendNumber(b, requestRecords, uint64(m.GetRecords()))
	b = appendNumber(b, requestAcks, uint64(m.GetAcks()))
	b = appendNumber(b, requestPartial, protowire.EncodeBool(m.GetPartial()))
	b = appendNumber(b, requestExpires, uint64(m.GetExpiresMs()))
	if n := len(m.GetBatchData()); n > 0 {
		b = protowire.AppendTag(b, requestData, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(n))
	}
	return b, nil
}

func (s *segments) commitRequest(m *CommitRequest) error {
	s.head = appendNumber(make([]byte, 0, headRoom*(1+len(m.GetRequests()))), commitID, m.GetId())
	var err error
	if m.GetOwner() != nil {
		s.message(commitOwner, m.GetOwner(), &err)
	}
	for _, p := range m.GetProgress() {
		s.message(commitProgress, p, &err)
	}
	for _, l := range m.GetDeadLetters() {
		s.message(commitLetters, l, &err)
	}
	var room [headRoom]byte
	for _, r := range m.GetRequests() {
		head, headErr := appendRequestHead(room[:0], r)
		err = errors.Join(err, headErr)
		s.head = protowire.AppendTag(s.head, commitRequests, protowire.BytesType)
		s.head = protowire.AppendVarint(s.head, uint64(len(head)+len(r.GetBatchData())))
		s.head = append(s.head, head...)
		s.add(r.GetBatchData())
	}
	return err
}

// message adds a field that is a small message.
func (s *segments) message(number protowire.Number, m proto.Message, problem *error) {
	s.head = protowire.AppendTag(s.head, number, protowire.BytesType)
	s.head = protowire.AppendVarint(s.head, uint64(proto.Size(m)))
	var err error
	if s.head, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(s.head, m); err != nil {
		*problem = errors.Join(*problem, err)
	}
}

func (s *segments) rowsAnswer(m *RowsAnswer) error {
	s.head = make([]byte, 0, headRoom)
	var err error
	for _, c := range m.GetColumns() {
		s.message(rowsColumns, c, &err)
	}
	s.head = appendNumber(s.head, rowsOffset, uint64(m.GetOffset()))
	if len(m.GetFound()) > 0 {
		var list []byte
		for _, i := range m.GetFound() {
			list = protowire.AppendVarint(list, uint64(i))
		}
		s.head = protowire.AppendTag(s.head, rowsFound, protowire.BytesType)
		s.head = protowire.AppendBytes(s.head, list)
	}
	s.rows(rowsRows, m.GetRows())
	return err
}

func (s *segments) logAnswer(m *LogAnswer) error {
	s.head = make([]byte, 0, headRoom)
	var err error
	for _, c := range m.GetColumns() {
		s.message(logColumns, c, &err)
	}
	s.head = appendNumber(s.head, logOffset, uint64(m.GetOffset()))
	s.rows(logOps, m.GetOps())
	s.rows(logRows, m.GetRows())
	return err
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendNumber(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}
