// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// benchRows encodes rows of about 100 bytes with the given keys.
func benchRows(b *testing.B, o *opened, keys []int64) []forebay.Request {
	b.Helper()
	batch := forebay.NewBatch()
	batch.Reset(forebay.Split{ID: "a"}, 2)
	batch.SetLayout(o.layout)
	byTablet := map[int]*forebay.Request{}
	text := make([]byte, 92)
	for i, key := range keys {
		binary.LittleEndian.PutUint64(text, uint64(key)*0x9e3779b97f4a7c15)
		for k := range text {
			text[k] = 'a' + text[k]%26
		}
		batch.AppendSpan(int64(i), 0, 0)
		start := batch.AppendBytes(text)
		batch.Cells(i)[0] = forebay.Int64Cell(key)
		batch.Cells(i)[1] = forebay.SpanCell(forebay.KindString, start, len(text))
		tablet, err := o.encoder.Route(batch, i)
		if err != nil {
			b.Fatal(err)
		}
		r := byTablet[tablet]
		if r == nil {
			r = &forebay.Request{Table: o.handle.table.name, Tablet: tablet, Data: o.encoder.Open(nil)}
			byTablet[tablet] = r
		}
		r.Data = o.encoder.Append(r.Data)
		r.Records++
	}
	var out []forebay.Request
	for _, r := range byTablet {
		r.Data = o.encoder.Seal(r.Data, r.Records)
		out = append(out, *r)
	}
	return out
}

func benchServer(b *testing.B) *Server {
	b.Helper()
	st, err := store.Open(b.Context(), store.Config{Dir: b.TempDir(), FreeSpace: plenty})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(b.Context(), st, Config{})
	if err != nil {
		b.Fatal(err)
	}
	s.owned = true
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func benchCommit(b *testing.B, s *Server, commits []*forebay.Commit) {
	b.Helper()
	records, size := 0, 0
	for _, r := range commits[0].Requests {
		records += r.Records
		size += len(r.Data)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	n := 0
	wait := func(context.Context) forebay.Answer { return forebay.Answer{Code: forebay.CodeOK} }
	for b.Loop() {
		// As a lane does: the next commit is applied while the last one waits for its sync.
		next := s.Commit(b.Context(), commits[n%len(commits)])
		if a := wait(b.Context()); a.Code != forebay.CodeOK {
			b.Fatalf("%+v", a)
		}
		wait = next
		n++
	}
	if a := wait(b.Context()); a.Code != forebay.CodeOK {
		b.Fatalf("%+v", a)
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkCommitLog(b *testing.B) {
	for _, rows := range []int{1_000, 10_000, 40_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := benchServer(b)
			o := openTable(b, s, logSpec("clicks"))
			benchCommit(b, s, []*forebay.Commit{{Requests: benchRows(b, o, sequence(0, rows))}})
		})
	}
}

func sequence(from int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = from + int64(i)
	}
	return out
}

func BenchmarkCommitKeyed(b *testing.B) {
	for _, rows := range []int{1_000, 10_000} {
		for _, order := range []string{"rising", "random"} {
			b.Run(fmt.Sprintf("rows=%d/order=%s", rows, order), func(b *testing.B) {
				s := benchServer(b)
				o := openTable(b, s, keySpec("users"))
				var commits []*forebay.Commit
				for c := range 20 {
					keys := sequence(int64(c*rows), rows)
					if order == "random" {
						rng := rand.New(rand.NewPCG(uint64(c), 1))
						for i := range keys {
							keys[i] = int64(rng.Uint64() >> 1)
						}
					}
					commits = append(commits, &forebay.Commit{Requests: benchRows(b, o, keys)})
				}
				benchCommit(b, s, commits)
			})
		}
	}
}

// BenchmarkPebbleAlone is what the same bytes cost without the server, as one value in one synced batch.
func BenchmarkPebbleAlone(b *testing.B) {
	for _, size := range []int{100_000, 1_000_000, 4_000_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s := benchServer(b)
			value := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := int64(0)
			for b.Loop() {
				batch := s.store.NewBatch(size + 100)
				n++
				if err := batch.Set(appendLogKey(nil, place{table: 1}, n), value); err != nil {
					b.Fatal(err)
				}
				if err := s.store.Commit(b.Context(), batch, store.SyncSoon); err != nil {
					b.Fatal(err)
				}
				if err := batch.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSend is requests of writers, each with five in flight.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct {
		name    string
		rows    int
		writers int
		keyed   bool
	}{
		{"rows=1/writers=1", 1, 1, false},
		{"rows=1/writers=16", 1, 16, false},
		{"rows=1000/writers=4", 1_000, 4, false},
		{"rows=20000/writers=1", 20_000, 1, false},
		{"rows=1000/writers=4/keyed", 1_000, 4, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := benchServer(b)
			spec := logSpec("clicks")
			if c.keyed {
				spec = keySpec("clicks")
			}
			spec.Tablets = 1
			r := benchRows(b, openTable(b, s, spec), sequence(0, c.rows))[0]
			b.SetBytes(int64(len(r.Data)))
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range c.writers {
				wg.Go(func() { benchWriter(b, s, r, fmt.Sprint("writer", w), &left) })
			}
			wg.Wait()
			b.ReportMetric(float64(c.rows*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// benchWriter sends requests until none are left.
func benchWriter(b *testing.B, s *Server, r forebay.Request, id string, left *atomic.Int64) {
	b.Helper()
	window := make(chan struct{}, 5)
	for sequence := int64(0); left.Add(-1) >= 0; sequence++ {
		window <- struct{}{}
		request := r
		request.WriterID, request.Sequence = id, sequence
		s.Send(b.Context(), &request, func(a forebay.Answer) {
			if a.Code != forebay.CodeOK {
				b.Errorf("%+v", a)
			}
			<-window
		})
	}
	for range cap(window) {
		window <- struct{}{}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprintf("keyed=%v", keyed), func(b *testing.B) {
			s := openOn(b, vfs.NewMem(), Config{})
			spec := logSpec("clicks")
			if keyed {
				spec = keySpec("clicks")
			}
			o := openTable(b, s, spec)
			batch := forebay.NewBatch()
			batch.Reset(forebay.Split{ID: "a"}, 2)
			batch.SetLayout(o.layout)
			for i := range 1024 {
				batch.AppendSpan(int64(i), 0, 0)
				batch.Cells(i)[0] = forebay.Int64Cell(int64(i))
				batch.Cells(i)[1] = forebay.SpanCell(forebay.KindString, batch.AppendText("some text of this row"), 21)
			}
			data := make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				data = o.encoder.Open(data[:0])
				for i := range batch.Len() {
					if _, err := o.encoder.Route(batch, i); err != nil {
						b.Fatal(err)
					}
					data = o.encoder.Append(data)
				}
				data = o.encoder.Seal(data, batch.Len())
			}
			b.ReportMetric(float64(1024*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
