// SPDX-License-Identifier: Apache-2.0

//go:build fault

package drop

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/forebay-io/forebay"
)

// faults make the sink refuse records on the first attempt only, also over restarts of the process: tests of
// recovery need records whose fate changes.
type faults struct {
	RefuseEvery int64  `yaml:"refuse_every" doc:"refuses each record whose offset is a multiple of this, once"`
	RefuseFile  string `yaml:"refuse_file" doc:"remembers what was refused"`
}

func (f faults) start() (refuser, error) {
	if f.RefuseEvery <= 0 {
		return nil, nil
	}
	text, err := os.ReadFile(f.RefuseFile)
	if err != nil && !os.IsNotExist(err) {
		return nil, forebay.Errorf("open drop", forebay.ClassMisconfigured, "refuse_file: %w", err)
	}
	r := &refusals{every: f.RefuseEvery, seen: map[string]bool{}}
	for line := range strings.Lines(string(text)) {
		r.seen[strings.TrimSuffix(line, "\n")] = true
	}
	if r.file, err = os.OpenFile(f.RefuseFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, forebay.Errorf("open drop", forebay.ClassMisconfigured, "refuse_file: %w", err)
	}
	return r.refuse, nil
}

// refusals remembers what was refused, one line for each record. The file stays open until the process ends.
type refusals struct {
	every int64
	file  *os.File

	mu   sync.Mutex
	seen map[string]bool
}

func (r *refusals) refuse(split string, offset int64) (bool, error) {
	if offset%r.every != 0 {
		return false, nil
	}
	line := fmt.Sprintf("%s %d", split, offset)
	r.mu.Lock()
	known := r.seen[line]
	r.seen[line] = true
	r.mu.Unlock()
	if known {
		return false, nil
	}
	if _, err := r.file.WriteString(line + "\n"); err != nil {
		return false, forebay.Errorf("write", forebay.ClassMisconfigured, "refuse_file: %w", err)
	}
	return true, nil
}
