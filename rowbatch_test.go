// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// batchRow is one row of a row batch as the tests compare it.
type batchRow struct {
	Op  Op
	Key string
	Row string
}

func sealRows(keyed bool, rows []batchRow) []byte {
	data := AppendRowBatchHeader(nil, keyed)
	for _, row := range rows {
		if keyed {
			data = AppendRowKey(data, row.Op, []byte(row.Key))
		}
		data = AppendSizedRow(data, []byte(row.Row))
	}
	return SealRowBatch(data, 7, len(rows), 1_356_998_400_000_000)
}

func readRows(b RowBatch) (rows []batchRow, err error) {
	it := b.Rows()
	for it.Next() {
		rows = append(rows, batchRow{Op: it.Op(), Key: string(it.Key()), Row: string(it.Row())})
	}
	return rows, it.Err()
}

func TestRowBatchHasTheseBytes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		keyed      bool
		rows       []batchRow
	}{
		{"rows", "0100 0000 07000000 02000000 00c097cf2ed20400 06000000 CRC 026162 020000", false, []batchRow{
			{Row: "ab"}, {Row: "\x00\x00"},
		}},
		{
			"rows with op and key", "0101 0000 07000000 02000000 00c097cf2ed20400 0a000000 CRC 01 026b31 0172 02 01ff 00", true,
			[]batchRow{{Op: OpUpsert, Key: "k1", Row: "r"}, {Op: OpDelete, Key: "\xff"}},
		},
		{"no rows", "0100 0000 07000000 00000000 00c097cf2ed20400 00000000 CRC", false, nil},
	} {
		data := sealRows(tc.keyed, tc.rows)
		sum := data[24:28]
		want, err := hex.DecodeString(golden(replaceCRC(tc.want)))
		if err != nil {
			t.Fatal(err)
		}
		sumWant := crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli))
		if got := binary.LittleEndian.Uint32(sum); got != sumWant {
			t.Errorf("%s: the checksum is %08x, want %08x", tc.name, got, sumWant)
		}
		copy(want[24:], sum)
		if !bytes.Equal(data, want) {
			t.Errorf("%s: the bytes are\n%x, want\n%x", tc.name, data, want)
		}
	}
}

// replaceCRC puts zeros where the checksum goes.
func replaceCRC(text string) string {
	before, after, _ := bytes.Cut([]byte(text), []byte("CRC"))
	return string(before) + "00000000" + string(after)
}

func TestRowBatchGivesBackItsRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keyed := rapid.Bool().Draw(t, "keyed")
		text := rapid.StringN(-1, -1, 300)
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) batchRow {
			row := batchRow{Row: text.Draw(t, "row")}
			if keyed {
				row.Op = Op(rapid.IntRange(0, 2).Draw(t, "op"))
				row.Key = text.Draw(t, "key")
			}
			return row
		}), 0, 10).Draw(t, "rows")
		b, err := OpenRowBatch(sealRows(keyed, rows))
		if err != nil {
			t.Fatal(err)
		}
		if b.Records() != len(rows) || b.SchemaID() != 7 || b.Time() != 1_356_998_400_000_000 || b.Keyed() != keyed {
			t.Fatalf("%d records, schema %d, time %d, keyed %v", b.Records(), b.SchemaID(), b.Time(), b.Keyed())
		}
		got, err := readRows(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, got); len(rows) > 0 && diff != "" {
			t.Fatalf("other rows (-want +got):\n%s", diff)
		}
	})
}

func TestRowBatchSpanIsTheRowInItsData(t *testing.T) {
	t.Parallel()
	b, err := OpenRowBatch(sealRows(true, []batchRow{{Key: "k", Row: "first"}, {Key: "l", Row: "second"}}))
	if err != nil {
		t.Fatal(err)
	}
	for it := b.Rows(); it.Next(); {
		start, size := it.Span()
		if got := b.Data()[start : start+size]; !bytes.Equal(got, it.Row()) {
			t.Errorf("the span of row %d is %q, the row %q", it.Index(), got, it.Row())
		}
	}
}

func TestRowBatchMayBeSealedAgain(t *testing.T) {
	t.Parallel()
	data := sealRows(false, []batchRow{{Row: "ab"}})
	first := bytes.Clone(data)
	SealRowBatch(data, 8, 1, 5)
	if b, err := OpenRowBatch(data); err != nil || b.SchemaID() != 8 || b.Time() != 5 {
		t.Errorf("schema %d, time %d, error %v", b.SchemaID(), b.Time(), err)
	}
	if SealRowBatch(data, 7, 1, 1_356_998_400_000_000); !bytes.Equal(data, first) {
		t.Errorf("sealed back it is %x, was %x", data, first)
	}
}

