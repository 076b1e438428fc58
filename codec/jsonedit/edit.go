// SPDX-License-Identifier: Apache-2.0

package jsonedit

// change is the field's edit, which is made if there is none.
func (r *Record) change(f *field) *edit {
	if f.edit == 0 {
		r.edits = append(r.edits, edit{})
		f.edit = int32(len(r.edits))
	}
	return &r.edits[f.edit-1]
}

// Changed reports whether there was an edit.
func (r *Record) Changed() bool { return len(r.edits) > 0 }

// Buffer is where a new value is written to: append it, and give all to Set.
func (r *Record) Buffer() []byte { return r.made }

// Set gives the field at a path the value that was appended to Buffer. It takes the place of the old value; a
// new field goes to the end of its object, and objects on the way that are missing or null are made. A path
// that is blocked reports false, and nothing is changed.
func (r *Record) Set(p *Path, buffer []byte) bool {
	from := len(r.made)
	r.made = buffer
	return r.set(p.steps, from)
}

// set gives the field the value that lies in made from an index to the end.
func (r *Record) set(steps []step, from int) bool {
	f := r.find(&steps[0])
	if len(steps) > 1 {
		if f == nil || IsNull(r.raw(f)) {
			from = r.wrap(steps[1:], from)
		} else {
			child := r.open(f)
			if child == nil {
				return false
			}
			child.made = append(child.made, r.made[from:]...)
			if !child.set(steps[1:], 0) {
				return false
			}
			from = len(r.made)
			r.made = child.AppendTo(r.made)
		}
	}
	if f == nil {
		r.add(&steps[0], from)
		return true
	}
	r.only(f)
	e := r.change(f)
	e.valueFrom, e.valueTo = from, len(r.made)
	return true
}

// wrap puts the value from an index on into objects with one field each, and returns where they begin.
func (r *Record) wrap(steps []step, from int) (start int) {
	end := len(r.made)
	for i := range steps {
		r.made = append(append(r.made, '{'), steps[i].quoted...)
	}
	r.made = append(r.made, r.made[from:end]...)
	for range steps {
		r.made = append(r.made, '}')
	}
	return end
}

// open gives the object that a field holds to the child; nil if it is none.
func (r *Record) open(f *field) *Record {
	if r.child == nil {
		r.child = &Record{}
	}
	if !r.child.Open(r.raw(f), nil) {
		return nil
	}
	return r.child
}

// add appends a field with the value that lies in made from an index to the end.
func (r *Record) add(s *step, from int) {
	to := len(r.made)
	r.made = append(r.made, s.quoted...)
	r.edits = append(r.edits, edit{nameFrom: to, nameTo: len(r.made), valueFrom: from, valueTo: to})
	at := len(r.names)
	r.names = append(r.names, s.name...)
	f := field{edit: int32(len(r.edits))}
	f.rename(at, r.names[at:])
	r.last.at = 0
	r.fields = append(r.fields, f)
}

// only drops all other fields of the same name.
func (r *Record) only(f *field) {
	if at := r.last.at; at > 0 && f == &r.fields[at-1] && !r.last.twice {
		return
	}
	r.last.at = 0
	for i := range r.fields {
		if other := &r.fields[i]; other != f && other.Name == f.Name &&
			string(r.name(other)) == string(r.name(f)) {
			r.leave(other)
		}
	}
}

// leave leaves a field out.
func (r *Record) leave(f *field) {
	r.change(f).dropped = true
	r.last.at = 0
}

// Drop removes the field at a path, if it is there.
func (r *Record) Drop(p *Path) { r.drop(p.steps) }

func (r *Record) drop(steps []step) {
	f := r.find(&steps[0])
	if f == nil {
		return
	}
	if len(steps) == 1 {
		r.only(f)
		r.leave(f)
		return
	}
	if child := r.open(f); child != nil {
		child.drop(steps[1:])
		r.take(f, child)
	}
}

