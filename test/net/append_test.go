// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// stubborn is a tuning that gives nothing up and makes many requests.
func stubborn() writer.Tuning {
	return writer.Tuning{Retries: 1 << 30, BatchSize: 16 * forebay.KiB, BatchTimeout: 5 * time.Millisecond}
}

// appendRows appends the rows from up to, and without, to. It returns the receipts.
func appendRows(t *testing.T, w *writer.Writer, from, to int) []writer.Receipt {
	t.Helper()
	return appendTexts(t, w, from, to, "a small row")
}

func appendTexts(t *testing.T, w *writer.Writer, from, to int, text string) []writer.Receipt {
	t.Helper()
	row := forebay.NewRow(numbers())
	if err := row.SetText("text", text); err != nil {
		t.Fatal(err)
	}
	receipts := make([]writer.Receipt, 0, to-from)
	for id := from; id < to; id++ {
		if err := row.SetInt("id", int64(id)); err != nil {
			t.Fatal(err)
		}
		r, err := w.Append(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	return receipts
}

// settled fails unless every row was applied.
func settled(t *testing.T, receipts []writer.Receipt) {
	t.Helper()
	for i := range receipts {
		if _, err := receipts[i].Wait(t.Context()); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
}

func TestAMillionRowsArriveOnceAndInOrder(t *testing.T) {
	t.Parallel()
	count := 1_000_000
	if testing.Short() || raceEnabled {
		count = 50_000
	}
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks"})
	conn := w.dial(t, tablet.Config{})
	out, err := conn.Append(t.Context(), "clicks", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	receipts := appendRows(t, out, 0, count)
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	ascending(t, w.stored(t, "clicks"), count)
}

func TestRowsArriveOnceAndInOrderThroughCutConnections(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks"})
	var broken atomic.Int64
	conn := w.dial(t, tablet.Config{Hooks: tablet.ClientHooks{Broken: func(string, error) { broken.Add(1) }}})
	out, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	var receipts []writer.Receipt
	const rounds, each = 15, 4000
	for round := range rounds {
		receipts = append(receipts, appendRows(t, out, round*each, (round+1)*each)...)
		settled(t, receipts[round*each:][:each/8]) // now requests are on their way
		w.proxy.Cut()
	}
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	ascending(t, w.stored(t, "clicks"), rounds*each)
	if broken.Load() == 0 {
		t.Error("no stream broke, so nothing was tested")
	}
}

func TestRowsArriveOnceAndInOrderThroughRestarts(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks"})
	conn := w.dial(t, tablet.Config{})
	out, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	var receipts []writer.Receipt
	const rounds, each = 4, 4000
	for round := range rounds {
		receipts = append(receipts, appendRows(t, out, round*each, (round+1)*each)...)
		w.end()
		w.start(t)
	}
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	ascending(t, w.stored(t, "clicks"), rounds*each)
}

func TestManyWritersShareOneConnectionAndItsMemory(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "users", Key: []string{"id"}})
	w.table(t, forebay.TableSpec{Name: "clicks"})
	conn := w.dial(t, tablet.Config{BufferMemory: forebay.MiB})
	var writing sync.WaitGroup
	const writers, each = 8, 2000
	for n := range writers {
		open, table := conn.Append, "clicks"
		if n%2 == 0 {
			open, table = conn.Upsert, "users"
		}
		out, err := open(t.Context(), table, writer.Config{Tuning: stubborn()})
		if err != nil {
			t.Fatal(err)
		}
		writing.Go(func() {
			receipts := appendRows(t, out, n*each, (n+1)*each)
			if err := out.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			settled(t, receipts)
		})
	}
	writing.Wait()
	for _, table := range []string{"users", "clicks"} {
		if n, err := conn.Count(t.Context(), table); n != writers/2*each || err != nil {
			t.Errorf("%s has %d rows (%v), want %d", table, n, err, writers/2*each)
		}
	}
}

func TestAWriterThatIsClosedWhileTheConnectionStallsEndsSoonAndOthersGoOn(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks", Tablets: 1})
	conn := w.dial(t, tablet.Config{})
	first, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, appendRows(t, first, 0, 1))
	other, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
	if err != nil {
		t.Fatal(err)
	}
	resume := w.proxy.Stall()
	given := appendRows(t, first, 1, 100_000)
	<-time.After(100 * time.Millisecond)
	began := time.Now()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Close took %s", took)
	}
	if _, err := given[0].Wait(t.Context()); err == nil {
		t.Error("a row that nobody answered counts as applied")
	}
	resume()
	settled(t, appendRows(t, other, 0, 1000))
	if err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Requests that were given up while the connection held their rows give back their memory when it breaks, whenever that
// is: before the stream is broken off for it, meanwhile, or afterwards.
func TestMemoryOfRequestsThatAStalledConnectionHeldComesBack(t *testing.T) {
	t.Parallel()
	for wait := 900 * time.Millisecond; wait <= 1300*time.Millisecond; wait += 100 * time.Millisecond {
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			breakWhileStalled(t, wait)
		})
	}
}