func TestOpenRowBatchNoticesEveryChangedBit(t *testing.T) {
	t.Parallel()
	data := sealRows(true, []batchRow{{Op: OpUpsert, Key: "key", Row: "row"}})
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		if _, err := OpenRowBatch(data); err == nil {
			t.Errorf("bit %d of byte %d may change", bit%8, bit/8)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
	for size := range data {
		if _, err := OpenRowBatch(data[:size]); err == nil {
			t.Errorf("%d of %d bytes are accepted", size, len(data))
		}
	}
	if _, err := OpenRowBatch(append(data, 0)); err == nil {
		t.Error("one byte more is accepted")
	}
}

// reseal gives changed bytes a right checksum.
func reseal(data []byte) []byte {
	binary.LittleEndian.PutUint32(data[rowBatchCRCAt:], rowBatchChecksum(data))
	return data
}

func TestOpenRowBatchRefusesWrongHeaders(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(data []byte)
		class  Class
	}{
		{"version", func(data []byte) { data[0] = 2 }, ClassMisconfigured},
		{"flag", func(data []byte) { data[1] = 2 }, ClassCorrupt},
		{"reserved", func(data []byte) { data[3] = 1 }, ClassCorrupt},
		{"body size", func(data []byte) { data[20]++ }, ClassCorrupt},
		{"more rows than bytes", func(data []byte) { data[11] = 1 }, ClassCorrupt},
	} {
		data := sealRows(false, []batchRow{{Row: "row"}})
		tc.change(data)
		if _, err := OpenRowBatch(reseal(data)); err == nil || ClassOf(err) != tc.class {
			t.Errorf("%s: error %v, want a %s one", tc.name, err, tc.class)
		}
	}
}

func TestRowIteratorReportsWrongRows(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		keyed   bool
		body    string
		records int
		read    int
	}{
		{"fewer rows than said", false, "\x01a", 2, 1},
		{"more rows than said", false, "\x01a\x01b", 1, 2},
		{"row beyond the end", false, "\x01a\x05b", 2, 1},
		{"row a byte beyond the end", false, "\x01a\x02b", 2, 1},
		{"size without end", false, "\x01a\xff", 2, 1},
		{"size above memory", false, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, 0},
		{"unknown op", true, "\x04\x01k\x01r", 1, 0},
		{"key beyond the end", true, "\x00\x09k\x01r", 1, 0},
		{"key without size", true, "\x00", 1, 0},
		{"key without row", true, "\x00\x01k", 1, 0},
	} {
		data := append(AppendRowBatchHeader(nil, tc.keyed), tc.body...)
		b, err := OpenRowBatch(SealRowBatch(data, 1, tc.records, 0))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		rows, err := readRows(b)
		if ClassOf(err) != ClassCorrupt || len(rows) != tc.read {
			t.Errorf("%s: %d rows, error %v; want %d and a corrupt one", tc.name, len(rows), err, tc.read)
		}
		it := b.Rows()
		for range 4 {
			it.Next()
		}
		if it.Next() || it.Err() == nil {
			t.Errorf("%s: reading goes on after its end", tc.name)
		}
	}
}

func TestSealRowBatchPanicsAboveItsLimits(t *testing.T) {
	t.Parallel()
	wantPanic(t, "limits", func() { SealRowBatch(AppendRowBatchHeader(nil, false), 1, -1, 0) })
	wantPanic(t, "limits", func() { SealRowBatch(AppendRowBatchHeader(nil, false), 1, 1<<32, 0) })
}

// FuzzOpenRowBatch opens any bytes, as they are and with a right checksum: no panic, and a batch that reads
// to its end without an error is made of the rows that it gave.
func FuzzOpenRowBatch(f *testing.F) {
	f.Add(sealRows(false, []batchRow{{Row: "ab"}, {Row: ""}}), false)
	f.Add(sealRows(true, []batchRow{{Op: OpUpsert, Key: "k1", Row: "r"}, {Op: OpDelete, Key: "\xff"}}), false)
	f.Add(append(AppendRowBatchHeader(nil, true), 0, 0xff, 0xff, 1, 2), true)
	f.Fuzz(func(t *testing.T, data []byte, right bool) {
		data = bytes.Clone(data)
		if right && len(data) >= RowBatchHeaderSize {
			binary.LittleEndian.PutUint32(data[rowBatchBodyAt:], uint32(len(data)-RowBatchHeaderSize))
			reseal(data)
		}
		b, err := OpenRowBatch(data)
		if err != nil {
			return
		}
		rows, err := readRows(b)
		if err != nil {
			if ClassOf(err) != ClassCorrupt {
				t.Fatalf("the error is %s: %v", ClassOf(err), err)
			}
			return
		}
		if len(rows) != b.Records() {
			t.Fatalf("%d rows were read and %d announced", len(rows), b.Records())
		}
		again, err := OpenRowBatch(sealRows(b.Keyed(), rows))
		if err != nil {
			t.Fatal(err)
		}
		rowsAgain, err := readRows(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rows, rowsAgain); diff != "" {
			t.Fatalf("sealed again it has other rows (-first +again):\n%s", diff)
		}
	})
}
