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
	// What src holds up to at is written, or left out. What no edit goes through waits, and is copied at once.
	at, first := 0, true
	fields := r.fields
	for i := range fields {
		f := &fields[i]
		if f.edit == 0 {
			first = false
			continue
		}
		e := &r.edits[f.edit-1]
		switch {
		case e.dropped && f.added():
			continue
		case e.dropped && first:
			dst = append(dst, r.src[at:f.Start]...)
			if at = r.tail; i+1 < len(fields) && !fields[i+1].added() {
				at = int(fields[i+1].Start)
			}
			continue
		case e.dropped:
			// With the comma and the white space before it.
			dst = append(dst, r.src[at:fields[i-1].End]...)
			at = int(f.End)
			continue
		case f.added():
			dst = append(dst, r.src[at:r.tail]...)
			if at = r.tail; !first {
				dst = append(dst, ',')
			}
			dst = append(dst, r.made[e.nameFrom:e.nameTo]...)
			dst = append(dst, r.made[e.valueFrom:e.valueTo]...)
		default:
			if e.nameTo > 0 {
				dst = append(append(dst, r.src[at:f.Start]...), r.made[e.nameFrom:e.nameTo]...)
				at = int(f.Value)
			}
			if e.valueTo > 0 {
				dst = append(append(dst, r.src[at:f.Value]...), r.made[e.valueFrom:e.valueTo]...)
				at = int(f.End)
			}
		}
		first = false
	}
	return append(dst, r.src[at:]...)
}
