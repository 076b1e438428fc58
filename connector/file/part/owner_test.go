// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

// What is there but can hold no folder is said, and not tried again without end.
func TestBaseWhereNoFolderCanBeMade(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "nothing"), link); err != nil {
		t.Skip(err)
	}
	for _, base := range []string{"x", "x/y/z"} {
		_, err := OpenLocal(LocalConfig{Base: filepath.Join(link, base), Pipeline: "p"})
		e, _ := errors.AsType[*forebay.Error](err)
		if e == nil || e.Class != forebay.ClassMisconfigured || !strings.Contains(err.Error(), link+" is there") {
			t.Errorf("%s: %v, want class misconfigured and the folder above", base, err)
		}
	}
}

// takeOver fences the base for another state directory.
func takeOver(t *testing.T, sim disk) forebay.Owner {
	t.Helper()
	other, err := openLocal(LocalConfig{Base: worldBase, Pipeline: "p"}, sim)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := other.Owner(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	owner.Epoch++
	owner.Holder = "other"
	if err := other.Fence(t.Context(), owner, nil); err != nil {
		t.Fatal(err)
	}
	return owner
}

// A newer owner takes over while the older one stands before each of its steps in turn. Whatever it does when it goes
// on, readers see nothing of it.
func TestWokenOwnerPublishesNothingFP1FP2(t *testing.T) {
	t.Parallel()
	steps := func() int {
		sim := newSimDisk()
		if err := newWorld(t, sim, worldConfig(t, None), nil).run(durable{}, 1); err != nil {
			t.Fatal(err)
		}
		return sim.calls
	}()
	stopped, published := 0, 0
	for step := 1; step <= steps; step++ {
		sim := newSimDisk()
		var seen map[string]string
		var owner forebay.Owner
		var calls atomic.Int64
		sim.before = func() {
			if calls.Add(1) == int64(step) {
				owner = takeOver(t, sim)
				seen = visible(sim)
			}
		}
		err := newWorld(t, sim, worldConfig(t, None), nil).run(durable{}, 1)
		if diff := cmp.Diff(seen, visible(sim)); diff != "" {
			t.Fatalf("step %d of %d: published by an owner that is none (-taken over +later):\n%s", step, steps, diff)
		}
		if len(seen) > 0 {
			published++
		}
		names, listErr := sim.List(worldBase + "/" + homeFolder + "/p")
		if listErr != nil {
			t.Fatal(listErr)
		}
		for _, name := range names {
			if strings.HasPrefix(name, epochPrefix) && name != "e"+ownerName(owner.Epoch)[len(ownerPrefix):] {
				t.Fatalf("step %d: the folder %s is there again", step, name)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, forebay.ErrFenced), strings.Contains(err.Error(), "the owner is"):
			stopped++
		default:
			t.Fatalf("step %d: the older owner stops with %v, want fenced", step, err)
		}
	}
	if stopped < steps/2 || published == 0 {
		t.Fatalf("of %d steps, %d stopped, and at %d something was published before", steps, stopped, published)
	}
}

func TestSecondOwnerOfAnEpochIsRefused(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	a := takeOver(t, sim)
	local, err := openLocal(LocalConfig{Base: worldBase, Pipeline: "p"}, sim)
	if err != nil {
		t.Fatal(err)
	}
	equal, older := a, a
	equal.Holder = "x"
	older.Epoch--
	for name, c := range map[string]struct {
		owner forebay.Owner
		want  error
	}{
		"another holder of the same epoch": {equal, forebay.ErrFenced},
		"an older epoch":                   {older, forebay.ErrFenced},
		"the same owner again":             {a, nil},
	} {
		if err := local.Fence(t.Context(), c.owner, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestForgetLeavesPublishedParts(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	if err := newWorld(t, sim, worldConfig(t, None), nil).run(durable{}, 2); err != nil {
		t.Fatal(err)
	}
	before := visible(sim)
	local, err := openLocal(LocalConfig{Base: worldBase, Pipeline: "p"}, sim)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Forget(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if after := sim.files(worldBase); !maps.Equal(before, after) {
		t.Fatalf("%d parts before, and %v after", len(before), after)
	}
	if _, err := sim.List(worldBase + "/" + homeFolder); err == nil {
		t.Fatal("our folder is left")
	}
	if owner, err := local.Owner(t.Context(), "p"); err != nil || owner.Epoch != 0 {
		t.Fatalf("the owner is %+v (%v), want none", owner, err)
	}
}

// A run that ends with unpublished parts leaves them; the next run of the same pipeline takes them away.
func TestLeftoversOfDeadRunsAreRemoved(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	local, err := openLocal(LocalConfig{Base: worldBase, Pipeline: "p"}, sim)
	if err != nil {
		t.Fatal(err)
	}
	owner := forebay.Owner{Pipeline: "p", Epoch: 3, Holder: "a"}
	place, err := local.OpenLane(t.Context(), forebay.LaneContext{Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	part := place.Create(Name{Bucket: "b", File: "part-x"})
	if err := part.Write(t.Context(), []byte("text\n")); err != nil {
		t.Fatal(err)
	}
	if open, err := local.ListOpen(t.Context(), forebay.Owner{Pipeline: "p", Epoch: 2}); err != nil || len(open) != 0 {
		t.Fatalf("an older owner sees %v (%v), want nothing of a newer one", open, err)
	}
	open, err := local.ListOpen(t.Context(), owner)
	if err != nil || len(open) != 1 || open[0].ID != "part-x" {
		t.Fatalf("open are %v (%v), want the part", open, err)
	}
	for range 2 {
		if err := local.Abort(t.Context(), open); err != nil {
			t.Fatal(err)
		}
	}
	if files := sim.files(worldBase); len(files) != 0 {
		t.Fatalf("%v is left", files)
	}
}

// A lane that starts again and again, such as on a full disk, does not fill it: what no checkpoint knows goes with the
// writer, what one knows stays.
func TestClosedLaneLeavesOnlyWhatACheckpointKnows(t *testing.T) {
	t.Parallel()
	sim := newSimDisk()
	f := openFixture(t, Config{Format: worldConfig(t, None).Format, Roll: never(10)}, sim, forebay.LaneContext{})
	f.write(t, lines("held"))
	held := f.barrier(t, false).Held
	f.write(t, lines("rolls over", "rolls over too", "open"))
	if err := f.lane.Close(); err != nil {
		t.Fatal(err)
	}
	files := sim.files(worldBase + "/" + homeFolder + "/p/e1")
	if _, found := files[held[0].ID]; len(files) != 1 || !found {
		t.Fatalf("the folder holds %v, want the held part alone", files)
	}
	again := openFixture(t, Config{Format: worldConfig(t, None).Format}, sim, forebay.LaneContext{Restored: held})
	again.barrier(t, true)
	if got := visible(sim); len(got) != 1 || got[held[0].ID] != "held\n" {
		t.Fatalf("published is %v, want what was held", got)
	}
}
