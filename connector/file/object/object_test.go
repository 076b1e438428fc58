// SPDX-License-Identifier: Apache-2.0

package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/test/servers/s3"
)

func config(s *s3.Server) object.Config {
	return object.Config{Endpoint: s.URL(), AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Timeout: 3 * time.Second}
}

func open(t *testing.T, name string, c object.Config) *object.Bucket {
	t.Helper()
	b, err := object.Open(t.Context(), name, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func bucket(t *testing.T) (*object.Bucket, *s3.Server) {
	t.Helper()
	s := s3.Start(t)
	s.Bucket(t, "data")
	return open(t, "data", config(s)), s
}

func noise(size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	return data
}

func put(t *testing.T, b *object.Bucket, key string, data []byte) object.Object {
	t.Helper()
	if err := b.Put(t.Context(), key, data); err != nil {
		t.Fatal(err)
	}
	o, err := b.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func wantClass(t *testing.T, err error, class forebay.Class, code string) {
	t.Helper()
	if err == nil || forebay.ClassOf(err) != class || object.CodeOf(err) != code {
		t.Fatalf("got %v, class %s, code %q; want class %s, code %q",
			err, forebay.ClassOf(err), object.CodeOf(err), class, code)
	}
}

func TestListGivesEveryPageInOrderAndLeavesFoldersOut(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	var want []string
	var group sync.WaitGroup
	for i := range 1010 { // more than a page
		key := fmt.Sprintf("many/%04d", i)
		want = append(want, key)
		if i%64 == 0 {
			group.Wait()
		}
		group.Go(func() {
			if err := b.Put(t.Context(), key, []byte{1}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	put(t, b, "many/inside/x", []byte("x"))
	put(t, b, "other", []byte("x"))
	var got []string
	for o, err := range b.List(t.Context(), "many/", "/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestReaderGivesWhatIsThere(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	data := noise(3 << 20) // several windows
	o := put(t, b, "noise", data)
	r := b.Open(t.Context(), o)
	if err := iotest.TestReader(io.NewSectionReader(b.OpenAt(t.Context(), o), 0, o.Size), data); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read %d bytes, want %d: %v", len(got), len(data), err)
	}
	for _, offset := range []int64{0, 1, 300 << 10, o.Size - 1, o.Size} {
		if _, err := r.Seek(offset, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[offset:]) {
			t.Fatalf("from %d: read %d bytes, want %d: %v", offset, len(got), o.Size-offset, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	at := b.OpenAt(t.Context(), o)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20 {
				offset, size := random.Int64N(o.Size), random.IntN(700<<10)
				p := make([]byte, size)
				n, err := at.ReadAt(p, offset)
				want := data[offset:min(o.Size, offset+int64(size))]
				if !bytes.Equal(p[:n], want) || (err != nil) != (n < size) {
					t.Errorf("at %d: %d of %d bytes, %v", offset, n, size, err)
				}
			}
		})
	}
	group.Wait()
}

func TestChangedObjectIsNotRead(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	o := put(t, b, "x", noise(600<<10))
	r, at := b.Open(t.Context(), o), b.OpenAt(t.Context(), o)
	if _, err := io.CopyN(io.Discard, r, 10); err != nil {
		t.Fatal(err)
	}
	put(t, b, "x", append(noise(600<<10), 1))
	_, err := io.Copy(io.Discard, r)
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeChanged)
	_, err = at.ReadAt(make([]byte, 10), 0)
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeChanged)
	if err := b.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, b.Open(t.Context(), o))
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeChanged)
	_, err = b.Head(t.Context(), "x")
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeNoObject)
}

// TestKilledServerIsReadOnWhereItBroke kills the server while an object is read, and starts it again a little later.
func TestKilledServerIsReadOnWhereItBroke(t *testing.T) {
	t.Parallel()
	b, s := bucket(t)
	data := noise(24 << 20) // windows larger than what sockets hold
	o := put(t, b, "noise", data)
	r := b.Open(t.Context(), o)
	var got bytes.Buffer
	var group sync.WaitGroup
	for got.Len() < len(data) {
		if _, err := io.CopyN(&got, r, 6<<20+777); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("at byte %d: %v", got.Len(), err)
		}
		group.Wait()
		if got.Len() < 20<<20 {
			s.Kill()
			group.Go(func() {
				s.Restart(t)
			})
		}
	}
	group.Wait()
	if !bytes.Equal(got.Bytes(), data) {
		t.Fatalf("got %d bytes, other ones", got.Len())
	}
}

func TestSilentServerEndsAReadAndIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := s3.Start(t)
	s.Bucket(t, "data")
	c := config(s)
	c.Timeout = 300 * time.Millisecond
	b := open(t, "data", c)
	data := noise(600 << 10)
	o := put(t, b, "noise", data)
	r := b.Open(t.Context(), o)
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	s.Pause(t)
	time.AfterFunc(time.Second, func() { s.Resume() })
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data[1000:]) {
		t.Fatalf("read %d bytes: %v", len(got), err)
	}
	s.Pause(t)
	defer s.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r = b.Open(ctx, o)
	started := time.Now()
	_, err = r.Read(make([]byte, 1))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) > 5*time.Second {
		t.Fatalf("a read whose time is over: %v after %s", err, time.Since(started))
	}
}

