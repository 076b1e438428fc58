// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay"
)

// TestCrashKeepsWhatWritersWereToldTS2TS4: a writer with five requests in flight that apply in part. What it was told
// before the crash is true after it, with the same row errors; what it was not told applies once when it is sent again.
func TestCrashKeepsWhatWritersWereToldTS2TS4(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{0, 50, 100} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("unsynced=%d/seed=%d", percent, seed), func(t *testing.T) {
				t.Parallel()
				crashWhileSending(t, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 3))})
			})
		}
	}
}

func crashWhileSending(t *testing.T, crash vfs.CrashCloneCfg) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := openOn(t, fs, Config{})
	spec := keySpec("users")
	spec.Tablets = 1
	o := openTable(t, s, spec)
	request := func(o *opened, sequence int64) *forebay.Request {
		// Of each three rows the middle one is there already, but for the first time.
		r := sequenced(o.one("a", fmt.Sprintf("%d,x", sequence+10), "1,x", fmt.Sprintf("^2,%d", sequence)), "w", sequence)
		r.Partial = true
		return r
	}
	var mu sync.Mutex
	told := map[int64]forebay.Answer{}
	crashAt, requests := crash.RNG.IntN(60), int64(60)
	window := make(chan struct{}, rememberedMax)
	var disk *vfs.MemFS
	var before map[int64]forebay.Answer
	for sequence := range requests {
		window <- struct{}{}
		s.Send(t.Context(), request(o, sequence), func(a forebay.Answer) {
			mu.Lock()
			defer mu.Unlock()
			told[sequence] = a
			if len(told) == crashAt+1 {
				before = maps.Clone(told)
				disk = fs.CrashClone(crash)
			}
			<-window
		})
	}
	for range rememberedMax {
		window <- struct{}{}
	}
	after := openOn(t, disk, Config{})
	o = openTable(t, after, spec)
	first := max(0, int64(len(before))-rememberedMax)
	for sequence := first; sequence < requests; sequence++ {
		a := forebay.Await(t.Context(), after, request(o, sequence))
		was, known := before[sequence]
		switch {
		case known && a.Code != forebay.CodeDuplicate, a.Code != forebay.CodeDuplicate && a.Code != forebay.CodeOK:
			t.Fatalf("sequence %d is answered %+v after the crash, and %+v before", sequence, a, was)
		case known && a.Offset == offsetUnknown: // more were applied than were answered
		case known:
			diff(t, "offset", a.Offset, was.Offset)
			diff(t, "row errors", a.Rows, was.Rows)
		}
	}
	diff(t, "rows", count(t, after, "users"), requests+2)
	info, err := after.Describe(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "end of the log", info.Logs[0].End, 2*requests+1)
}
