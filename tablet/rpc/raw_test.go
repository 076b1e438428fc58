// SPDX-License-Identifier: Apache-2.0

package rpc_test

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// rawCodec sends bytes as they are, to reach the server with what no message is.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T are no bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	to, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T are no bytes", v)
	}
	*to = data.Materialize()
	return nil
}

// rawConn is a connection whose streams carry any bytes.
func rawConn(tb testing.TB, address string) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// rawStream is a stream that carries any bytes.
func rawStream(tb testing.TB, conn *grpc.ClientConn, method string) grpc.ClientStream {
	tb.Helper()
	stream, err := conn.NewStream(tb.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		tb.Fatal(err)
	}
	return stream
}

// runLazy runs beside the test, which waits for it itself.
func runLazy(f func()) {
	var running sync.WaitGroup
	running.Go(f)
}
