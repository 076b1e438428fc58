// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Format reads csv. Records always come as typed rows; a record's value is its line as it stands in the
// input, without the line break.
type Format struct {
	Delimiter string       `yaml:"delimiter" doc:"the character between two fields; \\t for a tab" default:","`
	Header    *bool        `yaml:"header" doc:"whether the first record names the columns" default:"true"`
	Null      []string     `yaml:"null" doc:"texts that mean null" default:"[NA, \"\"]"`
	Multiline *bool        `yaml:"multiline" doc:"whether quoted fields may hold line breaks" default:"true"`
	Zone      string       `yaml:"zone" doc:"zone of timestamps that do not name theirs" default:"UTC"`
	Schema    codec.Schema `yaml:"schema" doc:"types of columns; with a header, others are inferred"`
}

// Info describes the format.
func (f Format) Info() (codec.Info, error) {
	_, err := f.options()
	info := codec.Info{Name: "csv", Typed: true, Ranges: !f.multiline()}
	if f.multiline() {
		info.Note = "a csv file is one split because its quoted fields may hold line breaks; with multiline: false it " +
			"is read in ranges"
	}
	set := func(name, value string) {
		info.Identity = append(info.Identity, forebay.Setting{Name: name, Value: value})
	}
	set("delimiter", f.delimiter())
	set("header", strconv.FormatBool(f.header()))
	set("null", fmt.Sprintf("%q", f.nulls()))
	set("multiline", strconv.FormatBool(f.multiline()))
	set("zone", f.zone())
	if len(f.Schema) > 0 {
		set("schema", f.Schema.String())
	}
	return info, err
}

func (f Format) header() bool    { return f.Header == nil || *f.Header }
func (f Format) multiline() bool { return f.Multiline == nil || *f.Multiline }

func (f Format) nulls() []string {
	if f.Null == nil {
		return []string{"NA", ""}
	}
	return f.Null
}

func (f Format) zone() string {
	if f.Zone == "" {
		return "UTC"
	}
	return f.Zone
}

func (f Format) delimiter() string {
	switch f.Delimiter {
	case "":
		return ","
	case `\t`:
		return "\t"
	default:
		return f.Delimiter
	}
}

// options is a Format that was checked.
type options struct {
	delimiter byte
	header    bool
	multiline bool
	nulls     []string
	zone      *time.Location
	given     []forebay.Column
}

func (f Format) options() (options, error) {
	o := options{header: f.header(), multiline: f.multiline(), nulls: f.nulls()}
	var problems []error
	switch d := f.delimiter(); {
	case len(d) != 1 || d[0] >= 0x80:
		problems = append(problems, fmt.Errorf("delimiter: %q is not one ASCII character, such as , or ; or \\t", d))
	case strings.ContainsAny(d, "\"\r\n"):
		problems = append(problems, fmt.Errorf("delimiter: %q has a meaning of its own in csv", d))
	default:
		o.delimiter = d[0]
	}
	for _, null := range o.nulls {
		if strings.ContainsAny(null, "\"\r\n") || strings.Contains(null, f.delimiter()) {
			problems = append(problems, fmt.Errorf("null: %q cannot be an unquoted field", null))
		}
	}
	var err error
	if o.zone, err = time.LoadLocation(f.zone()); err != nil {
		problems = append(problems, fmt.Errorf("zone: %q is not a time zone such as UTC or Europe/Berlin", f.Zone))
	}
	if o.given, err = f.Schema.Columns(); err != nil {
		problems = append(problems, err)
	}
	o.nulls = slices.Compact(slices.Sorted(slices.Values(o.nulls)))
	return o, errors.Join(problems...)
}
