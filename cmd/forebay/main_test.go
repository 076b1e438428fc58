// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"sync"
)

// lockedBuffer is what a command prints; several goroutines write to it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// runBeside runs beside the test, which waits for it itself.
func runBeside(f func()) {
	var running sync.WaitGroup
	running.Go(f)
}
