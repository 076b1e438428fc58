// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLedgerFindsWhatIsLostRepeatedStrangeOrLeftBehind(t *testing.T) {
	t.Parallel()
	var input bytes.Buffer
	if err := writeRecords(3)(&input); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(input.String(), "\n")
	cases := []struct {
		name    string
		files   map[string]string
		problem string
	}{
		{"all there", map[string]string{"part-0": lines[1], "user=1/part-1": lines[2] + lines[0]}, ""},
		{"a record lost", map[string]string{"part-0": lines[0] + lines[1]}, "2 different records"},
		{"a record repeated", map[string]string{"part-0": lines[0], "part-1": lines[1] + lines[0]}, "0 is there twice"},
		{"a strange line", map[string]string{"part-0": "{}\n"}, "no number of the input"},
		{"a number too large", map[string]string{"part-0": `{"id":64,"a":1}` + "\n"}, "no number of the input"},
		{"a part left behind", map[string]string{"_forebay/p/7/part-0": lines[0]}, "was left behind"},
	}
	for _, c := range cases {
		dir := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := auditIDs(dir, 3)
		switch {
		case c.problem == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: got %q and %v, want %q", c.name, text, err, c.problem)
		}
	}
}
