// SPDX-License-Identifier: Apache-2.0

package checkpoint_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
)

func to(offset int64) forebay.Position { return forebay.Position{Offset: offset} }

// The facts of one case: what the target and the state say of the split a.
type facts struct {
	target *forebay.TargetState
	entry  *checkpoint.Entry
}

func held(version uint64, p forebay.Position) []forebay.SplitProgress {
	return []forebay.SplitProgress{{Split: "a", Version: version, Position: p, Fingerprint: "f"}}
}

func entry(number uint64, p forebay.Position, noted bool) *checkpoint.Entry {
	return &checkpoint.Entry{Split: "a", Epoch: 3, Number: number, Position: p, Fingerprint: "f", Noted: noted}
}

// C4 over every case: the target decides alone; entries count only where it never held any.
func TestDecide(t *testing.T) {
	t.Parallel()
	used := func(s []forebay.SplitProgress) *forebay.TargetState {
		return &forebay.TargetState{Used: true, Splits: s}
	}
	unused := func(s []forebay.SplitProgress) *forebay.TargetState { return &forebay.TargetState{Splits: s} }
	other := func(p []forebay.SplitProgress) []forebay.SplitProgress {
		p[0].Fingerprint = "other"
		return p
	}
	otherEntry := entry(4, to(40), false)
	otherEntry.Fingerprint = "other"
	end := forebay.Position{Offset: 100, Finished: true}
	for _, c := range []struct {
		name string
		facts
		position forebay.Position
		version  uint64
		rewound  bool
		code     string
	}{
		{name: "nothing is known", facts: facts{used(nil), nil}},
		{name: "nothing is known, plain target", facts: facts{nil, nil}},
		{name: "the target holds it", facts: facts{used(held(5, to(50))), nil}, position: to(50), version: 5},
		{
			name: "a note behind the target", facts: facts{used(held(5, to(50))), entry(3, to(30), true)},
			position: to(50), version: 5,
		},
		{
			name: "a note of the same", facts: facts{used(held(5, to(50))), entry(5, to(50), true)}, position: to(50),
			version: 5,
		},
		{name: "a note ahead of the target: it was restored", facts: facts{used(held(5, to(50))), entry(7, to(70),
			true)}, position: to(50), version: 5, rewound: true},
		{name: "an entry of a run without progress says nothing about the target", facts: facts{
			used(held(5, to(50))),
			entry(9, to(90), false),
		}, position: to(50), version: 5},
		{name: "finished there", facts: facts{used(held(5, end)), nil}, position: end, version: 5},
		{name: "noted and missing there", facts: facts{used(nil), entry(5, to(50), true)}, code: "progress-missing"},
		{name: "never noted, and used by others", facts: facts{used(nil), entry(5, to(50), false)}, position: to(50)},
		{name: "plain target", facts: facts{nil, entry(5, to(50), false)}, position: to(50)},
		{name: "plain target, finished", facts: facts{nil, entry(5, end, false)}, position: end},
		{name: "left exactly-once", facts: facts{nil, entry(5, to(50), true)}, position: to(50)},
		{name: "marked unused", facts: facts{unused(held(5, to(50))), entry(8, to(80), false)}, position: to(80), version: 5},
		{name: "another source in the target", facts: facts{used(other(held(5, to(50)))), nil}, code: "source-differs"},
		{name: "another source in the state", facts: facts{nil, otherEntry}, code: "source-differs"},
		{
			name: "another source in a note does not matter", facts: facts{used(held(5, to(50))), otherEntry},
			position: to(50), version: 5,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			split := forebay.Split{ID: "a", Fingerprint: "f"}
			q := checkpoint.Question{Pipeline: "p", Splits: []forebay.Split{split}, Target: c.target}
			if c.entry != nil {
				q.Entries = map[string]checkpoint.Entry{"a": *c.entry}
			}
			plan, err := checkpoint.Decide(q)
			if c.code != "" {
				checkStop(t, err, c.code)
				return
			}
			want := []checkpoint.Resume{{Split: split, Position: c.position, Version: c.version, Rewound: c.rewound}}
			if diff := cmp.Diff(want, plan); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

// checkStop holds a named stop to what people need: code, class, both sides or the split, and what to do.
func checkStop(t *testing.T, err error, code string) {
	t.Helper()
	class := map[string]forebay.Class{
		"progress-missing": forebay.ClassLost, "source-differs": forebay.ClassMisconfigured,
		"state-differs": forebay.ClassMisconfigured,
	}[code]
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok || e.Code != code || e.Class != class || !strings.Contains(e.Cure, "forebay checkpoint reset p") {
		t.Fatalf("%v", err)
	}
	for _, word := range map[string][]string{"progress-missing": {"a", "50"}, "source-differs": {`"f"`, `"other"`}}[code] {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
}

func TestDecideAsksForEachSplit(t *testing.T) {
	t.Parallel()
	plan, err := checkpoint.Decide(checkpoint.Question{
		Pipeline: "p", Splits: []forebay.Split{{ID: "b"}, {ID: "a"}, {ID: "c"}},
		Entries: map[string]checkpoint.Entry{"a": {Split: "a", Position: to(1)}, "gone": {Split: "gone", Position: to(9)}},
		Target:  &forebay.TargetState{Used: true, Splits: []forebay.SplitProgress{{Split: "c", Version: 2, Position: to(3)}}},
	})
	want := []checkpoint.Resume{
		{Split: forebay.Split{ID: "b"}},
		{Split: forebay.Split{ID: "a"}, Position: to(1)},
		{Split: forebay.Split{ID: "c"}, Position: to(3), Version: 2},
	}
	if diff := cmp.Diff(want, plan); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if plan, err := checkpoint.Decide(checkpoint.Question{}); err != nil || len(plan) != 0 {
		t.Errorf("%v, %v", plan, err)
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		entry  *checkpoint.Entry
		target forebay.TargetState
		want   []forebay.SplitProgress
	}{
		{"the target holds the truth", entry(9, to(90), false), forebay.TargetState{Used: true, Splits: held(5,
			to(50))}, nil},
		{"the target never heard of it", entry(9, to(90), false), forebay.TargetState{}, held(1, to(90))},
		{"marked unused", entry(9, to(90), false), forebay.TargetState{Splits: held(5, to(50))}, held(6, to(90))},
		{"marked unused, and nothing was written since", entry(5, to(50), true), forebay.TargetState{Splits: held(5,
			to(50))}, held(6, to(50))},
		{"confirmed there and gone: Decide is to see it", entry(9, to(90), true), forebay.TargetState{}, nil},
		{"nothing stored here", nil, forebay.TargetState{Splits: held(5, to(50))}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			entries := map[string]checkpoint.Entry{}
			if c.entry != nil {
				entries["a"] = *c.entry
			}
			if diff := cmp.Diff(c.want, checkpoint.Seed(entries, c.target), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func settings(pairs ...string) (out []forebay.Setting) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, forebay.Setting{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func TestCompareNamesEveryDifference(t *testing.T) {
	t.Parallel()
	meta := checkpoint.Meta{Source: settings("path", "a.csv", "format", "csv"), Sink: settings("name", "t", "key", "")}
	for _, c := range []struct {
		name         string
		source, sink []forebay.Setting
		want         []checkpoint.Difference
	}{
		{"same", meta.Source, meta.Sink, nil},
		{"same in another order", settings("format", "csv", "path", "a.csv"), settings("key", "", "name", "t"), nil},
		{"an empty setting is as good as none", meta.Source, settings("name", "t", "new", ""), nil},
		{"changed", settings("path", "b.csv", "format", "csv"), meta.Sink, []checkpoint.Difference{
			{Name: "source.path", Stored: "a.csv", Now: "b.csv"},
		}},
		{
			"gone, changed and new, at both ends", settings("format", "json"), settings("name", "t", "key", "id",
				"tablets", "4"),
			[]checkpoint.Difference{
				{Name: "source.path", Stored: "a.csv"},
				{Name: "source.format", Stored: "csv", Now: "json"},
				{Name: "sink.key", Now: "id"},
				{Name: "sink.tablets", Now: "4"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := meta.Compare(c.source, c.sink)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			err := checkpoint.Refuse("p", got)
			if len(c.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkStop(t, err, "state-differs")
			for _, d := range c.want {
				if !strings.Contains(err.Error(), d.Name+` was "`+d.Stored+`" and is now "`+d.Now+`"`) {
					t.Errorf("%q does not say %+v", err, d)
				}
			}
		})
	}
}
