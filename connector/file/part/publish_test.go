// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// put makes a file.
func put(t *testing.T, d disk, name, text string) {
	t.Helper()
	f, err := d.Create(name)
	if err == nil {
		_, err = io.WriteString(f, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommitTellsWhatBecameOfAPartFP4(t *testing.T) {
	t.Parallel()
	const text = "a\nb\n"
	for name, c := range map[string]struct {
		change func(t *testing.T, d disk, source, target string)
		want   forebay.Outcome
		// left is what lies at the target afterwards.
		left string
	}{
		"it is there": {nil, forebay.OutcomeDone, text},
		"it was published before": {func(t *testing.T, d disk, source, target string) {
			t.Helper()
			if err := d.Rename(source, target); err != nil {
				t.Fatal(err)
			}
		}, forebay.OutcomeAlready, text},
		"a crash left both names": {func(t *testing.T, d disk, _, target string) {
			t.Helper()
			put(t, d, target, text)
		}, forebay.OutcomeAlready, text},
		"another file has the name": {func(t *testing.T, d disk, _, target string) {
			t.Helper()
			put(t, d, target, "a\nc\n")
		}, forebay.OutcomeFatal, "a\nc\n"},
		"another file has the name, and the part is gone": {func(t *testing.T, d disk, source, target string) {
			t.Helper()
			if err := d.Remove(source); err != nil {
				t.Fatal(err)
			}
			put(t, d, target, "a\nb\nc\n")
		}, forebay.OutcomeFatal, "a\nb\nc\n"},
		"it is nowhere": {func(t *testing.T, d disk, source, _ string) {
			t.Helper()
			if err := d.Remove(source); err != nil {
				t.Fatal(err)
			}
		}, forebay.OutcomeLost, ""},
		"it is shorter than it was": {func(t *testing.T, d disk, source, _ string) {
			t.Helper()
			if _, err := d.Append(source, 1); err != nil {
				t.Fatal(err)
			}
		}, forebay.OutcomeFatal, ""},
		"its folder was removed since": {func(t *testing.T, d disk, _, target string) {
			t.Helper()
			if err := d.Remove(target[:len(target)-len("/part-x")]); err != nil {
				t.Fatal(err)
			}
		}, forebay.OutcomeDone, text},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := newSimDisk()
			f := openFixture(t, Config{Format: worldConfig(t, None).Format}, sim, forebay.LaneContext{})
			local := f.target.Medium.(*Local)
			where := Name{Bucket: "b", File: "part-x"}
			part := f.lane.place.Create(where)
			if err := part.Write(t.Context(), []byte(text)); err != nil {
				t.Fatal(err)
			}
			mark := part.Finish()
			if err := f.lane.place.Settle(t.Context(), []Mark{mark}); err != nil {
				t.Fatal(err)
			}
			committable := Encode(Record{Name: where, State: mark.State()})
			target := worldBase + "/b/part-x"
			if err := local.makeFolders([]string{worldBase + "/b"}); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(t, sim, local.epochFolder(1)+"/part-x", target)
			}
			requests := []forebay.CommitRequest{{Committable: committable}}
			if err := local.Commit(t.Context(), requests); err != nil {
				t.Fatal(err)
			}
			if got := requests[0].Outcome; got != c.want || (requests[0].Err != nil) != (c.want >= forebay.OutcomeRetry) {
				t.Errorf("the outcome is %d (%v), want %d", got, requests[0].Err, c.want)
			}
			files := sim.files(worldBase)
			if files["b/part-x"] != c.left {
				t.Errorf("the target holds %q, want %q", files["b/part-x"], c.left)
			}
			if _, left := files[homeFolder+"/p/e1/part-x"]; left && c.want <= forebay.OutcomeAlready {
				t.Error("the part is still there under its first name")
			}
		})
	}
}

func TestDamagedCommittablesAreFatal(t *testing.T) {
	t.Parallel()
	f := openFixture(t, Config{Format: worldConfig(t, None).Format}, newSimDisk(), forebay.LaneContext{})
	finished := Record{Name: Name{Bucket: "b", File: "x"}, State: (&localState{Size: 5, Sum: 7}).encode()}
	held := finished
	held.Held = &Progress{}
	unfinished := Record{Name: finished.Name}
	whole := Encode(finished).Data
	later := slices.Concat([]byte{recordVersion + 1}, whole[1:])
	requests := []forebay.CommitRequest{{Committable: Encode(held)}, {Committable: Encode(unfinished)}}
	for _, data := range [][]byte{
		nil, []byte("other"), []byte(`{"v":1,"name":{"file":"x"},"state":{}}`), later, whole[:len(whole)-1],
	} {
		requests = append(requests, forebay.CommitRequest{Committable: forebay.Committable{ID: "x", Data: data}})
	}
	requests = append(requests, forebay.CommitRequest{Committable: forebay.Committable{Data: whole}})
	if err := f.target.Commit(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	for i, r := range requests {
		if r.Outcome != forebay.OutcomeFatal || r.Err == nil {
			t.Errorf("request %d: outcome %d (%v), want fatal", i, r.Outcome, r.Err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	held := Record{Name: Name{Bucket: "a", File: "part-1"}, State: []byte{1, 2}, Held: &Progress{Bytes: 3, Shape: 4}}
	f.Add("part-1", Encode(held).Data)
	f.Add("part-1", Encode(Record{Name: held.Name}).Data)
	f.Add("part-1", []byte(`{"v":1,"name":{"bucket":"a","file":"part-1"},"state":{"size":1,"sum":2}}`))
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		r, err := Decode(forebay.Committable{ID: id, Data: data})
		if err != nil {
			if forebay.ClassOf(err) != forebay.ClassCorrupt {
				t.Fatalf("%v, want class corrupt", err)
			}
			return
		}
		again, err := Decode(Encode(r))
		if diff := cmp.Diff(r, again); err != nil || diff != "" {
			t.Fatalf("%+v became another one: %v (-want +got)\n%s", r, err, diff)
		}
		var state localState
		if state.decode(r.State) == nil {
			_ = state.digest(newDigest()) // it must not panic
		}
	})
}

// What is kept of a checksum goes on as the checksum does, wherever it was cut.
func TestPersistedChecksumGoesOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "text")
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		d := newDigest()
		_, _ = d.Write(text[:cut])
		whole, err := d.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var state localState
		persisted := localState{Size: int64(cut), Sum: d.Sum64(), Digest: whole}
		kept := persisted.encode()
		again := newDigest()
		if err := errors.Join(state.decode(kept), state.digest(again)); err != nil || state.Size != int64(cut) {
			t.Fatalf("%+v: %v", state, err)
		}
		_, _ = again.Write(text[cut:])
		_, _ = d.Write(text[cut:])
		if again.Sum64() != d.Sum64() {
			t.Fatal("the checksum is another one")
		}
		if cut < 32 {
			return // the checksum does not look at all of its state yet
		}
		damaged := slices.Clone(kept)
		damaged[rapid.IntRange(0, len(kept)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if state.decode(damaged) == nil && state.Size == int64(cut) && state.digest(again) == nil {
			t.Fatalf("a damaged state is taken: %x for %x", damaged, kept)
		}
	})
}
