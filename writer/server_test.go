// SPDX-License-Identifier: Apache-2.0

package writer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/writer"
)

type click struct {
	User string `forebay:"user,key"`
	Seq  int64  `forebay:"seq,key"`
	Page *string
}

func openServer(t *testing.T, spec forebay.TableSpec) *server.Server {
	t.Helper()
	s, err := server.Open(t.Context(), t.TempDir(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWriterAppliesEachRowOnceAndInOrder(t *testing.T) {
	schema, _, err := writer.SchemaFor[click]()
	if err != nil {
		t.Fatal(err)
	}
	s := openServer(t, forebay.TableSpec{Name: "clicks", Schema: schema})
	w, err := s.Append(t.Context(), "clicks", writer.Config{Tuning: writer.Tuning{BatchSize: 4 * forebay.KiB}})
	if err != nil {
		t.Fatal(err)
	}
	const goroutines, each = 4, 2_000
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			typed, err := writer.For[click](w)
			if err != nil {
				t.Error(err)
				return
			}
			last := int64(-1)
			var receipts []writer.Receipt
			for i := range each {
				r, err := typed.Append(t.Context(), click{User: fmt.Sprint("u", g), Seq: int64(i)})
				if err != nil {
					t.Error(err)
					return
				}
				receipts = append(receipts, r)
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			for _, r := range receipts {
				result, err := r.Wait(t.Context())
				if err != nil || result.Applied != writer.Yes || result.Offset <= last {
					t.Errorf("offset %d after %d, %v: %v", result.Offset, last, result.Applied, err)
					return
				}
				last = result.Offset
			}
		})
	}
	all.Wait()
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	count, err := s.Count(t.Context(), "clicks")
	if err != nil || count != goroutines*each {
		t.Errorf("%d rows, %v", count, err)
	}
	if _, err := w.Append(t.Context(), forebay.NewRow(schema)); !errors.Is(err, forebay.ErrClosed) {
		t.Errorf("append after shutdown: %v", err)
	}
}

func TestWriterRefusesARowThatNeverFitsItsMemory(t *testing.T) {
	schema := forebay.MustSchema(forebay.Column{Name: "text", Type: forebay.String})
	s := openServer(t, forebay.TableSpec{Name: "texts", Schema: schema})
	w, err := s.Append(t.Context(), "texts", writer.Config{BufferMemory: 1 * forebay.KiB})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Shutdown(context.WithoutCancel(t.Context())) }()
	row := forebay.NewRow(schema)
	if err := row.SetText("text", string(make([]byte, 2_000))); err != nil {
		t.Fatal(err)
	}
	_, err = w.Append(t.Context(), row)
	full, ok := errors.AsType[*writer.MemoryError](err)
	if !ok || full.Limit != 1*forebay.KiB || !errors.Is(err, forebay.ErrBufferFull) {
		t.Errorf("%v", err)
	}
	row.Clear()
	if _, err := w.Append(t.Context(), row); err != nil {
		t.Errorf("a small row afterwards: %v", err)
	}
}

func TestWriterUpsertsAndDeletesByKey(t *testing.T) {
	schema, key, err := writer.SchemaFor[click]()
	if err != nil {
		t.Fatal(err)
	}
	s := openServer(t, forebay.TableSpec{Name: "clicks", Schema: schema, Key: key})
	if _, err := s.Append(t.Context(), "clicks", writer.Config{}); err == nil {
		t.Error("a log writer for a key table was made")
	}
	w, err := s.Upsert(t.Context(), "clicks", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	typed, err := writer.For[click](w)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(10) {
		for range 2 {
			if _, err := typed.Append(t.Context(), click{User: "u", Seq: i}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := typed.Delete(t.Context(), click{User: "u", Seq: 3}); err != nil {
		t.Fatal(err)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if count, err := s.Count(t.Context(), "clicks"); err != nil || count != 9 {
		t.Errorf("%d rows, %v", count, err)
	}
}
