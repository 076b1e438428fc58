// SPDX-License-Identifier: Apache-2.0

package part_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/connector/file/part"
	"github.com/forebay-io/forebay/test/servers/s3"
)

// cloud is a bucket on a real server, with what a pipeline's state would remember of it.
type cloud struct {
	t      *testing.T
	server *s3.Server
	bucket *object.Bucket

	mu     sync.Mutex
	opened []forebay.Committable
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, server: s3.Start(t)}
	c.server.Bucket(t, "data")
	c.bucket = c.connect()
	return c
}

func (c *cloud) connect() *object.Bucket {
	c.t.Helper()
	b, err := object.Open(c.t.Context(), "data", object.Config{
		Endpoint: c.server.URL(), AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Timeout: 5 * time.Second,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// medium opens the base for a pipeline, and fences it if epoch is above 0.
func (c *cloud) medium(pipeline string, epoch uint64, held ...forebay.Committable) *part.S3 {
	c.t.Helper()
	m, err := part.OpenS3(c.t.Context(), part.S3Config{Bucket: c.connect(), Base: "out", Pipeline: pipeline})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = m.Close() })
	if epoch > 0 {
		if err := m.Fence(c.t.Context(), owner(pipeline, epoch), held); err != nil {
			c.t.Fatal(err)
		}
	}
	return m
}

func owner(pipeline string, epoch uint64) forebay.Owner {
	return forebay.Owner{Pipeline: pipeline, Epoch: epoch, Holder: fmt.Sprintf("holder %d", epoch)}
}

func (c *cloud) place(m *part.S3, o forebay.Owner) part.Place {
	c.t.Helper()
	p, err := m.OpenLane(c.t.Context(), forebay.LaneContext{
		Owner: o, Opened: func(_ context.Context, opened forebay.Committable) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.opened = append(c.opened, opened)
			return nil
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = p.Close() })
	return p
}

// name is that of a part as lanes make it.
func name(o forebay.Owner, count int) part.Name {
	return part.Name{
		Bucket: "d=1", File: fmt.Sprintf("part-0-%d-%sabc234-%d.ndjson", o.Epoch, part.Tag(o.Pipeline), count),
	}
}

func (c *cloud) write(p part.Part, data []byte) {
	c.t.Helper()
	for chunk := range slices.Chunk(data, 300<<10) {
		if err := p.Write(c.t.Context(), chunk); err != nil {
			c.t.Fatal(err)
		}
	}
}

// settle settles marks, and makes committables of them.
func (c *cloud) settle(p part.Place, n part.Name, m part.Mark, held bool) forebay.Committable {
	c.t.Helper()
	if err := p.Settle(c.t.Context(), []part.Mark{m}); err != nil {
		c.t.Fatal(err)
	}
	return c.encode(n, m, held)
}

func (c *cloud) encode(n part.Name, m part.Mark, held bool) forebay.Committable {
	c.t.Helper()
	r := part.Record{Name: n, State: m.State()}
	if held {
		r.Held = &part.Progress{}
	}
	return part.Encode(r)
}

func (c *cloud) commit(m *part.S3, what forebay.Committable, want ...forebay.Outcome) error {
	c.t.Helper()
	requests := []forebay.CommitRequest{{Committable: what}}
	if err := m.Commit(c.t.Context(), requests); err != nil {
		return err
	}
	if !slices.Contains(want, requests[0].Outcome) {
		c.t.Fatalf("outcome %d, %v; want %d", requests[0].Outcome, requests[0].Err, want)
	}
	return nil
}

func (c *cloud) restore(p part.Place, held forebay.Committable) part.Part {
	c.t.Helper()
	r, err := part.Decode(held)
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := p.Restore(c.t.Context(), r.Name, r.State)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// published is the content of each object under the base.
func (c *cloud) published() map[string][]byte {
	c.t.Helper()
	out := map[string][]byte{}
	for o, err := range c.bucket.List(c.t.Context(), "out/", "") {
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.HasPrefix(o.Key, "out/_forebay/") {
			continue
		}
		data, err := io.ReadAll(c.bucket.Open(c.t.Context(), o))
		if err != nil {
			c.t.Fatal(err)
		}
		out[strings.TrimPrefix(o.Key, "out/")] = data
	}
	return out
}

func (c *cloud) uploads() (ids []string) {
	c.t.Helper()
	for u, err := range c.bucket.ListUploads(c.t.Context(), "") {
		if err != nil {
			c.t.Fatal(err)
		}
		ids = append(ids, u.Key)
	}
	return ids
}

func (c *cloud) wantPublished(want map[string][]byte) {
	c.t.Helper()
	got := c.published()
	for key, data := range want {
		if !bytes.Equal(got[key], data) {
			c.t.Errorf("%s has %d bytes (it is there: %t), want %d", key, len(got[key]), got[key] != nil, len(data))
		}
		delete(got, key)
	}
	for key := range got {
		c.t.Errorf("%s was not to be published", key)
	}
}

func (c *cloud) wantUploads(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.uploads()); diff != "" {
		c.t.Errorf("open uploads: %s", diff)
	}
}

func noise(seed byte, size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{seed})
	_, _ = random.Read(data)
	return data
}

