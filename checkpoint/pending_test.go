// SPDX-License-Identifier: Apache-2.0

package checkpoint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
)

func piece(id, data string) forebay.Committable {
	return forebay.Committable{ID: id, Data: []byte(data)}
}

// books are what the state knows of a sink, by id.
type books struct {
	Opened, Held, Pending map[string]string
	Position              int64
}

func read(t *testing.T, c *checkpoint.Store) books {
	t.Helper()
	opened, held, err := c.Open("p")
	if err != nil {
		t.Fatal(err)
	}
	pendings, err := c.Pendings("p")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := c.Load("p")
	if err != nil {
		t.Fatal(err)
	}
	var commits []forebay.Committable
	for _, p := range pendings {
		commits = append(commits, p.Commit...)
	}
	byID := func(list []forebay.Committable) map[string]string {
		out := map[string]string{}
		for _, c := range list {
			out[c.ID] = string(c.Data)
		}
		return out
	}
	return books{byID(opened), byID(held), byID(commits), entries["s"].Position.Offset}
}

// C5: an id is opened, held or pending from before it is used until it is committed or aborted, whatever it becomes.
func TestNoIDIsForgottenBeforeItIsCommittedOrAborted(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	epoch, err := c.TakeEpoch(forebay.Owner{Pipeline: "p", Holder: "h"}, 0, "exactly-once")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when string, want books) {
		t.Helper()
		if diff := cmp.Diff(want, read(t, c)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", when, diff)
		}
	}
	save := func(number uint64, position int64, p forebay.Prepared) checkpoint.Pending {
		t.Helper()
		pending, err := c.SaveCheckpoint("p", checkpoint.Checkpoint{
			Epoch: epoch, Number: number, Prepared: p,
			Entries: []checkpoint.Entry{{Split: "s", Epoch: epoch, Position: forebay.Position{Offset: position}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return pending
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none := map[string]string{}
	must(c.Opened("p", epoch, piece("a", "upload 1")))
	expect("opened", books{map[string]string{"a": "upload 1"}, none, none, 0})
	save(1, 10, forebay.Prepared{Held: []forebay.Committable{piece("a", "10 rows"), piece("b", "5 rows")}})
	expect("held", books{none, map[string]string{"a": "10 rows", "b": "5 rows"}, none, 10})
	must(c.Opened("p", epoch, piece("a", "upload 2")))
	expect("held and opened beside", books{
		map[string]string{"a": "upload 2"}, map[string]string{"a": "10 rows", "b": "5 rows"}, none, 10,
	})
	second := save(2, 20, forebay.Prepared{
		Commit: []forebay.Committable{piece("a", "20 rows")}, Dropped: []string{"b"},
		Held: []forebay.Committable{piece("c", "1 row")},
	})
	expect("pending", books{none, map[string]string{"c": "1 row"}, map[string]string{"a": "20 rows"}, 20})
	second.Commit[0].Data = []byte("20 rows, changed")
	must(c.Change("p", second))
	save(3, 30, forebay.Prepared{Commit: []forebay.Committable{piece("c", "9 rows")}})
	expect("two pending", books{none, none, map[string]string{"a": "20 rows, changed", "c": "9 rows"}, 30})

	// The second checkpoint is lost as a whole: it and the third never were, and what they made is to be aborted.
	newer, err := c.Rewind(forebay.Owner{Pipeline: "p", Holder: "h", Epoch: epoch}, second, "exactly-once")
	if err != nil || newer <= epoch {
		t.Fatalf("epoch %d, %v", newer, err)
	}
	expect("gone back", books{
		map[string]string{"a": "20 rows, changed", "c": "9 rows"}, map[string]string{"a": "10 rows", "b": "5 rows"}, none, 10,
	})
	_, err = c.SaveCheckpoint("p", checkpoint.Checkpoint{Epoch: epoch, Number: 4})
	if forebay.ClassOf(err) != forebay.ClassFenced {
		t.Errorf("a run that was gone back behind goes on: %v", err)
	}
	must(c.ForgetOpened("p"))
	epoch = newer
	last := save(1, 40, forebay.Prepared{Commit: []forebay.Committable{piece("a", "40"), piece("b", "41")}})
	must(c.Committed("p", last))
	expect("committed", books{none, none, none, 40})
}
