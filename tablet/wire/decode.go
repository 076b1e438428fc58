// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

var errField = errors.New("a field has an impossible number")

// field is one field of a message: a number, or bytes that are part of the message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64
	bytes  []byte
}

// eachField calls use for every field of the two kinds that the messages here have. Those of other kinds are nobody's
// and are passed over, as those with other numbers are by use: a newer program may send them.
func eachField(data []byte, use func(f field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return errField
		}
		data = data[n:]
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := use(f); err != nil {
			return err
		}
	}
	return nil
}

func (f field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// text sets a field of text.
func (f field) text(to *string) error {
	if !utf8.Valid(f.bytes) {
		return errUTF8
	}
	*to = string(f.bytes)
	return nil
}

// merge reads a field that is a message into m, which may hold an earlier part of it.
func (f field) merge(m proto.Message) error {
	return proto.UnmarshalOptions{Merge: true}.Unmarshal(f.bytes, m)
}

func decodeWriteRequest(data []byte, m *WriteRequest) error {
	return eachField(data, func(f field) error {
		switch f.kind {
		case protowire.VarintType:
			m.setNumber(f)
		case protowire.BytesType:
			switch f.number {
			case requestWriterID:
				return f.text(&m.WriterId)
			case requestPartition:
				return f.text(&m.Partition)
			case requestData:
				m.BatchData = f.bytes
			default: // a newer program's
			}
		default:
		}
		return nil
	})
}

func (x *WriteRequest) setNumber(f field) {
	switch f.number {
	case requestSequence:
		x.SequenceNum = int64(f.value)
	case requestID:
		x.Id = f.value
	case requestTableID:
		x.TableId = uint32(f.value)
	case requestTablet:
		x.Tablet = uint32(f.value)
	case requestRecords:
		x.Records = uint32(f.value)
	case requestAcks:
		x.Acks = Acks(int32(f.value))
	case requestPartial:
		x.Partial = protowire.DecodeBool(f.value)
	case requestExpires:
		x.ExpiresMs = uint32(f.value)
	default: // a newer program's
	}
}

func decodeCommitRequest(data []byte, m *CommitRequest) error {
	return eachField(data, func(f field) error {
		if f.is(commitID, protowire.VarintType) {
			m.Id = f.value
		}
		if f.kind != protowire.BytesType {
			return nil
		}
		switch f.number {
		case commitOwner:
			if m.Owner == nil {
				m.Owner = &Owner{}
			}
			return f.merge(m.GetOwner())
		case commitProgress:
			p := &SplitProgress{}
			m.Progress = append(m.Progress, p)
			return f.merge(p)
		case commitLetters:
			l := &DeadLetter{}
			m.DeadLetters = append(m.DeadLetters, l)
			return f.merge(l)
		case commitRequests:
			r := &WriteRequest{}
			m.Requests = append(m.Requests, r)
			return decodeWriteRequest(f.bytes, r)
		default: // a newer program's
			return nil
		}
	})
}

func decodeRowsAnswer(data []byte, m *RowsAnswer) error {
	return eachField(data, func(f field) error {
		switch {
		case f.is(rowsColumns, protowire.BytesType):
			c := &Column{}
			m.Columns = append(m.Columns, c)
			return f.merge(c)
		case f.is(rowsRows, protowire.BytesType):
			m.Rows = f.bytes
		case f.is(rowsOffset, protowire.VarintType):
			m.Offset = int64(f.value)
		case f.is(rowsFound, protowire.VarintType):
			m.Found = append(m.Found, uint32(f.value))
		case f.is(rowsFound, protowire.BytesType):
			for list := f.bytes; len(list) > 0; {
				v, n := protowire.ConsumeVarint(list)
				if n < 0 {
					return protowire.ParseError(n)
				}
				m.Found, list = append(m.Found, uint32(v)), list[n:]
			}
		}
		return nil
	})
}

func decodeLogAnswer(data []byte, m *LogAnswer) error {
	return eachField(data, func(f field) error {
		switch {
		case f.is(logColumns, protowire.BytesType):
			c := &Column{}
			m.Columns = append(m.Columns, c)
			return f.merge(c)
		case f.is(logOffset, protowire.VarintType):
			m.Offset = int64(f.value)
		case f.is(logRows, protowire.BytesType):
			m.Rows = f.bytes
		case f.is(logOps, protowire.BytesType):
			m.Ops = f.bytes
		}
		return nil
	})
}
