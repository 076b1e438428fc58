// SPDX-License-Identifier: Apache-2.0

// Command bento runs Bento's `generate -> drop` in one process, as its own binary would: the peer of our
// generator into the drop sink. Only the components that this needs are linked in.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	_ "github.com/warpstreamlabs/bento/public/components/pure"
	"github.com/warpstreamlabs/bento/public/service"
)

const pipeline = `
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

func main() {
	count := flag.Int("count", 1_000_000, "records")
	batch := flag.Int("batch", 500, "records per batch")
	size := flag.Int("size", 200, "bytes per record")
	flag.Parse()
	if err := run(fmt.Sprintf(pipeline, strings.Repeat("x", *size), *count, *batch)); err != nil {
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
