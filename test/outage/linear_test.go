// SPDX-License-Identifier: Apache-2.0

//go:build fault

package outage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// The operations of a history on one key.
const (
	opLookup = iota
	opUpsert
	opDelete
)

// call is the input of an operation.
type call struct {
	op    int
	key   int64
	value int64
}

const absent = int64(-1)

// registers is a map from keys to values; each key is checked alone.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[int64][]porcupine.Operation{}
			for _, o := range history {
				key := o.Input.(call).key //nolint:forcetypeassert // it is what we put there
				byKey[key] = append(byKey[key], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return absent },
		Step: func(state, input, output any) (bool, any) {
			in := input.(call) //nolint:forcetypeassert // it is what we put there
			switch in.op {
			case opUpsert:
				return true, in.value
			case opDelete:
				return true, absent
			default:
				return output == state, state
			}
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v -> %v", input, output)
		},
	}
}

// client makes one history: an operation begins when the one before has ended.
type client struct {
	id     int
	conn   tablet.Conn
	writer *writer.Writer
	random *rand.Rand
	keys   int64
	began  time.Time
	next   func() int64
	schema *forebay.Schema
	ops    []porcupine.Operation
}

func (c *client) run(ctx context.Context) error {
	key, err := forebay.NewSchema(forebay.Column{Name: "k", Type: forebay.Int64})
	if err != nil {
		return err
	}
	b := forebay.NewBatch()
	for ctx.Err() == nil {
		in := call{op: c.random.IntN(3), key: c.random.Int64N(c.keys)}
		o := porcupine.Operation{ClientId: c.id, Call: int64(time.Since(c.began))}
		switch in.op {
		case opLookup:
			row := forebay.NewRow(key)
			if err := row.SetInt("k", in.key); err != nil {
				return err
			}
			found, err := c.conn.Get(ctx, "registers", row, b)
			if err != nil {
				continue // it saw nothing
			}
			o.Output = absent
			if found {
				o.Output = b.Row(0).Int("v")
			}
		default:
			known, err := c.write(ctx, &in)
			if err != nil {
				return err
			}
			if !known {
				o.Input, o.Return = in, math.MaxInt64 // it may take effect at any time from now on
				c.ops = append(c.ops, o)
				c.id += 1000 // the next operation is another client's: this one never returns
				continue
			}
		}
		o.Input, o.Return = in, int64(time.Since(c.began))
		c.ops = append(c.ops, o)
	}
	return nil
}

// write upserts or deletes; it reports whether the write is known to have been applied. One that is known not to be is
// tried again.
func (c *client) write(ctx context.Context, in *call) (known bool, err error) {
	for {
		row := forebay.NewRow(c.schema)
		in.value = c.next()
		if err := errors.Join(row.SetInt("k", in.key), row.SetInt("v", in.value)); err != nil {
			return false, err
		}
		do := c.writer.Append
		if in.op == opDelete {
			do = c.writer.Delete
		}
		receipt, err := do(ctx, row)
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the test is over
		}
		if err != nil {
			return false, err
		}
		result, _ := receipt.Wait(context.WithoutCancel(ctx))
		switch result.Applied {
		case writer.Yes:
			return true, nil
		case writer.Unknown:
			return false, nil
		case writer.No: // again
		}
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the test is over
		}
	}
}

func TestLookupsUpsertsAndDeletesAreLinearizable(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	conn := dial(t, c.Addresses(), tablet.Config{})
	schema, err := forebay.NewSchema(
		forebay.Column{Name: "k", Type: forebay.Int64}, forebay.Column{Name: "v", Type: forebay.Int64},
	)
	if err == nil {
		err = conn.Create(t.Context(), forebay.TableSpec{Name: "registers", Schema: schema, Key: []string{"k"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	last := int64(0)
	next := func() int64 {
		mu.Lock()
		defer mu.Unlock()
		last++
		return last
	}
	began := time.Now()
	clients := make([]*client, 8)
	var stops []func() error
	for i := range clients {
		own := dial(t, c.Addresses(), tablet.Config{})
		w, err := own.Upsert(t.Context(), "registers", writer.Config{
			Tuning: writer.Tuning{BatchTimeout: time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = &client{
			id: i, conn: own, writer: w, keys: 16, began: began, next: next, schema: schema,
			random: rand.New(rand.NewPCG(uint64(i), 7)),
		}
		stops = append(stops, background(clients[i].run))
	}
	for _, step := range (chaos{kills: share(t, 10), takeOvers: share(t, 10)}).steps(c) {
		pause(200 * time.Millisecond)
		step()
	}
	c.Calm()
	pause(500 * time.Millisecond)
	var history []porcupine.Operation
	for i, stop := range stops {
		if err := stop(); err != nil {
			t.Error(err)
		}
		history = append(history, clients[i].ops...)
		if err := clients[i].writer.Close(); err != nil {
			t.Error(err)
		}
	}
	c.Report()
	if result := porcupine.CheckOperationsTimeout(registers(), history, 2*time.Minute); result != porcupine.Ok {
		t.Errorf("the history of %d operations is %s", len(history), result)
	}
	t.Logf("%d operations", len(history))
}