func TestConditionalWritesHaveOneWinner(t *testing.T) {
	t.Parallel()
	b, _ := bucket(t)
	race := func(write func(data []byte) (string, error)) (winner string, etag string) {
		var mu sync.Mutex
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				data := fmt.Sprintf("writer %d", i)
				tag, err := write([]byte(data))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && winner != "":
					t.Errorf("both %s and %s won", winner, data)
				case err == nil:
					winner, etag = data, tag
				case object.CodeOf(err) != object.CodeCondition || forebay.ClassOf(err) != forebay.ClassTransient:
					t.Errorf("a loser got %v", err)
				}
			})
		}
		group.Wait()
		if winner == "" {
			t.Fatal("nobody won")
		}
		return winner, etag
	}
	first, etag := race(func(data []byte) (string, error) { return b.PutIfAbsent(t.Context(), "owner", data) })
	data, o, err := b.ReadSmall(t.Context(), "owner")
	if err != nil || string(data) != first || o.ETag != etag {
		t.Fatalf("it holds %q %s, want %q %s: %v", data, o.ETag, first, etag, err)
	}
	if _, err := b.PutIfMatch(t.Context(), o, []byte("second")); err != nil {
		t.Fatal(err)
	}
	_, err = b.PutIfMatch(t.Context(), o, []byte("third"))
	wantClass(t, err, forebay.ClassTransient, object.CodeCondition)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	b, s := bucket(t)
	_, err := b.Head(t.Context(), "x")
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeNoObject)
	_, _, err = open(t, "nowhere", config(s)).ReadSmall(t.Context(), "x")
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeNoBucket)
	denied := config(s)
	denied.SecretKey = "wrong"
	_, _, err = open(t, "data", denied).ReadSmall(t.Context(), "x")
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeDenied)
	if !strings.Contains(err.Error(), "s3://data/x") || !strings.Contains(err.Error(), "secret_key") {
		t.Errorf("%v names neither the object nor the key", err)
	}
	if strings.Contains(err.Error(), s3.SecretKey) || strings.Contains(err.Error(), "wrong\"") {
		t.Errorf("%v shows a secret", err)
	}
	secure := config(s)
	secure.Endpoint = "https://" + s.Address()
	_, err = open(t, "data", secure).Head(t.Context(), "x")
	wantClass(t, err, forebay.ClassMisconfigured, object.CodeTLS)
	s.Kill()
	_, err = b.Head(t.Context(), "x")
	wantClass(t, err, forebay.ClassTransient, "")
	_, err = b.Create(t.Context(), "x", "mark")
	wantClass(t, err, forebay.ClassTransient, "")
	for _, wrong := range []object.Config{
		{Endpoint: "host:9000"}, {AccessKey: "a"}, {SecretKey: "a"}, {Endpoint: "http://h", Timeout: -1},
	} {
		if _, err := object.Open(t.Context(), "data", wrong); forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestAddressesAreTakenApart(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"s3://b": {"b", ""}, "s3://b/": {"b", ""}, "s3://b/k/l*.csv": {"b", "k/l*.csv"},
	} {
		name, key, err := object.Parse(address)
		if err != nil || [2]string{name, key} != want {
			t.Errorf("%s: %q %q %v, want %q", address, name, key, err, want)
		}
	}
	for _, wrong := range []string{"s3://", "s3:///k", "b/k", "s3://b*/k"} {
		if _, _, err := object.Parse(wrong); err == nil {
			t.Errorf("%s: no error", wrong)
		}
	}
}

// busy answers like a bucket that has too much to do, or does not answer.
type busy struct{ status atomic.Int32 }

func (b *busy) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if b.status.Load() == 0 {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Retry-After", "7")
	w.WriteHeader(int(b.status.Load()))
}

func TestBusyBucketThrottles(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := &busy{}
	server := &http.Server{Handler: answers, ReadHeaderTimeout: time.Second}
	var group sync.WaitGroup
	group.Go(func() { _ = server.Serve(l) })
	defer group.Wait()
	defer server.Close() //nolint:errcheck // the test is over
	b := open(t, "data", object.Config{Endpoint: "http://" + l.Addr().String(), AccessKey: "a", SecretKey: "b"})
	for status, class := range map[int]forebay.Class{
		http.StatusServiceUnavailable: forebay.ClassThrottled, http.StatusTooManyRequests: forebay.ClassThrottled,
		http.StatusInternalServerError: forebay.ClassAmbiguous, 0: forebay.ClassAmbiguous,
		http.StatusBadRequest: forebay.ClassMisconfigured, http.StatusForbidden: forebay.ClassMisconfigured,
	} {
		answers.status.Store(int32(status))
		_, err := b.Create(t.Context(), "x", "mark")
		if forebay.ClassOf(err) != class {
			t.Errorf("%d: %v has class %s, want %s", status, err, forebay.ClassOf(err), class)
		}
		e, _ := errors.AsType[*forebay.Error](err)
		if class == forebay.ClassThrottled && e.RetryAfter != 7*time.Second {
			t.Errorf("%d: to be tried after %s", status, e.RetryAfter)
		}
	}
}
