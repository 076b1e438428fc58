// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// describe names a value for an error, as "expected a list, found ..." goes on.
func (n *node) describe() string {
	if n.whole {
		return n.raw
	}
	switch n.kind {
	case KindNull:
		return "nothing"
	case KindBool, KindInt, KindFloat:
		return n.shown()
	case KindString:
		return "text " + strconv.Quote(n.shown())
	case KindList:
		return "a list"
	case KindMapping:
	}
	return "keys and values"
}

// cureExample shows what would be right for a field.
func cureExample(f *structField) string {
	example := f.example
	if example == "" {
		example = exampleFor(f)
	}
	if f.key == "" {
		return "write for example " + example
	}
	key := f.key[strings.LastIndexByte(f.key, '.')+1:]
	return fmt.Sprintf("write for example %s: %s", key, example)
}

func exampleFor(f *structField) string {
	switch {
	case len(f.enum) > 0:
		return f.enum[0]
	case f.fallback != "":
		return f.fallback
	case f.min != "":
		return f.min
	}
	typ := f.typ
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == bytesType:
		return "64MB"
	case typ == durationType:
		return "10s"
	case isUnmarshaler(typ), isTextUnmarshaler(typ):
		return "VALUE"
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "true"
	case reflect.Float32, reflect.Float64:
		return "0.5"
	case reflect.String:
		return "NAME"
	case reflect.Slice:
		return "[a, b]"
	case reflect.Map, reflect.Struct:
		return "{ KEY: VALUE }"
	default:
		if typ.Kind() >= reflect.Int && typ.Kind() <= reflect.Uint64 {
			return "1"
		}
		return "VALUE"
	}
}

// textCure is for { and } that stand for themselves, as in a pattern that begins with one: without quotes, they are a
// mapping.
func textCure(n *node, path, otherwise string) string {
	covered := slices.ContainsFunc(n.src.masks, func(m mask) bool { return m.line == n.at.line })
	if n.kind != KindMapping || !n.flow || covered {
		return otherwise
	}
	line := n.src.characters(n.at.line)
	from := min(n.at.column-1, len(line))
	open := 0
	for i, r := range line[from:] {
		switch r {
		case '{':
			open++
		case '}':
			open--
		case '"', '\'', '\\':
			return otherwise
		}
		if open == 0 && i < 60 {
			return fmt.Sprintf("put it in quotes: %s: \"%s\"", lastSegment(path), string(line[from:from+i+1]))
		}
	}
	return otherwise
}

// mismatch is a value of another type than the field's.
func (d *decoder) mismatch(n *node, field *structField, path, expected string) {
	d.report(n.problem(path, "expected "+expected+", found "+n.describe(), cureExample(field)))
}

// scalar decodes one value into a Go value that is neither list nor mapping.
func (d *decoder) scalar(n *node, to reflect.Value, field *structField, path string) {
	typ := to.Type()
	if n.scalar() && field.unlimited && n.text == "unlimited" && typ.Kind() == reflect.Int64 {
		to.SetInt(forebay.Unlimited)
		return
	}
	switch typ {
	case bytesType:
		d.size(n, to, field, path)
		return
	case durationType:
		d.duration(n, to, field, path)
		return
	}
	switch typ.Kind() {
	case reflect.String:
		d.str(n, to, field, path)
	case reflect.Bool:
		d.boolean(n, to, field, path)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.integer(n, to, field, path)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.integer(n, to, field, path)
	case reflect.Float32, reflect.Float64:
		d.float(n, to, field, path)
	default:
		panic(fmt.Sprintf("config: %s: no way to decode into %s", path, typ))
	}
}

// str takes text. A number is refused since YAML may have changed it (1.10); one from a reference is as it was.
func (d *decoder) str(n *node, to reflect.Value, field *structField, path string) {
	if !n.scalar() {
		d.report(n.problem(path, "expected text, found "+n.describe(), textCure(n, path, cureExample(field))))
		return
	}
	if n.kind != KindString && !n.whole && !slices.Contains(field.enum, n.text) {
		d.report(n.problem(path, "expected text, found "+n.describe(), fmt.Sprintf("put it in quotes: '%s'", n.shown())))
		return
	}
	if len(field.enum) > 0 && !slices.Contains(field.enum, n.text) {
		d.notInEnum(n, field, path)
		return
	}
	to.SetString(n.text)
	if field.pattern != nil && !field.pattern.MatchString(n.text) {
		pattern := strings.TrimSuffix(strings.TrimPrefix(field.pattern.String(), "^(?:"), ")$")
		d.report(n.problem(path, fmt.Sprintf("%q does not match %s", n.shown(), pattern), cureExample(field)))
		return
	}
	d.limits(n, float64(utf8.RuneCountInString(n.text)), field, limitWords{
		path: path, unit: "characters",
		parse: parseCount,
	})
}

