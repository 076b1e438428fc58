// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// apply opens a record, edits it, and returns what comes out.
func apply(tb testing.TB, text string, edit func(r *Record)) string {
	tb.Helper()
	var r Record
	if !r.Open([]byte(text), nil) {
		tb.Fatalf("%s is no object", text)
	}
	edit(&r)
	out := r.AppendTo(nil)
	if len(out) > r.SizeMax() {
		tb.Fatalf("%d bytes are more than %d", len(out), r.SizeMax())
	}
	return string(out)
}

func path(tb testing.TB, text string) *Path {
	tb.Helper()
	p, err := ParsePath(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func set(tb testing.TB, r *Record, name, value string) bool {
	tb.Helper()
	return r.Set(path(tb, name), append(r.Buffer(), value...))
}

func TestUntouchedBytesStayJ1(t *testing.T) {
	t.Parallel()
	const text = " { \"a\" : 1.50 ,\t\"b\":[ 1, {\"x\": \"}\"} ],\"c\\u0064\" : \"\\u00e9\\\"\" , " +
		"\"user\":{ \"n\" : 0.7e0 , \"m\":2 } }\t"
	for _, tc := range []struct {
		what string
		edit func(r *Record)
		want string
	}{
		{"nothing", func(*Record) {}, text},
		{
			"set", func(r *Record) { set(t, r, "b", "true") },
			strings.Replace(text, `[ 1, {"x": "}"} ]`, "true", 1),
		},
		{
			"set under an escaped name", func(r *Record) { set(t, r, "cd", "null") },
			strings.Replace(text, `"\u00e9\""`, "null", 1),
		},
		{
			"add", func(r *Record) { set(t, r, "new name", `"x"`) },
			strings.Replace(text, "} }\t", `},"new name":"x" }`+"\t", 1),
		},
		{
			"set inside", func(r *Record) { set(t, r, "user.n", "0") },
			strings.Replace(text, `"n" : 0.7e0`, `"n" : 0`, 1),
		},
		{
			"add inside", func(r *Record) { set(t, r, "user.city.name", `"B"`) },
			strings.Replace(text, `"m":2 }`, `"m":2,"city":{"name":"B"} }`, 1),
		},
		{"drop the first", func(r *Record) { r.Drop(path(t, "a")) }, strings.Replace(text, "\"a\" : 1.50 ,\t", "", 1)},
		{
			"drop the last", func(r *Record) { r.Drop(path(t, "user")) },
			strings.Replace(text, ` , "user":{ "n" : 0.7e0 , "m":2 }`, "", 1),
		},
		{"drop inside", func(r *Record) { r.Drop(path(t, "user.n")) }, strings.Replace(text, `"n" : 0.7e0 , `, "", 1)},
		{"drop what is not there", func(r *Record) { r.Drop(path(t, "a.b.c")) }, text},
		{
			"rename", func(r *Record) { r.Rename([]Renaming{NewRenaming(path(t, "b"), path(t, "z"))}) },
			strings.Replace(text, `"b":`, `"z":`, 1),
		},
		{
			"keep", func(r *Record) { r.Keep(NewKept(path(t, "user.m"), path(t, "b"))) },
			" { \"b\":[ 1, {\"x\": \"}\"} ] , \"user\":{ \"m\":2 } }\t",
		},
		{
			"keep nothing and add", func(r *Record) { r.Keep(NewKept(path(t, "q"))); set(t, r, "q", "1") },
			" { \"q\":1 }\t",
		},
	} {
		if got := apply(t, text, tc.edit); got != tc.want {
			t.Errorf("%s: got  %s\nwant %s", tc.what, got, tc.want)
		}
	}
}

func TestTheLastOfANameCounts(t *testing.T) {
	t.Parallel()
	const text = `{"a":1,"b":2,"\u0061":3,"b":4,"u":{"x":1},"u":{"x":2,"x":3}}`
	for _, tc := range []struct {
		what string
		edit func(r *Record)
		want string
	}{
		{"set", func(r *Record) { set(t, r, "a", "9") }, `{"b":2,"\u0061":9,"b":4,"u":{"x":1},"u":{"x":2,"x":3}}`},
		{"drop", func(r *Record) { r.Drop(path(t, "a")) }, `{"b":2,"b":4,"u":{"x":1},"u":{"x":2,"x":3}}`},
		{"set inside", func(r *Record) { set(t, r, "u.x", "9") }, `{"a":1,"b":2,"\u0061":3,"b":4,"u":{"x":9}}`},
		{"drop inside", func(r *Record) { r.Drop(path(t, "u.x")) }, `{"a":1,"b":2,"\u0061":3,"b":4,"u":{}}`},
		{"keep", func(r *Record) { r.Keep(NewKept(path(t, "a"))) }, `{"\u0061":3}`},
		{
			"exchange", func(r *Record) {
				r.Rename([]Renaming{NewRenaming(path(t, "a"), path(t, "b")), NewRenaming(path(t, "b"), path(t, "a"))})
			}, `{"b":3,"a":4,"u":{"x":1},"u":{"x":2,"x":3}}`,
		},
	} {
		if got := apply(t, text, tc.edit); got != tc.want {
			t.Errorf("%s: got  %s\nwant %s", tc.what, got, tc.want)
		}
	}
	var r Record
	r.Open([]byte(text), nil)
	if raw, _ := r.Find(path(t, "u.x")); string(raw) != "3" {
		t.Errorf("u.x is %s", raw)
	}
}

func TestBlockedPathsChangeNothing(t *testing.T) {
	t.Parallel()
	const text = `{"a":5,"l":[{"x":1}],"n":null,"o":{"n":null,"s":"x"}}`
	if got := apply(t, text, func(r *Record) {
		for _, name := range []string{"a.b", "l.x", "o.s.t"} {
			if set(t, r, name, "1") {
				t.Errorf("%s was set", name)
			}
			if _, state := r.Find(path(t, name)); state != Blocked {
				t.Errorf("%s is %d", name, state)
			}
			r.Drop(path(t, name))
		}
	}); got != text {
		t.Error(got)
	}
	want := `{"a":5,"l":[{"x":1}],"n":{"b":{"c":1}},"o":{"n":{"d":2},"s":"x"}}`
	if got := apply(t, text, func(r *Record) { set(t, r, "n.b.c", "1"); set(t, r, "o.n.d", "2") }); got != want {
		t.Error(got)
	}
}

func TestRenameToATakenName(t *testing.T) {
	t.Parallel()
	var r Record
	r.Open([]byte(`{"a":1,"b":2,"u":{"x":1,"y":2}}`), nil)
	two := []Renaming{NewRenaming(path(t, "zzz"), path(t, "q")), NewRenaming(path(t, "a"), path(t, "b"))}
	if taken := r.Rename(two); taken != 1 {
		t.Errorf("taken is %d", taken)
	}
	r.Open([]byte(`{"a":1,"b":2,"u":{"x":1,"y":2}}`), nil)
	if taken := r.Rename([]Renaming{NewRenaming(path(t, "u.x"), path(t, "u.y"))}); taken != 0 {
		t.Errorf("taken is %d", taken)
	}
	if taken := r.Rename([]Renaming{NewRenaming(path(t, "u.x"), path(t, "u.z"))}); taken != -1 {
		t.Errorf("taken is %d", taken)
	}
	if got := string(r.AppendTo(nil)); got != `{"a":1,"b":2,"u":{"z":1,"y":2}}` {
		t.Error(got)
	}
}

func TestPathsReadWhatTheyPrint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"a": {"a"}, "a.b.c": {"a", "b", "c"}, "first name.x-y": {"first name", "x-y"},
		`"a.b".c`: {"a.b", "c"}, `x."\u00e9\"".""`: {"x", "\u00e9\"", ""},
	} {
		p := path(t, text)
		if !slices.Equal(p.Names(), want) {
			t.Errorf("%s is %q", text, p.Names())
		}
		if again := path(t, p.String()); !slices.Equal(again.Names(), want) {
			t.Errorf("%s prints %s", text, p)
		}
	}
	for _, text := range []string{"", ".", "a.", ".a", "a..b", `"a`, `"a"b`, `a"b`, `"\x"`} {
		if p, err := ParsePath(text); err == nil {
			t.Errorf("%q is %q", text, p.Names())
		}
	}
}

