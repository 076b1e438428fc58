// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// drawnRequest is a request that a schedule made, and the table that it goes to.
type drawnRequest struct {
	table    int
	writer   string
	sequence int64
	partial  bool
	expired  bool
	rows     []string
}

// history is the next sequence of each writer in each table, and the rows of those before.
type history struct {
	next map[string]int64
	rows map[string][]string
}

func (h history) draw(t *rapid.T) drawnRequest {
	r := drawnRequest{
		table:   rapid.IntRange(0, 2).Draw(t, "table"),
		writer:  rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "writer"),
		partial: rapid.Bool().Draw(t, "partial"),
		expired: rapid.IntRange(0, 9).Draw(t, "expires") == 0,
	}
	key := fmt.Sprint(r.table, r.writer)
	r.sequence = max(0, h.next[key]+int64(rapid.SampledFrom([]int{0, 0, 0, 0, -1, -2, 1}).Draw(t, "ahead")))
	if r.sequence == h.next[key] && !r.expired {
		h.next[key]++
	}
	// The same bytes are what a repeated request has.
	again := fmt.Sprint(key, r.sequence)
	if was := h.rows[again]; was != nil && rapid.IntRange(0, 4).Draw(t, "same") > 0 {
		r.rows = was
		return r
	}
	ops := []string{"", "", "^", "~", "-"}
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		op := rapid.SampledFrom(ops).Draw(t, "op")
		if r.table == 0 {
			op = ""
		}
		r.rows = append(r.rows, fmt.Sprintf("%s%d,%d", op, rapid.IntRange(0, 3).Draw(t, "key"),
			rapid.IntRange(0, 3).Draw(t, "value")))
	}
	h.rows[again] = r.rows
	return r
}

// groupTables are a log table, a key table and one with versions, each with one tablet.
func groupTables(tb testing.TB, s *Server) []*opened {
	tb.Helper()
	log, keyed, versioned := logSpec("log"), keySpec("keyed"), keySpec("versioned")
	versioned.Version = "text"
	var out []*opened
	for _, spec := range []forebay.TableSpec{log, keyed, versioned} {
		spec.Tablets = 1
		out = append(out, openTable(tb, s, spec))
	}
	return out
}

func (r drawnRequest) encode(tables []*opened) *forebay.Request {
	request := tables[r.table].one("a", r.rows...)
	request.WriterID, request.Sequence, request.Partial = r.writer, r.sequence, r.partial
	if r.expired {
		request.Expires = time.UnixMicro(startTime)
	}
	return &request
}

