// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// command is the binary that the campaigns kill.
const command = "github.com/forebay-io/forebay/cmd/forebay"

// builtEnv tells a child of this test binary which binary its parent built.
const builtEnv = "FOREBAY_KILL_BINARY"

func TestMain(m *testing.M) { os.Exit(mainWithBinary(m)) }

func mainWithBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "forebay-kill-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	binary, err := Build(context.Background(), command, dir)
	if err == nil {
		err = os.Setenv(builtEnv, binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// binary is the one that TestMain built.
func binary() string { return os.Getenv(builtEnv) }

// Files of the year, made by test/data/fetch.sh.
const (
	yearGzip   = "../data/cache/flights.csv.gz"
	yearCSV    = "../data/cache/flights.csv"
	yearNDJSON = "../data/cache/flights.ndjson"
	yearRows   = 336_776
	rangeGrid  = 4 << 20
)

// year is the path of one of the year's files.
func year(t *testing.T, name string) string {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%v: bash test/data/fetch.sh gets the year", err)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type ledgerOrError struct {
	ledger *Ledger
	err    error
}

// The year's ledgers are read once for all tests.
var (
	yearOfCSV = sync.OnceValue(func() ledgerOrError {
		l, err := ReadCSV(yearGzip, nil)
		return ledgerOrError{l, err}
	})
	yearOfNDJSON = sync.OnceValue(func() ledgerOrError {
		csv := yearOfCSV()
		if csv.err != nil {
			return csv
		}
		l, err := ReadNDJSON(yearNDJSON, csv.ledger.Columns, rangeGrid)
		return ledgerOrError{l, err}
	})
)

func must(t *testing.T, l ledgerOrError) *Ledger {
	t.Helper()
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.ledger
}

// auditTable holds a table of the campaign against what it is to hold.
func auditTable(t *testing.T, c *Campaign, want *Ledger, order Order) {
	t.Helper()
	findings, err := want.Audit(c.Scan(c.config.Table), order)
	if err != nil {
		t.Fatal(err)
	}
	c.Add(findings)
}
