// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A sync or a write that does not return is said after a while, and no longer once it has.
func TestADiskThatHangsIsSaidWhileItHangs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		hangs func(kind errorfs.OpKind) bool
		says  string
	}{
		{"sync", func(kind errorfs.OpKind) bool {
			return kind == errorfs.OpFileSync || kind == errorfs.OpFileSyncData || kind == errorfs.OpFileSyncTo
		}, "a sync has not returned for 4s"},
		{"write", func(kind errorfs.OpKind) bool { return kind == errorfs.OpFileWrite }, "has not returned for 4s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var hung atomic.Pointer[chan struct{}]
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if release := hung.Load(); release != nil && c.hangs(op.Kind) && strings.HasSuffix(op.Path, ".log") {
					<-*release
				}
				return nil
			}))
			s, err := Open(t.Context(), Config{Dir: "/state", FS: fs})
			must(t, err)
			must(t, s.Probe(t.Context()))
			must(t, s.Err())
			<-time.After(time.Minute) // nobody syncs, and nothing is wrong
			must(t, s.Err())
			release := make(chan struct{})
			hung.Store(&release)
			var work sync.WaitGroup
			work.Go(func() { must(t, s.Probe(context.WithoutCancel(t.Context()))) })
			<-time.After(2 * time.Second)
			must(t, s.Err())
			<-time.After(2 * time.Second)
			if err := s.Err(); !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.name, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: a probe beside it: %v", c.name, err)
			}
			hung.Store(nil)
			close(release)
			work.Wait()
			must(t, s.Err())
			must(t, s.Close())
			if err := s.Probe(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: after the end: %v", c.name, err)
			}
		})
	}
}
