// SPDX-License-Identifier: Apache-2.0

package tablet_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/wire"
)

// window is the number of requests that wait for their answers in benchmarks.
const window = 5

// BenchmarkSendAgainstTheFloor sends the same bytes through a connection and over a bare gRPC stream with the same
// codec, by turns, to a server that answers at once. cpu-ratio is the CPU time of the process, both ends of it, of the
// connection to that of the stream.
func BenchmarkSendAgainstTheFloor(b *testing.B) {
	for _, size := range []int{2 << 20, 100 << 10, 4 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFake(b, grpc.StaticStreamWindowSize(4<<20), grpc.StaticConnWindowSize(16<<20))
			f.write = receiveLoans
			ours := connectionSender(b, f, size)
			floor := bareSender(b, f, size)
			count := max(50, 64<<20/size)
			ours(count)
			floor(count)
			var spent [2]time.Duration
			b.SetBytes(int64(2 * count * size))
			for b.Loop() {
				for side, send := range []func(int){ours, floor} {
					began := cpuTime(b)
					send(count)
					spent[side] += cpuTime(b) - began
				}
			}
			b.ReportMetric(float64(spent[0])/float64(spent[1]), "cpu-ratio")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// receiveLoans answers every request, as the real server receives them.
func receiveLoans(s grpc.BidiStreamingServer[wire.WriteRequest, wire.Answer]) error {
	m := &wire.WriteRequest{}
	loan := &wire.Loan{Message: m}
	defer loan.Free()
	for {
		if err := s.RecvMsg(loan); err != nil {
			return nil
		}
		if err := s.Send(&wire.Answer{Id: m.GetId(), Code: 200}); err != nil {
			return nil
		}
	}
}

// connectionSender sends so many requests through a Client.
func connectionSender(b *testing.B, f *fake, size int) func(count int) {
	b.Helper()
	to := backend(b, dial(b, f.address, tablet.Config{}))
	slots := make(chan *forebay.Request, window)
	for range window {
		slots <- request(0, size)
	}
	return func(count int) {
		var answered sync.WaitGroup
		for range count {
			r := <-slots
			answered.Add(1)
			to.Send(b.Context(), r, func(a forebay.Answer) {
				if a.Code != forebay.CodeOK {
					b.Errorf("answer %d (%s)", a.Code, a.Message)
				}
				slots <- r
				answered.Done()
			})
		}
		answered.Wait()
	}
}

// bareSender sends so many requests over a stream.
func bareSender(b *testing.B, f *fake, size int) func(count int) {
	b.Helper()
	conn, err := grpc.NewClient("passthrough:///"+f.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.Codec{})))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	s, err := wire.NewTabletsClient(conn).Write(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	slots := make(chan struct{}, window)
	var answered sync.WaitGroup
	var receiving sync.WaitGroup
	receiving.Go(func() {
		for {
			if _, err := s.Recv(); err != nil {
				return
			}
			<-slots
			answered.Done()
		}
	})
	b.Cleanup(func() {
		_ = s.CloseSend()
		receiving.Wait()
	})
	m := &wire.WriteRequest{TableId: 7, WriterId: "w", Records: 1, BatchData: make([]byte, size)}
	return func(count int) {
		for range count {
			slots <- struct{}{}
			answered.Add(1)
			if err := s.Send(m); err != nil {
				b.Error(err)
				return
			}
		}
		answered.Wait()
	}
}
