// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/nearest"
	"github.com/forebay-io/forebay/transform"
)

// The times that a pattern can name beside columns.
const (
	eventTime      = "@event"
	processingTime = "@processing"
)

// Folders for values that have no text.
const (
	nullFolder  = "__null__"
	emptyFolder = "__empty__"
)

// folderNameMax is the longest name that the usual file systems take.
const folderNameMax = 255

// Pattern says in which bucket a record goes: literal text, {column}, {=expression} in the language of package
// transform, and times as {column:%Y-%m-%d}, {@event:%Y/%m/%d} and {@processing:%H}, all in UTC. {{ and }} stand for
// braces, outside of expressions.
//
// What an expression gives becomes a folder as a column's value does. A record for which it fails is rejected.
//
// Concurrency: safe; it is immutable.
type Pattern struct {
	text   string
	pieces []piece
}

// piece is literal text, a field or an expression.
type piece struct {
	literal string
	field   string
	format  *timeFormat
	expr    string
	// at is where expr begins in the pattern.
	at int
}

// needsRow says that the piece is a column or an expression.
func (p *piece) needsRow() bool { return p.expr != "" || p.field != "" && p.field[0] != '@' }

// ParsePattern reads a pattern. An empty one puts everything into the base.
func ParsePattern(text string) (*Pattern, error) {
	p := &Pattern{text: text}
	literal := ""
	flush := func() {
		if literal != "" {
			p.pieces = append(p.pieces, piece{literal: literal})
		}
		literal = ""
	}
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal += rest[:1]
			rest = rest[2:]
		case rest[0] == '}':
			return nil, errors.New("a } closes nothing; write }} for the character")
		case strings.HasPrefix(rest, "{="):
			flush()
			next, after, err := parseExpression(rest[2:], len(text)-len(rest)+2)
			if err != nil {
				return nil, err
			}
			p.pieces = append(p.pieces, next)
			rest = after
		case rest[0] == '{':
			flush()
			field, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return nil, fmt.Errorf("{%s is not closed; write {{ for the character", field)
			}
			next, err := parseField(field)
			if err != nil {
				return nil, err
			}
			p.pieces = append(p.pieces, next)
			rest = after
		default:
			literal += rest[:1]
			rest = rest[1:]
		}
	}
	flush()
	return p, p.checkFolders()
}

func parseField(text string) (piece, error) {
	name, format, timed := strings.Cut(text, ":")
	p := piece{field: name}
	switch {
	case name == "":
		return p, errors.New("{} names no column")
	case strings.HasPrefix(name, "@") && name != eventTime && name != processingTime:
		return p, fmt.Errorf("{%s} is neither %s nor %s", name, eventTime, processingTime)
	case strings.HasPrefix(name, "@") && !timed:
		return p, fmt.Errorf("{%s} needs a format, such as {%s:%%Y-%%m-%%d}", name, name)
	case timed:
		var err error
		if p.format, err = parseTimeFormat(format); err != nil {
			return p, fmt.Errorf("{%s}: %w", text, err)
		}
	}
	return p, nil
}

// checkFolders refuses literal text that would leave the base, or that readers would pass over.
func (p *Pattern) checkFolders() error {
	var shape strings.Builder
	for _, piece := range p.pieces {
		if piece.literal == "" {
			shape.WriteByte('x')
			continue
		}
		if i := strings.IndexFunc(piece.literal, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }); i >= 0 {
			return fmt.Errorf("the character %q cannot be part of a folder", piece.literal[i])
		}
		shape.WriteString(piece.literal)
	}
	if len(p.pieces) == 0 {
		return nil
	}
	for folder := range strings.SplitSeq(shape.String(), "/") {
		switch {
		case folder == "":
			return errors.New("it begins or ends with a slash, or has two in a row")
		case folder[0] == '_' || folder[0] == '.':
			return fmt.Errorf("the folder %s... begins with a character for which readers pass over it", folder)
		case len(folder) > folderNameMax:
			return fmt.Errorf("a folder's name is longer than %d bytes", folderNameMax)
		}
	}
	return nil
}

// NeedsRows says that the pattern names columns, or has expressions.
func (p *Pattern) NeedsRows() bool {
	return p != nil && slices.ContainsFunc(p.pieces, func(p piece) bool { return p.needsRow() })
}

// NeedsTimes says that the pattern has the event time.
func (p *Pattern) NeedsTimes() bool {
	return p != nil && slices.ContainsFunc(p.pieces, func(p piece) bool { return p.field == "@event" })
}

// Check says whether rows of this schema have what the pattern names, and whether its expressions are right.
//
// Errors: everything that is wrong, joined; that of an expression is a *transform.ExprError with the whole pattern as
// its Expr.
func (p *Pattern) Check(schema *forebay.Schema) error {
	if p == nil {
		return nil
	}
	var layout *forebay.Layout
	if schema != nil {
		layout = forebay.NewLayout(schema)
	}
	_, err := p.fit(layout)
	return err
}

