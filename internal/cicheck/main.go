// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	c := newChecker(out)
	err := c.read(os.Stdin)
	ok := c.finish()
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cicheck: "+err.Error())
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of `go test -json` (see `go doc cmd/test2json` and `go help buildjson`).
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

type testName struct{ pkg, test string }

// checker keeps the output of what has not ended yet, and counts.
// Concurrency: one goroutine.
type checker struct {
	out     *bufio.Writer
	pending map[testName][]string // output of tests and packages that still run
	builds  map[string][]string   // output of the compiler per import path
	skips   []string

	passed, failed, skipped int
	packagesFailed          int
}

func newChecker(out *bufio.Writer) *checker {
	return &checker{out: out, pending: map[testName][]string{}, builds: map[string][]string{}}
}

// read consumes all events. Lines that are no events (a build tool that speaks plain text) are passed on.
func (c *checker) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}

func (c *checker) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		c.print(strings.TrimSuffix(line, "\n") + "\n")
		return
	}
	name := testName{e.Package, e.Test}
	switch e.Action {
	case "output":
		c.pending[name] = append(c.pending[name], e.Output)
	case "build-output":
		c.builds[e.ImportPath] = append(c.builds[e.ImportPath], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.endPackage(e)
		} else {
			c.endTest(e)
		}
	}
}

func (c *checker) endTest(e event) {
	name := testName{e.Package, e.Test}
	output := c.pending[name]
	delete(c.pending, name)
	switch e.Action {
	case "pass":
		c.passed++
	case "fail":
		c.failed++
		c.print(output...)
	case "skip":
		c.skipped++
		c.skips = append(c.skips, e.Package+" "+e.Test)
		c.print(output...)
	}
}

func (c *checker) endPackage(e event) {
	own := testName{e.Package, ""}
	output := c.pending[own]
	delete(c.pending, own)
	if e.Action == "fail" {
		c.packagesFailed++
		c.printUnended(e.Package)
		c.print(c.builds[e.FailedBuild]...)
		c.print(output...)
		return
	}
	// Of a package that passed, the closing line is enough: "ok", "?" or "no test files".
	for _, line := range output {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ") || strings.Contains(line, "[no test") {
			c.print(line)
		}
	}
}

// printUnended shows the tests that a time-out or a crash cut off: they have no result of their own.
func (c *checker) printUnended(pkg string) {
	var cut []testName
	for name := range c.pending {
		if name.pkg == pkg {
			cut = append(cut, name)
		}
	}
	slices.SortFunc(cut, func(a, b testName) int { return strings.Compare(a.test, b.test) })
	for _, name := range cut {
		c.failed++
		c.print(c.pending[name]...)
		delete(c.pending, name)
	}
}

// finish prints the closing lines and tells whether the run counts as passed.
func (c *checker) finish() bool {
	for _, name := range c.skips {
		c.print("skipped: " + name + " (here every test must run)\n")
	}
	// A package can fail with no failed test: it did not build, or ended with os.Exit.
	failed := max(c.failed, c.packagesFailed)
	if c.passed+failed+c.skipped == 0 {
		c.print("no test ran\n")
	}
	c.print(fmt.Sprintf("%d passed, %d failed, %d skipped\n", c.passed, failed, c.skipped))
	return failed == 0 && c.skipped == 0 && c.passed > 0
}

func (c *checker) print(lines ...string) {
	for _, line := range lines {
		c.out.WriteString(line)
	}
	_ = c.out.Flush() // a write error stays in the writer: main's last Flush reports it
}
