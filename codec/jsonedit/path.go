// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// Path leads from an object to a field of it, or of an object in it.
type Path struct {
	steps []step
}

// step is one name of a path.
type step struct {
	name string
	// quoted is the name as JSON writes it, with the colon behind it.
	quoted string
}

// NewPath is the path of the names, of which there must be one at least.
func NewPath(names ...string) *Path {
	p := &Path{steps: make([]step, len(names))}
	for i, name := range names {
		quoted := append(forebay.AppendJSONString(nil, []byte(name)), ':')
		p.steps[i] = step{name: name, quoted: string(quoted)}
	}
	return p
}

// ParsePath reads names with dots between them, such as user.address.city. A name that holds a dot or a quote
// stands in quotes, as JSON writes it: user."first.name".
func ParsePath(text string) (*Path, error) {
	var names []string
	for rest := text; ; {
		name, behind, err := cutName(rest)
		if err != nil {
			return nil, fmt.Errorf("%q is not a path: %w", text, err)
		}
		names = append(names, name)
		if behind == "" {
			return NewPath(names...), nil
		}
		rest = behind[1:]
	}
}

// cutName takes the first name of a path; behind is empty, or begins with the dot behind it.
func cutName(text string) (name, behind string, err error) {
	if !strings.HasPrefix(text, `"`) {
		at := strings.IndexByte(text, '.')
		if at < 0 {
			at = len(text)
		}
		switch name = text[:at]; {
		case name == "":
			return "", "", errors.New("a name is missing")
		case strings.Contains(name, `"`):
			return "", "", errors.New("a name that holds a quote stands in quotes")
		}
		return name, text[at:], nil
	}
	at, _, why := jsontext.StringEnd([]byte(text), 1, len(text))
	switch {
	case why == jsontext.WrongEnd:
		return "", "", errors.New("a quote is not closed")
	case why != "" || json.Unmarshal([]byte(text[:at]), &name) != nil:
		return "", "", errors.New("a name in quotes is not a JSON string")
	}
	if behind = text[at:]; behind != "" && behind[0] != '.' {
		return "", "", errors.New("names have a dot between them")
	}
	return name, behind, nil
}

// Names are the path's names, from the outside in.
func (p *Path) Names() []string {
	names := make([]string, len(p.steps))
	for i := range p.steps {
		names[i] = p.steps[i].name
	}
	return names
}

// String prints the path as ParsePath reads it.
func (p *Path) String() string {
	var out strings.Builder
	for i := range p.steps {
		if i > 0 {
			out.WriteByte('.')
		}
		if name := p.steps[i].name; name == "" || strings.ContainsAny(name, `."`) {
			out.Write(forebay.AppendJSONString(nil, []byte(name)))
		} else {
			out.WriteString(name)
		}
	}
	return out.String()
}

// Siblings reports whether both paths lead into the same object.
func (p *Path) Siblings(other *Path) bool {
	if len(p.steps) != len(other.steps) {
		return false
	}
	for i := range p.steps[:len(p.steps)-1] {
		if p.steps[i].name != other.steps[i].name {
			return false
		}
	}
	return true
}