// TestGroupAnswersAsOneRequestAtATimeTS4: whatever is applied together, every request gets the answer that it would
// get alone, and the tables hold the same rows and logs, also after a restart.
func TestGroupAnswersAsOneRequestAtATimeTS4(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := history{next: map[string]int64{}, rows: map[string][]string{}}
		var requests []drawnRequest
		for range rapid.IntRange(1, 24).Draw(rt, "requests") {
			requests = append(requests, h.draw(rt))
		}
		alone, fs := openMem(t)
		together := open(t)
		one, many := groupTables(t, alone), groupTables(t, together)
		restart := rapid.IntRange(0, len(requests)).Draw(rt, "restart")
		for at := 0; at < len(requests); {
			size := min(rapid.IntRange(1, 8).Draw(rt, "group"), len(requests)-at)
			var group []*sent
			var want []forebay.Answer
			for i, r := range requests[at : at+size] {
				if at+i == restart {
					alone = reopen(t, alone, fs)
					one = groupTables(t, alone)
				}
				a := forebay.Await(t.Context(), alone, r.encode(one))
				a.Pressure = 0
				want = append(want, a)
				request := r.encode(many)
				group = append(group, &sent{request: request, tablet: together.find(request.Table).tablet(0)})
			}
			together.applyGroup(group)
			for i, q := range group {
				if d := cmp.Diff(want[i], q.answer); d != "" {
					rt.Fatalf("request %d, %+v: -alone +together\n%s", at+i, requests[at+i], d)
				}
			}
			at += size
		}
		applied, _ := together.ledger.numbers()
		if err := together.ledger.wait(t.Context(), applied, store.SyncNow); err != nil {
			rt.Fatal(err)
		}
		for _, o := range one {
			name := o.handle.table.name
			if d := cmp.Diff(scan(t, alone, ScanRequest{Table: name}), scan(t, together, ScanRequest{Table: name})); d != "" {
				rt.Fatalf("rows of %s: -alone +together\n%s", name, d)
			}
			if d := cmp.Diff(logRows(t, alone, name), logRows(t, together, name)); d != "" {
				rt.Fatalf("log of %s: -alone +together\n%s", name, d)
			}
		}
		if err := alone.Close(); err != nil {
			rt.Fatal(err)
		}
		if err := together.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// logRows is what a tablet's log holds, with its offsets.
func logRows(tb testing.TB, s *Server, name string) []string {
	tb.Helper()
	info, err := s.Describe(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	reader, err := s.ReadLog(name, 0, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	b := forebay.NewBatch()
	for reader.Offset() < info.Logs[0].End {
		if err := reader.Next(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
		for i := range b.Len() {
			out = append(out, fmt.Sprintf("%d %s %s", b.Record(i).Offset, b.Record(i).Op, rowText(b, i)))
		}
	}
	if err := reader.Close(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// TestPartialRequestFollowsKuduTS4 walks through the row errors of a request that applies in part.
func TestPartialRequestAppliesWhatItCanTS4(t *testing.T) {
	t.Parallel()
	s, fs := openMem(t)
	spec := keySpec("users")
	spec.Tablets = 1
	o := openTable(t, s, spec)
	o.write("a", "1,old", "2,old", "3,old")
	request := func(sequence int64, rows ...string) *forebay.Request {
		r := sequenced(o.one("a", rows...), "w", sequence)
		r.Partial = true
		return r
	}
	rows := []string{"1,x", "4,x", "4,y", "~2,new", "~5,x", "-3,", "-3,", "^5,z", "~5,q", "-9,"}
	want := []forebay.RowError{
		refusalOf(0, 0, codeAlreadyPresent), refusalOf(0, 2, codeAlreadyPresent), refusalOf(0, 4, codeNotFound),
		refusalOf(0, 6, codeNotFound), refusalOf(0, 9, codeNotFound),
	}
	a := forebay.Await(t.Context(), s, request(0, rows...))
	wantCode(t, a, forebay.CodeOK)
	diff(t, "row errors", a.Rows, want)
	diff(t, "rows", scan(t, s, ScanRequest{Table: "users"}), []string{"1,old", "2,new", "4,x", "5,q"})
	diff(t, "log", logRows(t, s, "users")[3:], []string{
		"3 insert 4,x", "4 update 2,new", "5 delete -3,", "6 upsert 5,z", "7 update 5,q",
	})
	a = forebay.Await(t.Context(), s, request(1, "-7,"))
	wantCode(t, a, forebay.CodeOK)
	diff(t, "row errors where nothing applies", a.Rows, []forebay.RowError{refusalOf(0, 0, codeNotFound)})
	check := func(s *Server) {
		t.Helper()
		a := forebay.Await(t.Context(), s, request(0, rows...))
		wantCode(t, a, forebay.CodeDuplicate)
		diff(t, "row errors of the repeat", a.Rows, want)
	}
	check(s)
	s = reopen(t, s, fs)
	check(s)
	// Later requests take the places of the first ones, without errors to remember.
	for i := range int64(rememberedMax) {
		wantCode(t, forebay.Await(t.Context(), s, request(2+i, "^1,x")), forebay.CodeOK)
	}
	wantCode(t, forebay.Await(t.Context(), s, request(5, "^1,x")), forebay.CodeDuplicate)
	lower, upper := tableRange(0x18, o.handle.table.id)
	it, err := s.store.NewIter(lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	if it.First() {
		t.Errorf("refused rows that nobody remembers are kept under %x", it.Key())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPartialRequestHasARowLimit(t *testing.T) {
	t.Parallel()
	s := open(t)
	o := openTable(t, s, logSpec("clicks"))
	rows := slices.Repeat([]string{"1,x"}, partialRowsMax+1)
	r := o.one("a", rows...)
	r.Partial = true
	wantCode(t, forebay.Await(t.Context(), s, &r), forebay.CodeTooLarge)
}

func TestRefusedRowsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var want []forebay.RowError
		row := 0
		for range rapid.IntRange(0, 50).Draw(t, "rows") {
			row += rapid.IntRange(1, 3).Draw(t, "step")
			want = append(want, refusalOf(0, row-1, rapid.SampledFrom(refusalCodes[:]).Draw(t, "code")))
		}
		sequence := rapid.Int64Min(0).Draw(t, "sequence")
		record := encodeRefused(sequence, want)
		at, got, err := decodeRefused(record)
		if err != nil || at != sequence || !slices.Equal(got, want) {
			t.Fatalf("sequence %d: %+v, %v; want sequence %d: %+v", at, got, err, sequence, want)
		}
	})
}

func FuzzRefusedRows(f *testing.F) {
	f.Add(encodeRefused(3, []forebay.RowError{refusalOf(0, 2, codeNotFound), refusalOf(0, 3, codeNotFound)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		sequence, rows, err := decodeRefused(data)
		if err != nil {
			return
		}
		again, same, err := decodeRefused(encodeRefused(sequence, rows))
		if err != nil || again != sequence || !slices.Equal(same, rows) {
			t.Errorf("%x reads back as sequence %d: %v, %v", data, again, same, err)
		}
	})
}
