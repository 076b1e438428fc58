// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/forebay-io/forebay"
)

// orderDisk knows which renames a crash may undo at their targets.
type orderDisk struct {
	disk
	t *testing.T

	mu     sync.Mutex
	unsafe map[string]string // target to the folder it came from
	syncs  int               // of folders with such targets; some fail
}

func (d *orderDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer runtime.Gosched() // the other lanes' turn
	defer d.mu.Unlock()
	err := d.disk.Rename(from, to)
	if err == nil && filepath.Dir(from) != filepath.Dir(to) {
		d.unsafe[to] = filepath.Dir(from)
	}
	return err
}

func (d *orderDisk) Sync(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to, from := range d.unsafe {
		if from == name {
			d.t.Errorf("%s is synced without %s, which may be lost", name, to)
		}
	}
	for to := range d.unsafe {
		if filepath.Dir(to) == name {
			if d.syncs++; d.syncs%5 == 0 {
				return errors.New("the sync fails")
			}
			break
		}
	}
	err := d.disk.Sync(name)
	for to := range d.unsafe {
		if filepath.Dir(to) == name {
			delete(d.unsafe, to)
		}
	}
	return err
}

func TestLanesDoNotGiveUpNamesOfPartsThatOthersAreMovingFP3(t *testing.T) {
	t.Parallel()
	ordered := &orderDisk{disk: newSimDisk(), t: t, unsafe: map[string]string{}}
	f := openFixture(t, Config{Format: worldConfig(t, None).Format}, ordered, forebay.LaneContext{})
	local := f.target.Medium.(*Local)
	publish := func(lane, number int) error {
		name := Name{Bucket: fmt.Sprintf("b%d", number%3), File: fmt.Sprintf("part-%d-%d", lane, number)}
		part := f.lane.place.Create(name)
		if lane > 0 { // a place has one lane
			place, err := local.OpenLane(t.Context(), forebay.LaneContext{Owner: forebay.Owner{Epoch: 1}})
			if err != nil {
				return err
			}
			part = place.Create(name)
		}
		if err := part.Write(t.Context(), []byte("a\n")); err != nil {
			return err
		}
		mark := part.Finish()
		for f.lane.place.Settle(t.Context(), []Mark{mark}) != nil { // it syncs what others could not
			runtime.Gosched()
		}
		c := Encode(Record{Name: name, State: mark.State()})
		for {
			requests := []forebay.CommitRequest{{Committable: c}}
			if err := local.Commit(t.Context(), requests); err != nil {
				return err
			}
			if o := requests[0].Outcome; o != forebay.OutcomeRetry {
				if o != forebay.OutcomeDone && o != forebay.OutcomeAlready {
					t.Errorf("%d, %v", o, requests[0].Err)
				}
				return nil
			}
		}
	}
	var lanes sync.WaitGroup
	for lane := range 3 {
		lanes.Go(func() {
			for number := range 200 {
				if err := publish(lane, number); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	lanes.Wait()
}
