// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// modelRecord is what a record of a batch should be.
type modelRecord struct {
	Offset     int64
	Key, Value string
	Headers    []string
	Cells      []int64
}

// batchModel does to a list what it does to a batch.
type batchModel struct {
	batch   *Batch
	records []modelRecord
	next    int64
	// removed says that the last record is not the one that was appended last.
	removed bool
}

func (m *batchModel) appendRecord(t *rapid.T) {
	r := modelRecord{Offset: m.next, Value: rapid.StringN(-1, -1, 60).Draw(t, "value")}
	m.next++
	i := m.batch.Append(r.Offset, []byte(r.Value))
	if i != len(m.records) {
		t.Fatalf("record %d got the index %d", len(m.records), i)
	}
	for slot := range m.batch.Cells(i) {
		if !m.batch.Cells(i)[slot].IsNull() {
			t.Fatalf("a new row has %v in slot %d", m.batch.Cells(i)[slot], slot)
		}
		v := rapid.Int64().Draw(t, "cell")
		m.batch.Cells(i)[slot] = Int64Cell(v)
		r.Cells = append(r.Cells, v)
	}
	if rapid.Bool().Draw(t, "with key") {
		r.Key = rapid.StringN(1, -1, 20).Draw(t, "key")
		m.batch.SetKey(i, m.batch.AppendText(r.Key), len(r.Key))
	}
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		name := rapid.StringN(1, 3, 20).Draw(t, "header")
		r.Headers = append(r.Headers, name)
		m.batch.AddHeader(Header{Name: name})
	}
	m.records = append(m.records, r)
	m.removed = false
}

func (m *batchModel) check(t *rapid.T) {
	var got []modelRecord
	for i, value := range m.batch.All() {
		r := modelRecord{Offset: m.batch.Record(i).Offset, Key: string(m.batch.Key(i)), Value: string(value)}
		for _, h := range m.batch.Headers(i) {
			r.Headers = append(r.Headers, h.Name)
		}
		for _, c := range m.batch.Cells(i) {
			r.Cells = append(r.Cells, c.Int())
		}
		got = append(got, r)
	}
	if diff := cmp.Diff(m.records, got); m.batch.Len() != len(m.records) || len(got) > 0 && diff != "" {
		t.Fatalf("%d records, want %d (-want +got):\n%s", m.batch.Len(), len(m.records), diff)
	}
}

func TestBatchHoldsWhatAListWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &batchModel{batch: NewBatch()}
		m.batch.Reset(Split{ID: "s"}, rapid.IntRange(0, 5).Draw(t, "width"))
		t.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"append": m.appendRecord,
			"remove the last": func(t *rapid.T) {
				if len(m.records) == 0 || m.removed {
					t.Skip("nothing was appended")
				}
				m.batch.RemoveLast()
				m.records, m.removed = m.records[:len(m.records)-1], true
			},
			"filter": func(t *rapid.T) {
				keep := rapid.SliceOfN(rapid.Bool(), len(m.records), len(m.records)).Draw(t, "keep")
				kept := slices.Collect(func(yield func(modelRecord) bool) {
					for i, r := range m.records {
						if keep[i] && !yield(r) {
							return
						}
					}
				})
				if got := m.batch.Filter(func(i int) bool { return keep[i] }); got != len(m.records)-len(kept) {
					t.Fatalf("%d removed, want %d", got, len(m.records)-len(kept))
				}
				m.records, m.removed = kept, true
			},
			"set the value": func(t *rapid.T) {
				if len(m.records) == 0 {
					t.Skip("no records")
				}
				i := rapid.IntRange(0, len(m.records)-1).Draw(t, "record")
				value := rapid.StringN(-1, -1, 60).Draw(t, "value")
				m.batch.SetValue(i, m.batch.AppendBytes([]byte(value)), len(value))
				m.records[i].Value = value
			},
			"reset": func(t *rapid.T) {
				m.batch.Reset(Split{ID: "s"}, rapid.IntRange(0, 5).Draw(t, "width"))
				m.records, m.removed = nil, true
			},
		})
	})
}