func breakWhileStalled(t *testing.T, wait time.Duration) {
	t.Helper()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks", Tablets: 1})
	const rows = 24
	conn := w.dial(t, tablet.Config{BufferMemory: 8 * forebay.MiB, RequestTimeout: 200 * time.Millisecond})
	tuning := stubborn()
	tuning.BatchSize = forebay.MiB
	out, err := conn.Append(t.Context(), "clicks", writer.Config{Tuning: tuning})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, appendRows(t, out, 0, 1))
	var receipts []writer.Receipt
	var appending sync.WaitGroup
	resume := w.proxy.Stall()
	appending.Go(func() { receipts = appendTexts(t, out, 1, rows, strings.Repeat("x", 1<<20)) })
	<-time.After(wait) // by now the connection holds all memory
	w.proxy.Cut()
	resume()
	appending.Wait()
	settled(t, receipts)
	ascending(t, w.stored(t, "clicks"), rows)
}

func TestCloseEndsWritersAtOnceWhileTheConnectionStalls(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "clicks"})
	conn := w.dial(t, tablet.Config{})
	out, err := conn.Append(t.Context(), "clicks", writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, appendRows(t, out, 0, 10))
	w.proxy.Stall()
	appendRows(t, out, 10, 100_000)
	began := time.Now()
	if err := errors.Join(conn.Close(), out.Close(), conn.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Close took %s", took)
	}
	if _, err := conn.Count(t.Context(), "clicks"); !errors.Is(err, forebay.ErrClosed) {
		t.Errorf("a call of a closed connection: %v", err)
	}
}

func TestDialSaysWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1, 127.0.0.1:2"
	_, err := tablet.Dial(t.Context(), nobody, tablet.Config{ConnectTimeout: 200 * time.Millisecond})
	if forebay.ClassOf(err) != forebay.ClassTransient || !strings.Contains(err.Error(), nobody) {
		t.Errorf("%v", err)
	}
	_, err = tablet.Dial(t.Context(), "nonsense", tablet.Config{Ping: time.Second})
	if forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(err.Error(), "Ping") ||
		!strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tablet.Dial(ended, "127.0.0.1:1", tablet.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestWritersAreOpenedForTheTableTheyFit(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "users", Key: []string{"id"}})
	w.table(t, forebay.TableSpec{Name: "clicks"})
	conn := w.dial(t, tablet.Config{})
	for _, test := range []struct {
		name, table string
		open        func(context.Context, string, writer.Config) (*writer.Writer, error)
	}{
		{"append to a key table", "users", conn.Append},
		{"upsert into a log", "clicks", conn.Upsert},
		{"no such table", "clocks", conn.Append},
	} {
		if _, err := test.open(t.Context(), test.table, writer.Config{}); forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
