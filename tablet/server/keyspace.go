// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"

	"github.com/forebay-io/forebay/internal/store"
)

// Kinds of entry in the catalogue.
const (
	catalogueTables = 0x01 // name -> descriptor
	catalogueNextID = 0x02 // -> the next table id
	// cataloguePartitions: table id, index -> name of the partition
	cataloguePartitions = 0x03
)

// Kinds of entry of a pipeline in the progress space.
const (
	progressFence = 0x01 // -> fence record
	progressSplit = 0x02 // split -> split record
)

// tabletPrefixSize is the space, the table id and the tablet that the keys of a tablet begin with.
const tabletPrefixSize = 1 + 4 + 2

func catalogueTableKey(name string) []byte {
	return append([]byte{store.SpaceCatalogue, catalogueTables}, name...)
}

func catalogueNextIDKey() []byte { return []byte{store.SpaceCatalogue, catalogueNextID} }

// partitionKey is where the name of a table's partition stands.
func partitionKey(table, index uint32) []byte {
	return store.AppendUint32(partitionPrefix(table), index)
}

// partitionPrefix begins the keys of a table's partitions.
func partitionPrefix(table uint32) []byte {
	return store.AppendUint32([]byte{store.SpaceCatalogue, cataloguePartitions}, table)
}

func appendTabletPrefix(key []byte, space byte, at place) []byte {
	key = append(key, space)
	key = store.AppendUint32(key, at.table)
	return binary.BigEndian.AppendUint16(key, at.tablet)
}

// place names a tablet of this server.
type place struct {
	table  uint32
	tablet uint16
}

// compare orders places by table, then tablet: the order in which their locks are taken.
func (p place) compare(other place) int {
	switch {
	case p.table != other.table && p.table < other.table:
		return -1
	case p.table != other.table:
		return 1
	default:
		return int(p.tablet) - int(other.tablet)
	}
}

// tabletRange is where the keys of a tablet in a space lie.
func tabletRange(space byte, at place) (lower, upper []byte) {
	lower = appendTabletPrefix(nil, space, at)
	return lower, store.PrefixEnd(lower)
}

// tableRange is where the keys of all tablets of a table in a space lie.
func tableRange(space byte, table uint32) (lower, upper []byte) {
	lower = store.AppendUint32([]byte{space}, table)
	return lower, store.PrefixEnd(lower)
}

func appendLogKey(key []byte, at place, offset int64) []byte {
	return store.AppendUint64(appendTabletPrefix(key, store.SpaceLog, at), uint64(offset))
}

// logOffset is the offset in a key of the log.
func logOffset(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[tabletPrefixSize:])) }

func appendDedupKey(key []byte, at place, writerID string) []byte {
	return append(appendTabletPrefix(key, store.SpaceDedup, at), writerID...)
}

// appendWriterPrefix begins the keys of a writer in the tablet's meta space.
func appendWriterPrefix(key []byte, at place, writerID string) []byte {
	return store.AppendString(appendTabletPrefix(key, store.SpaceTabletMeta, at), writerID)
}

// appendRefusedKey is where the refused rows of a remembered request stand.
func appendRefusedKey(key []byte, at place, id requestID) []byte {
	return append(appendWriterPrefix(key, at, id.writer), byte(id.sequence%rememberedMax))
}

func appendPipelinePrefix(key []byte, pipeline string, kind byte) []byte {
	return append(store.AppendString(append(key, store.SpaceProgress), pipeline), kind)
}

func pipelineRange(pipeline string) (lower, upper []byte) {
	lower = store.AppendString([]byte{store.SpaceProgress}, pipeline)
	return lower, store.PrefixEnd(lower)
}
