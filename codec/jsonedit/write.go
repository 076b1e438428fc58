// SPDX-License-Identifier: Apache-2.0

package jsonedit

// SizeMax is what AppendTo appends at most.
func (r *Record) SizeMax() int { return len(r.src) + len(r.made) + len(r.fields) }

// AppendTo appends the object with its edits. J1: what stands before a field, its comma and white space, stays
// and goes with it.
func (r *Record) AppendTo(dst []byte) []byte {
	if !r.Changed() {
		return append(dst, r.src...)
	}
	w := writer{dst: dst, src: r.src}
	w.keep(0, r.head)
	first := true
	for i := range r.fields {
		f := &r.fields[i]
		from := int(f.start)
		if !first && from != added {
			from = int(r.fields[i-1].end) // the comma and the white space before it
		}
		if f.edit == 0 {
			w.keep(from, int(f.end))
			first = false
			continue
		}
		e := &r.edits[f.edit-1]
		if e.dropped {
			continue
		}
		switch {
		case from != added:
			w.keep(from, int(f.start))
		case !first:
			w.put(comma)
		}
		first = false
		if e.nameTo > 0 {
			w.put(r.made[e.nameFrom:e.nameTo])
		} else {
			w.keep(int(f.start), int(f.value))
		}
		if e.valueTo > 0 {
			w.put(r.made[e.valueFrom:e.valueTo])
		} else {
			w.keep(int(f.value), int(f.end))
		}
	}
	w.keep(r.tail, len(r.src))
	w.flush()
	return w.dst
}

var comma = []byte{','}

// writer gathers neighbouring pieces of src, so that they are copied at once.
type writer struct {
	dst, src []byte
	from, to int
}

func (w *writer) keep(from, to int) {
	if from != w.to {
		w.flush()
		w.from = from
	}
	w.to = to
}

func (w *writer) put(text []byte) {
	w.flush()
	w.from, w.to = 0, 0
	w.dst = append(w.dst, text...)
}

func (w *writer) flush() { w.dst = append(w.dst, w.src[w.from:w.to]...) }
