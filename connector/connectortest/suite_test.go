// SPDX-License-Identifier: Apache-2.0

package connectortest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-io/forebay/connector/connectortest"
)

// recorder is a connectortest.T that remembers failures.
type recorder struct {
	t *testing.T

	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.t.Context() }
func (r *recorder) TempDir() string          { return r.t.TempDir() }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failuresOf runs a check and returns what it reported; a panic counts as a report.
func failuresOf(t *testing.T, check connectortest.Check) []string {
	t.Helper()
	r := &recorder{t: t}
	var group sync.WaitGroup
	group.Go(func() {
		defer func() {
			if problem := recover(); problem != nil {
				r.Errorf("panic: %v", problem)
			}
		}()
		check.Run(r)
	})
	group.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

// expectCaught runs all checks and wants one of the named ones to fail with a report that holds the text.
func expectCaught(t *testing.T, checks []connectortest.Check, by, text string) {
	t.Helper()
	if !slices.ContainsFunc(checks, func(c connectortest.Check) bool { return c.Name == by }) {
		t.Fatalf("there is no check %q", by)
	}
	for _, c := range checks {
		if c.Name != by {
			continue
		}
		failures := failuresOf(t, c)
		if len(failures) == 0 {
			t.Errorf("%q passes", by)
		} else if !strings.Contains(strings.Join(failures, "\n"), text) {
			t.Errorf("%q reports\n%s\nwhich does not say %q", by, strings.Join(failures, "\n"), text)
		}
	}
}

// expectPasses runs all checks and wants none to fail.
func expectPasses(t *testing.T, checks []connectortest.Check) {
	t.Helper()
	for _, c := range checks {
		if failures := failuresOf(t, c); len(failures) > 0 {
			t.Errorf("%q fails:\n%s", c.Name, strings.Join(failures, "\n"))
		}
	}
}
