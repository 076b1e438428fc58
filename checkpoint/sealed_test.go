// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

func TestMovesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.SliceOfN(rapid.Byte(), 0, 300)
		want := move{
			ID: rapid.StringN(1, 200, -1).Draw(t, "id"), Commits: rapid.Bool().Draw(t, "commits"),
			WasHeld: rapid.Bool().Draw(t, "was held"), Data: []byte{}, Before: nil,
		}
		if want.Commits {
			want.Data = bytesOf.Draw(t, "data")
		}
		if want.WasHeld {
			want.Before = bytesOf.Draw(t, "before")
		}
		got, err := decodeMove(want.encode())
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v (-want +got)\n%s", err, diff)
		}
	})
}

func FuzzDecodeMove(f *testing.F) {
	f.Add(move{ID: "a", Commits: true, Data: []byte("b"), WasHeld: true, Before: []byte("c")}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMove(data)
		if err != nil {
			return
		}
		if again, err := decodeMove(m.encode()); err != nil || !cmp.Equal(m, again) {
			t.Fatalf("%+v became %+v (%v)", m, again, err)
		}
	})
}

// Whatever is changed, cut, left out or put under another key in what a sink holds and prepared is refused.
func TestDamagedHoldingsAreRefused(t *testing.T) {
	t.Parallel()
	committable := func(id string) forebay.Committable { return forebay.Committable{ID: id, Data: []byte("of " + id)} }
	fill := func(t *testing.T) (*store.Store, *Store, [][]byte) {
		st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), MemTableSize: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		s := NewStore(st)
		for number, p := range []forebay.Prepared{
			{Held: []forebay.Committable{committable("a"), committable("b")}},
			{Commit: []forebay.Committable{committable("a"), committable("c")}},
		} {
			if _, err := s.SaveCheckpoint("p", Checkpoint{Epoch: 1, Number: uint64(number), Prepared: p}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Opened("p", 1, committable("d")); err != nil {
			t.Fatal(err)
		}
		var keys [][]byte
		for _, kind := range []byte{kindOpened, kindHeld, kindPending} {
			err := s.each(key(kind, "p"), func(k, _ []byte) error {
				keys = append(keys, bytes.Clone(k))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(keys) != 5 { // d; b; the head, a and c
			t.Fatalf("%d keys: %q", len(keys), keys)
		}
		return st, s, keys
	}
	look := func(s *Store) error {
		_, _, err := s.Open("p")
		if err == nil {
			_, err = s.Pendings("p")
		}
		return err
	}
	st, s, keys := fill(t)
	put := func(k, value []byte) {
		t.Helper()
		b := st.NewBatch(0)
		err := b.Set(k, value)
		if value == nil {
			err = b.Delete(k)
		}
		if err == nil {
			err = st.Apply(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, k []byte) {
		t.Helper()
		if err := look(s); forebay.ClassOf(err) != forebay.ClassCorrupt {
			t.Errorf("%q %s: %v, want class corrupt", k, what, err)
		}
	}
	for i, k := range keys {
		whole, err := st.Get(nil, k)
		if err != nil {
			t.Fatal(err)
		}
		if i != 2 {
			for at := range whole {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 4
				put(k, damaged)
				refused("is damaged", k)
			}
			other, err := st.Get(nil, keys[3+i%2])
			if err != nil {
				t.Fatal(err)
			}
			if i < 3 {
				put(k, other)
				refused("has the value of another key", k)
			}
		}
		put(k, []byte(`{"version":1,"id":"a","data":""}`))
		refused("is of an older program", k)
		put(k, whole[:len(whole)-1])
		refused("is cut", k)
		if i >= 2 {
			put(k, nil)
			refused("is missing", k)
		}
		put(k, whole)
		if err := look(s); err != nil {
			t.Fatal(err)
		}
	}
}
