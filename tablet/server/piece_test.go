// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// reads is what a server and the client of its control socket have in common.
type reads interface {
	tablet.Reader
	OpenLog(ctx context.Context, r tablet.LogRequest) (tablet.Log, error)
}

// onBoth runs a test in the process and through the control socket.
func onBoth(t *testing.T, s *Server, run func(t *testing.T, via reads)) {
	t.Helper()
	c := control(t, s, nil)
	for name, via := range map[string]reads{"process": s, "socket": c} {
		t.Run(name, func(t *testing.T) { run(t, via) })
	}
}

// prefixRow is a row of some key columns; values are given as text.
func prefixRow(tb testing.TB, text string, values ...string) forebay.Row {
	tb.Helper()
	row := forebay.NewRow(columns(text))
	for i, value := range values {
		b, _ := row.Batch()
		start := b.AppendText(value)
		cell, err := b.ParseCell(row.Schema().Column(i).Type, start, len(value), nil)
		if err != nil {
			tb.Fatal(err)
		}
		row.SetCell(i, cell)
	}
	return row
}

func TestScanOfAPrefixShowsItsRowsAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := forebay.TableSpec{
		Name: "t", Key: []string{"a", "b", "c"}, Schema: columns("a string, b int64, c int64, v string"),
	}
	o := openTable(t, s, spec)
	var rows []string
	for _, a := range []string{"", "x", "x\x00", "xy"} {
		for b := range 3 {
			for c := range 4 {
				rows = append(rows, fmt.Sprintf("%s,%d,%d,v", a, b, c-2))
			}
		}
	}
	rows = slices.DeleteFunc(rows, func(row string) bool { return row[0] == ',' }) // the helper takes it for null
	o.write("a", rows...)
	onBoth(t, s, func(t *testing.T, via reads) {
		got := scan(t, via, ScanRequest{Table: "t", Prefix: prefixRow(t, "a string", "x")})
		diff(t, "rows of x", len(got), 12)
		got = scan(t, via, ScanRequest{Table: "t", Prefix: prefixRow(t, "b int64, a string", "1", "x")})
		diff(t, "rows of x, 1", got, []string{"x,1,-2,v", "x,1,-1,v", "x,1,0,v", "x,1,1,v"})
		got = scan(t, via, ScanRequest{
			Table: "t", Prefix: prefixRow(t, "a string, b int64, c int64", "xy", "2", "-1"), Select: []string{"c"},
		})
		diff(t, "rows of a whole key", got, []string{"-1"})
		got = scan(t, via, ScanRequest{Table: "t", Prefix: prefixRow(t, "a string", "z")})
		diff(t, "rows of nobody", got, []string(nil))
		for _, wrong := range []forebay.Row{
			prefixRow(t, "b int64", "1"), prefixRow(t, "a int64", "1"), prefixRow(t, "v string", "v"), prefixRow(t, "a string"),
		} {
			if _, err := via.Scan(t.Context(), ScanRequest{Table: "t", Prefix: wrong}); err == nil ||
				forebay.ClassOf(err) != forebay.ClassMisconfigured {
				t.Errorf("a prefix of %s: %v", wrong.Schema(), err)
			}
		}
	})
}

// follower rebuilds a tablet from pieces of its snapshot and its log.
type follower struct {
	via    reads
	table  string
	tablet int
	rows   map[int64]string
}

