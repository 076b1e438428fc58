// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// T is what a check needs of a testing.T. Fatalf does not return.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Check is one thing that a connector must keep.
type Check struct {
	Name string
	Run  func(T)
}

// PatienceDefault is how long a call may take that must return.
const PatienceDefault = 10 * time.Second

func run(t *testing.T, checks []Check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) { c.Run(t) })
	}
}

// within runs a call that must return in time. A call that does not is left behind, and fails the check.
func within(t T, patience time.Duration, what string, call func()) {
	t.Helper()
	if patience <= 0 {
		patience = PatienceDefault
	}
	done := make(chan any, 1)
	var calls sync.WaitGroup
	calls.Go(func() {
		defer func() { done <- recover() }()
		call()
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case problem := <-done:
		calls.Wait()
		if problem != nil {
			t.Fatalf("%s: panic: %v", what, problem)
		}
	case <-timer.C:
		t.Fatalf("%s: it did not return within %s", what, patience)
	}
}