func (d *decoder) notInEnum(n *node, field *structField, path string) {
	p := n.problem(path, fmt.Sprintf("%q is not a value of %s", n.shown(), lastSegment(field.key)),
		"write "+joinWords(field.enum, "or"))
	if !n.secret {
		p.Nearest = Nearest(n.text, field.enum)
	}
	d.report(p)
}

func (d *decoder) boolean(n *node, to reflect.Value, field *structField, path string) {
	if n.kind == KindBool {
		to.SetBool(strings.EqualFold(n.text, "true"))
		return
	}
	p := n.problem(path, "expected true or false, found "+n.describe(), cureExample(field))
	switch strings.ToLower(n.text) {
	case "yes", "on", "y", "1":
		p.Cure = fmt.Sprintf("write %s: true", lastSegment(path))
	case "no", "off", "n", "0":
		p.Cure = fmt.Sprintf("write %s: false", lastSegment(path))
	case "true", "false":
		p.Cure = "remove the quotes"
	}
	d.report(p)
}

// parseInt reads what resolve calls an int: decimal (also with leading zeros), 0x and 0o, digits grouped by _.
func parseInt(text string) (int64, error) {
	text = strings.ReplaceAll(text, "_", "")
	digits := strings.TrimLeft(text, "+-")
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0o") {
		return strconv.ParseInt(text, 0, 64)
	}
	return strconv.ParseInt(text, 10, 64)
}

func parseFloat(text string) (float64, error) {
	lower := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	if strings.HasSuffix(lower, ".inf") || lower == ".nan" {
		lower = strings.Replace(lower, ".", "", 1)
	}
	return strconv.ParseFloat(lower, 64)
}

func parseCount(text string) (float64, error) {
	i, err := parseInt(text)
	return float64(i), err
}

func (d *decoder) integer(n *node, to reflect.Value, field *structField, path string) {
	if n.kind != KindInt {
		p := n.problem(path, "expected a whole number, found "+n.describe(), cureExample(field))
		if n.kind == KindString && n.style != stylePlain && resolve(n.text) == KindInt && !n.whole {
			p.Cure = "remove the quotes"
		}
		d.report(p)
		return
	}
	i, err := parseInt(n.text)
	unsigned := to.CanUint()
	if err != nil || !unsigned && to.OverflowInt(i) || unsigned && (i < 0 || to.OverflowUint(uint64(i))) {
		low, high := intRange(to)
		d.report(n.problem(path, n.shown()+" does not fit", fmt.Sprintf("write a number from %s to %s", low, high)))
		return
	}
	if unsigned {
		to.SetUint(uint64(i))
	} else {
		to.SetInt(i)
	}
	d.limits(n, float64(i), field, limitWords{path: path, parse: parseCount})
}

func intRange(to reflect.Value) (low, high string) {
	bits := to.Type().Bits()
	if to.CanUint() {
		return "0", strconv.FormatUint(min(uint64(math.MaxUint64)>>(64-bits), math.MaxInt64), 10)
	}
	return strconv.FormatInt(math.MinInt64>>(64-bits), 10), strconv.FormatInt(math.MaxInt64>>(64-bits), 10)
}

func (d *decoder) float(n *node, to reflect.Value, field *structField, path string) {
	f, err := parseFloat(n.text)
	if n.kind != KindFloat && n.kind != KindInt || err != nil || to.OverflowFloat(f) && !math.IsInf(f, 0) {
		d.mismatch(n, field, path, "a number")
		return
	}
	to.SetFloat(f)
	d.limits(n, f, field, limitWords{path: path, parse: parseFloat})
}

// size decodes forebay.Bytes.
func (d *decoder) size(n *node, to reflect.Value, field *structField, path string) {
	if !n.scalar() {
		d.mismatch(n, field, path, "a size")
		return
	}
	b, err := forebay.ParseBytes(strings.TrimSpace(n.text))
	switch {
	case err == nil:
		to.SetInt(int64(b))
		d.limits(n, float64(b), field, limitWords{path: path, parse: parseSize})
	case n.kind == KindInt || n.kind == KindFloat:
		d.noUnit(n, path, "KB", "MB", "GB")
	default:
		p := n.problem(path, fmt.Sprintf("%q is not a size", n.shown()), cureExample(field))
		if right := strings.ToUpper(n.text); !n.secret {
			if _, err := forebay.ParseBytes(right); err == nil {
				p.Nearest = right
			}
		}
		d.report(p)
	}
}

