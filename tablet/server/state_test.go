// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// TestTabletStateFollowsItsModelTS4 compares the verdicts with a model that remembers every request.
func TestTabletStateFollowsItsModelTS4(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var state tabletState
		type applied struct {
			checksum uint32
			offset   int64
		}
		model := map[string][]applied{}
		end := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"request": func(t *rapid.T) {
				writer := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "writer")
				known := model[writer]
				id := requestID{
					writer:   writer,
					sequence: max(0, int64(len(known)+rapid.IntRange(-8, 2).Draw(t, "ahead"))),
					checksum: rapid.Uint32Range(0, 2).Draw(t, "checksum"),
				}
				got, was := state.judge(id)
				want := verdictApply
				switch at := int(id.sequence); {
				case len(known) == 0 && at > 0:
					want = verdictUnknown
				case at > len(known):
					want = verdictGap
				case at < len(known)-rememberedMax:
					want = verdictDuplicate
				case at < len(known) && known[at].checksum != id.checksum:
					want = verdictCorrupt
				case at < len(known):
					want = verdictDuplicate
					if was.offset != known[at].offset {
						t.Fatalf("the duplicate lies at %d, want %d", was.offset, known[at].offset)
					}
				}
				if got != want {
					t.Fatalf("%+v: %s, want %s", id, got, want)
				}
				if got == verdictApply {
					next := state.following(id, remembered{
						checksum: id.checksum, offset: end, refused: rapid.Uint32().Draw(t, "refused"),
					}, 1)
					decoded, err := decodeWriter(encodeWriter(&next))
					if err != nil || decoded != next {
						t.Fatalf("the record of %+v reads back as %+v, %v", next, decoded, err)
					}
					state.remember(writer, decoded)
					model[writer] = append(known, applied{id.checksum, end})
					end += rapid.Int64Range(1, 5).Draw(t, "rows")
					state.end = end
				}
			},
			"forget": func(t *rapid.T) {
				writer := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "writer")
				state.forget([]string{writer})
				delete(model, writer)
			},
		})
	})
}

func drawHolder(t *rapid.T) string { return rapid.SampledFrom([]string{"x", "y"}).Draw(t, "holder") }

// TestPipelineStateFollowsItsModelTS5 compares the verdicts with a model: the version and the last commit of each
// split, and who fenced last.
func TestPipelineStateFollowsItsModelTS5(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := &pipelineState{}
		versions := map[string]uint64{}
		sums := map[string]uint32{}
		var epoch uint64
		var holder string
		used := false
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				splits := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID[string]).
					Draw(t, "splits")
				owner := forebay.Owner{
					Epoch: rapid.Uint64Range(0, epoch+1).Draw(t, "epoch"), Holder: drawHolder(t),
				}
				sum := rapid.Uint32Range(1, 2).Draw(t, "checksum")
				var progress []forebay.SplitProgress
				follows, repeats := 0, 0
				for _, split := range splits {
					step := rapid.Uint64Range(0, 2).Draw(t, "step")
					version := versions[split] + step
					progress = append(progress, forebay.SplitProgress{Split: split, Version: version})
					switch {
					case step == 1:
						follows++
					case step == 0 && version > 0 && sums[split] == sum:
						repeats++
					}
				}
				want := commitBehind
				switch {
				case owner.Epoch == 0 && len(splits) > 0:
					want = commitMalformed
				case owner.Epoch == 0:
					want = commitApply
				case owner.Epoch != epoch || owner.Holder != holder:
					want = commitFenced
				case len(splits) == 0, used && follows == len(splits):
					want = commitApply
				case !used:
					want = commitMalformed
				case repeats == len(splits):
					want = commitDuplicate
				}
				got, _ := state.judgeCommit(owner, progress, sum)
				if got != want {
					t.Fatalf("%v with %v: %s, want %s", owner, progress, got, want)
				}
				if got == commitApply {
					state.acceptCommit(progress, sum)
					for _, p := range progress {
						versions[p.Split], sums[p.Split] = p.Version, sum
					}
				}
			},
			"fence": func(t *rapid.T) {
				f := forebay.Fence{
					Owner: forebay.Owner{
						Epoch: rapid.Uint64Range(1, epoch+2).Draw(t, "epoch"), Holder: drawHolder(t),
					},
					Progress: rapid.Bool().Draw(t, "progress"),
				}
				if rapid.Bool().Draw(t, "seeded") {
					f.Seed = []forebay.SplitProgress{{Split: "b"}}
				}
				same := f.Epoch == epoch && f.Holder == holder
				got := state.judgeFence(f)
				switch {
				case f.Epoch > epoch || same && f.Progress != used:
					if got != fenceApply {
						t.Fatalf("%+v over epoch %d: %d, want it applied", f, epoch, got)
					}
				case same && got != fenceSame, !same && got != fenceRefused:
					t.Fatalf("%+v over epoch %d: %d", f, epoch, got)
				}
				if got != fenceApply {
					return
				}
				if f.Progress && !used {
					for split := range versions {
						if split != "b" || f.Seed == nil {
							delete(versions, split)
							delete(sums, split)
						}
					}
				}
				if f.Progress && f.Seed != nil {
					versions["b"]++
					sums["b"] = 0
				}
				state = state.followingFence(f)
				epoch, holder, used = f.Epoch, f.Holder, f.Progress
			},
			"": func(t *rapid.T) {
				got := map[string]uint64{}
				for _, s := range state.snapshot().Splits {
					got[s.Split] = s.Version
				}
				if d := cmp.Diff(versions, got); d != "" {
					t.Fatalf("versions: -want +got\n%s", d)
				}
			},
		})
	})
}

func TestSplitProgressReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := splitState{
			checksum: rapid.Uint32().Draw(t, "checksum"),
			progress: forebay.SplitProgress{
				Split: "s", Version: rapid.Uint64().Draw(t, "version"), Fingerprint: rapid.String().Draw(t, "fingerprint"),
				Position: forebay.Position{
					Offset: rapid.Int64().Draw(t, "offset"), Detail: rapid.String().Draw(t, "detail"),
					Finished: rapid.Bool().Draw(t, "finished"),
				},
			},
		}
		got, err := decodeSplit("s", appendSplit(nil, &want.progress, want.checksum))
		if err != nil || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func FuzzStoredRecords(f *testing.F) {
	s := progress("s", 3, 7)[0]
	f.Add(appendSplit(nil, &s, 5))
	f.Add(encodeWriter(&writerState{next: 3}))
	f.Add([]byte(`{"format":1,"id":1,"name":"x","tablets":4,"schema":1,"schemas":[[{"name":"a","type":"int64"}]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if split, err := decodeSplit("s", data); err == nil {
			again, err := decodeSplit("s", appendSplit(nil, &split.progress, split.checksum))
			if err != nil || again != split {
				t.Errorf("%+v reads back as %+v, %v", split, again, err)
			}
		}
		if w, err := decodeWriter(data); err == nil {
			if got := encodeWriter(&w); string(got) != string(data) {
				t.Errorf("a writer's record %x became %x", data, got)
			}
		}
		if d, err := decodeDescriptor(data); err == nil {
			text, err := d.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeDescriptor(text); err != nil {
				t.Errorf("%s does not read back: %v", text, err)
			}
		}
		_, _, _, _ = cutRowValue(data)
	})
}

func TestExpiredKeepsTheWritersUsedLast(t *testing.T) {
	t.Parallel()
	var state tabletState
	for i := range 10 {
		id := requestID{writer: fmt.Sprint(i)}
		state.remember(id.writer, state.following(id, remembered{}, int64(i)))
	}
	if got := state.expired(10, 11); got != nil {
		t.Errorf("with room for one more, %v expired", got)
	}
	if d := cmp.Diff([]string{"0", "1", "2", "3", "4"}, state.expired(10, 10)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}
