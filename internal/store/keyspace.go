// SPDX-License-Identifier: Apache-2.0

package store

import "encoding/binary"

// The first byte of every key says whose it is. The numbers are on disk: they are never reused or renumbered.
const (
	// SpaceCatalogue holds tables, their schemas, partitions and tablets.
	SpaceCatalogue byte = 0x10
	// SpaceTabletMeta holds what a tablet knows of itself: the refused rows of the requests that it remembers.
	SpaceTabletMeta byte = 0x18
	// SpaceRows holds the rows of key tables: tablet, encoded key.
	SpaceRows byte = 0x20
	// SpaceLog holds change logs and log tables: tablet, offset; the value is a whole encoded row batch.
	SpaceLog byte = 0x28
	// SpaceDedup holds the last sequences of every writer: tablet, writer id.
	SpaceDedup byte = 0x30
	// SpaceProgress holds epoch, holder and, per split, version and position of a pipeline.
	SpaceProgress byte = 0x38
	// SpaceCheckpoint holds checkpoints and what they prepared.
	SpaceCheckpoint byte = 0x40
	// SpaceStaging holds the chunks of the staging log.
	SpaceStaging byte = 0x48
)

// AppendUint32 appends v big-endian, so that bytes sort as numbers.
func AppendUint32(key []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(key, v) }

// AppendUint64 appends v big-endian, so that bytes sort as numbers.
func AppendUint64(key []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(key, v) }

// AppendString appends a length of two bytes and the text: a field that another one follows without either
// reaching into the other. Keys with such a field sort by length first. Texts longer than 65535 bytes panic.
func AppendString(key []byte, text string) []byte {
	if len(text) > 1<<16-1 {
		panic("store: text in a key is longer than 65535 bytes")
	}
	key = binary.BigEndian.AppendUint16(key, uint16(len(text)))
	return append(key, text...)
}

// PrefixEnd returns the first key that does not start with prefix, or nil if there is none: the upper bound of a
// scan over prefix.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
