// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// filled makes a table with the rows 0 up to n-1 and a connection to it.
func filled(t *testing.T, spec forebay.TableSpec, n int) (*world, *tablet.Client) {
	t.Helper()
	w := begin(t)
	w.table(t, spec)
	conn := w.dial(t, tablet.Config{})
	open := conn.Append
	if len(spec.Key) > 0 {
		open = conn.Upsert
	}
	out, err := open(t.Context(), spec.Name, writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	receipts := appendRows(t, out, 0, n)
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	return w, conn
}

func TestScansShowWhatTheServerHolds(t *testing.T) {
	t.Parallel()
	_, conn := filled(t, forebay.TableSpec{Name: "users", Key: []string{"id"}}, 5000)
	even := func(b *forebay.Batch, i int) bool { return b.Row(i).Int("id")%2 == 0 }
	for _, test := range []struct {
		name        string
		request     tablet.ScanRequest
		first, step int64
		count       int
	}{
		{"everything", tablet.ScanRequest{}, 0, 1, 5000},
		{"a limit", tablet.ScanRequest{Limit: 1500}, 0, 1, 1500},
		{"one column", tablet.ScanRequest{Select: []string{"id"}}, 0, 1, 5000},
		{"where", tablet.ScanRequest{Where: even}, 0, 2, 2500},
		{"where, with a limit and one column", tablet.ScanRequest{Where: even, Limit: 3, Select: []string{"id"}}, 0, 2, 3},
	} {
		test.request.Table = "users"
		rows, err := conn.Scan(t.Context(), test.request)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if want := len(test.request.Select); want > 0 && rows.Layout().Schema.Len() != want {
			t.Errorf("%s: the layout has the columns %s", test.name, rows.Layout().Schema)
		}
		if rows.LogEnd() != -1 {
			t.Errorf("%s: it stands at offset %d", test.name, rows.LogEnd())
		}
		ids := scanned(t, rows)
		want := make([]int64, test.count)
		for i := range want {
			want[i] = test.first + int64(i)*test.step
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: %d rows, want %d", test.name, len(ids), test.count)
		}
	}
	for _, request := range []tablet.ScanRequest{{Table: "nobody"}, {Table: "users", Select: []string{"nothing"}}} {
		_, err := conn.Scan(t.Context(), request)
		if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Class != forebay.ClassMisconfigured || e.Code == "" {
			t.Errorf("%v: %v", request, err)
		}
	}
}

func TestAScanOfNothingHasItsColumns(t *testing.T) {
	t.Parallel()
	_, conn := filled(t, forebay.TableSpec{Name: "clicks"}, 0)
	rows, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "clicks"})
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Layout().Schema.Equal(numbers()) {
		t.Errorf("its columns are %s", rows.Layout().Schema)
	}
	if ids := scanned(t, rows); len(ids) != 0 {
		t.Errorf("it shows %d rows", len(ids))
	}
}

func TestAScanEndsWithItsReader(t *testing.T) {
	t.Parallel()
	w, conn := filled(t, forebay.TableSpec{Name: "clicks"}, 100)
	rows, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "clicks"})
	if err != nil {
		t.Fatal(err)
	}
	w.proxy.Stall()
	ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	b := forebay.NewBatch()
	for err = nil; err == nil; {
		err = rows.Next(ended, b)
	}
	if !errors.Is(err, context.DeadlineExceeded) && err.Error() != "EOF" {
		t.Errorf("%v", err)
	}
	if err := errors.Join(rows.Close(), rows.Close()); err != nil {
		t.Error(err)
	}
}

func TestRowsAreFoundByTheirKey(t *testing.T) {
	t.Parallel()
	_, conn := filled(t, forebay.TableSpec{Name: "users", Key: []string{"id"}}, 100)
	key := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64}))
	b := forebay.NewBatch()
	for _, test := range []struct {
		id    int64
		found bool
	}{{42, true}, {100, false}} {
		if err := key.SetInt("id", test.id); err != nil {
			t.Fatal(err)
		}
		found, err := conn.Get(t.Context(), "users", key, b)
		if err != nil || found != test.found {
			t.Fatalf("%d: found %v (%v)", test.id, found, err)
		}
		if found && (b.Len() != 1 || b.Row(0).Int("id") != test.id || b.Row(0).Text("text") != "a small row") {
			t.Errorf("%d: another row", test.id)
		}
		if !found && b.Len() != 0 {
			t.Errorf("%d: a row", test.id)
		}
	}
	wrong := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.String}))
	if _, err := conn.Get(t.Context(), "users", wrong, b); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("a key of another type: %v", err)
	}
}

func TestTheCatalogueIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	w := begin(t)
	conn := w.dial(t, tablet.Config{})
	spec := forebay.TableSpec{Name: "users", Schema: numbers(), Key: []string{"id"}, Tablets: 2}
	if err := conn.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*forebay.Error](conn.Create(t.Context(), spec)); !ok || e.Code != "exists" {
		t.Errorf("made twice: %v", e)
	}
	want, err := w.server.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	got, err := conn.Describe(t.Context(), "users")
	if err != nil || got.ID != want.ID || got.SchemaID != want.SchemaID || !got.Schema.Equal(want.Schema) ||
		got.Tablets != want.Tablets || !slices.Equal(got.Logs, want.Logs) || !slices.Equal(got.Key, want.Key) {
		t.Errorf("described as %+v (%v), want %+v", got, err, want)
	}
	if list, err := conn.Tables(t.Context()); err != nil || len(list) != 1 || list[0].Name != "users" {
		t.Errorf("listed: %v (%v)", list, err)
	}
	if err := conn.Drop(t.Context(), "users"); err != nil {
		t.Fatal(err)
	}
	_, local := w.server.Describe(t.Context(), "users")
	if _, err := conn.Describe(t.Context(), "users"); err == nil || err.Error() != local.Error() {
		t.Errorf("a missing table is %q here and %q there", err, local)
	}
}

// logged reads a log until it has seen the row n-1.
func logged(t *testing.T, log tablet.Log, n int) []int64 {
	t.Helper()
	var ids []int64
	b := forebay.NewBatch()
	for len(ids) < n {
		if err := log.Next(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if b.Record(i).Offset != int64(len(ids)) {
				t.Fatalf("row %d has the offset %d", len(ids), b.Record(i).Offset)
			}
			ids = append(ids, b.Row(i).Int("id"))
		}
	}
	if log.Offset() != int64(n) {
		t.Errorf("the log stands at %d, want %d", log.Offset(), n)
	}
	return ids
}

