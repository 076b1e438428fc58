// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"github.com/forebay-io/forebay"
)

// Stage 4 of 6: batch.
//
// Enters: the records of a batch. Leaves: requests, one for each tablet with rows.
// Blocks: never. Runs on: the goroutine of the lane or of the writer's caller.

// accumulator gathers the rows of each tablet in the data of an open request.
//
// Ownership: the data of a request that was taken comes back through recycle.
type accumulator struct {
	encoder forebay.Encoder
	table   string
	open    []openRequest
	free    []openRequest
	kept    int   // bytes of free
	typical []int // by tablet, the size of the last closed request
	records int
	size    int
	marks   bool // origin is asked for
}

// openRequest is the request of one tablet while rows are added to it.
type openRequest struct {
	tablet int
	count  int // rows
	data   []byte
	rows   []rowMark // one for each row, where the accumulator marks them
	runs   []splitRun
}

// rowMark says which record of its split a row of a request was.
type rowMark struct {
	offset int64
	sub    uint32
}

// rowMarkSize is the memory of a rowMark.
const rowMarkSize = 16

// splitRun says from which row on the rows of a request come from a split.
type splitRun struct {
	row   int
	split string
}

// keptMax bounds the bytes of buffers that wait to be used again.
const keptMax = 16 << 20

// newAccumulator makes an accumulator; with marks it knows the record of each row.
func newAccumulator(backend forebay.Backend, layout *forebay.Layout, marks bool) (*accumulator, error) {
	encoder, err := backend.Encoder(layout)
	if err != nil {
		return nil, err
	}
	info := backend.Tablets()
	return &accumulator{
		encoder: encoder, table: info.Table, marks: marks,
		open: make([]openRequest, info.Tablets), typical: make([]int, info.Tablets),
	}, nil
}

// add encodes the records of the batch. The records that the encoder refuses are not added; they are
// reported as rejects of the stage sink.
func (a *accumulator) add(b *forebay.Batch) (rejects []forebay.Reject) {
	for i := range b.Len() {
		if _, _, err := a.addOne(b, i); err != nil {
			rejects = append(rejects, rejectOf(b, i, err))
		}
	}
	return rejects
}

// addOne encodes one record, and returns its tablet and its size there.
func (a *accumulator) addOne(b *forebay.Batch, i int) (tablet, size int, err error) {
	tablet, err = a.encoder.Route(b, i)
	if err != nil {
		return 0, 0, err
	}
	for tablet >= len(a.open) { // partitions come while the writer runs
		a.open, a.typical = append(a.open, openRequest{}), append(a.typical, 0)
	}
	open := &a.open[tablet]
	if open.count == 0 {
		a.begin(open, tablet)
	}
	before := len(open.data)
	open.data = a.encoder.Append(open.data)
	size = len(open.data) - before
	if a.marks {
		open.mark(b, i)
	}
	open.count++
	a.size += size
	a.records++
	return tablet, size, nil
}

// mark notes which record the next row is.
func (r *openRequest) mark(b *forebay.Batch, i int) {
	if split, n := b.SplitID(), len(r.runs); n == 0 || r.runs[n-1].split != split {
		r.runs = append(r.runs, splitRun{row: r.count, split: split})
	}
	record := b.Record(i)
	r.rows = append(r.rows, rowMark{offset: record.Offset, sub: record.Sub})
}

// takeOne closes the open request of one tablet.
func (a *accumulator) takeOne(tablet int) openRequest {
	taken := a.open[tablet]
	a.open[tablet] = openRequest{}
	a.typical[tablet] = len(taken.data)
	return taken
}

// reuse is memory for a request of about a size.
func (a *accumulator) reuse(size int) openRequest {
	n := len(a.free)
	if n == 0 {
		return openRequest{data: make([]byte, 0, size)}
	}
	r := a.free[n-1]
	a.free = a.free[:n-1]
	a.kept -= r.memory()
	return r
}

func (a *accumulator) begin(open *openRequest, tablet int) {
	if open.data == nil {
		*open = a.reuse(a.typical[tablet] + a.typical[tablet]/32)
	}
	open.tablet = tablet
	before := len(open.data)
	open.data = a.encoder.Open(open.data)
	a.size += len(open.data) - before
}

// take closes every open request and returns them in the order of tablets.
func (a *accumulator) take() []openRequest {
	var taken []openRequest
	for tablet := range a.open {
		if a.open[tablet].count == 0 {
			continue
		}
		taken = append(taken, a.takeOne(tablet))
	}
	a.records, a.size = 0, 0
	return taken
}

// drop forgets every open row.
func (a *accumulator) drop() {
	for _, open := range a.take() {
		a.recycle(open)
	}
}

// recycle takes the memory of a request that is settled, unless it is much larger than what it was used for.
func (a *accumulator) recycle(r openRequest) {
	size := r.memory()
	if a.kept+size > keptMax || len(r.data) < cap(r.data)/4 {
		return
	}
	clear(r.runs)
	a.free = append(a.free, openRequest{data: r.data[:0], rows: r.rows[:0], runs: r.runs[:0]})
	a.kept += size
}

// memory is what the buffers of the request hold, in bytes.
func (r *openRequest) memory() int { return cap(r.data) + cap(r.rows)*rowMarkSize }

// request is the sealed form of a closed request.
func (a *accumulator) request(r *openRequest) forebay.Request {
	r.data = a.encoder.Seal(r.data, r.count)
	return forebay.Request{Table: a.table, Tablet: r.tablet, Records: r.count, Data: r.data}
}

// cut is a sealed request with some of the rows of another one, which stays as it is.
func (a *accumulator) cut(r *openRequest, keep func(row int) bool) openRequest {
	cut := a.reuse(len(r.data))
	cut.tablet = r.tablet
	cut.data = a.encoder.Cut(cut.data, r.data, keep)
	split := 0
	for i := range r.count {
		if !keep(i) {
			continue
		}
		if a.marks {
			for split < len(r.runs) && r.runs[split].row <= i {
				split++
			}
			if id := r.runs[split-1].split; len(cut.runs) == 0 || cut.runs[len(cut.runs)-1].split != id {
				cut.runs = append(cut.runs, splitRun{row: cut.count, split: id})
			}
			cut.rows = append(cut.rows, r.rows[i])
		}
		cut.count++
	}
	return cut
}

// origin is the record that a row of a request was.
func (r *openRequest) origin(row int) forebay.Origin {
	origin := forebay.Origin{Offset: r.rows[row].offset, Sub: r.rows[row].sub}
	for _, run := range r.runs {
		if run.row > row {
			break
		}
		origin.Split = run.split
	}
	return origin
}

func rejectOf(b *forebay.Batch, i int, err error) forebay.Reject {
	record := b.Record(i)
	reject := forebay.Reject{
		Origin: forebay.Origin{Split: b.Split().ID, Offset: record.Offset, Sub: record.Sub},
		Stage:  forebay.StageSink,
		Code:   "row-refused",
		Reason: err.Error(),
		Value:  append([]byte(nil), b.Value(i)...),
	}
	if e, ok := asError(err); ok {
		if e.Code != "" {
			reject.Code = e.Code
		}
		if e.Err != nil {
			reject.Reason = e.Err.Error()
		}
	}
	return reject
}
