// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// walked is what a Walker says of an object.
type walked struct {
	Fields []forebay.Field
	Behind int
	Why    string
}

func (w *Walker) walked(text []byte, behind string) walked {
	s := append(slices.Clone(text), behind...)
	fields, at, why := w.Object(nil, s, 0, len(text))
	return walked{slices.Clone(fields), at, why}
}

// piece draws pieces of JSON, so that most texts are objects and the others nearly.
var piece = rapid.SampledFrom([]string{
	`{`, `}`, `[`, `]`, `:`, `,`, ` `, "\t", `"`, `\`, "\x00", "\xff", "é", "12345678", "0", "-", ".", "e5", "null", "tru",
	`"id":`, `,"id":7`, `,"time":"2024-05-01T00:00:00.000Z"`, `,"a name of some length":true`, `,"\u0061":false`, `,"é":0`,
	`,"n":-0.50e+3`, `,"x":{"a":[1,{"b":"}\""}]}`, `, "s" : "a text that is long, with é" `, `,"":null`,
	`,"user":123456789`,
	`,"d":12.25`, `,"z":00`, `,"q":"\ud83d"`, `,"abcdefghijkl":1`, `,"abcdefghijklm":1`,
})

func draw(t *rapid.T) []byte {
	text := strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	if rapid.IntRange(0, 3).Draw(t, "object") > 0 {
		text = `{"a":1` + text + `}`
	}
	if !strings.HasPrefix(text, "{") {
		text = "{" + text
	}
	return []byte(text)
}

// TestAWalkerAgreesWithTheStandardLibrary: what is an object, and where its fields lie, is the same whatever came
// before it and whatever lies behind.
func TestAWalkerAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w Walker
		for range rapid.IntRange(1, 4).Draw(t, "objects") {
			text := draw(t)
			behind := rapid.SampledFrom([]string{"", "\n", "\n{\"id\":7}\n", `":,"id":7}}}}}}}}`}).Draw(t, "behind")
			got := w.walked(text, behind)
			if diff := cmp.Diff((&Walker{}).walked(text, ""), got); diff != "" {
				t.Fatalf("%q by itself (-) and after others (+):\n%s", text, diff)
			}
			agree(t, text, got)
		}
	})
}

func agree(t interface {
	Fatalf(format string, args ...any)
}, text []byte, got walked,
) {
	whole := got.Why == "" && Space(text, got.Behind, len(text)) == len(text)
	if valid := json.Valid(text) && utf8.Valid(text); valid != whole {
		t.Fatalf("%q: object %v (%s), the standard library says %v", text, whole, got.Why, valid)
	}
	if !whole {
		return
	}
	d := json.NewDecoder(bytes.NewReader(text))
	_, _ = d.Token() // the brace
	for _, f := range got.Fields {
		token, err := d.Token()
		name := string(text[f.Start : bytes.LastIndexByte(text[:f.Value], '"')+1])
		if f.Name != forebay.EscapedName && int(f.Name) != len(name)-2 {
			t.Fatalf("%q: the name %s has size %d", text, name, f.Name)
		}
		var want string
		if e := json.Unmarshal([]byte(name), &want); err != nil || e != nil || token != want ||
			strings.Contains(name, `\`) != (f.Name == forebay.EscapedName) {
			t.Fatalf("%q: the name %s is %q: %v, %v", text, name, token, err, e)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || string(value) != string(text[f.Value:f.End]) {
			t.Fatalf("%q: the value %s is %s: %v", text, text[f.Value:f.End], value, err)
		}
	}
	if d.More() {
		t.Fatalf("%q: there are more fields than %d", text, len(got.Fields))
	}
}

// FuzzWalker: a text is walked alike with and without an object before it, and agrees with the standard library.
func FuzzWalker(f *testing.F) {
	f.Add([]byte(`{"id":1,"time":"x"}`), []byte(`{"id":2,"time":"y"}`))
	f.Add([]byte(`{"id":1,"time":"x"}`), []byte(`{"id":`))
	f.Add([]byte(`{"a\u0062":1}`), []byte(`{"a\u0062":{"b":[1.5e3,"\"",null]} , "c" : -0 }`))
	f.Fuzz(func(t *testing.T, before, text []byte) {
		if len(text) == 0 || text[0] != '{' || bytes.Count(text, []byte("[")) > depthMax/2 ||
			bytes.Count(text, []byte("{")) > depthMax/2 {
			return
		}
		var w Walker
		if len(before) > 0 && before[0] == '{' {
			w.walked(before, "")
		}
		got := w.walked(text, "\n")
		if diff := cmp.Diff((&Walker{}).walked(text, ""), got); diff != "" {
			t.Fatalf("%q by itself (-) and after %q (+):\n%s", text, before, diff)
		}
		agree(t, text, got)
	})
}

// TestANameIsNotTakenForAnother: names that have a beginning in common follow each other in the same place.
func TestANameIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	long := "abcdefghijklmnopqrstuvwxyz"
	var names []string
	for size := range 20 {
		names = append(names, long[:size], long[:size]+"X", long[:size]+`\u0058`, long[:size]+"é")
	}
	for _, before := range names {
		for _, name := range names {
			for _, colon := range []string{`":`, `" :`} {
				var w Walker
				w.walked([]byte(`{"a":1,"`+before+`":12}`), "")
				text := []byte(`{"a":1,"` + name + colon + `12}`)
				if diff := cmp.Diff((&Walker{}).walked(text, ""), w.walked(text, "\n")); diff != "" {
					t.Fatalf("%s after %q:\n%s", text, before, diff)
				}
				agree(t, text, w.walked(text, ""))
			}
		}
	}
}