// piece reads a piece of so many rows after a key, and returns the encoded key of the last one and the log's end.
func (f *follower) piece(t *testing.T, after []byte, limit int64) (last []byte, end int64, done bool) {
	t.Helper()
	rows, err := f.via.Scan(t.Context(), ScanRequest{
		Table: f.table, Limit: limit, Piece: &tablet.ScanPiece{Tablet: f.tablet, After: after},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := forebay.NewKeyEncoder(rows.Layout(), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	read := int64(0)
	b := forebay.NewBatch()
	for err == nil {
		if err = rows.Next(t.Context(), b); err != nil {
			break
		}
		for i := range b.Len() {
			read++
			f.rows[b.Row(i).Int("n")] = rowText(b, i)
			if last, err = keys.Append(last[:0], b, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	end = rows.LogEnd()
	if !errors.Is(err, io.EOF) || rows.Close() != nil {
		t.Fatal(err)
	}
	return last, end, read < limit
}

// apply applies the log from an offset to its end, to the rows for which it counts.
func (f *follower) apply(t *testing.T, from int64, counts func(n int64) bool) {
	t.Helper()
	log, err := f.via.OpenLog(t.Context(), tablet.LogRequest{Table: f.table, Tablet: f.tablet, From: from})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		err := log.Next(t.Context(), b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if b.Record(i).Offset != from {
				t.Fatalf("offset %d follows where %d is due", b.Record(i).Offset, from)
			}
			from++
			switch n := b.Row(i).Int("n"); {
			case !counts(n):
			case b.Record(i).Op == forebay.OpDelete:
				delete(f.rows, n)
			default:
				f.rows[n] = rowText(b, i)
			}
		}
	}
	if log.Offset() != from || log.Close() != nil {
		t.Errorf("the log stands at %d, want %d", log.Offset(), from)
	}
}

// TestPiecesAndTheLogBehindThemGiveTheTable reads a tablet in pieces while it is written to. Each piece is brought up
// to date from its own place in the log.
func TestPiecesAndTheLogBehindThemGiveTheTable(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := keySpec("users")
	spec.Tablets = 2
	o := openTable(t, s, spec)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	beside := openTable(t, s, spec)
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			n := i * 7919 % 500
			mark := ""
			if i%5 == 4 {
				mark = "-"
			}
			r := beside.one("a", fmt.Sprintf("%s%d,v%d", mark, n, i))
			s.Send(context.Background(), &r, func(forebay.Answer) {})
		}
	})
	for range 200 {
		o.write("a", "1,first")
	}
	var followers []*follower
	type piece struct {
		from, to int64
		end      int64
	}
	var pieces [][]piece
	onBoth(t, s, func(t *testing.T, via reads) {
		for at := range 2 {
			f := &follower{via: via, table: "users", tablet: at, rows: map[int64]string{}}
			var after []byte
			var mine []piece
			for done := false; !done; {
				var end int64
				var last []byte
				last, end, done = f.piece(t, after, 60)
				p := piece{from: -1, to: 1 << 40, end: end}
				if len(mine) > 0 {
					p.from = mine[len(mine)-1].to
				}
				if !done {
					p.to = keyNumber(t, last)
				}
				mine, after = append(mine, p), last
			}
			followers, pieces = append(followers, f), append(pieces, mine)
		}
	})
	stop()
	wg.Wait()
	if err := s.executor.drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The socket is closed with its test, so the logs are read in the process.
	want := scan(t, s, ScanRequest{Table: "users"})
	for k := 0; k < len(followers); k += 2 {
		var got []string
		for half := range 2 {
			f := followers[k+half]
			f.via = s
			for _, p := range pieces[k+half] {
				f.apply(t, p.end, func(n int64) bool { return n > p.from && n <= p.to })
			}
			for _, row := range f.rows {
				got = append(got, row)
			}
		}
		slices.Sort(got)
		sorted := slices.Clone(want)
		slices.Sort(sorted)
		diff(t, "rows", got, sorted)
	}
}

func keyNumber(t *testing.T, key []byte) int64 {
	t.Helper()
	cells := make([]forebay.Cell, 1)
	if _, err := forebay.NewKeyDecoder(columns("n int64"), []int{0}).Decode(cells, nil, key); err != nil {
		t.Fatal(err)
	}
	return cells[0].Int()
}

func TestPieceIsRefusedWhereThereIsNone(t *testing.T) {
	t.Parallel()
	s := open(t)
	openTable(t, s, logSpec("clicks")).write("a", "1,x")
	onBoth(t, s, func(t *testing.T, via reads) {
		for _, piece := range []tablet.ScanPiece{{Tablet: 4}, {Tablet: -1}, {After: []byte("x")}} {
			if _, err := via.Scan(t.Context(), ScanRequest{Table: "clicks", Piece: &piece}); err == nil ||
				forebay.ClassOf(err) != forebay.ClassMisconfigured {
				t.Errorf("%+v: %v", piece, err)
			}
		}
		for code, r := range map[string]tablet.LogRequest{
			"no-such-tablet": {Table: "clicks", Tablet: 4}, "no-such-table": {Table: "nobody"},
		} {
			_, err := via.OpenLog(t.Context(), r)
			if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Code != code {
				t.Errorf("%+v: %v", r, err)
			}
		}
		rows := 0
		for at := range 4 {
			got, err := via.Scan(t.Context(), ScanRequest{Table: "clicks", Piece: &tablet.ScanPiece{Tablet: at}})
			if err != nil {
				t.Fatal(err)
			}
			b := forebay.NewBatch()
			for got.Next(t.Context(), b) == nil {
				rows += b.Len()
				if got.LogEnd() != 1 {
					t.Errorf("tablet %d ends at %d", at, got.LogEnd())
				}
			}
			if err := got.Close(); err != nil {
				t.Error(err)
			}
		}
		diff(t, "rows of all pieces", rows, 1)
	})
}

// TestLogIsFollowedThroughChangesOfItsTable: rows that come later, in other layouts, with their ops; a Next that was
// given up goes on where it was.
func TestLogIsFollowedThroughChangesOfItsTable(t *testing.T) {
	t.Parallel()
	s := open(t)
	spec := keySpec("users")
	spec.Tablets = 1
	openTable(t, s, spec).write("a", "1,x", "-2,", "^3,y")
	wide := spec
	onBoth(t, s, func(t *testing.T, via reads) {
		o := openTable(t, s, wide)
		log, err := via.OpenLog(t.Context(), tablet.LogRequest{Table: "users", Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		var got []string
		next := func(ctx context.Context, rows int) error {
			for want := len(got) + rows; len(got) < want; {
				if err := log.Next(ctx, b); err != nil {
					return err
				}
				for i := range b.Len() {
					r := b.Record(i)
					got = append(got, fmt.Sprintf("%s %d %s %s", b.SplitID(), r.Offset, r.Op, rowText(b, i)))
				}
			}
			return nil
		}
		info, err := s.Describe(t.Context(), "users")
		if err != nil {
			t.Fatal(err)
		}
		if err := next(t.Context(), int(info.Logs[0].End)); err != nil {
			t.Fatal(err)
		}
		diff(t, "first rows", got[:3], []string{
			"0 0 insert " + wider("1,x", wide), "0 1 delete " + wider("-2,", wide), "0 2 upsert " + wider("3,y", wide),
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		gaveUp := make(chan error, 1)
		wg.Go(func() { gaveUp <- next(ctx, 1) })
		cancel()
		wg.Wait()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("a Next whose context ended: %v", err)
		}
		more := forebay.Column{Name: fmt.Sprint("c", wide.Schema.Len()), Type: forebay.Int64}
		wide.Schema = forebay.MustSchema(append(wide.Schema.Columns(), more)...)
		o.write("a", "4,old")
		openTable(t, s, wide).write("a", wider("5,new", wide))
		if err := next(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if last := got[len(got)-1]; last != fmt.Sprintf("0 %d insert %s", len(got)-1, wider("5,new", wide)) {
			t.Errorf("the last row is %q", last)
		}
		if err := errors.Join(log.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
}

// wider is a row with nothing in the columns that its table got later.
func wider(row string, spec forebay.TableSpec) string {
	for range spec.Schema.Len() - 2 {
		row += ","
	}
	return row
}