func (p *piece) check(schema *forebay.Schema) error {
	if schema == nil {
		return fmt.Errorf("{%s} needs typed rows, and these records are bytes", p.field)
	}
	i := schema.Find(p.field)
	if i < 0 {
		hint := "the columns are " + schema.String()
		if near := nearest.Name(p.field, schema.Names()); near != "" {
			hint = "did you mean {" + near + "}?"
		}
		return fmt.Errorf("the rows have no column %q; %s", p.field, hint)
	}
	switch kind := schema.Column(i).Type.Kind; {
	case kind == forebay.KindJSON || kind == forebay.KindBytes:
		return fmt.Errorf("the column %q is %s, which names no folder", p.field, schema.Column(i).Type)
	case p.format != nil && kind != forebay.KindDate && kind != forebay.KindTimestamp:
		return fmt.Errorf("the column %q is %s and has no time for a format", p.field, schema.Column(i).Type)
	}
	return nil
}

// bucketer finds the buckets of records of one layout.
//
// Concurrency: one goroutine at a time.
type bucketer struct {
	fields []bucketField
}

// bucketField is a piece fitted to a layout.
type bucketField struct {
	piece
	slot    int
	typ     forebay.Type
	time    timeText
	program *transform.Program
}

// bucketer fits the pattern to a layout.
//
// Errors: those of Check.
func (p *Pattern) bucketer(layout *forebay.Layout) (*bucketer, error) {
	b, err := p.fit(layout)
	if err != nil {
		return nil, forebay.Errorf("find the bucket", forebay.ClassMisconfigured, "bucket: %w", err)
	}
	return b, nil
}

// fit makes the bucketer, or says everything that is wrong.
func (p *Pattern) fit(layout *forebay.Layout) (*bucketer, error) {
	var schema *forebay.Schema
	if layout != nil {
		schema = layout.Schema
	}
	var problems []error
	b := &bucketer{fields: make([]bucketField, len(p.pieces))}
	for k, piece := range p.pieces {
		f := &b.fields[k]
		*f = bucketField{piece: piece, time: timeText{format: piece.format}}
		var err error
		switch {
		case piece.expr != "":
			if f.program, err = p.compile(&piece, layout); err == nil {
				f.typ = f.program.Type()
			}
		case piece.needsRow():
			if err = piece.check(schema); err == nil {
				column := schema.Find(piece.field)
				f.slot, f.typ = layout.Slots[column], schema.Column(column).Type
			}
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return b, errors.Join(problems...)
}

const microsPerDay = 24 * 60 * 60 * 1_000_000

// append appends the bucket of record i.
//
// Errors: rejected.
func (b *bucketer) append(dst []byte, batch *forebay.Batch, i int, now time.Time) ([]byte, error) {
	start := len(dst)
	for k := range b.fields {
		f := &b.fields[k]
		switch {
		case f.program != nil:
			var err error
			if dst, err = f.appendResult(dst, batch, i); err != nil {
				return dst[:start], err
			}
		case f.field == "":
			dst = append(dst, f.literal...)
		case f.field == processingTime:
			dst = f.time.append(dst, now.UnixMicro())
		case f.field == eventTime && batch.Record(i).Time == forebay.NoTime:
			dst = append(dst, nullFolder...)
		case f.field == eventTime:
			dst = f.time.append(dst, batch.Record(i).Time)
		default:
			dst = f.appendCell(dst, batch.Cells(i)[f.slot], batch.Slab())
		}
	}
	if len(dst)-start > folderNameMax {
		for folder := range strings.SplitSeq(string(dst[start:]), "/") {
			if len(folder) > folderNameMax {
				e := forebay.Errorf("find the bucket", forebay.ClassRejected,
					"the name of its folder would be longer than %d bytes", folderNameMax)
				e.Code = "bucket-too-long"
				return dst[:start], e
			}
		}
	}
	return dst, nil
}

func (f *bucketField) appendCell(dst []byte, cell forebay.Cell, slab []byte) []byte {
	switch {
	case cell.IsNull():
		return append(dst, nullFolder...)
	case f.format != nil && cell.Kind() == forebay.KindDate:
		return f.time.append(dst, cell.Int()*microsPerDay)
	case f.format != nil:
		return f.time.append(dst, cell.Int())
	case cell.Kind() == forebay.KindString:
		return appendEscaped(dst, cell.Bytes(slab))
	default:
		start := len(dst)
		dst = forebay.AppendCell(dst, f.typ, cell, slab)
		if plainFolder(dst[start:]) {
			return dst
		}
		return appendEscaped(dst[:start], slices.Clone(dst[start:]))
	}
}

func plainFolder(text []byte) bool {
	return len(text) > 0 && text[0] != '.' && text[0] != '_' && !slices.ContainsFunc(text, unsafeInName)
}

// unsafeInName says which bytes some file system or reader does not take, or takes for something else.
func unsafeInName(c byte) bool {
	return c < 0x20 || c == 0x7f || strings.IndexByte(`/\%:*?"<>|={}`, c) >= 0
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends a value as part of a folder's name. Of two different values the texts differ: %XX stands for a
// byte, and no value begins with the characters of nullFolder, emptyFolder and of hidden names.
func appendEscaped(dst, value []byte) []byte {
	if len(value) == 0 {
		return append(dst, emptyFolder...)
	}
	if plainFolder(value) {
		return append(dst, value...)
	}
	for i, c := range value {
		if unsafeInName(c) || i == 0 && (c == '.' || c == '_') || c >= utf8.RuneSelf && !utf8.Valid(value) {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