// take makes the child's object the value of a field, if it was changed.
func (r *Record) take(f *field, child *Record) {
	if !child.Changed() {
		return
	}
	from := len(r.made)
	r.made = child.AppendTo(r.made)
	r.only(f)
	e := r.change(f)
	e.valueFrom, e.valueTo = from, len(r.made)
}

// Renaming is a field and its new name.
type Renaming struct {
	from []step
	to   step
}

// NewRenaming gives the field at a path another name; it stays where it is, so both paths must be siblings.
func NewRenaming(from, to *Path) Renaming {
	return Renaming{from: from.steps, to: to.steps[len(to.steps)-1]}
}

// To is the new name.
func (r Renaming) To() string { return r.to.name }

// Rename gives fields of one object other names, all at once, so that two can be exchanged. It reports the
// number of the renaming whose new name another field has, or -1.
func (r *Record) Rename(renamings []Renaming) (taken int) {
	if len(renamings) == 0 {
		return -1
	}
	return r.rename(renamings, 0)
}

func (r *Record) rename(renamings []Renaming, depth int) (taken int) {
	if depth+1 < len(renamings[0].from) {
		f := r.find(&renamings[0].from[depth])
		if f == nil {
			return -1
		}
		child := r.open(f)
		if child == nil {
			return -1
		}
		if taken = child.rename(renamings, depth+1); taken < 0 {
			r.take(f, child)
		}
		return taken
	}
	var room [8]*field
	found := room[:0]
	for i := range renamings {
		f := r.find(&renamings[i].from[depth])
		found = append(found, f)
		if f != nil {
			r.only(f)
		}
	}
	for i, f := range found {
		if f == nil {
			continue
		}
		to := &renamings[i].to
		from := len(r.made)
		r.made = append(r.made, to.quoted...)
		e := r.change(f)
		e.nameFrom, e.nameTo = from, len(r.made)
		at := len(r.names)
		r.names = append(r.names, to.name...)
		f.rename(at, r.names[at:])
	}
	r.last.at = 0
	for i, f := range found {
		if f != nil && r.count(&renamings[i].to) > 1 {
			return i
		}
	}
	return -1
}

// count is how many fields have the name.
func (r *Record) count(s *step) (n int) {
	for i := range r.fields {
		if r.has(&r.fields[i], s) {
			n++
		}
	}
	return n
}

// Kept are the fields that Keep leaves.
type Kept struct {
	steps []step
	// below are what is left of the object in the field of that number; nil is all of it.
	below []*Kept
}

// NewKept gathers paths. One that leads through another adds nothing to it.
func NewKept(paths ...*Path) *Kept {
	k := &Kept{}
	for _, p := range paths {
		k.add(p.steps)
	}
	return k
}

func (k *Kept) add(steps []step) {
	at := -1
	for i := range k.steps {
		if k.steps[i].name == steps[0].name {
			at = i
		}
	}
	switch {
	case at < 0:
		var below *Kept
		if len(steps) > 1 {
			below = NewKept()
			below.add(steps[1:])
		}
		k.steps, k.below = append(k.steps, steps[0]), append(k.below, below)
	case len(steps) == 1:
		k.below[at] = nil
	case k.below[at] != nil:
		k.below[at].add(steps[1:])
	}
}

// Keep removes all fields but those, which stay where they are. Of an object that is kept in part, what is no
// object stays as it is.
func (r *Record) Keep(k *Kept) {
	for i := range r.fields {
		f := &r.fields[i]
		if f.edit > 0 && r.edits[f.edit-1].dropped {
			continue
		}
		at := -1
		for n := range k.steps {
			if r.has(f, &k.steps[n]) {
				at = n
				break
			}
		}
		switch {
		case at < 0, f != r.find(&k.steps[at]):
			r.leave(f)
		case k.below[at] != nil:
			if child := r.open(f); child != nil {
				child.Keep(k.below[at])
				r.take(f, child)
			}
		}
	}
}
