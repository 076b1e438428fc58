// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"errors"
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Format reads newline-delimited JSON. Without a schema records stay JSON, which steps edit in place, or have the
// schema that the first rows show where a later stage needs one.
type Format struct {
	Schema  codec.Schema `yaml:"schema" doc:"fields and their types"`
	Unknown string       `yaml:"unknown" doc:"fields that the schema does not have" enum:"ignore|reject" default:"ignore"`
	Zone    string       `yaml:"zone" doc:"zone of timestamps that do not name theirs" default:"UTC"`
}

// Info describes the format.
func (f Format) Info() (codec.Info, error) {
	_, err := f.options()
	info := codec.Info{Name: "ndjson", Typed: true, JSON: len(f.Schema) == 0, Ranges: true}
	set := func(name, value string) {
		info.Identity = append(info.Identity, forebay.Setting{Name: name, Value: value})
	}
	set("unknown", f.unknown())
	set("zone", f.zone())
	if len(f.Schema) > 0 {
		set("schema", f.Schema.String())
	}
	return info, err
}

func (f Format) unknown() string {
	if f.Unknown == "" {
		return "ignore"
	}
	return f.Unknown
}

func (f Format) zone() string {
	if f.Zone == "" {
		return "UTC"
	}
	return f.Zone
}

// options is a Format that was checked.
type options struct {
	given         []forebay.Column
	zone          *time.Location
	rejectUnknown bool
}

func (f Format) options() (options, error) {
	o := options{rejectUnknown: f.unknown() == "reject"}
	var problems []error
	if u := f.unknown(); u != "ignore" && u != "reject" {
		problems = append(problems, fmt.Errorf("unknown: %q is not one of ignore, reject", u))
	}
	var err error
	if o.zone, err = time.LoadLocation(f.zone()); err != nil {
		problems = append(problems, fmt.Errorf("zone: %q is not a time zone such as UTC or Europe/Berlin", f.Zone))
	}
	if o.given, err = f.Schema.Columns(); err != nil {
		problems = append(problems, err)
	}
	return o, errors.Join(problems...)
}
