// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Output is a folder of parts, read by programs that share nothing with the product: zcat or pyarrow, and sort.
type Output struct {
	Base string
	// Parquet says that the parts are Parquet files; else they are lines as gzip.
	Parquet bool
	// Python is where the reader of Parquet lies.
	Python string
	// seen are the parts that readers saw, with their sizes.
	seen map[string]int64
}

// homeFolder is where the file sink keeps what readers are not to see.
const homeFolder = "_forebay"

// parquetReader gets the reader of Parquet. Where it cannot be had the test skips, or fails if
// FOREBAY_REQUIRE_SERVERS is 1.
func parquetReader(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "bash", "../readers/setup.sh").Output()
	if err != nil {
		missing := t.Skipf
		if os.Getenv("FOREBAY_REQUIRE_SERVERS") == "1" {
			missing = t.Fatalf
		}
		missing("no reader of Parquet: %v\nbash test/readers/setup.sh gets it; it needs Python 3 with pip", err)
	}
	return strings.TrimSpace(string(out))
}

// Parts are the files that readers see, with their sizes.
func (o *Output) Parts() (map[string]int64, error) {
	parts := map[string]int64{}
	err := o.walk(func(path string, inside bool) error {
		if inside {
			return nil
		}
		info, err := os.Stat(path)
		if err == nil {
			parts[path] = info.Size()
		}
		return err
	})
	return parts, err
}

// walk calls f for each file; inside is set for those that readers do not see.
func (o *Output) walk(f func(path string, inside bool) error) error {
	home := filepath.Join(o.Base, homeFolder) + string(filepath.Separator)
	return filepath.WalkDir(o.Base, func(path string, entry fs.DirEntry, err error) error {
		// A folder of the lossy file system itself may go while it is looked at.
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".lossy-") {
			return err
		}
		return f(path, strings.HasPrefix(path, home))
	})
}

// Watch is called after each kill: what a reader saw once stays as it was.
func (o *Output) Watch(c *Campaign) {
	c.t.Helper()
	parts, err := o.Parts()
	if err != nil {
		if os.IsNotExist(err) && o.seen == nil {
			return // nothing was made yet
		}
		c.t.Fatal(err)
	}
	for path, size := range o.seen {
		if now, there := parts[path]; !there || now != size {
			c.find(FindingLost, "part %s had %d bytes, and after a kill it has %d (it is there: %t)", path, size, now, there)
		}
	}
	o.seen = parts
}

// Left looks for what a clean end must not leave: anything but who owns the base.
func (o *Output) Left(c *Campaign) {
	c.t.Helper()
	err := o.walk(func(path string, inside bool) error {
		name, _ := c.config.Pipeline["name"].(string)
		// A folder has a file for the owner, a bucket an object.
		if inside && !strings.HasPrefix(filepath.Base(path), "owner-") && filepath.Base(path) != name {
			c.find(FindingLeft, "a clean end left %s", path)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// Sorted are the lines of these parts, sorted by bytes.
func (o *Output) Sorted(ctx context.Context, parts []string) (lines *sorted, err error) {
	read := exec.CommandContext(ctx, "xargs", "-d", "\n", "--no-run-if-empty", "zcat", "--")
	if o.Parquet {
		read = exec.CommandContext(ctx, "python3", "../readers/parquet.py")
		read.Env = append(os.Environ(), "PYTHONPATH="+o.Python)
	}
	read.Stdin = strings.NewReader(strings.Join(parts, "\n") + "\n")
	if len(parts) == 0 {
		read.Stdin = nil
	}
	return sortedBy(ctx, read)
}

// sorted are lines, sorted by the program sort.
type sorted struct {
	lines     *bufio.Reader
	processes []*exec.Cmd
	said      strings.Builder
	line      string
	more      bool
}

// sortedBy sorts what a program prints.
func sortedBy(ctx context.Context, read *exec.Cmd) (*sorted, error) {
	s := &sorted{}
	sort := exec.CommandContext(ctx, "sort")
	sort.Env = append(os.Environ(), "LC_ALL=C")
	read.Stderr, sort.Stderr = &s.said, &s.said
	between, err := read.StdoutPipe()
	if err != nil {
		return nil, err
	}
	sort.Stdin = between
	out, err := sort.StdoutPipe()
	if err != nil {
		return nil, err
	}
	for _, p := range []*exec.Cmd{read, sort} {
		if err := p.Start(); err != nil {
			return nil, fmt.Errorf("start %s: %w", p, err)
		}
		s.processes = append(s.processes, p)
	}
	s.lines = bufio.NewReaderSize(out, 1<<20)
	return s, s.next()
}

// next reads a line; at the end, the programs must have succeeded.
func (s *sorted) next() error {
	line, err := s.lines.ReadString('\n')
	s.line, s.more = strings.TrimSuffix(line, "\n"), err == nil
	if err == nil {
		return nil
	}
	if err != io.EOF {
		return err
	}
	// The one that sorts ends after it has read what the other one printed.
	for _, p := range slices.Backward(s.processes) {
		if err := p.Wait(); err != nil {
			return fmt.Errorf("%s: %w: %s", p, err, s.said.String())
		}
	}
	return nil
}

// take is how often a line comes.
func (s *sorted) take(line string) (n int, err error) {
	for s.more && s.line == line {
		n++
		if err := s.next(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// AuditSorted holds what an output has against what it is to have: each line as often as there.
func AuditSorted(want, got *sorted) ([]Finding, error) {
	counts, firsts, total := map[FindingKind]int{}, map[FindingKind]string{}, 0
	for want.more || got.more {
		line := want.line
		if !want.more || got.more && got.line < want.line {
			line = got.line
		}
		due, err := want.take(line)
		if err != nil {
			return nil, err
		}
		came, err := got.take(line)
		if err != nil {
			return nil, err
		}
		total += due
		var kind FindingKind
		switch {
		case due == 0:
			kind = FindingStrange
		case came < due:
			kind = FindingLost
		case came > due:
			kind = FindingRepeated
		default:
			continue
		}
		if counts[kind]++; counts[kind] == 1 {
			firsts[kind] = line
		}
	}
	var findings []Finding
	for _, kind := range []FindingKind{FindingLost, FindingRepeated, FindingStrange} {
		if counts[kind] > 0 {
			findings = append(findings, Finding{kind, fmt.Sprintf("%d of %d rows, the first is %s",
				counts[kind], total, firsts[kind])})
		}
	}
	if total == 0 {
		findings = append(findings, Finding{FindingFailed, "nothing was expected"})
	}
	return findings, nil
}

// Audit holds the parts against the lines of a file, but for parts that are named.
func (o *Output) Audit(c *Campaign, expected string, without map[string]int64) {
	c.t.Helper()
	parts, err := o.Parts()
	if err != nil {
		c.t.Fatal(err)
	}
	var paths []string
	for path := range parts {
		if _, other := without[path]; !other {
			paths = append(paths, path)
		}
	}
	ctx := c.t.Context()
	want, err := sortedBy(ctx, exec.CommandContext(ctx, "cat", expected))
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := o.Sorted(ctx, paths)
	if err != nil {
		c.t.Fatal(err)
	}
	findings, err := AuditSorted(want, got)
	if err != nil {
		c.t.Fatal(err)
	}
	c.Add(findings)
	c.t.Logf("%d parts", len(paths))
}
