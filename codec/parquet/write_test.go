// SPDX-License-Identifier: Apache-2.0

package parquet_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/parquet"
)

var _ codec.Writable = parquet.Format{}

func TestSettingsThatAreWrongAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := parquet.Format{Compression: "rar", RowGroup: -1, RowGroupRows: -1}.Info()
	for _, want := range []string{"compression:", "row_group:", "row_group_rows:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	if _, err := (parquet.Format{}).Encoding(nil); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("records without rows: %v", err)
	}
}

// wide is a row of n text columns.
func wide(t *testing.T, n, size int) (*forebay.Batch, *forebay.Layout) {
	t.Helper()
	columns := make([]forebay.Column, n)
	for i := range columns {
		columns[i] = forebay.Column{Name: fmt.Sprint("c", i), Type: forebay.Binary}
	}
	row := forebay.NewRow(forebay.MustSchema(columns...))
	for _, c := range columns {
		if err := row.Set(c.Name, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	b, _ := row.Batch()
	return b, b.Layout()
}

func TestTheMemoryOfOpenFilesIsToldAndBounded(t *testing.T) { //nolint:paralleltest // it measures memory
	for _, columns := range []int{1, 40} {
		b, layout := wide(t, columns, 400)
		e, err := parquet.Format{RowGroup: forebay.MiB, Compression: "none"}.Encoding(layout)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		files := make([]codec.BulkEncoder, 20)
		for i := range files {
			if files[i], err = e.NewBulk(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		var told, most forebay.Bytes
		for range 2500 {
			for _, f := range files {
				if err := f.Append(b, 0); err != nil {
					t.Fatal(err)
				}
				most = max(most, f.Buffered())
			}
		}
		for _, f := range files {
			told += f.Buffered()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		held := forebay.Bytes(after.HeapAlloc - before.HeapAlloc)
		if held > told+told/3+forebay.MiB {
			t.Errorf("%d columns: %s are held and %s told", columns, held, told)
		}
		// The pages that are open come on top of a row group, in buffers that grew to twice their size.
		if most > 4*forebay.MiB {
			t.Errorf("%d columns: one file holds %s", columns, most)
		}
		runtime.KeepAlive(files)
	}
}

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

var errBroken = errors.New("the disk is full")

func TestAFileThatCouldNotBeWrittenStaysBroken(t *testing.T) {
	t.Parallel()
	b, layout := wide(t, 2, 100)
	e, err := parquet.Format{RowGroupRows: 10}.Encoding(layout)
	if err != nil {
		t.Fatal(err)
	}
	w, err := e.NewBulk(&broken{left: 50})
	if err != nil {
		t.Fatal(err)
	}
	for range 9 {
		if err := w.Append(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := w.Append(b, 0); !errors.Is(err, errBroken) {
			t.Errorf("append: %v", err)
		}
	}
	if err := w.Close(); !errors.Is(err, errBroken) {
		t.Errorf("close: %v", err)
	}
	if w, err = e.NewBulk(io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(b, 0), w.Close()); err != nil || w.Buffered() != 0 {
		t.Error(err, w.Buffered())
	}
	if err := w.Append(b, 0); !errors.Is(err, forebay.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestADictionaryThatDoesNotPayIsGivenUp(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	with := len(many(t, parquet.Format{Dictionary: &yes}, 20_000))
	without := len(many(t, parquet.Format{Dictionary: &no}, 20_000))
	if with > without {
		t.Errorf("%d bytes with a dictionary, %d without", with, without)
	}
}
