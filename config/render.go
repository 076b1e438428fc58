// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// lineRunesMax bounds an excerpt; of a longer line the part around the place is shown.
const lineRunesMax = 110

// Render shows every problem with its line, a caret, the nearest name and the cure, and counts them in the last
// line. file names what the problems are in. Nothing from outside is shown.
func (ps Problems) Render(file string) string {
	if len(ps) == 0 {
		return ""
	}
	var b strings.Builder
	for _, p := range ps {
		p.render(&b, "error")
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s in %s; nothing was touched\n", count(len(ps), "error"), file)
	return b.String()
}

// RenderWarnings shows what is right and of no use in the same way.
func (ps Problems) RenderWarnings() string {
	var b strings.Builder
	for _, p := range ps {
		p.render(&b, "warning")
		b.WriteByte('\n')
	}
	return b.String()
}

func (p Problem) render(b *strings.Builder, kind string) {
	fmt.Fprintf(b, "%s: %s\n", kind, p.Message)
	where := p.Where()
	gutter := p.gutter()
	switch {
	case p.Origin != "" && p.Path != "":
		fmt.Fprintf(b, "%s--> %s: %s\n", gutter, where, p.Path)
	case p.Path != "":
		fmt.Fprintf(b, "%s--> %s  %s\n", gutter, where, p.Path)
	case where != "":
		fmt.Fprintf(b, "%s--> %s\n", gutter, where)
	}
	note := ""
	if p.Nearest != "" {
		note = fmt.Sprintf("did you mean %q?", p.Nearest)
	}
	main := excerpt{src: p.src, at: place{p.Position.Line, p.Position.Column}, width: p.Width, note: note, gutter: gutter}
	if !main.write(b) && note != "" {
		fmt.Fprintf(b, "%s = %s\n", gutter, note)
	}
	for _, r := range p.Related {
		other := excerpt{
			src: r.src, at: place{r.Position.Line, r.Position.Column}, width: r.Width, note: r.Message, gutter: gutter,
		}
		if r.src != p.src {
			at := r.Origin
			if at == "" {
				at = r.Position.String()
			}
			fmt.Fprintf(b, "%s::: %s\n", gutter, at)
		}
		other.write(b)
	}
	if p.Cure != "" {
		fmt.Fprintf(b, "%s = %s\n", gutter, p.Cure)
	}
}

// gutter is the white space in front of the bars: as wide as the widest line number and two more.
func (p Problem) gutter() string {
	line := p.Position.Line
	for _, r := range p.Related {
		line = max(line, r.Position.Line)
	}
	return strings.Repeat(" ", len(strconv.Itoa(line))+1)
}

// excerpt is one line of the file with a mark under it.
type excerpt struct {
	src    *source
	at     place
	width  int
	note   string
	gutter string
}

// write reports false where there is no line to show.
func (e excerpt) write(b *strings.Builder) bool {
	if e.src == nil || e.at.line == 0 || strings.TrimSpace(e.src.line(e.at.line)) == "" {
		return false
	}
	line, from, width := e.src.shownLine(e.at, e.width)
	line, from = window(line, from)
	number := strings.Repeat(" ", len(e.gutter))
	if e.src.origin == "" {
		text := strconv.Itoa(e.at.line)
		number = strings.Repeat(" ", len(e.gutter)-len(text)) + text
	}
	width = max(min(width, len(line)-from), 1)
	mark := underline(line, from, width)
	if e.note != "" {
		mark += " " + e.note
	}
	fmt.Fprintf(b, "%s |\n%s | %s\n%s | %s\n", e.gutter, number, printable(line), e.gutter, mark)
	return true
}

// shownLine is a line with its secrets covered, and the marked place in it (from counts from 0).
func (s *source) shownLine(at place, marked int) (line []rune, from, width int) {
	line = []rune(s.line(at.line))
	from, width = min(max(at.column-1, 0), len(line)), marked
	for _, m := range slices.Backward(s.masks) {
		if m.line != at.line {
			continue
		}
		a, z := min(m.from-1, len(line)), min(m.to-1, len(line))
		if z <= a {
			continue
		}
		covered := append([]rune(nil), line[:a]...)
		covered = append(covered, []rune(masked)...)
		line = append(covered, line[z:]...)
		switch shift := len(masked) - (z - a); {
		case from >= z:
			from += shift
		case from >= a:
			from, width = a, len(masked)
		}
	}
	return line, from, width
}

// window cuts a long line to the part around the place.
func window(line []rune, from int) ([]rune, int) {
	if len(line) <= lineRunesMax {
		return line, from
	}
	start := 0
	if from > lineRunesMax*2/3 {
		start = min(from-lineRunesMax/2, len(line)-lineRunesMax)
	}
	end := min(start+lineRunesMax, len(line))
	out := append([]rune(nil), line[start:end]...)
	from -= start
	if start > 0 {
		out = append([]rune("..."), out...)
		from += 3
	}
	if end < len(line) {
		out = append(out, []rune("...")...)
	}
	return out, from
}

// underline puts carets under line[from:from+width]: tabs stay tabs, wide characters count twice.
func underline(line []rune, from, width int) string {
	var b strings.Builder
	for _, r := range line[:min(from, len(line))] {
		if r == '\t' {
			b.WriteByte('\t')
			continue
		}
		b.WriteString(strings.Repeat(" ", cells(r)))
	}
	carets := 0
	for i := from; i < from+width; i++ {
		if i < len(line) && line[i] != '\t' {
			carets += cells(line[i])
		} else {
			carets++
		}
	}
	b.WriteString(strings.Repeat("^", max(carets, 1)))
	return b.String()
}

// printable keeps a file from steering the terminal.
func printable(line []rune) string {
	out := make([]rune, len(line))
	for i, r := range line {
		if r != '\t' && !unicode.IsPrint(r) && !unicode.Is(unicode.M, r) {
			r = unicode.ReplacementChar
		}
		out[i] = r
	}
	return string(out)
}

// wide are the characters that take two cells of a terminal.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1},
		{0x2e80, 0xa4cf, 1},
		{0xac00, 0xd7a3, 1},
		{0xf900, 0xfaff, 1},
		{0xfe30, 0xfe6f, 1},
		{0xff00, 0xff60, 1},
		{0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f900, 0x1f9ff, 1}, {0x20000, 0x3fffd, 1}},
}

// cells is how many cells of a terminal a character takes.
func cells(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		return 0
	case unicode.Is(wide, r):
		return 2
	default:
		return 1
	}
}
