// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

// The sizes of pooled buffers are powers of two between these.
const (
	poolSmallest = 9  // 512 B
	poolLargest  = 26 // 64 MiB
)

// Pool holds buffers for received bytes. Unlike those of gRPC its buffers are not cleared, since whoever takes one
// fills it, and there is a size for every power of two: a request of 100 kB does not hold a megabyte.
//
// Concurrency: safe.
type Pool struct {
	sizes [poolLargest + 1]sync.Pool // of *[]byte, by the logarithm of their capacity
}

var _ mem.BufferPool = (*Pool)(nil)

// Get implements mem.BufferPool.
func (p *Pool) Get(length int) *[]byte {
	class := max(bits.Len(uint(max(length, 1)-1)), poolSmallest)
	if class > poolLargest {
		data := make([]byte, length)
		return &data
	}
	if data, ok := p.sizes[class].Get().(*[]byte); ok {
		*data = (*data)[:length]
		return data
	}
	data := make([]byte, length, 1<<class)
	return &data
}

// Put implements mem.BufferPool. What is no power of two came from elsewhere, and is left.
func (p *Pool) Put(data *[]byte) {
	size := cap(*data)
	class := bits.Len(uint(size)) - 1
	if size == 0 || size != 1<<class || class < poolSmallest || class > poolLargest {
		return
	}
	p.sizes[class].Put(data)
}