func TestNumbersAndTexts(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"0": "0 true", "-1": "-1 true", "9223372036854775807": "9223372036854775807 true",
		"-9223372036854775808": "-9223372036854775808 true", "9223372036854775808": "0 false",
		"-9223372036854775809": "0 false", "99999999999999999999": "0 false", "-0": "0 false", "01": "0 false",
		"1.0": "0 false", "1e2": "0 false", "-": "0 false", "": "0 false",
	} {
		if v, ok := Int([]byte(raw)); fmt.Sprint(v, ok) != want {
			t.Errorf("%s is %d %v", raw, v, ok)
		}
	}
	for raw, want := range map[string]string{
		`"a"`: "a", `""`: "", `"\n\u00e9\ud83d\ude00/\/"`: "\n\u00e9\U0001f600//", `"\ud83d"`: "!", `"\ud83dx"`: "!",
		`"\"`: "!", `"\u12"`: "!", `"`: "!",
	} {
		text, scratch, ok := Text([]byte(raw), []byte("kept"))
		if !ok {
			text = []byte("!")
		}
		if string(text) != want || !bytes.HasPrefix(scratch, []byte("kept")) {
			t.Errorf("%s is %q", raw, text)
		}
	}
}

func TestNothingIsAllocatedJ2(t *testing.T) {
	src := []byte(`{"id":1,"user":{"na\u006de":"x","city":"B"},"at":"2024-01-01T00:00:00Z","note":"some text","x":1}`)
	var r Record
	var out []byte
	name, city, note, fresh := path(t, "user.name"), path(t, "user.city"), path(t, "note"), path(t, "fresh.x")
	renaming := []Renaming{NewRenaming(path(t, "at"), path(t, "time"))}
	kept := NewKept(path(t, "user"), path(t, "time"), path(t, "fresh"))
	if n := testing.AllocsPerRun(50, func() {
		r.Open(src, nil)
		if raw, state := r.Find(name); state != Found || string(raw) != `"x"` {
			t.Fatal(string(raw))
		}
		r.Set(city, append(r.Buffer(), "17"...))
		r.Set(fresh, append(r.Buffer(), "18"...))
		r.Drop(note)
		r.Rename(renaming)
		r.Keep(kept)
		out = r.AppendTo(out[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if string(out) != `{"user":{"na\u006de":"x","city":17},"time":"2024-01-01T00:00:00Z","fresh":{"x":18}}` {
		t.Error(string(out))
	}
}

// node is a value as the model holds it: the text of one that no edit touched, else the fields of an object.
type node struct {
	raw    string
	opened bool
	fields []member
}

type member struct {
	name string
	node *node
}

func (n *node) isObject() bool { return n.opened || strings.HasPrefix(strings.TrimSpace(n.raw), "{") }

// open reads the fields with the standard library; duplicates stay.
func (n *node) open(tb testing.TB) *node {
	tb.Helper()
	if n.opened {
		return n
	}
	n.opened = true
	d := json.NewDecoder(strings.NewReader(n.raw))
	if _, err := d.Token(); err != nil {
		tb.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			tb.Fatal(err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			tb.Fatal(err)
		}
		n.fields = append(n.fields, member{name.(string), &node{raw: string(raw)}})
	}
	return n
}

// at leaves one field of the name and returns it.
func (n *node) at(name string) *node {
	var last *node
	for _, f := range n.fields {
		if f.name == name {
			last = f.node
		}
	}
	if last != nil {
		n.fields = slices.DeleteFunc(n.fields, func(f member) bool { return f.name == name && f.node != last })
	}
	return last
}

func (n *node) set(tb testing.TB, names []string, value string) {
	tb.Helper()
	f := n.at(names[0])
	if f == nil {
		f = &node{raw: "null"}
		n.fields = append(n.fields, member{names[0], f})
	}
	if len(names) == 1 {
		*f = node{raw: value}
		return
	}
	if f.raw == "null" && !f.opened {
		*f = node{opened: true}
	}
	f.open(tb).set(tb, names[1:], value)
}

func (n *node) drop(tb testing.TB, names []string) {
	tb.Helper()
	f := n.at(names[0])
	if len(names) == 1 {
		n.fields = slices.DeleteFunc(n.fields, func(m member) bool { return m.name == names[0] })
		return
	}
	f.open(tb).drop(tb, names[1:])
}

// reaches says whether a path leads to a field; blocked, whether something on the way is no object.
func (n *node) reaches(tb testing.TB, names []string) (found, blocked bool) {
	tb.Helper()
	c := &node{raw: n.raw, opened: n.opened, fields: slices.Clone(n.fields)}
	for i, name := range names {
		if !c.isObject() {
			return false, c.raw != "null"
		}
		if c = c.open(tb).at(name); c == nil {
			return false, false
		}
		if i < len(names)-1 {
			c = &node{raw: c.raw, opened: c.opened, fields: slices.Clone(c.fields)}
		}
	}
	return true, false
}

// check compares a result with the model.
func (n *node) check(tb testing.TB, got string) {
	tb.Helper()
	if !n.opened {
		if got != n.raw {
			tb.Fatalf("got %s, want %s", got, n.raw)
		}
		return
	}
	have := (&node{raw: got}).open(tb)
	if len(have.fields) != len(n.fields) {
		tb.Fatalf("%s has %d fields, want %d", got, len(have.fields), len(n.fields))
	}
	for i, f := range n.fields {
		if have.fields[i].name != f.name {
			tb.Fatalf("field %d of %s is %q, want %q", i, got, have.fields[i].name, f.name)
		}
		f.node.check(tb, have.fields[i].node.raw)
	}
}

var (
	namesDrawn  = []string{"a", "b", "user", "a name of many bytes", "a name of many bytez", "eightbyt", ""}
	spelledName = map[string][]string{"a": {`"a"`, `"\u0061"`}, "user": {`"user"`, `"us\u0065r"`}}
)

// document draws an object with duplicates, escapes and white space.
func document(t *rapid.T, depth int) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\t", " \r "}).Draw(t, "space") }
	var out strings.Builder
	out.WriteString("{" + space())
	for i := range rapid.IntRange(0, 6).Draw(t, "fields") {
		if i > 0 {
			out.WriteString(space() + "," + space())
		}
		name := rapid.SampledFrom(namesDrawn).Draw(t, "name")
		spelled := fmt.Sprintf("%q", name)
		if ways := spelledName[name]; ways != nil {
			spelled = rapid.SampledFrom(ways).Draw(t, "spelled")
		}
		out.WriteString(spelled + space() + ":" + space() + anyValue(t, depth-1))
	}
	out.WriteString(space() + "}")
	return out.String()
}

func anyValue(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "nest") == 0 {
		inner := document(t, depth)
		if rapid.Bool().Draw(t, "list") {
			return "[ " + inner + ",[1,\"]\"], \"}{\\\"\" ]"
		}
		return inner
	}
	return rapid.SampledFrom([]string{
		"null", "true", "false", "0", "-1.50", "1e+9", "12345678901234567890123", `""`, `"text"`, `"\"{\\"`, `"\ud83d\ude00"`,
		`"a text that is longer than eight bytes, with \u00e9"`, "[]", "{}", "[1, 2]",
	}).Draw(t, "value")
}

func TestEditsAgreeWithTheStandardLibraryJ1(t *testing.T) {
	t.Parallel()
	var r Record
	rapid.Check(t, func(rt *rapid.T) {
		text := document(rt, 3)
		model := (&node{raw: text}).open(t)
		if !r.Open([]byte(text), nil) {
			rt.Fatalf("%s is no object", text)
		}
		for range rapid.IntRange(0, 4).Draw(rt, "edits") {
			names := rapid.SliceOfN(rapid.SampledFrom(namesDrawn), 1, 3).Draw(rt, "path")
			p := NewPath(names...)
			found, blocked := model.reaches(t, names)
			raw, state := r.Find(p)
			if want := map[[2]bool]State{{true, false}: Found, {false, true}: Blocked}[[2]bool{found, blocked}]; want != state {
				rt.Fatalf("%q in %s: state %d, want %d", names, r.AppendTo(nil), state, want)
			}
			if state == Found && !json.Valid(raw) {
				rt.Fatalf("%q in %s: %s", names, text, raw)
			}
			if rapid.Bool().Draw(rt, "set") {
				value := anyValue(rt, 2)
				if done := r.Set(p, append(r.Buffer(), value...)); done == blocked {
					rt.Fatalf("set %q in %s: %v", names, text, done)
				} else if done {
					model.set(t, names, value)
				}
				continue
			}
			r.Drop(p)
			if found {
				model.drop(t, names)
			}
		}
		out := string(r.AppendTo(nil))
		if !r.Changed() && out != text {
			rt.Fatalf("%s became %s", text, out)
		}
		model.check(t, out)
	})
}

// FuzzRecord holds what Open and Find say against the standard library, and that no bytes panic (J3).
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, ` { "a" : [1,{"b":"}"}] , "b":{"a":null}} `, `{"\u0061":1,"a":2}`, `{"a`,
		`{"a":"`, `{"a":[`, `{"a":"\`,
		`{"a":1,}`, `{"\ud800":1,"a":"\ud800"}`, `{"a":1}x`, `{"eightbyt":1,"eightbyte":2}`,
	} {
		f.Add([]byte(seed), "a")
	}
	f.Fuzz(func(t *testing.T, src []byte, name string) {
		var r Record
		opened := r.Open(src, nil)
		p := NewPath(name)
		raw, state := r.Find(p)
		r.Set(NewPath("x", name), append(r.Buffer(), "1"...))
		r.Drop(NewPath("a", "b"))
		out := r.AppendTo(nil)
		var want map[string]json.RawMessage
		if !utf8.Valid(src) || !utf8.ValidString(name) || json.Unmarshal(src, &want) != nil || want == nil {
			return
		}
		if !opened {
			t.Fatalf("%s is an object", src)
		}
		if strings.Contains(string(src), `\u`) {
			return // the standard library replaces halves of characters
		}
		value, there := want[name]
		if there != (state == Found) || there && !bytes.Equal(value, raw) {
			t.Fatalf("%q in %s is %s, want %s", name, src, raw, value)
		}
		if !json.Valid(out) {
			t.Fatalf("%s became %s", src, out)
		}
	})
}
