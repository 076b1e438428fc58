// SPDX-License-Identifier: Apache-2.0

// Command grpcappend is the floor for a writer and a tablet server: rows of one size are copied into requests, five
// of which are on their way over a bare gRPC stream to a server that commits each as one Pebble batch, the request as
// one value or (-rows) each of its rows under its key, and answers once it is synced. Nothing is sent twice.
package main

import (
	"flag"
	"log"
	"os"
	"time"

	"google.golang.org/grpc/mem"
)

// raw is a codec that passes bytes on as they are.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	*v.(*mem.BufferSlice) = data
	return nil
}

const (
	rowBytes  = 208 // an 8-byte key and 200 bytes
	inFlight  = 5
	streamMax = 4 << 20
	connMax   = 16 << 20
	storeMem  = 64 << 20 // of the memtable, as that of forebay serve
)

func main() {
	var l load
	split := flag.Bool("rows", false, "serve: each row under its key")
	flag.IntVar(&l.rows, "n", 1000, "send: how many rows")
	flag.IntVar(&l.keys, "keys", 0, "send: how many keys, a power of two")
	flag.IntVar(&l.batch, "batch", 2<<20, "send: the size of requests")
	rate := flag.Float64("rate", 0, "send: rows a second; 0 is as fast as it can")
	flag.Parse()
	if *rate > 0 {
		l.every = time.Duration(float64(time.Second) / *rate)
	}
	switch flag.Arg(0) { // the second argument: DIR, ADDRESS, DIR
	case "serve":
		serve(flag.Arg(1), *split)
	case "send":
		l.send(flag.Arg(1))
	case "audit":
		audit(flag.Arg(1), *split)
	default:
		log.Fatal("usage: grpcappend [flags] serve DIR | send ADDRESS | audit DIR")
	}
	os.Exit(0)
}
