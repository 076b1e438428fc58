// SPDX-License-Identifier: Apache-2.0

package part

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// Record is a part as a committable holds it: what its writer and what its medium know.
type Record struct {
	Name Name
	// State is the medium's; nil for something that was found, or opened, and never persisted.
	State []byte
	// Held is set while the part goes on.
	Held *Progress
}

// Progress is what the writer of a part needs to go on with it.
type Progress struct {
	// Created is kept to the microsecond.
	Created time.Time
	// Bytes counts the records before the compression, with the header.
	Bytes forebay.Bytes
	// Shape is a checksum of what else decides how the part goes on: header, format, compression.
	Shape uint64
}

// recordVersion is that of the bytes in a committable. Version 1 was JSON, which begins with a brace.
const recordVersion = 2

// The flags of a record.
const (
	recordHasState = 1 << iota
	recordIsHeld
)

// Encode makes the committable of a part. Its id is the name of the file. A checkpoint can hold tens of thousands, so
// that they are short: version, flags, the bucket with its length; of a held part the time in microseconds, the bytes
// and the shape; then the state.
func Encode(r Record) forebay.Committable {
	const most = 2 + 3*binary.MaxVarintLen64 + 8
	out := append(make([]byte, 0, most+len(r.Name.Bucket)+len(r.State)), recordVersion, 0)
	out = append(binary.AppendUvarint(out, uint64(len(r.Name.Bucket))), r.Name.Bucket...)
	if r.Held != nil {
		out[1] |= recordIsHeld
		out = binary.AppendVarint(out, r.Held.Created.UnixMicro())
		out = binary.AppendUvarint(out, uint64(r.Held.Bytes))
		out = binary.BigEndian.AppendUint64(out, r.Held.Shape)
	}
	if r.State != nil {
		out[1] |= recordHasState
		out = append(out, r.State...)
	}
	return forebay.Committable{ID: r.Name.File, Data: out}
}

var errRecord = errors.New("its bytes are damaged")

// Decode reads what Encode made. The state lies in the committable's memory.
//
// Errors: corrupt.
func Decode(c forebay.Committable) (Record, error) {
	r := Record{Name: Name{File: c.ID}}
	err := r.decode(c.Data)
	if err == nil && c.ID == "" {
		err = errors.New("it does not have the name of its file")
	}
	if err != nil {
		err = forebay.Errorf("read the state of part "+c.ID, forebay.ClassCorrupt, "%w", err)
	}
	return r, err
}

func (r *Record) decode(data []byte) error {
	if len(data) < 2 {
		return errRecord
	}
	version, flags := data[0], data[1]
	if version != recordVersion {
		return fmt.Errorf("its version is %d, and this program knows %d", version, recordVersion)
	}
	size, n := binary.Uvarint(data[2:])
	data = data[2+max(n, 0):]
	if n <= 0 || size > uint64(len(data)) || flags&^(recordHasState|recordIsHeld) != 0 {
		return errRecord
	}
	r.Name.Bucket, data = string(data[:size]), data[size:]
	if flags&recordIsHeld != 0 {
		created, n := binary.Varint(data)
		if n <= 0 {
			return errRecord
		}
		bytes, m := binary.Uvarint(data[n:])
		if m <= 0 || int64(bytes) < 0 || len(data) < n+m+8 {
			return errRecord
		}
		r.Held = &Progress{
			Created: time.UnixMicro(created), Bytes: forebay.Bytes(bytes), Shape: binary.BigEndian.Uint64(data[n+m:]),
		}
		data = data[n+m+8:]
	}
	switch {
	case flags&recordHasState != 0:
		r.State = slices.Clip(data)
	case len(data) > 0:
		return errRecord
	}
	return nil
}
