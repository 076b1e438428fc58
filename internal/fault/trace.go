// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"encoding/binary"
	"fmt"
	"os"
)

// A trace file is a head of three words (magic, index of the last point plus one, records acknowledged) and one
// count per point, all eight bytes in the machine's order. The process has it mapped: what it stored is there after
// SIGKILL.
const (
	traceMagic = 0x4642_5452_4143_4532
	headSize   = 24
	traceSize  = headSize + 8*len(points)
)

// Trace is how far a process was.
type Trace struct {
	Last  string           // the last point it met; empty if none
	Acked int64            // records that it was told are durable in the target
	Hits  map[string]int64 // points that it met at least once
}

// ReadTrace reads the file that FOREBAY_FAULT_TRACE named, also of a process that was killed.
func ReadTrace(name string) (Trace, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Trace{}, fmt.Errorf("read trace: %w", err)
	}
	return decodeTrace(data)
}

func decodeTrace(data []byte) (Trace, error) {
	if len(data) != traceSize || binary.NativeEndian.Uint64(data) != traceMagic {
		return Trace{}, fmt.Errorf("read trace: %d bytes are not a trace of this version", len(data))
	}
	t := Trace{Hits: map[string]int64{}, Acked: int64(binary.NativeEndian.Uint64(data[16:]))}
	last := binary.NativeEndian.Uint64(data[8:])
	if last > uint64(len(points)) {
		return Trace{}, fmt.Errorf("read trace: point %d is not known to this version", last)
	}
	if last > 0 {
		t.Last = points[last-1]
	}
	for i, point := range points {
		if n := binary.NativeEndian.Uint64(data[headSize+8*i:]); n > 0 {
			t.Hits[point] = int64(n)
		}
	}
	return t, nil
}
