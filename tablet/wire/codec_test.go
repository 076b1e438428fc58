// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay/tablet/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// rowsOf is rows of a size, no two bytes that lie near each other the same.
func rowsOf(size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(i * 7)
	}
	return out
}

// messages are one of each kind that travels, by the name of their golden file.
func messages() map[string]proto.Message {
	progress := []*wire.SplitProgress{
		{Split: "flights.csv", Version: 7, Offset: 1 << 40, Detail: "line 12", Fingerprint: "file:flights.csv"},
		{Split: "other", Version: 1, Offset: -1, Finished: true},
	}
	columns := []*wire.Column{{Name: "id", Type: "int64"}, {Name: "price", Type: "decimal(10,2)"}}
	owner := &wire.Owner{Pipeline: "flights", Epoch: 3, Holder: "a1b2"}
	table := &wire.Table{
		Name: "clicks", Columns: columns, Key: []string{"id"}, Tablets: 4, Version: "at", DistributeBy: []string{"x"},
		RetentionUs: 604800000000, Id: 9, SchemaId: 2,
		PartitionBy: &wire.PartitionBy{Column: "day", Template: "day", Limit: 100},
		Partitions:  []*wire.Partition{{Name: "2026-01-02", FirstTablet: 0}, {Name: "2026-01-03", FirstTablet: 4}},
		Logs:        []*wire.LogRange{{First: 1, End: 20}, {}},
	}
	return map[string]proto.Message{
		"write_request": &wire.WriteRequest{
			WriterId: "0f0e", SequenceNum: 5, BatchData: []byte("rows"), Id: 77, TableId: 9, Partition: "2026-01-02",
			Tablet: 3, Records: 2, Acks: wire.Acks_ACKS_ONE, Partial: true, ExpiresMs: 1500,
		},
		"write_request_large": &wire.WriteRequest{Id: 1, TableId: 9, Records: 400, BatchData: rowsOf(3000)},
		"commit_request": &wire.CommitRequest{
			Id: 8, Owner: owner, Progress: progress,
			DeadLetters: []*wire.DeadLetter{{
				Split: "flights.csv", Offset: 12, Sub: 1, Stage: "sink", Code: "wrong-type", Reason: "no number",
				Place: "flights.csv:3:1", Value: []byte("a,b"), TimeUs: 1767225600000000,
			}},
			Requests: []*wire.WriteRequest{
				{TableId: 9, Tablet: 1, Records: 1, BatchData: []byte("few")},
				{TableId: 9, Partition: "p", Tablet: 2, Records: 300, BatchData: rowsOf(2000)},
				{TableId: 9, Tablet: 3},
			},
		},
		"answer": &wire.Answer{
			Id: 77, Code: 422, Message: "rows refused", Class: 6, Leader: "10.0.0.1:7879", RetryAfterMs: 20,
			Rows:   []*wire.RowError{{Request: 1, Row: 2, Code: "null-key", Reason: "the key is null"}},
			Offset: 12345, Progress: progress, Pressure: 40,
		},
		"rows_answer": &wire.RowsAnswer{
			Columns: columns, Rows: rowsOf(1500), Offset: 3, Found: []uint32{0, 300},
		},
		"log_answer":               &wire.LogAnswer{Columns: columns, Offset: 3, Rows: rowsOf(1500), Ops: []byte{0, 1, 2}},
		"init_writer_answer":       &wire.InitWriterAnswer{WriterId: "0f0e"},
		"cluster_answer":           &wire.ClusterAnswer{Leader: "a:1", Addresses: []string{"a:1", "b:1"}, Serving: true},
		"table":                    table,
		"list_tables_answer":       &wire.ListTablesAnswer{Tables: []*wire.Table{table}},
		"describe_table_request":   &wire.DescribeTableRequest{Name: "clicks"},
		"create_table_request":     &wire.CreateTableRequest{Table: table, Open: true},
		"drop_table_request":       &wire.DropTableRequest{Name: "clicks"},
		"shape_request":            &wire.ShapeRequest{TableId: 9, Columns: columns},
		"shape_answer":             &wire.ShapeAnswer{SchemaId: 3},
		"create_partition_request": &wire.CreatePartitionRequest{TableId: 9, Name: "2026-01-02"},
		"partition":                &wire.Partition{Name: "2026-01-02", FirstTablet: 8, Created: true},
		"lookup_request":           &wire.LookupRequest{Table: "clicks", Keys: [][]byte{{1}, {2, 3}}},
		"scan_request": &wire.ScanRequest{
			Table: "clicks", Select: []string{"id"}, Limit: 10, Prefix: []byte{1}, Tablet: -1, After: []byte{2},
			WithOffset: true,
		},
		"count_request":    &wire.CountRequest{Table: "clicks"},
		"count_answer":     &wire.CountAnswer{Count: 12},
		"read_log_request": &wire.ReadLogRequest{Table: "clicks", Tablet: 2, From: 100, Follow: true},
		"state_request":    &wire.StateRequest{Pipeline: "flights"},
		"state_answer":     &wire.StateAnswer{Owner: owner, Used: true, Splits: progress},
		"fence_request":    &wire.FenceRequest{Owner: owner, Progress: true, Seed: progress},
		"forget_request":   &wire.ForgetRequest{Pipeline: "flights"},
		"error": &wire.Error{
			Op: "open table", Class: 9, Code: "no-such-table", Cure: "make it", Message: "table x does not exist",
		},
	}
}

