// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Line and Column count from 1, Column in characters; zero means that the
// problem has no place in the file.
type Position struct {
	File   string
	Line   int
	Column int
}

// String prints file:line:column as far as they are known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing that is wrong with the file, a --set or a --state.
type Problem struct { //nolint:errname // it is a place with advice first; errors are its second use
	Position Position  // where; without a file when the value comes from the command line
	Width    int       // how many characters are meant
	Origin   string    // "--set #2" or "--state" when the value comes from the command line
	Path     string    // the field, such as source.file.path
	Message  string    // what is wrong
	Nearest  string    // the known name that was probably meant
	Cure     string    // what to do
	Related  []Related // other places that belong to it

	src     *source
	unknown *unknownKey
}

// Related is a second place of a problem, such as the first of two equal keys.
type Related struct {
	Position Position
	Width    int
	Origin   string
	Message  string

	src *source
}

// Where names the place in one line: file:line:column, or "--set #2".
func (p Problem) Where() string {
	if p.Origin != "" {
		return p.Origin
	}
	return p.Position.String()
}

// Error is the problem in one line.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Where())
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	b.WriteString(": " + p.Message)
	if p.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", p.Nearest)
	}
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return strings.TrimPrefix(b.String(), ": ")
}

type jsonPlace struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Width   int    `json:"width,omitempty"`
	Origin  string `json:"origin,omitempty"`
	Message string `json:"message"`
}

type jsonProblem struct {
	jsonPlace
	Path    string      `json:"path,omitempty"`
	Nearest string      `json:"nearest,omitempty"`
	Cure    string      `json:"cure,omitempty"`
	Related []jsonPlace `json:"related,omitempty"`
}

// MarshalJSON writes the problem as one flat object: file, line, column, width, origin, message, path,
// nearest, cure, related.
func (p Problem) MarshalJSON() ([]byte, error) {
	out := jsonProblem{
		jsonPlace: jsonPlace{
			File: p.Position.File, Line: p.Position.Line, Column: p.Position.Column,
			Width: p.Width, Origin: p.Origin, Message: p.Message,
		},
		Path: p.Path, Nearest: p.Nearest, Cure: p.Cure,
	}
	for _, r := range p.Related {
		out.Related = append(out.Related, jsonPlace{
			File: r.Position.File, Line: r.Position.Line, Column: r.Position.Column,
			Width: r.Width, Origin: r.Origin, Message: r.Message,
		})
	}
	return json.Marshal(out)
}

// Problems is everything that is wrong, in the order of the file; what comes from the command line stands
// behind it.
type Problems []Problem //nolint:errname // as Problem

// Err is nil when there are none, else the problems as an error.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Error is one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort puts the problems into the order of the file. Call it after joining problems of several steps.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Origin != b.Origin {
			return compareOrigins(a.Origin, b.Origin)
		}
		if a.Position.Line != b.Position.Line {
			return a.Position.Line - b.Position.Line
		}
		return a.Position.Column - b.Position.Column
	})
}

// compareOrigins puts the file first and "--set #10" behind "--set #9".
func compareOrigins(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// JSON is one object on one line: the file, the number of errors and the problems.
func (ps Problems) JSON(file string) []byte {
	if ps == nil {
		ps = Problems{}
	}
	out, err := json.Marshal(struct {
		File     string   `json:"file"`
		Errors   int      `json:"errors"`
		Problems Problems `json:"problems"`
	}{file, len(ps), ps})
	if err != nil {
		panic("config: problems do not marshal: " + err.Error())
	}
	return append(out, '\n')
}
