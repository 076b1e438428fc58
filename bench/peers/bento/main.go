// SPDX-License-Identifier: Apache-2.0

// Command bento runs Bento in one process, as its own binary would: `generate -> drop`, the peer of our generator into
// the drop sink, or with -in `file -> mutation -> file`, the peer of our files. Only the components that these need are
// linked in.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	"github.com/warpstreamlabs/bento/public/service"
)

const generate = `
input:
  generate:
    mapping: 'root = %q'
    interval: ""
    count: %d
    batch_size: %d
output:
  drop: {}
logger:
  level: ERROR
`

// files edits one field with mutation, which Bento's documentation recommends over mapping where most of a document
// stays. Batches are made by a broker, since the input itself has none, and leave as one message each, since the output
// makes a call of the system for every message.
const files = `
input:
  broker:
    inputs:
      - file:
          paths: [ %q ]
          scanner: { lines: {} }
    batching: { count: %d }
pipeline:
  processors:
    - mutation: 'root.score = this.score + 1'
    - archive: { format: lines }
output:
  file:
    path: %q
    codec: lines
logger:
  level: ERROR
`

func main() {
	count := flag.Int("count", 1_000_000, "records")
	batch := flag.Int("batch", 500, "records per batch")
	size := flag.Int("size", 200, "bytes per record")
	in := flag.String("in", "", "lines of JSON instead of generated records")
	out := flag.String("out", "", "where the lines of -in go")
	flag.Parse()
	config := fmt.Sprintf(generate, strings.Repeat("x", *size), *count, *batch)
	if *in != "" {
		config = fmt.Sprintf(files, *in, *batch, *out)
	}
	if err := run(config); err != nil {
		log.Fatal(err)
	}
}

// run prints the wall time of the stream; the CPU time is the caller's to take from the process.
func run(config string) error {
	builder := service.NewStreamBuilder()
	if err := builder.SetYAML(config); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	stream, err := builder.Build()
	if err != nil {
		return fmt.Errorf("build the stream: %w", err)
	}
	started := time.Now()
	if err := stream.Run(context.Background()); err != nil {
		return fmt.Errorf("run the stream: %w", err)
	}
	fmt.Fprintf(os.Stdout, "seconds %.3f\n", time.Since(started).Seconds())
	return nil
}
