// SPDX-License-Identifier: Apache-2.0

package stdout

import (
	"bytes"
	"context"
	"io"
)

// output is what all lanes write to, one after the other.
//
// Concurrency: safe. Whose turn it is goes round as a token, so that waiting for it can be given up.
type output struct {
	turn chan struct{}

	// The rest belongs to who has the turn.
	out     io.Writer
	started bool
	// torn is the rest of a line of which the output took the beginning only.
	torn []byte
}

func newOutput(out io.Writer) *output {
	o := &output{turn: make(chan struct{}, 1), out: out}
	o.turn <- struct{}{}
	return o
}

// write prints whole lines in one piece, after the header if they are the first.
//
// Blocking: on the output, and on other lanes' turns until ctx ends.
func (o *output) write(ctx context.Context, header, lines []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-o.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { o.turn <- struct{}{} }()
	if !o.started && len(header) > 0 {
		lines = append(bytes.Clone(header), lines...)
	}
	if len(o.torn) > 0 {
		lines = append(bytes.Clone(o.torn), lines...)
	}
	n, err := o.out.Write(lines)
	o.started = o.started || n > 0
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	o.torn = tornRest(lines, n)
	return classify(err)
}

// tornRest is what is missing of the line that ends the first n bytes.
func tornRest(lines []byte, n int) []byte {
	if n == 0 || n == len(lines) || lines[n-1] == '\n' {
		return nil
	}
	end := bytes.IndexByte(lines[n:], '\n')
	return bytes.Clone(lines[n : n+end+1])
}
