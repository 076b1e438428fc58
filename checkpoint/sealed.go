// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/forebay-io/forebay/internal/store"
)

// Sealed values are what a sink knows and nobody else reads: a version, a checksum of the key and of what follows
// (CRC-32C, big-endian), and the bytes of the sink. A value that was damaged, or belongs to another key, or is of
// another program, is refused.
const (
	sealVersion = 2 // version 1 was JSON, which begins with a brace
	sealSize    = 1 + 4
)

func sealSum(key, data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, data)
}

func setSealed(b *store.Batch, key, data []byte) error {
	op := b.SetDeferred(len(key), sealSize+len(data))
	copy(op.Key, key)
	op.Value[0] = sealVersion
	binary.BigEndian.PutUint32(op.Value[1:], sealSum(key, data))
	copy(op.Value[sealSize:], data)
	return op.Finish()
}

// unseal is the data of a value, in its memory.
func unseal(key, value []byte) ([]byte, error) {
	switch {
	case len(value) < sealSize:
		return nil, fmt.Errorf("%d bytes are less than any value has", len(value))
	case value[0] != sealVersion:
		return nil, fmt.Errorf("version %d, this program knows %d", value[0], sealVersion)
	case binary.BigEndian.Uint32(value[1:]) != sealSum(key, value[sealSize:]):
		return nil, errors.New("its checksum is wrong")
	}
	return value[sealSize:], nil
}

func (s *Store) getSealed(key []byte) (data []byte, found bool, err error) {
	value, err := s.store.Get(nil, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, storeError("read checkpoint", err)
	}
	if data, err = unseal(key, value); err != nil {
		return nil, false, corrupt("read checkpoint", fmt.Errorf("value of %q: %w", key, err))
	}
	return data, true, nil
}

// move is what a checkpoint did to one id: what it commits of it, and what was held before.
type move struct {
	ID      string
	Commits bool
	Data    []byte // of the committable
	WasHeld bool
	Before  []byte
}

// The flags of a move.
const (
	moveCommits = 1 << iota
	moveWasHeld
)

// encode makes: flags, id and data with their lengths, and Before.
func (m move) encode() []byte {
	out := make([]byte, 0, 1+2*binary.MaxVarintLen32+len(m.ID)+len(m.Data)+len(m.Before))
	flags := byte(0)
	if m.Commits {
		flags |= moveCommits
	}
	if m.WasHeld {
		flags |= moveWasHeld
	}
	out = append(out, flags)
	out = append(binary.AppendUvarint(out, uint64(len(m.ID))), m.ID...)
	out = append(binary.AppendUvarint(out, uint64(len(m.Data))), m.Data...)
	return append(out, m.Before...)
}

var errMove = errors.New("it is not what a checkpoint writes")

// decodeMove reads what encode made. The result lies in data.
func decodeMove(data []byte) (move, error) {
	var m move
	if len(data) == 0 || data[0] > moveCommits|moveWasHeld {
		return m, errMove
	}
	m.Commits, m.WasHeld = data[0]&moveCommits != 0, data[0]&moveWasHeld != 0
	id, rest, ok := cutSized(data[1:])
	if !ok || len(id) == 0 {
		return m, errMove
	}
	m.ID = string(id)
	if m.Data, rest, ok = cutSized(rest); !ok {
		return m, errMove
	}
	if m.WasHeld {
		m.Before = rest
	} else if len(rest) > 0 {
		return m, errMove
	}
	if !m.Commits && len(m.Data) > 0 {
		return m, errMove
	}
	return m, nil
}

// cutSized takes a length and so many bytes off data.
func cutSized(data []byte) (cut, rest []byte, ok bool) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return data[n:end:end], data[end:], true
}
