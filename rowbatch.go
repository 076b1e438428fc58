// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// The rows of one request as bytes, as docs/formats/rowbatch.md draws them.

// RowBatchHeaderSize is the size of a row batch's header.
const RowBatchHeaderSize = 28

const (
	rowBatchVersion = 1
	rowBatchKeyed   = 1 << 0 // the rows carry op and key

	rowBatchFlagsAt    = 1
	rowBatchReservedAt = 2
	rowBatchSchemaAt   = 4
	rowBatchRecordsAt  = 8
	rowBatchTimeAt     = 12
	rowBatchBodyAt     = 20
	rowBatchCRCAt      = 24
)

// RowBatchBytesMax bounds a row batch, with its header.
const RowBatchBytesMax = 1 * GiB

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendRowBatchHeader begins a row batch. Append the rows after it, then seal the whole. With keyed, each
// row is what AppendRowKey appends, then what RowEncoder.AppendSized appends; else only the latter.
func AppendRowBatchHeader(dst []byte, keyed bool) []byte {
	var header [RowBatchHeaderSize]byte
	header[0] = rowBatchVersion
	if keyed {
		header[rowBatchFlagsAt] = rowBatchKeyed
	}
	return append(dst, header[:]...)
}

// AppendRowKey appends what stands before each row of a keyed batch: its op and its encoded key.
func AppendRowKey(dst []byte, op Op, key []byte) []byte {
	dst = append(dst, byte(op))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return append(dst, key...)
}

// AppendSizedRow appends an encoded row, or none for a delete, with its size before it.
func AppendSizedRow(dst, row []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(row)))
	return append(dst, row...)
}

// SealRowBatch completes the header of data, which begins with what AppendRowBatchHeader appended and ends
// with the last row: the schema that the rows are written under, the number of rows, a time in microseconds
// since 1970-01-01T00:00:00Z, and the checksum. It may be called again with other values.
//
// Limits: data has RowBatchBytesMax bytes at most; more is a bug in the caller and panics.
func SealRowBatch(data []byte, schemaID uint32, records int, time int64) []byte {
	if len(data) > int(RowBatchBytesMax) || records < 0 || records > math.MaxUint32 {
		panic("a row batch is above its limits")
	}
	binary.LittleEndian.PutUint32(data[rowBatchSchemaAt:], schemaID)
	binary.LittleEndian.PutUint32(data[rowBatchRecordsAt:], uint32(records))
	binary.LittleEndian.PutUint64(data[rowBatchTimeAt:], uint64(time))
	binary.LittleEndian.PutUint32(data[rowBatchBodyAt:], uint32(len(data)-RowBatchHeaderSize))
	binary.LittleEndian.PutUint32(data[rowBatchCRCAt:], rowBatchChecksum(data))
	return data
}

// rowBatchChecksum is the CRC-32C of the batch with zeros in place of the checksum.
func rowBatchChecksum(data []byte) uint32 {
	var zeros [RowBatchHeaderSize - rowBatchCRCAt]byte
	sum := crc32.Update(0, castagnoli, data[:rowBatchCRCAt])
	sum = crc32.Update(sum, castagnoli, zeros[:])
	return crc32.Update(sum, castagnoli, data[RowBatchHeaderSize:])
}

// RowBatch is a row batch whose size and checksum were verified. It is a view of its bytes.
//
// Concurrency: safe as long as nobody changes the bytes.
type RowBatch struct {
	data []byte
}

// OpenRowBatch verifies the header, the size and the checksum. The rows are checked while they are read.
//
// Errors: corrupt; a newer version is misconfigured.
//
// Ownership: the batch reads data for as long as it is used.
func OpenRowBatch(data []byte) (RowBatch, error) {
	if len(data) < RowBatchHeaderSize {
		return RowBatch{}, corruptRowBatch("%d bytes are fewer than a header of %d", len(data), RowBatchHeaderSize)
	}
	if len(data) > int(RowBatchBytesMax) {
		return RowBatch{}, corruptRowBatch("%d bytes are more than %d", len(data), RowBatchBytesMax)
	}
	if data[0] != rowBatchVersion {
		err := Errorf("open row batch", ClassMisconfigured, "it has version %d and this program reads version %d",
			data[0], rowBatchVersion)
		err.Cure = "use a program of at least the version that wrote it"
		return RowBatch{}, err
	}
	if want, have := rowBatchChecksum(data), binary.LittleEndian.Uint32(data[rowBatchCRCAt:]); want != have {
		return RowBatch{}, corruptRowBatch("the checksum is %08x and the bytes give %08x", have, want)
	}
	b := RowBatch{data: data}
	body := len(data) - RowBatchHeaderSize
	switch {
	case data[rowBatchFlagsAt]&^rowBatchKeyed != 0 || binary.LittleEndian.Uint16(data[rowBatchReservedAt:]) != 0:
		return RowBatch{}, corruptRowBatch("reserved bits of the header are set")
	case binary.LittleEndian.Uint32(data[rowBatchBodyAt:]) != uint32(body):
		return RowBatch{}, corruptRowBatch("the header says %d bytes of rows and there are %d",
			binary.LittleEndian.Uint32(data[rowBatchBodyAt:]), body)
	case b.Records() > body:
		return RowBatch{}, corruptRowBatch("%d rows cannot lie in %d bytes", b.Records(), body)
	}
	return b, nil
}

