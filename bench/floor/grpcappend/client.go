// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type load struct {
	rows, keys, batch int
	every             time.Duration // between two rows
}

type sent struct {
	buffer []byte
	due    time.Time // of its first row; without a rate when it was sent
}

// send sends the rows and prints how fast, and how long requests took from when their first row was due.
func (l load) send(address string) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(streamMax), grpc.WithInitialConnWindowSize(connMax), grpc.WithWriteBufferSize(64<<10))
	check(err)
	stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		"/floor/Append", grpc.ForceCodecV2(raw{}), grpc.MaxRetryRPCBufferSize(0))
	check(err)
	waiting, free := make(chan sent, inFlight+1), make(chan []byte, inFlight+1)
	var took []float64
	var reading sync.WaitGroup
	reading.Go(func() { took = answers(stream, waiting, free) })
	for range inFlight {
		free <- make([]byte, 0, l.batch+rowBytes)
	}
	letters, began := pool(), time.Now()
	now := began
	next := sent{buffer: <-free, due: began}
	for i := range l.rows {
		due := began.Add(time.Duration(i) * l.every)
		for ; l.every > 0 && due.After(now); now = time.Now() {
			time.Sleep(due.Sub(now).Round(time.Millisecond))
		}
		if len(next.buffer)+rowBytes > l.batch {
			l.put(stream, waiting, next)
			next = sent{buffer: (<-free)[:0], due: due}
		}
		next.buffer = append(binary.BigEndian.AppendUint64(next.buffer, uint64(l.key(i))), body(letters, i)...)
	}
	l.put(stream, waiting, next)
	close(waiting)
	reading.Wait()
	report(l.rows, time.Since(began), took)
}
