// SPDX-License-Identifier: Apache-2.0

package writer_test

import (
	"fmt"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// W6: bytes are reserved while rows are not settled, and none once they are, also of rows that were refused.
func TestReservedBytesReturnToZero(t *testing.T) {
	t.Parallel()
	schema, key, err := writer.SchemaFor[click]()
	if err != nil {
		t.Fatal(err)
	}
	s := openServer(t, forebay.TableSpec{Name: "clicks", Schema: schema, Key: key})
	memory := writer.NewMemory(64 * forebay.KiB)
	w, err := s.Upsert(t.Context(), "clicks", writer.Config{Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(schema)
	for i := range 100 {
		row.Clear()
		if err := row.SetText("user", fmt.Sprint("u", i)); err != nil {
			t.Fatal(err)
		}
		if err := row.SetInt("seq", int64(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if used, _ := memory.Used(); used <= 0 {
		t.Errorf("%d bytes are reserved for rows that wait", used)
	}
	row.Clear()
	if _, err := w.Append(t.Context(), row); forebay.ClassOf(err) != forebay.ClassRejected {
		t.Errorf("a row without a key: %v", err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used, waiters := memory.Used(); used != 0 || waiters != 0 {
		t.Errorf("%d bytes are reserved and %d wait after everything is settled", used, waiters)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}