func TestALogIsFollowedThroughCutConnections(t *testing.T) {
	t.Parallel()
	w, conn := filled(t, forebay.TableSpec{Name: "clicks", Tablets: 1}, 3000)
	log, err := conn.OpenLog(t.Context(), tablet.LogRequest{Table: "clicks", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	ids := logged(t, log, 3000)
	ascending(t, ids, 3000)
	b := forebay.NewBatch()
	for round := range 5 {
		w.proxy.Cut()
		settled(t, appendRows(t, out, 3000+100*round, 3100+100*round))
		for len(ids) < 3100+100*round {
			if err := log.Next(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				ids = append(ids, b.Row(i).Int("id"))
			}
		}
	}
	ascending(t, ids, 3500)
	if err := errors.Join(log.Close(), log.Close(), out.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestALogShowsChangesAndEnds(t *testing.T) {
	t.Parallel()
	_, conn := filled(t, forebay.TableSpec{Name: "users", Key: []string{"id"}, Tablets: 1}, 10)
	out, err := conn.Upsert(t.Context(), "users", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(numbers())
	if err := row.SetInt("id", 3); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Delete(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := conn.OpenLog(t.Context(), tablet.LogRequest{Table: "users", From: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	var ops []forebay.Op
	b := forebay.NewBatch()
	for err == nil {
		if err = log.Next(t.Context(), b); err == nil {
			for i := range b.Len() {
				ops = append(ops, b.Record(i).Op)
			}
		}
	}
	if err.Error() != "EOF" || len(ops) != 2 || ops[0] == forebay.OpDelete || ops[1] != forebay.OpDelete {
		t.Errorf("the changes are %v, and then %v", ops, err)
	}
}

func TestALogThatIsNotThereIsRefusedWhenItIsOpened(t *testing.T) {
	t.Parallel()
	_, conn := filled(t, forebay.TableSpec{Name: "clicks", Tablets: 1}, 1)
	for code, r := range map[string]tablet.LogRequest{
		"no-such-table": {Table: "nobody"}, "no-such-tablet": {Table: "clicks", Tablet: 1},
		"offset-trimmed": {Table: "clicks", From: -1},
	} {
		_, err := conn.OpenLog(t.Context(), r)
		if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Code != code {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// keyed makes a table with the key (text, id), of which the texts a, b and c have 100 rows each.
func keyed(t *testing.T, spec forebay.TableSpec) (*world, *tablet.Client) {
	t.Helper()
	w := begin(t)
	spec.Key = []string{"text", "id"}
	w.table(t, spec)
	conn := w.dial(t, tablet.Config{})
	out, err := conn.Upsert(t.Context(), spec.Name, writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(300) {
		row := forebay.NewRow(numbers())
		if err := errors.Join(row.SetInt("id", id), row.SetText("text", string(rune('a'+id%3)))); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Append(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, conn
}

func TestAScanOfAPrefixShowsItsRowsAlone(t *testing.T) {
	t.Parallel()
	_, conn := keyed(t, forebay.TableSpec{Name: "words"})
	prefix := func(text string) forebay.Row {
		row := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "text", Type: forebay.String}))
		if err := row.SetText("text", text); err != nil {
			t.Fatal(err)
		}
		return row
	}
	for text, want := range map[string]int{"a": 100, "b": 100, "c": 100, "": 0, "ab": 0} {
		rows, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "words", Prefix: prefix(text)})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		ids := scanned(t, rows)
		if len(ids) != want || !slices.IsSorted(ids) {
			t.Errorf("%q: %d rows, want %d in order: %v", text, len(ids), want, ids)
		}
		for _, id := range ids {
			if text != string(rune('a'+id%3)) {
				t.Errorf("%q shows row %d", text, id)
			}
		}
	}
	rows, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "words", Prefix: prefix("b"), Limit: 7})
	if err != nil {
		t.Fatal(err)
	}
	if ids := scanned(t, rows); len(ids) != 7 {
		t.Errorf("with a limit of 7: %v", ids)
	}
	wrong := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64}))
	if err := wrong.SetInt("id", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "words", Prefix: wrong}); forebay.ClassOf(err) !=
		forebay.ClassMisconfigured {
		t.Errorf("a column that does not begin the key: %v", err)
	}
}

// A tablet that is read piece by piece, each behind the last key of the one before and over a connection that broke
// meanwhile, gives each of its rows once; the log from where a piece stands has what came after it.
func TestATabletIsReadInPieces(t *testing.T) {
	t.Parallel()
	w, conn := keyed(t, forebay.TableSpec{Name: "words", Tablets: 2})
	layout := forebay.NewLayout(numbers())
	keys, err := forebay.NewKeyEncoder(layout, []int{layout.Schema.Find("text"), layout.Schema.Find("id")})
	if err != nil {
		t.Fatal(err)
	}
	info, err := conn.Describe(t.Context(), "words")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]int{}
	b := forebay.NewBatch()
	for at := range 2 {
		var after []byte
		for pieces := 0; ; pieces++ {
			rows, err := conn.Scan(t.Context(), tablet.ScanRequest{
				Table: "words", Limit: 40, Piece: &tablet.ScanPiece{Tablet: at, After: after},
			})
			if err != nil {
				t.Fatal(err)
			}
			if rows.LogEnd() != info.Logs[at].End {
				t.Errorf("piece %d of tablet %d stands at %d, its log ends at %d", pieces, at, rows.LogEnd(), info.Logs[at].End)
			}
			n := 0
			for err = rows.Next(t.Context(), b); err == nil; err = rows.Next(t.Context(), b) {
				for i := range b.Len() {
					seen[b.Row(i).Int("id")]++
					if after, err = keys.Append(after[:0], b, i); err != nil {
						t.Fatal(err)
					}
				}
				n += b.Len()
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
			if n == 0 {
				break
			}
			w.proxy.Cut()
		}
	}
	if len(seen) != 300 {
		t.Errorf("%d rows were seen, want 300", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("row %d was seen %d times", id, n)
		}
	}
	for _, piece := range []tablet.ScanPiece{{Tablet: 2}, {Tablet: -1}, {After: []byte("x")}} {
		rows, err := conn.Scan(t.Context(), tablet.ScanRequest{Table: "words", Piece: &piece})
		if err == nil {
			err = errors.Join(rows.Next(t.Context(), b), rows.Close())
		}
		if forebay.ClassOf(err) != forebay.ClassMisconfigured && !(piece.After != nil && errors.Is(err, io.EOF)) {
			t.Errorf("%+v: %v", piece, err)
		}
	}
}
