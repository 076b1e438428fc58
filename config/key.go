// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay/internal/nearest"
)

// slot gathers what the file says about one key: the key itself, and longer dotted keys that begin with it.
type slot struct {
	whole []entry
	parts []entry // name is what is left behind the key
}

// add keeps the entry if the key is new, else it is a problem.
func (s *slot) add(e entry, path string) Problems {
	if len(s.whole) > 0 {
		return Problems{duplicate(e.key, s.whole[0].key, path)}
	}
	s.whole = append(s.whole, e)
	return nil
}

// node joins whole and parts into the one value that they say together, or nil for none.
func (s *slot) node(path string) (*node, Problems) {
	if len(s.parts) == 0 {
		if len(s.whole) == 0 {
			return nil, nil
		}
		return s.whole[0].value, nil
	}
	first := s.parts[0].key
	out := &node{kind: KindMapping, src: first.src, at: first.at, key: first}
	if len(s.whole) > 0 {
		whole := s.whole[0]
		switch {
		case whole.value.kind == KindMapping:
			out.src, out.at, out.key = whole.value.src, whole.value.at, whole.key
			out.entries, out.partial = slices.Clone(whole.value.entries), whole.value.partial
		case whole.value.kind != KindNull:
			return whole.value, Problems{duplicate(s.parts[0].key, whole.key, path)}
		}
	}
	var problems Problems
	out.removed = len(s.whole) == 0
	for _, part := range s.parts {
		out.removed = out.removed && part.value.removed
		at := slices.IndexFunc(out.entries, func(e entry) bool { return e.name == part.name })
		if at >= 0 {
			problems = append(problems, duplicate(part.key, out.entries[at].key, joinPath(path, part.name)))
			continue
		}
		out.entries = append(out.entries, part)
	}
	return out, problems
}

// unknownKey waits for the end of decoding: only then is it known where else its name would be right.
type unknownKey struct {
	name  string   // the part of the key that is not known
	whole string   // the key from there to its end
	known []string // what could stand here
}

// placer sorts a mapping's entries into the fields of a struct.
type placer struct {
	decoder *decoder
	slots   map[*structField]*slot
}

func (d *decoder) place(n *node, info *structInfo, path string) map[*structField]*slot {
	p := placer{decoder: d, slots: map[*structField]*slot{}}
	p.entries(n.entries, info.names, path)
	return p.slots
}

func (p *placer) entries(entries []entry, names *nameTree, path string) {
	for _, e := range entries {
		p.entry(e, names, path)
	}
}

func (p *placer) entry(e entry, names *nameTree, path string) {
	rest := e.name
	for {
		segment, tail, dotted := strings.Cut(rest, ".")
		child := names.children[segment]
		if child == nil { // K2: what no field takes is a problem
			p.decoder.unknown(unknownKey{name: segment, whole: rest, known: names.names}, cutKey(e.key, rest), path)
			return
		}
		path = joinPath(path, segment)
		if child.field != nil {
			p.field(child.field, entry{name: tail, key: e.key, value: e.value}, path)
			return
		}
		if !dotted {
			p.group(e, child, path)
			return
		}
		names, rest = child, tail
	}
}

func (p *placer) field(f *structField, e entry, path string) {
	s := p.slots[f]
	if s == nil {
		s = &slot{}
		p.slots[f] = s
	}
	if e.name == "" {
		p.decoder.report(s.add(e, path)...)
		return
	}
	e.key = cutKey(e.key, e.name)
	s.parts = append(s.parts, e)
}

// group is a key that only exists as the beginning of dotted ones.
func (p *placer) group(e entry, names *nameTree, path string) {
	switch e.value.kind {
	case KindMapping:
		p.entries(e.value.entries, names, path)
	case KindNull:
	case KindBool, KindInt, KindFloat, KindString, KindList:
		if !e.value.partial {
			p.decoder.report(e.value.problem(path,
				fmt.Sprintf("%q needs keys, found %s", lastSegment(path), e.value.describe()),
				fmt.Sprintf("write %s: { %s: ... }", lastSegment(path), names.names[0])))
		}
	}
}

// joinPath adds a key or an index to a field's path. The path can be given to --set unless a key has dots.
func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func lastSegment(path string) string {
	return path[strings.LastIndexByte(path, '.')+1:]
}

// unknown notes a key that nothing knows; finish words it.
func (d *decoder) unknown(u unknownKey, key *node, path string) {
	p := key.problem(joinPath(path, u.whole), fmt.Sprintf("unknown key %q", u.whole), "")
	p.unknown = &u
	p.Width = len([]rune(u.name))
	if u.name == u.whole {
		p.Width = key.width()
	}
	d.report(p)
}

// visited is a place where decoding knew the keys.
type visited struct {
	path string
	keys []string
}

// finish words the unknown keys.
func (d *decoder) finish() {
	for i := range d.problems {
		if d.problems[i].unknown != nil {
			d.word(&d.problems[i])
		}
	}
}

// word says what was meant: the nearest name here, else the place where the key would be right, else what is
// known here.
func (d *decoder) word(p *Problem) {
	u := p.unknown
	p.unknown = nil
	near := nearest.Name(u.name, u.known)
	elsewhere := d.elsewhere(u, p.Path)
	switch {
	case near != "" && (len(elsewhere) == 0 || nearest.Edits(near, u.name) <= 1):
		p.Nearest = near
	case len(elsewhere) > 0:
		p.Cure = fmt.Sprintf("%q belongs under %s", u.whole, joinWords(elsewhere, "or"))
	case len(u.known) > 0 && len(u.known) <= 20:
		p.Cure = "known here: " + strings.Join(u.known, ", ")
	case len(u.known) == 0:
		p.Cure = "nothing can be set here"
	}
}

// elsewhere lists at most three places where the key is known.
func (d *decoder) elsewhere(u *unknownKey, path string) []string {
	here := strings.TrimSuffix(strings.TrimSuffix(path, u.whole), ".")
	var out []string
	for _, v := range d.visited {
		for _, key := range v.keys {
			under := v.path
			if group, ok := strings.CutSuffix(key, "."+u.whole); ok {
				under = joinPath(v.path, group)
			} else if key != u.whole {
				continue
			}
			if under == "" {
				under = "the top of the file"
			}
			if under != here && !slices.Contains(out, under) && len(out) < 3 {
				out = append(out, under)
			}
		}
	}
	return out
}

func joinWords(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
