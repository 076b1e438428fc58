// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/forebay-io/forebay"
)

// Kind is what a knob's value is.
type Kind uint8

// The kinds of knob.
const (
	KindCount    Kind = iota
	KindBytes         // as 2MB
	KindDuration      // as 500ms
)

// Knob is one value that can be changed, within its range.
type Knob struct {
	// Key is its name, such as batch.size.
	Key  string
	Kind Kind
	// Value, Min and Max are counts, bytes or nanoseconds. With Unlimited, forebay.Unlimited is a value too.
	Value, Min, Max int64
	Unlimited       bool
}

// Tunable is a part of the process with knobs.
//
// Concurrency: safe.
type Tunable interface {
	Name() string
	// Knobs are the values as they are now.
	Knobs() []Knob
	// Tune changes all knobs that are given, from the next request on, or none.
	//
	// Errors: what is wrong, with what would be right.
	Tune(values map[string]int64) error
}

const unlimitedWord = "unlimited"

// text is a value of the knob as it is written.
func (k Knob) text(value int64) string {
	switch {
	case k.Unlimited && value == forebay.Unlimited:
		return unlimitedWord
	case k.Kind == KindBytes:
		return forebay.Bytes(value).String()
	case k.Kind == KindDuration:
		return time.Duration(value).String()
	default:
		return strconv.FormatInt(value, 10)
	}
}

// allowed says what would be right.
func (k Knob) allowed() string {
	out := k.text(k.Min) + " to " + k.text(k.Max)
	if k.Unlimited {
		out += " or " + unlimitedWord
	}
	return out
}

// parse reads a value from a request.
func (k Knob) parse(raw json.RawMessage) (int64, error) {
	wrong := func(what string) (int64, error) {
		return 0, fmt.Errorf("%s: %s; write %s", k.Key, what, k.allowed())
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		var number json.Number
		if json.Unmarshal(raw, &number) != nil {
			return wrong(fmt.Sprintf("%.40s is no value for it", raw))
		}
		if k.Kind != KindCount {
			return wrong(fmt.Sprintf("%.40s has no unit", number))
		}
		text = number.String()
	}
	if k.Unlimited && text == unlimitedWord {
		return forebay.Unlimited, nil
	}
	value, err := k.value(text)
	if err != nil {
		return wrong(fmt.Sprintf("%.40q is no value for it", text))
	}
	if value < k.Min || value > k.Max {
		return wrong(fmt.Sprintf("%.40s is out of range", text))
	}
	return value, nil
}

func (k Knob) value(text string) (int64, error) {
	switch k.Kind {
	case KindBytes:
		size, err := forebay.ParseBytes(text)
		return int64(size), err
	case KindDuration:
		d, err := time.ParseDuration(text)
		return int64(d), err
	default:
		return strconv.ParseInt(text, 10, 64)
	}
}
