// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"bytes"
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// Record is one JSON object: where its fields lie, and what was changed. Its zero value is ready for Open.
//
// Concurrency: one goroutine at a time.
// Ownership: it reads the bytes that it was opened with until the next Open.
type Record struct {
	src    []byte
	fields []field
	// outer finds fields that nobody has noted.
	outer walker
	// tail is behind the last field of src, or behind the opening brace.
	tail int
	// names are names of fields that had escapes or were added, one behind the other.
	names []byte
	edits []edit
	// made are new values, and new names with their quotes and colons.
	made []byte
	// child edits the object in a field.
	child *Record
	// inner finds the fields of an object in a field, while a path is followed.
	inner walker
	last  lookup
}

// lookup is a name that was looked up, and what was found: an expression and the edit that takes its result often have
// the same name.
type lookup struct {
	name string
	// at is the number of the field, from 1, or 0; twice says that others have the name too.
	at    int
	twice bool
}

// field is a field as it is now.
type field struct {
	forebay.Field
	// name is where the name lies in Record.names, or asWritten.
	name int32
	// edit is the number of the field's entry in Record.edits, from 1; 0 where it has none.
	edit int32
}

// added says that src does not have the field: no field of it starts where its brace is.
func (f *field) added() bool { return f.Start == 0 }

const asWritten = -1

// edit is what changed in a field.
type edit struct {
	dropped bool
	// nameFrom and nameTo are the new name in made, valueFrom and valueTo the new value; none where both are 0.
	nameFrom, nameTo, valueFrom, valueTo int
}

// State says what Find found.
type State uint8

// The states. A path is blocked by what is neither an object nor null.
const (
	Missing State = iota
	Found
	Blocked
)

// Open takes an object, and forgets the one before. Its fields are those that a decoder has noted (Batch.Fields), or,
// where there are none, what a walk finds. It reports false where src is no object.
func (r *Record) Open(src []byte, known []forebay.Field) bool {
	r.src, r.last.at = src, 0
	// J2: what a record needs is kept for the next one.
	r.fields, r.edits, r.names, r.made = r.fields[:0], r.edits[:0], r.names[:0], r.made[:0]
	if len(known) == 0 {
		var whole bool
		if r.tail, whole = r.outer.walk(src); !whole || len(r.outer.fields) == 0 {
			return whole
		}
		known = r.outer.fields
	}
	n := len(known)
	if cap(r.fields) < n {
		r.fields = make([]field, n, n+n/2+fieldsMin)
	}
	r.fields = r.fields[:n]
	fields := r.fields[:len(known)]
	for i := range known {
		f, k := &fields[i], &known[i]
		f.Start, f.Value, f.End, f.Name, f.name, f.edit = k.Start, k.Value, k.End, k.Name, asWritten, 0
		if k.Name == forebay.EscapedName {
			r.unescapeName(f)
		}
	}
	r.tail = int(known[n-1].End)
	return true
}

// fieldsMin is for how many more fields there is room at first.
const fieldsMin = 16

// walker walks objects and keeps the fields of the last.
type walker struct {
	jsontext.Walker

	fields []forebay.Field
}

// walk finds the fields of an object. inside is behind its opening brace.
func (w *walker) walk(src []byte) (inside int, whole bool) {
	i := jsontext.Space(src, 0, len(src))
	if i >= len(src) || src[i] != '{' {
		return 0, false
	}
	// J3: what is no object has no fields, so that nothing is looked for in it.
	fields, behind, why := w.Object(w.fields[:0], src, i, len(src))
	w.fields = fields
	return i + 1, why == "" && jsontext.Space(src, behind, len(src)) == len(src)
}

// unescapeName reads a name that was written with escapes.
func (r *Record) unescapeName(f *field) {
	start := len(r.names)
	text, names, ok := readName(r.src, f.Field, r.names)
	if !ok {
		return
	}
	r.names = names
	f.rename(start, text)
}

// readName reads a name that was written with escapes, and appends it to names.
func readName(src []byte, f forebay.Field, names []byte) (text, grown []byte, ok bool) {
	behind, _, _ := jsontext.StringEnd(src, int(f.Start)+1, int(f.Value))
	return Text(src[f.Start:behind], names)
}

// rename gives the field a name that lies in Record.names.
func (f *field) rename(at int, name []byte) { f.name, f.Name = int32(at), uint32(len(name)) }

// has reports whether a field that is there has the step's name.
func (r *Record) has(f *field, s *step) bool {
	return string(r.name(f)) == s.name && !(f.edit > 0 && r.edits[f.edit-1].dropped)
}

// name is the field's name without escapes. One in which an escape stands for half a character is none.
func (r *Record) name(f *field) []byte {
	switch {
	case f.name >= 0:
		return r.names[f.name:][:f.Name]
	case f.Name == forebay.EscapedName:
		return nil
	default:
		return r.src[f.Start+1:][:f.Name]
	}
}

// find is the last field of the name, or nil.
func (r *Record) find(s *step) *field {
	if at := r.last.at; at > 0 && r.last.name == s.name {
		return &r.fields[at-1]
	}
	size, at, twice := uint32(len(s.name)), 0, false
	fields := r.fields
	for i := range fields {
		if fields[i].Name == size && r.has(&fields[i], s) {
			at, twice = i+1, at > 0
		}
	}
	r.last.name, r.last.at, r.last.twice = s.name, at, twice
	if at == 0 {
		return nil
	}
	return &fields[at-1]
}

// raw is the field's value as it is now.
func (r *Record) raw(f *field) []byte {
	if f.edit > 0 {
		if e := &r.edits[f.edit-1]; e.valueTo > 0 {
			return r.made[e.valueFrom:e.valueTo]
		}
	}
	return r.src[f.Value:f.End]
}

// Find is the value at a path as it is now, as JSON writes it. A field of null, and of what is missing, is
// missing.
//
// Ownership: the value is valid until the next edit.
func (r *Record) Find(p *Path) (raw []byte, state State) {
	f := r.find(&p.steps[0])
	if f == nil {
		return nil, Missing
	}
	raw = r.raw(f)
	for i := 1; i < len(p.steps); i++ {
		if raw, state = r.inside(raw, &p.steps[i]); state != Found {
			return nil, state
		}
	}
	return raw, Found
}

// inside is the last field of the name in the object that a value is.
func (r *Record) inside(object []byte, s *step) (raw []byte, state State) {
	if _, whole := r.inner.walk(object); !whole {
		if IsNull(object) {
			return nil, Missing
		}
		return nil, Blocked
	}
	for _, f := range slices.Backward(r.inner.fields) {
		if f.Name == forebay.EscapedName {
			text, names, ok := readName(object, f, r.names)
			r.names = names[:len(r.names)]
			if !ok || string(text) != s.name {
				continue
			}
		} else if int(f.Name) != len(s.name) || string(object[f.Start+1:][:f.Name]) != s.name {
			continue
		}
		return object[f.Value:f.End], Found
	}
	return nil, Missing
}

// HasText reports whether a value is a string of just these characters, which must have no quote and no
// backslash among them. decided is false where the string has escapes and must be read.
func HasText(raw []byte, text string) (same, decided bool) {
	if len(raw) == len(text)+2 && string(raw[1:len(raw)-1]) == text {
		return true, true
	}
	return false, bytes.IndexByte(raw, '\\') < 0
}
