// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"bytes"

	"github.com/forebay-io/forebay/codec/internal/swar"
)

// Record is one JSON object: where its fields lie, and what was changed. Its zero value is ready for Open.
//
// Concurrency: one goroutine at a time.
// Ownership: it reads the bytes that it was opened with until the next Open.
type Record struct {
	src    []byte
	fields []field
	// head is behind the opening brace and the white space there, tail behind the last field of src.
	head, tail int
	// names are names of fields that had escapes or were added, one behind the other.
	names []byte
	edits []edit
	// made are new values, and new names with their quotes and colons.
	made []byte
	// child edits the object in a field.
	child *Record
	// inner are the fields of an object in a field, while a path is followed.
	inner []field
}

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

// Open finds the fields of an object, and forgets the one before. It reports false where src is none.
func (r *Record) Open(src []byte) bool {
	r.src = src
	// J2: what a record needs is kept for the next one.
	r.fields, r.edits, r.names, r.made = r.fields[:0], r.edits[:0], r.names[:0], r.made[:0]
	c, ok := walk(src)
	if !ok {
		return false
	}
	r.head = c.i
	r.tail = c.i
	r.fields = c.all(r.fields)
	for i := range r.fields {
		if f := &r.fields[i]; f.size == escaped {
			r.unescapeName(f)
		}
	}
	if n := len(r.fields); n > 0 {
		r.head, r.tail = int(r.fields[0].start), int(r.fields[n-1].end)
	}
	return c.whole
}

// unescapeName reads a name that was written with escapes.
func (r *Record) unescapeName(f *field) {
	at, _ := closing(r.src, int(f.start)+1)
	start := len(r.names)
	text, names, ok := Text(r.src[f.start:min(at+1, len(r.src))], r.names)
	if !ok {
		f.size = unnamed
		return
	}
	r.names = names
	f.rename(start, text)
}

// rename gives the field a name that lies in Record.names.
func (f *field) rename(at int, name []byte) {
	f.name, f.size, f.word = int32(at), int32(len(name)), swar.LoadUpTo(name, 0)
}

// is reports whether the field has the step's name.
func (r *Record) is(f *field, s *step) bool {
	if f.word != s.word || int(f.size) != len(s.name) {
		return false
	}
	if len(s.name) <= 8 {
		return true
	}
	return string(r.name(f)) == s.name
}

// name is the field's name without escapes.
func (r *Record) name(f *field) []byte {
	if f.name >= 0 {
		return r.names[f.name : f.name+f.size]
	}
	if f.size < 0 {
		return nil
	}
	return r.src[f.start+1 : f.start+1+f.size]
}

// find is the last field of the name, or nil.
func (r *Record) find(s *step) *field {
	for i := len(r.fields) - 1; i >= 0; i-- {
		f := &r.fields[i]
		if r.is(f, s) && !(f.edit > 0 && r.edits[f.edit-1].dropped) {
			return f
		}
	}
	return nil
}

// raw is the field's value as it is now.
func (r *Record) raw(f *field) []byte {
	if f.edit > 0 {
		if e := &r.edits[f.edit-1]; e.valueTo > 0 {
			return r.made[e.valueFrom:e.valueTo]
		}
	}
	return r.src[f.value:f.end]
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
	c, ok := walk(object)
	if !ok {
		if IsNull(object) {
			return nil, Missing
		}
		return nil, Blocked
	}
	r.inner = c.all(r.inner[:0])
	for i := len(r.inner) - 1; i >= 0; i-- {
		f := &r.inner[i]
		if f.size == escaped {
			at, _ := closing(object, int(f.start)+1)
			text, names, whole := Text(object[f.start:min(at+1, len(object))], r.names)
			r.names = names[:len(r.names)]
			if !whole || string(text) != s.name {
				continue
			}
		} else if f.word != s.word || int(f.size) != len(s.name) ||
			len(s.name) > 8 && string(object[f.start+1:f.start+1+f.size]) != s.name {
			continue
		}
		return object[f.value:f.end], Found
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