func TestPartInABucketIsSeenOnceItIsCommitted(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := owner("p", 1)
	m := c.medium("p", 1)
	place := c.place(m, me)
	large, small := name(me, 1), name(me, 2)
	data := noise(1, 12<<20)
	first := place.Create(large)
	c.write(first, data)
	if held := first.Held(); held < 2<<20 || held > 8<<20 {
		t.Errorf("the part holds %s", held)
	}
	second := place.Create(small)
	c.write(second, []byte("x\n"))
	marks := []part.Mark{first.Finish(), second.Finish()}
	if err := place.Settle(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	c.wantPublished(nil)
	if len(c.opened) != 2 {
		t.Errorf("noted as opened: %v", c.opened)
	}
	c.server.Restart(t) // killed between prepare and commit
	for i, n := range []part.Name{large, small} {
		what := c.encode(n, marks[i], false)
		for range 2 {
			if err := c.commit(m, what, forebay.OutcomeDone, forebay.OutcomeAlready); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Abort(t.Context(), []forebay.Committable{what}); err != nil {
			t.Errorf("abort of what is published: %v", err)
		}
	}
	c.wantPublished(map[string][]byte{large.Path(): data, small.Path(): []byte("x\n")})
	c.wantUploads()
}

func TestHeldPartGoesOnWhereItWasPersisted(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := owner("p", 1)
	place := c.place(c.medium("p", 1), me)
	n := name(me, 1)
	data := noise(2, 20<<20)
	p := place.Create(n)
	c.write(p, data[:6<<20])
	held := c.settle(place, n, p.Persist(), true)
	c.write(p, noise(3, 8<<20)) // lost with the crash, although pieces of it were sent
	if err := errors.Join(p.Close(), place.Close()); err != nil {
		t.Fatal(err)
	}
	for i, until := range []int{6, 7, 13, 20} {
		next := owner("p", uint64(2+i))
		m := c.medium("p", next.Epoch, held)
		place := c.place(m, next)
		p := c.restore(place, held)
		if i > 0 {
			c.write(p, data[[]int{6, 7, 13, 20}[i-1]<<20:until<<20])
		}
		if until < 20 {
			held = c.settle(place, n, p.Persist(), true)
			c.write(p, noise(4, 6<<20))
			c.server.Restart(t)
			continue
		}
		what := c.settle(place, n, p.Finish(), false)
		if err := c.commit(m, what, forebay.OutcomeDone); err != nil {
			t.Fatal(err)
		}
	}
	c.wantPublished(map[string][]byte{n.Path(): data})
	c.wantUploads()
}

func TestAbortedUploadOfAPartIsLost(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := owner("p", 1)
	m := c.medium("p", 1)
	place := c.place(m, me)
	n := name(me, 1)
	p := place.Create(n)
	c.write(p, noise(1, 6<<20))
	held := c.settle(place, n, p.Persist(), true)
	what := c.settle(place, n, p.Finish(), false)
	if err := m.Abort(t.Context(), []forebay.Committable{held, what}); err != nil {
		t.Fatal(err)
	}
	if err := c.commit(m, what, forebay.OutcomeLost); err != nil {
		t.Fatal(err)
	}
	r, err := part.Decode(held)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Restore(t.Context(), r.Name, r.State); forebay.ClassOf(err) != forebay.ClassLost {
		t.Errorf("going on with it: %v", err)
	}
	if err := c.commit(m, held, forebay.OutcomeFatal); err != nil {
		t.Errorf("commit of a part that goes on: %v", err)
	}
}

// S1: what an older owner has begun is used for nothing any more.
func TestNewerOwnerKeepsTheOlderOneOut(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	old, other := owner("p", 1), owner("q", 1)
	m := c.medium("p", 1)
	place := c.place(m, old)
	otherPlace := c.place(c.medium("q", 1), other)
	var committables []forebay.Committable
	for i := range 3 {
		p := place.Create(name(old, i))
		c.write(p, noise(1, 5<<20))
		mark := p.Persist()
		if i > 0 {
			mark = p.Finish()
		}
		committables = append(committables, c.settle(place, name(old, i), mark, i == 0))
	}
	p := otherPlace.Create(name(other, 1))
	c.write(p, noise(2, 5<<20))
	going := place.Create(name(old, 9))

	newer := c.medium("p", 5, committables[0])
	c.wantUploads("out/"+name(old, 0).Path(), "out/"+name(other, 1).Path()) // what is held, and what is not ours
	if err := m.Fence(t.Context(), old, nil); !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("the older owner takes the base back: %v", err)
	}
	me := forebay.Owner{Pipeline: "p", Epoch: 5, Holder: "me"}
	if err := m.Fence(t.Context(), me, nil); !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("another holder takes the same epoch: %v", err)
	}
	if err := newer.Fence(t.Context(), owner("p", 5), committables[:1]); err != nil {
		t.Errorf("the owner fences once more: %v", err)
	}
	if err := c.commit(m, committables[1]); !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("the older owner commits: %v", err)
	}
	err := going.Write(t.Context(), noise(3, 5<<20))
	if !errors.Is(err, forebay.ErrFenced) {
		t.Errorf("the older owner begins an upload: %v", err)
	}
	if err := errors.Join(going.Close(), place.Close()); err != nil {
		t.Error(err)
	}
	c.wantUploads("out/"+name(old, 0).Path(), "out/"+name(other, 1).Path())
	list, err := newer.ListOpen(t.Context(), owner("p", 5))
	if err != nil || len(list) != 1 || list[0].ID != name(old, 0).File {
		t.Errorf("open: %v %v", list, err)
	}
	if got, err := newer.Owner(t.Context(), "p"); err != nil || got != owner("p", 5) {
		t.Errorf("owner %v: %v", got, err)
	}
	if err := newer.Forget(t.Context(), "p"); err != nil {
		t.Error(err)
	}
	c.wantUploads("out/" + name(other, 1).Path())
	if got, err := newer.Owner(t.Context(), "p"); err != nil || got.Epoch != 0 {
		t.Errorf("owner after it was forgotten: %v: %v", got, err)
	}
	c.wantPublished(nil)
}

