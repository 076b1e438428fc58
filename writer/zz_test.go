package writer

import (
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
)

func TestZZ(t *testing.T) {
	for i := range 30000 {
		w, _ := New(newBackend(), forebay.NewLayout(fakeSchema()), Config{WithoutIdempotence: true})
		r, _ := w.Append(t.Context(), fakeRow(int64(i)))
		var all sync.WaitGroup
		all.Go(func() { _ = w.Close() })
		all.Go(func() { _ = w.Flush(t.Context()) })
		all.Wait()
		select {
		case <-r.Done():
		default:
			t.Fatal("open")
		}
	}
}
