// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// TextOf is the text of the record with that id.
func TextOf(id int64) string {
	return fmt.Sprintf("record %d, %s", id, strings.Repeat("x", int(uint64(id)%50)))
}

// LineOf is the value of the record with that id, for sinks that take bytes.
func LineOf(id int64) string { return strconv.FormatInt(id, 10) + "\t" + TextOf(id) }

// ParseLine reads what LineOf made.
func ParseLine(line string) (Stored, error) {
	id, text, both := strings.Cut(line, "\t")
	n, err := strconv.ParseInt(id, 10, 64)
	if !both || err != nil {
		return Stored{}, fmt.Errorf("the line %q is none of the suite's", line)
	}
	return Stored{ID: n, Text: text}, nil
}

// batch makes a batch of the records with these ids, all of one split.
func (h SinkHarness) batch(ids ...int64) *forebay.Batch {
	b := forebay.NewBatch()
	h.fill(b, ids)
	return b
}

// fill makes a batch one of the records with these ids.
func (h SinkHarness) fill(b *forebay.Batch, ids []int64) {
	layout := h.layout()
	width := 0
	if layout != nil {
		width = layout.Width()
	}
	b.Reset(forebay.Split{ID: "s", Fingerprint: "s"}, width)
	for _, id := range ids {
		i := b.Append(id, []byte(LineOf(id)))
		if layout == nil {
			continue
		}
		text := TextOf(id)
		cells := b.Cells(i)
		cells[0] = forebay.Int64Cell(id)
		cells[1] = forebay.SpanCell(forebay.KindString, b.AppendText(text), len(text))
	}
	b.SetLayout(layout)
	if len(ids) > 0 {
		b.SetPosition(forebay.Position{Offset: slices.Max(ids) + 1})
	}
}

// idRange is from, from+1 and so on, below to.
func idRange(from, to int64) []int64 {
	ids := make([]int64, 0, to-from)
	for id := from; id < to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// expectation is what a reader of the system must see.
type expectation struct {
	// ids are those of all records, each once unless repeats are allowed.
	ids []int64
	// repeats allows records to be there more than once: the sink promises at-least-once.
	repeats bool
	// unordered does not look at the order.
	unordered bool
}

// expect reads the system and compares.
func (h SinkHarness) expect(t T, s System, when string, want expectation) {
	t.Helper()
	lists, err := s.Read(t.Context())
	if err != nil {
		t.Fatalf("%s: read the system: %v", when, err)
	}
	count := map[int64]int{}
	for tablet, list := range lists {
		last := int64(-1)
		for _, r := range list {
			if r.Text != TextOf(r.ID) {
				t.Errorf("%s: record %d reads %q, want %q", when, r.ID, r.Text, TextOf(r.ID))
			}
			if count[r.ID]++; count[r.ID] > 1 {
				continue // counted below; order is that of first occurrences
			}
			if r.ID < last && !want.unordered && !h.Claims.Keyed {
				t.Errorf("%s: record %d comes after %d in tablet %d", when, r.ID, last, tablet)
			}
			last = max(last, r.ID)
		}
	}
	wanted := map[int64]int{}
	for _, id := range want.ids {
		wanted[id] = 1
	}
	if want.repeats || h.Claims.Keyed {
		for id := range count {
			count[id] = 1
		}
	}
	if !maps.Equal(count, wanted) {
		t.Errorf("%s: the system holds other records (-want +got, id and how often):\n%s", when, cmp.Diff(wanted, count))
	}
}

// requests encodes a batch as the writer does: rows in order, one request for each tablet.
//
// Errors: rejected where a record cannot be encoded.
func requests(backend forebay.Backend, b *forebay.Batch) ([]forebay.Request, error) {
	encoder, err := backend.Encoder(b.Layout())
	if err != nil {
		return nil, err
	}
	info := backend.Tablets()
	open := map[int]*forebay.Request{}
	for i := range b.Len() {
		tablet, err := encoder.Route(b, i)
		if err != nil {
			return nil, err
		}
		if tablet < 0 || tablet >= info.Tablets {
			return nil, fmt.Errorf("record %d goes to tablet %d of %d", i, tablet, info.Tablets)
		}
		r := open[tablet]
		if r == nil {
			r = &forebay.Request{Table: info.Table, Tablet: tablet, Data: encoder.Open(nil)}
			open[tablet] = r
		}
		r.Data = encoder.Append(r.Data)
		r.Records++
	}
	out := make([]forebay.Request, 0, len(open))
	for _, tablet := range slices.Sorted(maps.Keys(open)) {
		r := open[tablet]
		r.Data = encoder.Seal(r.Data, r.Records)
		out = append(out, *r)
	}
	if len(out) == 0 {
		return nil, errors.New("no records")
	}
	return out, nil
}

// cloneRequests copies requests with their data, which belongs to the target while it works on them.
func cloneRequests(in []forebay.Request) []forebay.Request {
	out := slices.Clone(in)
	for i := range out {
		out[i].Data = slices.Clone(out[i].Data)
	}
	return out
}
