// SPDX-License-Identifier: Apache-2.0

package stdin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/parquet"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/stdin"
)

func lines(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, "line %d %s\n", i, strings.Repeat("x", i%300))
	}
	return out.Bytes()
}

func TestConformance(t *testing.T) {
	t.Parallel()
	text := lines(5000)
	values := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	connectortest.RunSource(t, connectortest.SourceHarness{
		Source:  func(connectortest.T) forebay.Source { return stdin.Source{In: bytes.NewReader(text)} },
		Claims:  connectortest.SourceClaims{Bounded: true, Blocks: true, Typed: true},
		Records: 5000, Values: values,
	})
}

// open starts the source and opens its split.
func open(t *testing.T, s stdin.Source, needsRows bool) (forebay.Feed, forebay.Reader) {
	t.Helper()
	feed, err := s.Start(t.Context(), forebay.SourceContext{NeedsRows: needsRows})
	if err != nil {
		t.Fatal(err)
	}
	splits, err := feed.Splits(t.Context())
	if err != nil || len(splits) != 1 || splits[0].ID != "stdin" {
		t.Fatalf("splits %v, %v", splits, err)
	}
	reader, err := feed.Open(t.Context(), splits[0], forebay.Position{})
	if err != nil {
		t.Fatal(err)
	}
	return feed, reader
}

// next reads one batch.
func next(ctx context.Context, t *testing.T, feed forebay.Feed, reader forebay.Reader) (*forebay.Batch, error) {
	t.Helper()
	b, width := forebay.NewBatch(), 0
	if feed.Schema() != nil {
		width = feed.Schema().Len()
	}
	b.Reset(forebay.Split{ID: "stdin"}, width)
	return b, reader.Read(ctx, b)
}

func TestRecordsComeAsSoonAsTheyAreThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		feed, reader := open(t, stdin.Source{In: in}, false)
		writer := make(chan string)
		var writes sync.WaitGroup
		defer writes.Wait()
		writes.Go(func() { runWriter(out, writer) })
		writer <- "first\nsec"
		b, err := next(t.Context(), t, feed, reader)
		if err != nil || b.Len() != 1 || string(b.Value(0)) != "first" || b.Position().Offset != 6 {
			t.Fatalf("%d records at %s, %v; want the first at 6", b.Len(), b.Position(), err)
		}
		// Nothing whole is there: the wait can be given up, and what comes later is not lost.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if b, err := next(ctx, t, feed, reader); !errors.Is(err, context.DeadlineExceeded) || b.Len() > 0 {
			t.Fatalf("%d records, %v; want the context's error", b.Len(), err)
		}
		writer <- "ond\nth"
		if b, err := next(t.Context(), t, feed, reader); err != nil || b.Len() != 1 || string(b.Value(0)) != "second" {
			t.Fatalf("%d records, %v; want the second", b.Len(), err)
		}
		close(writer)
		if b, err := next(t.Context(), t, feed, reader); err != nil || b.Len() != 1 || string(b.Value(0)) != "th" {
			t.Fatalf("%d records, %v; want the one without an end", b.Len(), err)
		}
		if err := errors.Join(reader.Close(), reader.Close(), feed.Close()); err != nil {
			t.Error(err)
		}
	})
}

// runWriter writes what it is sent, and then ends the input.
func runWriter(out *io.PipeWriter, texts <-chan string) {
	for text := range texts {
		if _, err := io.WriteString(out, text); err != nil {
			return
		}
	}
	_ = out.Close()
}

func TestWhatWasLearnedFromIsReadToo(t *testing.T) {
	t.Parallel()
	text := "id,name\n1,one\n2,two\n3,three\n"
	for name, in := range map[string]io.Reader{
		"at once":      strings.NewReader(text),
		"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed, reader := open(t, stdin.Source{Format: csv.Format{}, In: in}, true)
			defer func() { _ = feed.Close() }()
			if got, want := feed.Schema().String(), "id int64, name string"; got != want {
				t.Errorf("schema %q, want %q", got, want)
			}
			var got []string
			for {
				b, err := next(t.Context(), t, feed, reader)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for i := range b.Len() {
					got = append(got, fmt.Sprint(b.Row(i).Int("id"), b.Row(i).Text("name")))
				}
			}
			if diff := cmp.Diff([]string{"1one", "2two", "3three"}, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoingBackIsRefused(t *testing.T) {
	t.Parallel()
	feed, reader := open(t, stdin.Source{In: bytes.NewReader(lines(3000))}, false)
	defer func() { _ = feed.Close() }()
	b, err := next(t.Context(), t, feed, reader)
	if err != nil {
		t.Fatal(err)
	}
	split := forebay.Split{ID: "stdin"}
	_, err = feed.Open(t.Context(), split, forebay.Position{})
	if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Class != forebay.ClassLost || e.Code != "cannot-go-back" {
		t.Errorf("opened at the beginning again: %v, want class lost and code cannot-go-back", err)
	}
	again, err := feed.Open(t.Context(), split, b.Position())
	if err != nil {
		t.Fatalf("opened where it is: %v", err)
	}
	more, err := next(t.Context(), t, feed, again)
	if err != nil || more.Len() == 0 || more.Record(0).Offset != b.Position().Offset {
		t.Errorf("it goes on with %d records, %v; want those from %s", more.Len(), err, b.Position())
	}
	if _, err := feed.Open(t.Context(), forebay.Split{ID: "other"}, forebay.Position{}); err == nil {
		t.Error("another split opens")
	}
}

func TestFailedInputIsLost(t *testing.T) {
	t.Parallel()
	in := io.MultiReader(strings.NewReader("one\ntwo\n"), iotest.ErrReader(errors.New("device gone")))
	feed, reader := open(t, stdin.Source{In: in}, false)
	defer func() { _ = feed.Close() }()
	b, err := next(t.Context(), t, feed, reader)
	if err != nil || b.Len() != 2 {
		t.Fatalf("%d records, %v; want what came before the failure", b.Len(), err)
	}
	_, err = next(t.Context(), t, feed, reader)
	if forebay.ClassOf(err) != forebay.ClassLost || !strings.Contains(err.Error(), "device gone") {
		t.Errorf("error %v, want class lost with the cause", err)
	}
}

func TestRecordsDoNotWaitForTheNextBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		feed, reader := open(t, stdin.Source{In: in}, false)
		writer := make(chan string)
		var writes sync.WaitGroup
		defer writes.Wait()
		writes.Go(func() { runWriter(out, writer) })
		writer <- strings.Repeat("a\n", 3000) // more than two batches in one block, and then silence
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for read := 0; read < 3000; {
			b, err := next(ctx, t, feed, reader)
			if err != nil {
				t.Fatalf("after %d records: %v", read, err)
			}
			read += b.Len()
		}
		close(writer)
		if err := errors.Join(reader.Close(), feed.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestFormatsThatAreReadFromTheEndAreRefused(t *testing.T) {
	t.Parallel()
	_, err := stdin.Source{Format: parquet.Format{}}.Info()
	if err == nil || !strings.Contains(err.Error(), "read it as a file") {
		t.Error(err)
	}
}
