// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"errors"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// Rows that a request which applies in part leaves out. They are kept beside what is remembered of the writer, so that
// a repeat of the request gets the same row errors, also from the next process.

// The codes of refused rows.
const (
	codeRowTooLarge    = "row-too-large"
	codeAlreadyPresent = "already-present"
	codeNotFound       = "not-found"
)

// partialRowsMax bounds the rows of a request that applies in part, and with it the record of its row errors, which has
// at most two bytes for each row.
const partialRowsMax = 1 << 16

// refusalCodes are the codes in their order on disk.
var refusalCodes = [...]string{codeRowTooLarge, codeAlreadyPresent, codeNotFound}

// refusalOf is a refused row; its reason follows from its code.
func refusalOf(request, row int, code string) forebay.RowError {
	e := forebay.RowError{Request: request, Row: row, Code: code}
	switch code {
	case codeRowTooLarge:
		e.Reason = "the row has more than " + RowBytesMax.String()
	case codeAlreadyPresent:
		e.Reason = "a row with its key is there"
	case codeNotFound:
		e.Reason = "no row with its key is there"
	}
	return e
}

// refuse notes a row that does not apply.
func (p *piece) refuse(row uint32, code string) {
	p.refused = append(p.refused, refusalOf(p.request, int(row), code))
}

const refusedRecordVersion = 1

// encodeRefused is the record of a request's refused rows, which are in order: a version byte, the sequence, and for
// each run of rows with one code how many rows lie before it and how many it has, with the code in the lowest two bits.
func encodeRefused(sequence int64, rows []forebay.RowError) []byte {
	dst := binary.LittleEndian.AppendUint64([]byte{refusedRecordVersion}, uint64(sequence))
	next := 0
	for i := 0; i < len(rows); {
		first, code := rows[i], refusalCode(rows[i].Code)
		n := 1
		for i+n < len(rows) && rows[i+n].Code == first.Code && rows[i+n].Row == first.Row+n {
			n++
		}
		dst = binary.AppendUvarint(dst, uint64(first.Row-next))
		dst = binary.AppendUvarint(dst, uint64(n)<<2|code)
		next, i = first.Row+n, i+n
	}
	return dst
}

func refusalCode(code string) uint64 {
	for i, c := range refusalCodes {
		if c == code {
			return uint64(i)
		}
	}
	panic("a row is refused with the code " + code)
}

// decodeRefused reads what encodeRefused wrote.
func decodeRefused(data []byte) (sequence int64, rows []forebay.RowError, err error) {
	const header = 1 + 8
	if len(data) < header || data[0] != refusedRecordVersion {
		return 0, nil, corruptRefused(data)
	}
	sequence = int64(binary.LittleEndian.Uint64(data[1:]))
	next := uint64(0)
	for rest := data[header:]; len(rest) > 0; {
		before, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, nil, corruptRefused(data)
		}
		run, m := binary.Uvarint(rest[n:])
		count, code := run>>2, run&3
		if m <= 0 || before > partialRowsMax || count == 0 || count > partialRowsMax || code >= uint64(len(refusalCodes)) ||
			next+before+count > partialRowsMax {
			return 0, nil, corruptRefused(data)
		}
		next += before
		for range count {
			rows = append(rows, refusalOf(0, int(next), refusalCodes[code]))
			next++
		}
		rest = rest[n+m:]
	}
	return sequence, rows, nil
}

func corruptRefused(data []byte) error {
	return forebay.Errorf("read writer", forebay.ClassCorrupt, "%d bytes are no record of refused rows", len(data))
}

// refusedBefore are the row errors of a remembered request: of one in the same group, or of one that was applied.
func refusedBefore(from store.Reader, kept []*piece, p *piece) ([]forebay.RowError, error) {
	id := p.id()
	for i := len(kept) - 1; i >= 0 && kept[i].tablet == p.tablet; i-- {
		if kept[i].sent != nil && kept[i].id() == id {
			return kept[i].refused, nil
		}
	}
	value, err := from.Get(nil, appendRefusedKey(nil, p.tablet.place, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, forebay.Errorf("read writer", forebay.ClassCorrupt,
			"the refused rows of sequence %d of writer %q are gone", id.sequence, id.writer)
	}
	if err != nil {
		return nil, err
	}
	sequence, rows, err := decodeRefused(value)
	if err == nil && sequence != id.sequence {
		err = corruptRefused(value)
	}
	return rows, err
}