func marshal(t *testing.T, m any) []byte {
	t.Helper()
	out, err := wire.Codec{}.Marshal(m)
	if err != nil {
		t.Fatalf("marshal %T: %v", m, err)
	}
	return out.Materialize()
}

func TestEveryMessageHasItsGoldenBytes(t *testing.T) {
	for name, m := range messages() {
		path := filepath.Join("testdata", name+".hex")
		got := marshal(t, m)
		if *rewrite {
			if err := os.WriteFile(path, []byte(lines(hex.EncodeToString(got))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; go test ./tablet/wire -run Golden -rewrite makes it", err)
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the bytes are %x, want %x", name, got, want)
		}
		decoded := m.ProtoReflect().New().Interface()
		if err := (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(want)}, decoded); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(m, decoded, protocmp.Transform()); diff != "" {
			t.Errorf("%s came back as another message (-want +got):\n%s", name, diff)
		}
	}
}

// lines breaks text so that a change of it can be read.
func lines(text string) string {
	var out strings.Builder
	for len(text) > 100 {
		out.WriteString(text[:100] + "\n")
		text = text[100:]
	}
	return out.String() + text + "\n"
}

// WP1: what the codec writes means the same to generated code, and what generated code writes the same to the codec.
func TestWP1CodecAgreesWithGeneratedCode(t *testing.T) {
	for name, m := range messages() {
		byUs := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(marshal(t, m), byUs); err != nil {
			t.Errorf("%s: generated code cannot read it: %v", name, err)
		}
		if diff := cmp.Diff(m, byUs, protocmp.Transform()); diff != "" {
			t.Errorf("%s means something else to generated code (-want +got):\n%s", name, diff)
		}
		theirs, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		byThem := m.ProtoReflect().New().Interface()
		if err := (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(theirs)}, byThem); err != nil {
			t.Errorf("%s: the codec cannot read it: %v", name, err)
		}
		if diff := cmp.Diff(m, byThem, protocmp.Transform()); diff != "" {
			t.Errorf("%s of generated code means something else here (-want +got):\n%s", name, diff)
		}
	}
}

func TestRowsAreHandedOverAndNotCopied(t *testing.T) {
	rows := rowsOf(4000)
	for _, m := range []proto.Message{
		&wire.WriteRequest{BatchData: rows}, &wire.RowsAnswer{Rows: rows}, &wire.LogAnswer{Rows: rows},
		&wire.CommitRequest{Requests: []*wire.WriteRequest{{BatchData: rows}}},
	} {
		out, err := wire.Codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		shared := false
		for _, b := range out {
			shared = shared || b.Len() == len(rows) && &b.ReadOnlyData()[0] == &rows[0]
		}
		if !shared {
			t.Errorf("%T: no buffer is the memory of the rows", m)
		}
	}
}

// WP3: the sender may use the memory again when the last reference is gone, and not before.
func TestWP3LeaseEndsWithTheLastReference(t *testing.T) {
	m := &wire.CommitRequest{Requests: []*wire.WriteRequest{
		{BatchData: rowsOf(5000)}, {BatchData: []byte("few")}, {BatchData: rowsOf(6000)},
	}}
	released := 0
	lease := wire.Lend(m, func() { released++ })
	out, err := wire.Codec{}.Marshal(lease)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marshal(t, m), out.Materialize()); diff != "" {
		t.Errorf("a lease has other bytes than its message (-want +got):\n%s", diff)
	}
	out.Ref() // as a transport does that keeps the message for later
	out.Free()
	lease.End()
	if released != 0 {
		t.Fatal("released while a reference is held")
	}
	out.Free()
	if released != 1 {
		t.Errorf("released %d times after the last reference, want 1", released)
	}
}

func TestWP3LeaseThatWasNeverSentEnds(t *testing.T) {
	released := 0
	wire.Lend(&wire.WriteRequest{BatchData: rowsOf(5000)}, func() { released++ }).End()
	if released != 1 {
		t.Errorf("released %d times, want 1", released)
	}
}