func corruptRowBatch(format string, args ...any) error {
	return Errorf("open row batch", ClassCorrupt, format, args...)
}

// Keyed reports whether the rows carry op and key.
func (b RowBatch) Keyed() bool { return b.data[rowBatchFlagsAt]&rowBatchKeyed != 0 }

// SchemaID names the schema that the rows were written under.
func (b RowBatch) SchemaID() uint32 { return binary.LittleEndian.Uint32(b.data[rowBatchSchemaAt:]) }

// Records is the number of rows.
func (b RowBatch) Records() int { return int(binary.LittleEndian.Uint32(b.data[rowBatchRecordsAt:])) }

// Time is the time that the batch was sealed with.
func (b RowBatch) Time() int64 { return int64(binary.LittleEndian.Uint64(b.data[rowBatchTimeAt:])) }

// Checksum is the CRC-32C of the batch.
func (b RowBatch) Checksum() uint32 { return binary.LittleEndian.Uint32(b.data[rowBatchCRCAt:]) }

// Data is the whole batch with its header, the slab that Span points into.
func (b RowBatch) Data() []byte { return b.data }

// Rows begins to read the rows.
func (b RowBatch) Rows() RowIterator {
	return RowIterator{data: b.data, keyed: b.Keyed(), at: RowBatchHeaderSize}
}

// RowIterator reads the rows of a batch in order:
//
//	for rows := batch.Rows(); ; {
//		if !rows.Next() {
//			return rows.Err()
//		}
//		use(rows.Op(), rows.Key(), rows.Row())
//	}
//
// Ownership: what it returns are parts of the batch.
type RowIterator struct {
	data             []byte
	at               int
	keyStart, keyEnd int
	rowStart         int
	read             int
	op               Op
	keyed            bool
	err              error
}

// Next goes to the next row; false at the end, or where the bytes are wrong: Err tells which.
func (it *RowIterator) Next() bool {
	if it.at == len(it.data) {
		if want := (RowBatch{data: it.data}).Records(); it.read != want && it.err == nil {
			it.err = corruptRows("the header says %d rows and there are %d", want, it.read)
		}
		return false
	}
	at := it.at
	if it.keyed {
		if it.op = Op(it.data[at]); it.op > OpUpdate {
			it.err = corruptRows("row %d has the op %d", it.read, uint8(it.op))
			return false
		}
		if it.keyStart, it.keyEnd = it.sized(at + 1); it.keyEnd == 0 {
			it.err = corruptRows("the key of row %d does not lie in the batch", it.read)
			return false
		}
		at = it.keyEnd
	}
	start, end := it.sized(at)
	if end == 0 {
		it.err = corruptRows("row %d does not lie in the batch", it.read)
		return false
	}
	it.rowStart, it.at = start, end
	it.read++
	return true
}

// sized finds the bytes after a size; end is 0 where they are not all there.
func (it *RowIterator) sized(at int) (start, end int) {
	if at < len(it.data) && it.data[at] < 0x80 {
		start, end = at+1, at+1+int(it.data[at])
	} else {
		size, n := binary.Uvarint(it.data[at:])
		if n <= 0 || size > uint64(len(it.data)) {
			return 0, 0
		}
		start, end = at+n, at+n+int(size)
	}
	if end > len(it.data) {
		return 0, 0
	}
	return start, end
}

func corruptRows(format string, args ...any) error {
	return Errorf("read row batch", ClassCorrupt, format, args...)
}

// Op is what the row does; OpInsert where the batch is not keyed.
func (it *RowIterator) Op() Op { return it.op }

// Key is the row's encoded key, empty where the batch is not keyed.
func (it *RowIterator) Key() []byte { return it.data[it.keyStart:it.keyEnd:it.keyEnd] }

// Row is the encoded row; empty for a delete.
func (it *RowIterator) Row() []byte { return it.data[it.rowStart:it.at:it.at] }

// Span is where the encoded row lies in the batch's Data, for RowDecoder.Decode.
func (it *RowIterator) Span() (start, size int) { return it.rowStart, it.at - it.rowStart }

// Index is the number of the row in the batch, from 0.
func (it *RowIterator) Index() int { return it.read - 1 }

// Err is what stopped Next before the end; nil at the end.
func (it *RowIterator) Err() error { return it.err }
