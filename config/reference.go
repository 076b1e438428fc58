// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// referenceBytesMax bounds what one ${file:PATH} or ${NAME} may stand for.
const referenceBytesMax = 1 << 20

// secretValue is what must not be shown, and what to show instead.
type secretValue struct {
	value string
	shown string
}

// secretBytesMin is the length from which a secret is taken out of any text; shorter ones only where they stand
// in quotes, since they would be found in words that have nothing to do with them.
const secretBytesMin = 4

// Redact takes the values of references out of a text that others wrote, such as a driver's error, and puts
// the references there.
func (t *Tree) Redact(text string) string {
	return redact(text, t.secrets)
}

// redact upholds K1: where a value from outside stands in a text, its reference takes its place.
func redact(text string, secrets []secretValue) string {
	for _, s := range secrets {
		if len(s.value) >= secretBytesMin {
			text = strings.ReplaceAll(text, s.value, s.shown)
			if quoted := strings.Trim(fmt.Sprintf("%q", s.value), `"`); quoted != s.value {
				text = strings.ReplaceAll(text, quoted, s.shown)
			}
			continue
		}
		for _, quote := range []string{`"`, `'`, "`"} {
			text = strings.ReplaceAll(text, quote+s.value+quote, quote+s.shown+quote)
		}
	}
	return text
}

// redactNode takes a scalar's own value out of a message when it came from outside.
func redactNode(message string, n *node) string {
	if !n.secret {
		return message
	}
	secrets := []secretValue{{n.text, n.raw}}
	for _, p := range n.pieces {
		secrets = append(secrets, secretValue{n.text[p.textFrom:p.textTo], n.raw[p.rawFrom:p.rawTo]})
	}
	return redact(message, secrets)
}

func (t *Tree) replaceReferences() Problems {
	r := replacer{tree: t}
	r.walk(t.root, "")
	for _, before := range t.overridden {
		unheard := replacer{tree: t} // what is replaced may be wrong
		unheard.walk(before, "")
	}
	return r.problems
}

type replacer struct {
	tree     *Tree
	path     string
	problems Problems
}

func (r *replacer) walk(n *node, path string) {
	for _, e := range n.entries {
		r.walk(e.value, joinPath(path, e.name))
	}
	for i, item := range n.items {
		r.walk(item, joinPath(path, strconv.Itoa(i)))
	}
	r.path = path
	if n.scalar() && strings.Contains(n.raw, "${") {
		r.replace(n)
	}
}

// replace fills in one scalar. One that is a single reference and nothing else is read again as a YAML scalar.
func (r *replacer) replace(n *node) {
	var out strings.Builder
	raw := n.raw
	for at := 0; at < len(raw); {
		open := strings.Index(raw[at:], "${")
		if open < 0 {
			out.WriteString(raw[at:])
			break
		}
		open += at
		if open > 0 && raw[open-1] == '$' {
			from := out.Len() + open - 1 - at
			out.WriteString(raw[at:open-1] + "${")
			n.pieces = append(n.pieces, piece{rawFrom: open - 1, rawTo: open + 2, textFrom: from, textTo: out.Len()})
			at = open + 2
			continue
		}
		out.WriteString(raw[at:open])
		closing := strings.IndexByte(raw[open:], '}')
		if closing < 0 {
			r.fail(n, refusal{
				from: open, to: len(raw),
				message: "this ${ is never closed", cure: "write ${NAME}, or $${ for the characters ${",
			})
			break
		}
		end := open + closing + 1
		value, outside, found := r.lookup(n, open, end)
		if !found {
			at = end
			continue
		}
		from := out.Len()
		out.WriteString(value)
		n.pieces = append(n.pieces, piece{rawFrom: open, rawTo: end, textFrom: from, textTo: out.Len()})
		if outside {
			n.secret = true
			if s := (secretValue{value, raw[open:end]}); value != "" && !slices.Contains(r.tree.secrets, s) {
				r.tree.secrets = append(r.tree.secrets, s)
			}
		}
		n.whole = open == 0 && end == len(raw)
		at = end
	}
	if n.partial {
		n.pieces, n.text, n.whole = nil, n.raw, false
		return
	}
	n.text = out.String()
	if n.whole {
		n.kind = resolve(n.text)
	}
}

// refusal is what is wrong with a part of the raw text, and what to do.
type refusal struct {
	from, to               int
	message, cure, nearest string
}

// fail reports a place in the raw text; the text stays as it is, and so does not cause more problems.
func (r *replacer) fail(n *node, why refusal) {
	from := n.rawPlace(why.from)
	n.partial = true
	r.problems = append(r.problems, Problem{
		Position: n.src.position(from), Width: utf8.RuneCountInString(n.raw[why.from:why.to]), Origin: n.src.origin,
		Path: r.path, Message: why.message, Cure: why.cure, Nearest: why.nearest, src: n.src,
	})
}

// lookup gives what raw[from:to], a ${...}, stands for.
func (r *replacer) lookup(n *node, from, to int) (value string, outside, found bool) {
	inner := n.raw[from+2 : to-1]
	if path, ok := strings.CutPrefix(inner, "file:"); ok {
		value, found = r.readFile(n, from, to, path)
		return value, true, found
	}
	name, fallback, hasDefault := strings.Cut(inner, ":")
	if !validName(name) {
		r.fail(n, refusal{
			from: from, to: to, message: fmt.Sprintf("%q is no name of a variable", name),
			cure: "write ${NAME}, ${NAME:default}, ${file:PATH}, or $${ for the characters ${",
		})
		return "", false, false
	}
	if r.tree.options.LookupEnv != nil {
		if value, ok := r.tree.options.LookupEnv(name); ok {
			switch {
			case !utf8.ValidString(value):
				r.fail(n, refusal{from: from, to: to, message: "the variable " + name + " is not UTF-8"})
				return "", true, false
			case len(value) > referenceBytesMax:
				r.fail(n, refusal{from: from, to: to, message: "the variable " + name + " is larger than 1MB"})
				return "", true, false
			}
			return value, true, true
		}
	}
	if hasDefault {
		return fallback, false, true
	}
	nearest := ""
	if r.tree.options.EnvNames != nil {
		nearest = Nearest(name, r.tree.options.EnvNames())
	}
	r.fail(n, refusal{
		from: from, to: to, nearest: nearest,
		message: "the variable " + name + " is not set", cure: "set it, or write ${" + name + ":default}",
	})
	return "", false, false
}

func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// readFile gives a file's text without the line end that editors add.
func (r *replacer) readFile(n *node, from, to int, path string) (string, bool) {
	reason := ""
	var data []byte
	var err error
	switch {
	case path == "":
		reason = "no path"
	case r.tree.options.ReadFile == nil:
		reason = "reading files is off"
	default:
		data, err = r.tree.options.ReadFile(path)
	}
	pathError, isPath := errors.AsType[*fs.PathError](err)
	switch {
	case reason != "":
	case errors.Is(err, fs.ErrNotExist):
		reason = "it does not exist"
	case errors.Is(err, fs.ErrPermission):
		reason = "permission denied"
	case isPath:
		reason = pathError.Err.Error()
	case err != nil:
		reason = err.Error()
	case len(data) > referenceBytesMax:
		reason = "it is larger than 1MB"
	case !utf8.Valid(data):
		reason = "it is not UTF-8"
	}
	if reason != "" {
		r.fail(n, refusal{
			from: from, to: to, message: fmt.Sprintf("cannot read the file %q: %s", path, reason),
			cure: "write ${file:PATH}; a relative path is relative to the working directory",
		})
		return "", false
	}
	text := string(data)
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), true
}