func TestLoanReceivesIntoMemoryThatIsUsedAgain(t *testing.T) {
	data := marshal(t, &wire.WriteRequest{Id: 5, BatchData: rowsOf(5000)})
	parts := mem.BufferSlice{mem.SliceBuffer(data[:1000]), mem.SliceBuffer(data[1000:])}
	m := &wire.WriteRequest{}
	loan := wire.Loan{Message: m}
	for range 3 {
		if err := (wire.Codec{}).Unmarshal(parts, &loan); err != nil {
			t.Fatal(err)
		}
		if m.GetId() != 5 || !bytes.Equal(m.GetBatchData(), rowsOf(5000)) {
			t.Errorf("received id %d and %d bytes, want 5 and 5000", m.GetId(), len(m.GetBatchData()))
		}
	}
	loan.Free()
	loan.Free()
	if err := (wire.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer{0xff}}, &loan); err == nil {
		t.Error("broken bytes were taken")
	}
}

func TestTextThatIsNotUTF8IsRefusedOnBothSides(t *testing.T) {
	if _, err := (wire.Codec{}).Marshal(&wire.WriteRequest{WriterId: "\xff"}); err == nil {
		t.Error("written")
	}
	broken := mem.BufferSlice{mem.SliceBuffer{0x0a, 1, 0xff}}
	if err := (wire.Codec{}).Unmarshal(broken, &wire.WriteRequest{}); err == nil {
		t.Error("read")
	}
}

// FuzzDecode, WP2, holds the decoders against generated code: both take the same bytes, as the same message.
func FuzzDecode(f *testing.F) {
	kinds := []proto.Message{&wire.WriteRequest{}, &wire.CommitRequest{}, &wire.RowsAnswer{}, &wire.LogAnswer{}}
	for _, m := range messages() {
		for kind := range kinds {
			if m.ProtoReflect().Descriptor() == kinds[kind].ProtoReflect().Descriptor() {
				data, err := proto.Marshal(m)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(uint8(kind), data)
			}
		}
	}
	f.Add(uint8(2), []byte{0x20, 1, 0x20, 0x80, 1, 0x22, 2, 3, 4})
	f.Add(uint8(0), []byte{0x0b, 0x0c})
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) { agree(t, kinds[int(kind)%len(kinds)], data) })
}

// agree fails unless generated code and the codec take the bytes as the same message of that kind, or both do not.
func agree(t *testing.T, m proto.Message, data []byte) {
	t.Helper()
	want, got := m.ProtoReflect().New().Interface(), m.ProtoReflect().New().Interface()
	wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)
	gotErr := wire.Codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, got)
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("%x: generated code says %v, the codec says %v", data, wantErr, gotErr)
	}
	if wantErr != nil {
		return
	}
	discardUnknown(got)
	if !proto.Equal(want, got) {
		t.Fatalf("%x: generated code reads %v, the codec reads %v", data, want, got)
	}
	back := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(marshal(t, got), back); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, back) {
		t.Fatalf("%x: written again it is %v, was %v", data, back, want)
	}
}

func TestWP1DamagedMessagesMeanTheSameToGeneratedCode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	small := proto.Clone(messages()["commit_request"]).(*wire.CommitRequest)
	small.Requests[1].BatchData = []byte("not many")
	all := []proto.Message{
		small, messages()["write_request"], &wire.RowsAnswer{
			Columns: []*wire.Column{{Name: "a", Type: "int64"}}, Rows: []byte("rows"), Offset: 3, Found: []uint32{0, 300},
		}, &wire.LogAnswer{Columns: []*wire.Column{{Name: "a", Type: "int64"}}, Rows: []byte("rows"), Ops: []byte{0, 1}},
	}
	for _, m := range all {
		whole, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for range 20_000 {
			data := bytes.Clone(whole)
			for range 1 + random.IntN(4) {
				at := random.IntN(len(data))
				switch random.IntN(4) {
				case 0:
					data[at] = byte(random.Uint32())
				case 1:
					data[at] ^= 1 << random.IntN(8)
				case 2:
					data = append(data[:at], data[min(len(data), at+1+random.IntN(3)):]...)
				default:
					data = append(data, data[at:min(len(data), at+random.IntN(20))]...)
				}
				if len(data) == 0 {
					break
				}
			}
			agree(t, m, data)
		}
	}
}

// discardUnknown drops fields of submessages that nobody knows; the codec keeps them as generated code does.
func discardUnknown(m proto.Message) {
	data, err := proto.Marshal(m)
	if err == nil {
		_ = proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
	}
}
