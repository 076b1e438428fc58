// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []Trap
		wrong      string
	}{
		{name: "empty text arms nothing"},
		{name: "one point", text: "commit-built=3*kill", want: []Trap{{CommitBuilt, 3, Kill}}},
		{
			name: "several points, one of them twice", text: "fenced=1*stop, commit-built=2*kill,fenced=7*kill",
			want: []Trap{{Fenced, 1, Stop}, {CommitBuilt, 2, Kill}, {Fenced, 7, Kill}},
		},
		{name: "unknown point is refused", text: "commit=1*kill", wrong: "no kill point"},
		{name: "hit zero is refused", text: "fenced=0*kill", wrong: "is no hit"},
		{name: "missing hit is refused", text: "fenced=kill", wrong: "is no hit"},
		{name: "unknown action is refused", text: "fenced=1*err", wrong: "is no action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePlan(c.text)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Fatalf("ParsePlan(%q) = %v, want an error with %q", c.text, err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add("commit-built=3*kill,fenced=1*stop")
	f.Add("fenced=,=*")
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := ParsePlan(text)
		if err != nil {
			return
		}
		var items []string
		for _, trap := range plan {
			items = append(items, trap.String())
		}
		again, err := ParsePlan(strings.Join(items, ","))
		if err != nil || !cmp.Equal(plan, again) {
			t.Fatalf("%q: %v, again %v (%v)", text, plan, again, err)
		}
	})
}

func TestPointsAreUnique(t *testing.T) {
	t.Parallel()
	all := Points()
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != len(points) {
		t.Fatalf("%d names for %d points", n, len(points))
	}
}

func TestDecodeTrace(t *testing.T) {
	t.Parallel()
	data := make([]byte, traceSize)
	binary.NativeEndian.PutUint64(data, traceMagic)
	binary.NativeEndian.PutUint64(data[8:], uint64(slices.Index(points[:], CommitBuilt)+1))
	binary.NativeEndian.PutUint64(data[16:], 77)
	binary.NativeEndian.PutUint64(data[headSize+8*slices.Index(points[:], SourceRead):], 5)
	got, err := decodeTrace(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Trace{Last: CommitBuilt, Acked: 77, Hits: map[string]int64{SourceRead: 5}}, got); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add(make([]byte, traceSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		trace, err := decodeTrace(data)
		if err == nil && trace.Last != "" && !slices.Contains(points[:], trace.Last) {
			t.Fatalf("unknown point %q", trace.Last)
		}
	})
}
