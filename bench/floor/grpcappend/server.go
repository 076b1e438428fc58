// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// serve commits the requests of streams until SIGTERM; it says where it listens as forebay serve does.
func serve(dir string, split bool) {
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: storeMem, Logger: quiet{}})
	check(err)
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	check(err)
	s := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.MaxRecvMsgSize(64<<20),
		grpc.StaticStreamWindowSize(streamMax), grpc.StaticConnWindowSize(connMax),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return receive(db, stream, split) }))
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	var ending sync.WaitGroup
	ending.Go(func() { <-end; s.GracefulStop() })
	log.Printf("serving %s  bare", listener.Addr())
	check(s.Serve(listener))
	ending.Wait()
	check(db.Close())
}

// receive applies requests in their order; while one waits for its sync the next one is applied.
func receive(db *pebble.DB, stream grpc.ServerStream, split bool) error {
	applied := make(chan *pebble.Batch, inFlight)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer close(applied)
	answering.Go(func() {
		for batch := range applied {
			check(batch.SyncWait())
			check(batch.Close())
			_ = stream.SendMsg([]byte{1}) // the client may have gone
		}
	})
	var data mem.BufferSlice
	for number := uint64(0); stream.RecvMsg(&data) == nil; number++ {
		batch := db.NewBatchWithSize(data.Len()+data.Len()/16+64, pebble.WithMaxRetainedSizeBytes(16<<20))
		if split {
			request := data.MaterializeToBuffer(mem.DefaultBufferPool())
			for rows := request.ReadOnlyData(); len(rows) > 0; rows = rows[rowBytes:] {
				check(batch.Set(rows[:8], rows[8:rowBytes], nil))
			}
			request.Free()
		} else {
			value := batch.SetDeferred(8, data.Len())
			binary.BigEndian.PutUint64(value.Key, number)
			data.CopyTo(value.Value)
			check(value.Finish())
		}
		data.Free()
		check(db.ApplyNoSyncWait(batch, pebble.Sync))
		applied <- batch
	}
	return nil
}
