// SPDX-License-Identifier: Apache-2.0

//go:build fault

package outage

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/test/kill"
	"github.com/forebay-io/forebay/writer"
)

// tablets of the tables here.
const tabletCount = 8

func dial(t *testing.T, addresses string, config tablet.Config) *tablet.Client {
	t.Helper()
	conn, err := tablet.Dial(t.Context(), addresses, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// share is a length of the full campaign in proportion to the kills asked for.
func share(t *testing.T, full int) int { return max(1, full*kill.Kills(t)/kill.KillsFull) }

// chaos kills servers and disturbs the network, spread over the rows that are written.
type chaos struct {
	kills, takeOvers, handOvers int
}

func (f chaos) steps(c *Cluster) (steps []func()) {
	for range f.kills {
		steps = append(steps, c.KillAll)
	}
	for range f.takeOvers {
		steps = append(steps, c.TakeOver)
	}
	for range f.handOvers {
		steps = append(steps, c.HandOver)
	}
	for range f.kills + f.takeOvers {
		steps = append(steps, c.Disturb, c.Calm)
	}
	c.random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	return steps
}

func TestRowsArriveOnceAndInOrderThroughKillsAndABadNetwork(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	conn := dial(t, c.Addresses(), tablet.Config{})
	ctx := t.Context()
	if err := conn.Create(ctx, forebay.TableSpec{
		Name: "numbers", Schema: columns(t), Tablets: tabletCount, DistributeBy: []string{"n"},
	}); err != nil {
		t.Fatal(err)
	}
	w, err := conn.Append(ctx, "numbers", writer.Config{Tuning: writer.Tuning{
		BatchSize: 64 * forebay.KiB, BatchTimeout: 20 * time.Millisecond, Retries: forebay.Unlimited,
	}})
	if err != nil {
		t.Fatal(err)
	}
	count := int64(share(t, 1_000_000))
	steps := chaos{kills: share(t, 50), takeOvers: share(t, 20), handOvers: share(t, 5)}.steps(c)
	row := forebay.NewRow(w.Layout().Schema)
	text := strings.Repeat("x", 80)
	next := int64(0)
	for i, step := range steps {
		for ; next < count*int64(i+1)/int64(len(steps)); next++ {
			row.Clear()
			if err := errors.Join(row.SetInt("n", next), row.SetText("text", text)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Append(ctx, row); err != nil {
				t.Fatal(err)
			}
		}
		step()
	}
	c.Calm()
	if err := w.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	c.Report()
	stored, err := numbers(ctx, conn, "numbers")
	if err == nil {
		err = exactlyOnce(stored, count)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestFailedReceiptsTellTheTruth(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	// Answers are missed soon, so that all attempts of some requests fail.
	conn := dial(t, c.Addresses(), tablet.Config{RequestTimeout: 50 * time.Millisecond})
	ctx := t.Context()
	if err := conn.Create(ctx, forebay.TableSpec{
		Name: "numbers", Schema: columns(t), Tablets: tabletCount, DistributeBy: []string{"n"},
	}); err != nil {
		t.Fatal(err)
	}
	w, err := conn.Append(ctx, "numbers", writer.Config{
		Tuning: writer.Tuning{BatchSize: 4 * forebay.KiB, BatchTimeout: 5 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	count := share(t, 100_000)
	steps := chaos{kills: share(t, 30), takeOvers: share(t, 10)}.steps(c)
	starving := func() error { return nil }
	for i := range steps {
		if i%3 == 0 { // the rows of the next step are sent meanwhile
			steps[i] = func() {
				if err := w.Flush(ctx); err != nil { // so that there is a connection
					t.Error(err)
				}
				end := c.Starve()
				starving = background(func(context.Context) error { end(); return nil })
			}
		}
	}
	row := forebay.NewRow(w.Layout().Schema)
	receipts := make([]writer.Receipt, 0, count)
	for i, step := range steps {
		for len(receipts) < count*(i+1)/len(steps) {
			row.Clear()
			if err := row.SetInt("n", int64(len(receipts))); err != nil {
				t.Fatal(err)
			}
			r, err := w.Append(ctx, row)
			if err != nil {
				t.Fatal(err)
			}
			receipts = append(receipts, r)
		}
		if err := starving(); err != nil {
			t.Fatal(err)
		}
		step()
	}
	if err := starving(); err != nil {
		t.Fatal(err)
	}
	c.Calm()
	if err := w.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	c.Report()
	stored, err := numbers(ctx, conn, "numbers")
	if err != nil {
		t.Fatal(err)
	}
	compareWithReceipts(ctx, t, receipts, stored)
}

func compareWithReceipts(ctx context.Context, t *testing.T, receipts []writer.Receipt, stored [][]int64) {
	t.Helper()
	times := make([]int, len(receipts))
	for _, tablet := range stored {
		for _, n := range tablet {
			times[n]++
		}
	}
	said := map[writer.Applied]int{}
	for n, r := range receipts {
		result, err := r.Wait(ctx)
		said[result.Applied]++
		switch {
		case times[n] > 1:
			t.Fatalf("row %d is there %d times", n, times[n])
		case result.Applied == writer.Yes && times[n] == 0:
			t.Fatalf("row %d is applied by its receipt and is not there", n)
		case result.Applied == writer.No && times[n] == 1:
			t.Fatalf("row %d is not applied by its receipt (%v) and is there", n, err)
		}
	}
	if said[writer.Unknown] == 0 {
		t.Error("no receipt is unknown: the faults were too kind")
	}
	t.Logf("receipts: %s", strconv.Quote(strings.Join([]string{
		"applied " + strconv.Itoa(said[writer.Yes]), "not applied " + strconv.Itoa(said[writer.No]),
		"unknown " + strconv.Itoa(said[writer.Unknown]),
	}, ", ")))
}