func TestOnlyOneOfManyTakesABase(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	var winners []string
	for i := range 6 {
		m := c.medium("p", 0)
		o := forebay.Owner{Pipeline: "p", Epoch: 3, Holder: fmt.Sprint("holder ", i)}
		group.Go(func() {
			err := m.Fence(t.Context(), o, nil)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				winners = append(winners, o.Holder)
			case !errors.Is(err, forebay.ErrFenced):
				t.Error(err)
			}
		})
	}
	group.Wait()
	got, err := c.medium("p", 0).Owner(t.Context(), "p")
	if err != nil || len(winners) != 1 || got.Holder != winners[0] {
		t.Fatalf("winners %q, owner %v: %v", winners, got, err)
	}
}

func TestNothingThatWasGivenUpStaysOpen(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	me := owner("p", 1)
	m := c.medium("p", 1)
	place := c.place(m, me)
	var marks []part.Mark
	for i := range 40 {
		p := place.Create(name(me, i))
		c.write(p, noise(byte(i), 1+i<<10))
		if i < 20 {
			marks = append(marks, p.Finish())
		}
		if i == 30 {
			c.write(p, noise(byte(i), 5<<20))
		}
		if i >= 20 {
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := place.Settle(t.Context(), marks[:5]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := place.Close(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := m.ListOpen(t.Context(), me)
	if err != nil || len(list) != 5 {
		t.Fatalf("%d open, want those 5 that were settled: %v", len(list), err)
	}
	if err := m.Abort(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	c.wantUploads()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := m.Abort(t.Context(), c.opened); err != nil {
		t.Errorf("abort of everything that was ever opened: %v", err)
	}
}
