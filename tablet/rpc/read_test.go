// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/rpc"
	"github.com/forebay-io/forebay/tablet/wire"
)

// decoded are the rows of a row batch as text.
func decoded(t *testing.T, columns []*wire.Column, data []byte) []string {
	t.Helper()
	schema, err := wire.Schema(columns)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := forebay.OpenRowBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	decoder := forebay.NewRowDecoder(schema, nil)
	var out []string
	for rows := batch.Rows(); rows.Next(); {
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, schema.Len())
		b.SetLayout(forebay.NewLayout(schema))
		start := b.AppendBytes(rows.Row())
		i := b.AppendSpan(0, start, 0)
		if err := decoder.Decode(b.Cells(i), b.Slab(), start, len(rows.Row())); err != nil {
			t.Fatal(err)
		}
		var cells []string
		for k, c := range schema.Columns() {
			cells = append(cells, string(forebay.AppendCell(nil, c.Type, b.Row(i).Cell(k), b.Slab())))
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

func scanned(t *testing.T, c wire.TabletsClient, r *wire.ScanRequest) (rows []string, err error) {
	t.Helper()
	stream, err := c.Scan(t.Context(), r)
	if err != nil {
		return nil, err
	}
	var columns []*wire.Column
	for {
		a, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		if columns == nil {
			columns = a.GetColumns()
		}
		if len(a.GetRows()) > 0 {
			rows = append(rows, decoded(t, columns, a.GetRows())...)
		}
	}
}

func TestTablesAreMadeDescribedAndDropped(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	ctx := t.Context()
	spec := forebay.TableSpec{Name: "users", Schema: numbers(), Key: []string{"id"}, Tablets: 3}
	made, err := w.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(spec)})
	if err != nil {
		t.Fatal(err)
	}
	info, err := tablet.TableOf(made)
	if err != nil || info.ID == 0 || len(info.Logs) != 3 {
		t.Errorf("made %+v, %v", info, err)
	}
	_, err = w.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(spec)})
	if e := problem(t, err); e.Code != "exists" {
		t.Errorf("made again: %v", e)
	}
	opened, err := w.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(spec), Open: true})
	if err != nil || opened.GetId() != made.GetId() {
		t.Errorf("opened %v, %v", opened, err)
	}
	for name, r := range map[string]*wire.CreateTableRequest{
		"no table": {}, "no columns": {Table: &wire.Table{Name: "x"}},
		"a type that nobody knows": {Table: &wire.Table{Name: "x", Columns: []*wire.Column{{Name: "a", Type: "b"}}}},
		"a name that is none":      {Table: wire.NewTable(forebay.TableSpec{Name: "a b", Schema: numbers()})},
		"no name":                  {Table: wire.NewTable(forebay.TableSpec{Schema: numbers()})},
		"open without a table":     {Open: true},
	} {
		_, err := w.CreateTable(ctx, r)
		if e := problem(t, err); e.Class != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", name, e)
		}
	}
	list, err := w.ListTables(ctx, &wire.ListTablesRequest{})
	if err != nil || len(list.GetTables()) != 1 {
		t.Errorf("listed %v, %v", list.GetTables(), err)
	}
	if _, err := w.DropTable(ctx, &wire.DropTableRequest{Name: "users"}); err != nil {
		t.Error(err)
	}
	_, err = w.DescribeTable(ctx, &wire.DescribeTableRequest{Name: "users"})
	if e := problem(t, err); e.Code != "no-such-table" {
		t.Errorf("described after the drop: %v", e)
	}
	first, err := w.InitWriter(ctx, &wire.InitWriterRequest{})
	if err != nil || len(first.GetWriterId()) != 32 {
		t.Errorf("writer %v, %v", first, err)
	}
	second, err := w.InitWriter(ctx, &wire.InitWriterRequest{})
	if err != nil || second.GetWriterId() == first.GetWriterId() {
		t.Errorf("the same writer id twice, %v", err)
	}
}

