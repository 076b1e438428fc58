// SPDX-License-Identifier: Apache-2.0

//go:build fault

package fault

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Enabled says whether the build tag fault is set.
const Enabled = true

// armed is what the environment asked for.
type armed struct {
	index map[string]int
	traps [len(points)][]Trap
	pace  time.Duration
	head  *[3]atomic.Uint64
	hits  *[len(points)]atomic.Uint64
	bug   string
}

// environment is read at the first use, once per process. A wrong one panics: a campaign that breaks nothing would
// prove nothing.
var environment = sync.OnceValue(func() *armed {
	a, err := arm(os.Getenv)
	if err != nil {
		panic(err)
	}
	return a
})

func arm(get func(string) string) (*armed, error) {
	a := &armed{
		index: map[string]int{},
		head:  new([3]atomic.Uint64),
		hits:  new([len(points)]atomic.Uint64),
	}
	for i, point := range points {
		a.index[point] = i
	}
	plan, err := ParsePlan(get("FOREBAY_FAULT"))
	if err != nil {
		return nil, fmt.Errorf("FOREBAY_FAULT: %w", err)
	}
	for _, t := range plan {
		i := a.index[t.Point]
		a.traps[i] = append(a.traps[i], t)
	}
	if pace := get("FOREBAY_FAULT_PACE"); pace != "" {
		if a.pace, err = time.ParseDuration(pace); err != nil {
			return nil, fmt.Errorf("FOREBAY_FAULT_PACE: %w", err)
		}
	}
	if name := get("FOREBAY_FAULT_TRACE"); name != "" {
		if err := a.mapTrace(name); err != nil {
			return nil, fmt.Errorf("FOREBAY_FAULT_TRACE: %w", err)
		}
	}
	if a.bug = get("FOREBAY_FAULT_BUG"); a.bug != "" && !slices.Contains(Bugs(), a.bug) {
		return nil, fmt.Errorf("FOREBAY_FAULT_BUG: no bug is called %q: use one of %s", a.bug, strings.Join(Bugs(), ", "))
	}
	return a, nil
}

// mapTrace puts the counters into the file: a store to memory is all that a hit costs, and it outlives SIGKILL.
func (a *armed) mapTrace(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	if err := f.Truncate(int64(traceSize)); err != nil {
		return errors.Join(err, f.Close())
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, traceSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	a.head = (*[3]atomic.Uint64)(unsafe.Pointer(&data[0]))
	a.hits = (*[len(points)]atomic.Uint64)(unsafe.Pointer(&data[headSize]))
	a.head[0].Store(traceMagic)
	return nil
}

// Hit says that the process is at a kill point.
func Hit(name string) {
	a := environment()
	i, found := a.index[name]
	if !found {
		panic("fault: no kill point is called " + name)
	}
	a.head[1].Store(uint64(i + 1))
	n := int64(a.hits[i].Add(1))
	for _, t := range a.traps[i] {
		if t.Hit == n {
			t.Action.do()
		}
	}
}

func (a Action) do() {
	if a == Stop {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
		return
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	// Nothing after the point may run while the signal is on its way.
	select {}
}

// Acked notes that so many records more are durable in the target, as far as the process was told.
func Acked(records int64) { environment().head[2].Add(uint64(records)) }

// Bug says whether the named bug is planted.
func Bug(name string) bool { return environment().bug == name }

// Pace is called once per source batch.
func Pace() {
	if pace := environment().pace; pace > 0 {
		<-time.After(pace)
	}
}