// noUnit is a number where its unit is missing. The cure shows the number with units, unless it is not to be seen.
func (d *decoder) noUnit(n *node, path string, units ...string) {
	number := n.shown()
	if n.secret || n.whole {
		number = "10"
	}
	for i, unit := range units {
		units[i] = number + unit
	}
	d.report(n.problem(path, n.shown()+" has no unit", "write "+joinWords(units, "or")))
}

func parseSize(text string) (float64, error) {
	b, err := forebay.ParseBytes(text)
	return float64(b), err
}

// duration decodes a time.Duration: Go's form, and d for days of 24 hours.
func (d *decoder) duration(n *node, to reflect.Value, field *structField, path string) {
	if !n.scalar() {
		d.mismatch(n, field, path, "a duration")
		return
	}
	value, err := ParseDuration(n.text)
	switch {
	case n.kind == KindInt || n.kind == KindFloat:
		d.noUnit(n, path, "ms", "s", "m")
	case err != nil:
		d.report(n.problem(path, fmt.Sprintf("%q is not a duration", n.shown()), cureExample(field)))
	case value < 0 && field.min == "":
		d.report(n.problem(path, fmt.Sprintf("%s is negative", n.shown()), cureExample(field)))
	default:
		to.SetInt(int64(value))
		d.limits(n, float64(value), field, limitWords{path: path, parse: parseDurationLimit})
	}
}

func parseDurationLimit(text string) (float64, error) {
	value, err := ParseDuration(text)
	return float64(value), err
}

// ParseDuration reads Go's durations with a leading number of days, such as 7d or 1d12h. 0 needs a unit, too.
func ParseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, fmt.Errorf("no unit")
	}
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || strings.Trim(days, "+-.0123456789") != "" || math.Abs(n) > 106751 {
		return 0, fmt.Errorf("not a number of days: %q", days)
	}
	value := time.Duration(n * 24 * float64(time.Hour))
	if rest == "" {
		return value, nil
	}
	if strings.Trim(rest[:1], "0123456789.") != "" {
		return 0, fmt.Errorf("not a duration: %q", rest)
	}
	more, err := time.ParseDuration(rest)
	if n < 0 || strings.HasPrefix(days, "-") {
		more = -more
	}
	if sum := value + more; (sum < 0) == (value < 0 || value == 0 && more < 0) {
		return sum, err
	}
	return 0, fmt.Errorf("out of range: %q", text)
}

// formatDuration prints what ParseDuration reads, without the zero parts that Go prints.
func formatDuration(value time.Duration) string {
	const day = 24 * time.Hour
	if value != 0 && value%day == 0 {
		return strconv.FormatInt(int64(value/day), 10) + "d"
	}
	text := value.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// limitWords say how a limit's tag is read and what it counts.
type limitWords struct {
	path  string
	unit  string
	parse func(string) (float64, error)
}

// limits holds a value against the min and max tags.
func (d *decoder) limits(n *node, value float64, field *structField, w limitWords) {
	limit := func(tag string) float64 {
		v, err := w.parse(tag)
		if err != nil {
			panic(fmt.Sprintf("config: %s: the limit %q does not fit the field", w.path, tag))
		}
		return v
	}
	low := field.min != "" && value < limit(field.min)
	high := field.max != "" && value > limit(field.max)
	if !low && !high && !math.IsNaN(value) {
		return
	}
	found := n.shown()
	message, unit := found+" is too much", ""
	if low {
		message = found + " is too little"
	}
	if w.unit != "" {
		unit = " " + w.unit
		message = count(int(value), strings.TrimSuffix(w.unit, "s")) + ", too many"
		if low {
			message = count(int(value), strings.TrimSuffix(w.unit, "s")) + ", too few"
		}
	}
	var cure string
	switch {
	case field.min != "" && field.max != "":
		cure = fmt.Sprintf("write %s to %s%s", field.min, field.max, unit)
	case field.min != "":
		cure = fmt.Sprintf("write at least %s%s", field.min, unit)
	case field.max != "":
		cure = fmt.Sprintf("write at most %s%s", field.max, unit)
	default:
		return
	}
	if field.unlimited {
		cure += ", or unlimited"
	}
	d.report(n.problem(w.path, message, cure))
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