func TestResetForgetsEverything(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	b.Reset(Split{ID: "a"}, 2)
	b.SetLayout(NewLayout(MustSchema(Column{"a", Int64}, Column{"b", Int64})))
	b.Append(1, []byte("value"))
	b.Cells(0)[1] = Int64Cell(5)
	b.AddHeader(Header{Name: "h"})
	b.Reject(Reject{Code: "wrong-type"})
	b.SetPosition(Position{Offset: 2})
	b.Reset(Split{ID: "b"}, 1)
	if b.Len() != 0 || b.Size() != 0 || b.Layout() != nil || len(b.Rejects()) != 0 || b.Position() != (Position{}) ||
		b.Split().ID != "b" || b.Width() != 1 {
		t.Errorf("after a reset the batch has %d records, %d bytes, layout %v, rejects %v, position %v, split %v, width %d",
			b.Len(), b.Size(), b.Layout(), b.Rejects(), b.Position(), b.Split(), b.Width())
	}
	b.Append(1, nil)
	b.Append(2, nil)
	if len(b.Headers(0)) != 0 || !b.Cells(0)[0].IsNull() || !b.Cells(1)[0].IsNull() {
		t.Errorf("the new records have headers %v and cells %v, %v", b.Headers(0), b.Cells(0), b.Cells(1))
	}
}

func TestResetGivesBackTheSlabOfALargeRecord(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	b.Append(1, make([]byte, 8*BatchBytesMax+1))
	b.Reset(Split{}, 0)
	if got := cap(b.slab); got > int(8*BatchBytesMax) {
		t.Errorf("%d bytes are kept", got)
	}
	b.Append(1, make([]byte, BatchBytesMax))
	before := cap(b.slab)
	b.Reset(Split{}, 0)
	if got := cap(b.slab); got != before {
		t.Errorf("of %d bytes %d are kept", before, got)
	}
}

func TestBatchIsFullAtEitherLimit(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	for i := range BatchRecordsMax {
		if b.Full() {
			t.Fatalf("it is full at %d records", i)
		}
		b.Append(int64(i), nil)
	}
	if !b.Full() {
		t.Errorf("it is not full at %d records", BatchRecordsMax)
	}
	b.Reset(Split{}, 0)
	b.Append(0, make([]byte, BatchBytesMax-1))
	if b.Full() {
		t.Error("it is full a byte too early")
	}
	if b.AppendBytes([]byte("x")); !b.Full() {
		t.Error("it is not full at its bytes")
	}
}

// B2: offsets stay right wherever the slab moves.
func TestSlabGrowsWithoutMovingWhatLiesInIt(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	var want []byte
	for i := range 40 {
		chunk := bytes.Repeat([]byte{byte('a' + i%26)}, 20_000)
		want = append(want, chunk...)
		start := len(b.Slab())
		switch i % 3 {
		case 0:
			start = b.AppendBytes(chunk)
		case 1:
			start = b.AppendText(string(chunk))
		default:
			copy(b.Extend(len(chunk)), chunk)
		}
		if i := b.AppendSpan(int64(i), start, len(chunk)); !bytes.Equal(b.Value(i), chunk) {
			t.Fatalf("record %d has another value", i)
		}
	}
	if !bytes.Equal(b.Slab(), want) {
		t.Error("the slab has other bytes")
	}
	b.TruncateSlab(10)
	if b.Size() != 10 {
		t.Errorf("the slab has %d bytes after it was cut to 10", b.Size())
	}
}

func TestValueAndKeyCannotBeAppendedToInPlace(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	b.Append(0, []byte("abc"))
	b.Append(1, []byte("def"))
	b.SetKey(0, 0, 2)
	_ = append(b.Value(0), 'x')
	_ = append(b.Key(0), 'x')
	if got := string(b.Slab()); got != "abcdef" {
		t.Errorf("the slab became %q", got)
	}
}

func TestAllStopsWhenAsked(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	for i := range 3 {
		b.Append(int64(i), []byte(strings.Repeat("x", i)))
	}
	seen := 0
	for i := range b.All() {
		seen++
		if i == 1 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("%d records were seen", seen)
	}
}

func TestBatchIsFilledAgainWithoutAllocating(t *testing.T) {
	b := NewBatch()
	value := make([]byte, 100)
	fill := func() {
		b.Reset(Split{ID: "s"}, 4)
		for i := range BatchRecordsMax {
			b.Append(int64(i), value)
		}
	}
	fill()
	if got := testing.AllocsPerRun(5, fill); got != 0 {
		t.Errorf("%v allocations per batch", got)
	}
}
