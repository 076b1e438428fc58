// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// fakeSchema is that of the rows of the fake target: n says which row it is.
func fakeSchema() *forebay.Schema {
	return forebay.MustSchema(
		forebay.Column{Name: "n", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String})
}

// fakeBackend is a target of a few tablets. Row n goes to tablet n mod tablets; a row with a negative n has none.
type fakeBackend struct {
	sending sync.WaitGroup // the writer's Close waits for the answers

	tablets int
	// send answers a request; nil applies it at once.
	send func(ctx context.Context, r *forebay.Request) forebay.Answer
	// init may fail; nil always works.
	init func(ctx context.Context) error

	mu       sync.Mutex
	applied  map[int][]int64 // rows by tablet
	requests [][]int64
	inits    int
	torn     []string
}

func newBackend() *fakeBackend { return &fakeBackend{tablets: 2, applied: map[int][]int64{}} }

func (b *fakeBackend) Tablets() forebay.BackendInfo {
	return forebay.BackendInfo{Table: "t", Tablets: b.tablets}
}

func (b *fakeBackend) Encoder(layout *forebay.Layout) (forebay.Encoder, error) {
	return &fakeEncoder{tablets: b.tablets, column: layout.Slots[layout.Schema.Find("n")]}, nil
}

func (b *fakeBackend) InitWriter(ctx context.Context) (string, error) {
	b.mu.Lock()
	b.inits++
	n := b.inits
	b.mu.Unlock()
	if b.init != nil {
		if err := b.init(ctx); err != nil {
			return "", err
		}
	}
	return fmt.Sprint("w", n), nil
}

// Send checks that nobody writes to the data while it is the target's.
func (b *fakeBackend) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	b.sending.Go(func() {
		before := bytes.Clone(r.Data)
		answer := b.answer(ctx, r)
		if !bytes.Equal(before, r.Data) {
			b.mu.Lock()
			b.torn = append(b.torn, fmt.Sprintf("%v became %v", rowsOf(before), rowsOf(r.Data)))
			b.mu.Unlock()
		}
		done(answer)
	})
}

func (b *fakeBackend) answer(ctx context.Context, r *forebay.Request) forebay.Answer {
	if b.send != nil {
		return b.send(ctx, r)
	}
	return b.apply(r)
}

// apply takes the rows of a request.
func (b *fakeBackend) apply(r *forebay.Request) forebay.Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := rowsOf(r.Data)
	offset := int64(len(b.applied[r.Tablet]))
	b.applied[r.Tablet] = append(b.applied[r.Tablet], rows...)
	b.requests = append(b.requests, rows)
	return forebay.Answer{Code: forebay.CodeOK, Offset: offset}
}

// applyGood takes a request without its bad rows, if it may, or refuses it for them.
func (b *fakeBackend) applyGood(r *forebay.Request, good func(n int64) bool) forebay.Answer {
	var kept []int64
	var refused []forebay.RowError
	for i, n := range rowsOf(r.Data) {
		if good(n) {
			kept = append(kept, n)
		} else {
			refused = append(refused, forebay.RowError{Row: i, Code: "too-long", Reason: "it is too long"})
		}
	}
	if len(refused) > 0 && !r.Partial {
		return forebay.Answer{Code: forebay.CodeRowsRejected, Message: "rows are refused", Rows: refused}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	offset := int64(len(b.applied[r.Tablet]))
	b.applied[r.Tablet] = append(b.applied[r.Tablet], kept...)
	b.requests = append(b.requests, kept)
	return forebay.Answer{Code: forebay.CodeOK, Offset: offset, Rows: refused}
}

func (b *fakeBackend) rows() (all []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rows := range b.applied {
		all = append(all, rows...)
	}
	slices.Sort(all)
	return all
}

// fakeEncoder writes a mark, 16 bytes for each row, and the number of rows.
type fakeEncoder struct {
	tablets int
	column  int
	n       int64
}

const fakeMark = 0xf0

func (e *fakeEncoder) Route(b *forebay.Batch, i int) (int, error) {
	e.n = b.Cells(i)[e.column].Int()
	if e.n < 0 {
		err := forebay.Errorf("route", forebay.ClassRejected, "row %d has no tablet", e.n)
		err.Code = "no-tablet"
		return 0, err
	}
	return int(e.n) % e.tablets, nil
}

func (e *fakeEncoder) Append(data []byte) []byte {
	data = binary.BigEndian.AppendUint64(data, uint64(e.n))
	return binary.BigEndian.AppendUint64(data, ^uint64(e.n))
}

func (e *fakeEncoder) Open(data []byte) []byte { return append(data, fakeMark) }

func (e *fakeEncoder) Seal(data []byte, records int) []byte {
	return binary.BigEndian.AppendUint32(data, uint32(records))
}

func (e *fakeEncoder) Cut(dst, sealed []byte, keep func(row int) bool) []byte {
	dst = e.Open(dst)
	rows := 0
	for i, n := range rowsOf(sealed) {
		if keep(i) {
			dst = binary.BigEndian.AppendUint64(dst, uint64(n))
			dst = binary.BigEndian.AppendUint64(dst, ^uint64(n))
			rows++
		}
	}
	return e.Seal(dst, rows)
}

// rowsOf reads the rows of a sealed request; a damaged one panics.
func rowsOf(data []byte) (rows []int64) {
	records := int(binary.BigEndian.Uint32(data[len(data)-4:]))
	body := data[1 : len(data)-4]
	if data[0] != fakeMark || len(body) != 16*records {
		panic(fmt.Sprintf("a request of %d records has %d bytes", records, len(body)))
	}
	for ; len(body) > 0; body = body[16:] {
		n := binary.BigEndian.Uint64(body)
		if binary.BigEndian.Uint64(body[8:]) != ^n {
			panic("a row is damaged")
		}
		rows = append(rows, int64(n))
	}
	return rows
}

// fakeRow is row n.
func fakeRow(n int64) forebay.Row {
	row := forebay.NewRow(fakeSchema())
	if err := row.SetInt("n", n); err != nil {
		panic(err)
	}
	return row
}

// pause is a wait of fake time that ctx ends.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
