// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// sealed is the rows that were appended together to one request, and their receipts' common end. It is sent as one
// piece, or as several where the target takes it only so.
type sealed struct {
	piece // the first one
	more  []*piece

	id       int64 // of the first one
	table    string
	tablet   int
	place    int // the tablet's number in the table, once it is settled; -1 is unknown
	count    int
	opened   time.Time
	ended    time.Time // when its rows were settled
	reserved forebay.Bytes
	done     chan struct{} // closed when everything below and the pieces do not change any more
	open     int           // pieces that are not settled
	held     int           // pieces whose data is in use
	calling  bool          // Config.Settled has not returned
	refused  []refusal     // in order of rows
}

// refusal is a row that the target refused, by its number in the sealed request.
type refusal struct {
	row    int
	reason forebay.RowError
}

// piece is a request of the core in the shell.
type piece struct {
	whole    *sealed
	first    int     // number of its first row in the whole
	numbers  []int32 // those of all its rows, where some between were refused; else nil
	size     int     // rows
	rejected int     // rows of it that were refused
	rows     openRequest
	request  forebay.Request
	settled  settlement
}

// number is that of a row of the piece in the whole.
func (p *piece) number(row int) int {
	if p.numbers != nil {
		return int(p.numbers[row])
	}
	return p.first + row
}

// row is the place of a row of the whole in the piece.
func (p *piece) row(number int) (row int, ok bool) {
	if p.numbers != nil {
		return slices.BinarySearch(p.numbers, int32(number))
	}
	row = number - p.first
	return row, row >= 0 && row < p.size
}

// keep leaves only some of its rows in the piece.
func (p *piece) keep(kept func(row int) bool) {
	numbers := make([]int32, 0, p.size)
	for row := range p.size {
		if kept(row) {
			numbers = append(numbers, int32(p.number(row)))
		}
	}
	p.numbers, p.size = numbers, len(numbers)
}

// refuse notes rows of a piece as refused.
func (s *sealed) refuse(p *piece, rows []forebay.RowError) {
	for _, reason := range rows {
		if reason.Row >= 0 && reason.Row < p.size {
			s.refused = append(s.refused, refusal{row: p.number(reason.Row), reason: reason})
		}
	}
}

// settle is called when the last piece is settled: what was refused is put in order.
func (s *sealed) settle() {
	slices.SortStableFunc(s.refused, func(a, b refusal) int { return a.row - b.row })
	s.refused = slices.CompactFunc(s.refused, func(a, b refusal) bool { return a.row == b.row })
}

func (s *sealed) refusal(row int) (forebay.RowError, bool) {
	if len(s.refused) == 0 {
		return forebay.RowError{}, false
	}
	i, ok := slices.BinarySearchFunc(s.refused, row, func(r refusal, row int) int { return r.row - row })
	if !ok {
		return forebay.RowError{}, false
	}
	return s.refused[i].reason, true
}

// leftOut is how many rows before a row a request that was applied in part was applied without.
func (p *piece) leftOut(row int) int {
	rows := p.settled.answer.Rows
	n, _ := slices.BinarySearchFunc(rows, row, func(r forebay.RowError, row int) int { return r.Row - row })
	return n
}

// pieceOf finds a row that was not refused, and how many rows of its piece were applied before it.
func (s *sealed) pieceOf(number int) (p *piece, at int) {
	p = &s.piece
	if p.numbers == nil && len(s.more)+len(p.settled.answer.Rows) == 0 {
		return p, number
	}
	row, ok := p.row(number)
	for i := 0; !ok && i < len(s.more); i++ {
		p = s.more[i]
		row, ok = p.row(number)
	}
	return p, row - p.leftOut(row)
}
