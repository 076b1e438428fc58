// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Summary is what `run --summary json` prints.
type Summary struct {
	Pipeline          string  `json:"pipeline"`
	Status            string  `json:"status"`
	Read              int64   `json:"read"`
	Delivered         int64   `json:"delivered"`
	Rejected          int64   `json:"rejected"`
	DuplicatesDropped int64   `json:"duplicates_dropped"`
	Lanes             int     `json:"lanes"`
	Seconds           float64 `json:"seconds"`
	Resumed           bool    `json:"resumed"`
	Error             string  `json:"error"`
}

// Build builds the command at a path of the module with the tag fault and returns the binary. It is called from
// TestMain, with a folder that outlives the tests.
func Build(ctx context.Context, command, dir string) (string, error) {
	if given := os.Getenv("FOREBAY_KILL_BINARY"); given != "" {
		return given, nil
	}
	binary := filepath.Join(dir, "forebay")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "fault", "-o", binary, command)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", command, err)
	}
	return binary, nil
}

// Kills is the number of random kills of a campaign: FOREBAY_KILLS, or a tenth of the full length.
func Kills(t *testing.T) int {
	t.Helper()
	return int(number(t, "FOREBAY_KILLS", KillsFull/10))
}

// KillsFull is the full length of a campaign.
const KillsFull = 200

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

// try runs the binary to its end and returns what it prints.
func (c *Campaign) try(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(c.t.Context(), c.config.Binary, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// Scan is a table as the binary prints it in csv.
func (c *Campaign) Scan(table string) []byte {
	c.t.Helper()
	out, err := c.try("table", "scan", table, "--state", c.state, "--format", "csv")
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Count is the number of rows of a table.
func (c *Campaign) Count(table string) int64 {
	c.t.Helper()
	text, err := c.try("table", "scan", table, "--state", c.state, "--count")
	if err != nil {
		// Records of it were acknowledged: it cannot be missing.
		c.find(FindingLost, "table %s, of which rows were acknowledged, cannot be counted: %s", table,
			strings.ReplaceAll(err.Error(), c.dir, ""))
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		c.t.Fatalf("table scan --count says %q", text)
	}
	return n
}