func TestAShapeIsGivenForSomeColumns(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	clicks := w.logTable(t, "clicks")
	ask := func(id uint32, columns ...*wire.Column) (uint32, error) {
		a, err := w.Shape(t.Context(), &wire.ShapeRequest{TableId: id, Columns: columns})
		return a.GetSchemaId(), err
	}
	all, err := ask(clicks.ID, wire.NewColumns(clicks.Schema)...)
	if err != nil || all != clicks.SchemaID {
		t.Errorf("all columns: %d, %v", all, err)
	}
	some, err := ask(clicks.ID, &wire.Column{Name: "id", Type: "int32"})
	if err != nil || some == all || some == 0 {
		t.Errorf("a narrow column: %d, %v", some, err)
	}
	if again, err := ask(clicks.ID, &wire.Column{Name: "id", Type: "int32"}); err != nil || again != some {
		t.Errorf("again: %d, %v", again, err)
	}
	for name, columns := range map[string][]*wire.Column{
		"none": nil, "an unknown column": {{Name: "x", Type: "int64"}}, "an unknown type": {{Name: "id", Type: "x"}},
	} {
		_, err := ask(clicks.ID, columns...)
		if e := problem(t, err); e.Class != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", name, e)
		}
	}
	_, err = ask(clicks.ID + 9)
	if e := problem(t, err); e.Code != "no-such-table" {
		t.Errorf("no such table: %v", e)
	}
}

func TestScansAndLookUpsShowWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	users := w.table(t, forebay.TableSpec{Name: "users", Schema: numbers(), Key: []string{"id"}, Tablets: 1})
	stream := openWrites(t, w)
	wants(t, stream.ask(t, request(t, users, 1, 5, 3, 1)), forebay.CodeOK)
	for _, test := range []struct {
		name string
		r    *wire.ScanRequest
		want []string
	}{
		{"all", &wire.ScanRequest{Table: "users", Tablet: -1}, []string{"1|row 1", "3|row 3", "5|row 5"}},
		{
			"some columns", &wire.ScanRequest{Table: "users", Tablet: -1, Select: []string{"text"}},
			[]string{"row 1", "row 3", "row 5"},
		},
		{"some rows", &wire.ScanRequest{Table: "users", Tablet: -1, Limit: 2}, []string{"1|row 1", "3|row 3"}},
	} {
		got, err := scanned(t, w, test.r)
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", test.name, err, diff)
		}
	}
	for name, r := range map[string]*wire.ScanRequest{
		"no table": {Table: "nobody", Tablet: -1}, "no column": {Table: "users", Tablet: -1, Select: []string{"x"}},
		"a negative limit":      {Table: "users", Tablet: -1, Limit: -1},
		"after of all":          {Table: "users", Tablet: -1, After: []byte("x")},
		"a prefix that is none": {Table: "users", Tablet: -1, Prefix: []byte("x")},
	} {
		_, err := scanned(t, w, r)
		if e := problem(t, err); e.Class != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", name, e)
		}
	}
	a, err := w.Lookup(t.Context(), &wire.LookupRequest{
		Table: "users", Keys: [][]byte{keyOf(t, 3), keyOf(t, 4), keyOf(t, 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3|row 3", "1|row 1"}, decoded(t, a.GetColumns(), a.GetRows())); diff != "" {
		t.Errorf("looked up (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]uint32{0, 2}, a.GetFound()); diff != "" {
		t.Errorf("found (-want +got)\n%s", diff)
	}
	_, err = w.Lookup(t.Context(), &wire.LookupRequest{Table: "users", Keys: [][]byte{[]byte("x")}})
	if e := problem(t, err); e.Class != forebay.ClassMisconfigured {
		t.Errorf("a key that is none: %v", e)
	}
	n, err := w.Count(t.Context(), &wire.CountRequest{Table: "users"})
	if err != nil || n.GetCount() != 3 {
		t.Errorf("count %v, %v", n, err)
	}
}

func keyOf(t *testing.T, id int64) []byte {
	t.Helper()
	row := forebay.NewRow(forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64}))
	if err := row.SetInt("id", id); err != nil {
		t.Fatal(err)
	}
	b, i := row.Batch()
	e, err := forebay.NewKeyEncoder(b.Layout(), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	key, err := e.Append(nil, b, i)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestALogIsReadToItsEndOrFollowed(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	users := w.table(t, forebay.TableSpec{Name: "users", Schema: numbers(), Key: []string{"id"}, Tablets: 1})
	stream := openWrites(t, w)
	wants(t, stream.ask(t, request(t, users, 1, 1, 2)), forebay.CodeOK)
	wants(t, stream.ask(t, request(t, users, 2, 3)), forebay.CodeOK)
	read := func(follow bool) grpc.ServerStreamingClient[wire.LogAnswer] {
		t.Helper()
		log, err := w.ReadLog(t.Context(), &wire.ReadLogRequest{Table: "users", From: 1, Follow: follow})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	var got []string
	var columns []*wire.Column
	take := func(a *wire.LogAnswer) {
		t.Helper()
		if len(a.GetColumns()) > 0 {
			columns = a.GetColumns()
		}
		for i, row := range decoded(t, columns, a.GetRows()) {
			got = append(got, fmt.Sprintf("%d %s %s", a.GetOffset()+int64(i), forebay.Op(a.GetOps()[i]), row))
		}
	}
	ended := read(false)
	for {
		a, err := ended.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		take(a)
	}
	if diff := cmp.Diff([]string{"1 upsert 2|row 2", "2 upsert 3|row 3"}, got); diff != "" {
		t.Errorf("read (-want +got)\n%s", diff)
	}
	got = nil
	following := read(true)
	wants(t, stream.ask(t, request(t, users, 3, 4)), forebay.CodeOK)
	for len(got) < 3 {
		a, err := following.Recv()
		if err != nil {
			t.Fatal(err)
		}
		take(a)
	}
	if diff := cmp.Diff([]string{"1 upsert 2|row 2", "2 upsert 3|row 3", "3 upsert 4|row 4"}, got); diff != "" {
		t.Errorf("followed (-want +got)\n%s", diff)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := following.Recv(); problem(t, err).Class != forebay.ClassTransient {
		t.Errorf("the follower ends with %v", err)
	}
}

func TestReadersAreBoundedAndThoseThatTakeNothingEnd(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{Limits: rpc.Limits{Readers: 1, Stalled: 300 * time.Millisecond}})
	clicks := w.logTable(t, "clicks")
	stream := openWrites(t, w)
	var ids []int64
	for i := range int64(20_000) {
		ids = append(ids, i)
	}
	many := request(t, clicks, 1, ids...)
	for range 40 {
		wants(t, stream.ask(t, many), forebay.CodeOK)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lazy, err := w.Scan(ctx, &wire.ScanRequest{Table: "clicks", Tablet: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lazy.Recv(); err != nil {
		t.Fatal(err)
	}
	_, err = scanned(t, w, &wire.ScanRequest{Table: "clicks", Tablet: -1, Limit: 1})
	if e := problem(t, err); e.Code != "overload" {
		t.Errorf("a second reader: %v", e)
	}
	until(t, "the lazy reader makes room", func() bool {
		_, err := scanned(t, w, &wire.ScanRequest{Table: "clicks", Tablet: -1, Limit: 1})
		return err == nil
	})
	for err == nil || !strings.Contains(err.Error(), "taken no rows") {
		if _, err = lazy.Recv(); errors.Is(err, io.EOF) {
			t.Fatal("the lazy reader got everything")
		}
	}
}

func TestPartitionsAreMadeOnceAndWrittenTo(t *testing.T) {
	t.Parallel()
	w := begin(t, rpc.Config{})
	info := w.table(t, forebay.TableSpec{
		Name: "clicks", Schema: numbers(), Tablets: 2, PartitionBy: forebay.PartitionBy{Column: "text", Template: "value"},
	})
	stream := openWrites(t, w)
	r := &wire.WriteRequest{
		Id: 1, TableId: info.ID, Partition: "b", Tablet: 1, Records: 1, BatchData: rows(t, w.logTable(t, "plain"), 7),
	}
	wants(t, stream.ask(t, r), forebay.CodeNotFound)
	made := map[bool]int{}
	for _, name := range []string{"a", "b", "b"} {
		p, err := w.CreatePartition(t.Context(), &wire.CreatePartitionRequest{TableId: info.ID, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if made[p.GetCreated()]++; name == "b" && p.GetFirstTablet() != 2 {
			t.Errorf("partition b begins at tablet %d", p.GetFirstTablet())
		}
	}
	if diff := cmp.Diff(map[bool]int{true: 2, false: 1}, made); diff != "" {
		t.Errorf("created (-want +got)\n%s", diff)
	}
	wants(t, stream.ask(t, r), forebay.CodeOK)
	got, err := w.DescribeTable(t.Context(), &wire.DescribeTableRequest{Name: "clicks"})
	if err != nil || len(got.GetLogs()) != 4 || got.GetLogs()[3].GetEnd() != 1 {
		t.Errorf("described %v, %v", got, err)
	}
	for name, r := range map[string]*wire.CreatePartitionRequest{
		"no table": {TableId: 99, Name: "a"}, "no name": {TableId: info.ID},
	} {
		_, err := w.CreatePartition(t.Context(), r)
		if e := problem(t, err); e.Class != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", name, e)
		}
	}
}
