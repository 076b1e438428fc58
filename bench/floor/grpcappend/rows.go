// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func (l load) key(i int) int {
	if l.keys == 0 {
		return i
	}
	return i * 0x9e3779b1 & (l.keys - 1) // each key once in as many rows as there are keys
}

func pool() []byte {
	letters, random := make([]byte, 1<<20), rand.New(rand.NewPCG(1, 2))
	for i := range letters {
		letters[i] = 'a' + byte(random.Uint32N(26))
	}
	return letters
}

func body(letters []byte, i int) []byte {
	at := i * 647_927 % (len(letters) - rowBytes + 8)
	return letters[at : at+rowBytes-8]
}

func (l load) put(stream grpc.ClientStream, waiting chan<- sent, s sent) {
	if l.every == 0 {
		s.due = time.Now()
	}
	check(stream.SendMsg(s.buffer))
	waiting <- s
}

// answers waits for the answers, which come in the order of the requests.
func answers(stream grpc.ClientStream, waiting <-chan sent, free chan<- []byte) (took []float64) {
	var answer mem.BufferSlice
	for s := range waiting {
		check(stream.RecvMsg(&answer))
		answer.Free()
		took = append(took, time.Since(s.due).Seconds()*1000)
		free <- s.buffer
	}
	return took
}

func report(rows int, took time.Duration, requests []float64) {
	slices.Sort(requests)
	sum := 0.0
	for _, ms := range requests {
		sum += ms
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rows": rows, "bytes": rows * rowBytes, "seconds": took.Seconds(), "requests": len(requests),
		"mean_ms": sum / float64(len(requests)), "p99_ms": requests[len(requests)*99/100],
	}))
}
