// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// timeFormat is how a time becomes part of a bucket.
type timeFormat struct {
	// layout is that of package time.
	layout string
	// unit is how long the text stays the same, in microseconds.
	unit int64
}

// directives are what a format may have, as the layout of package time and the microseconds for which each stands.
var directives = map[byte]struct {
	layout string
	unit   int64
}{
	'Y': {"2006", microsPerDay}, 'm': {"01", microsPerDay}, 'd': {"02", microsPerDay}, 'j': {"002", microsPerDay},
	'H': {"15", 3600 * 1_000_000}, 'M': {"04", 60 * 1_000_000}, 'S': {"05", 1_000_000},
}

// parseTimeFormat reads %Y, %m, %d, %j (day of the year), %H, %M and %S between - / = and T.
func parseTimeFormat(text string) (*timeFormat, error) {
	f := &timeFormat{unit: microsPerDay}
	found := false
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			if !strings.ContainsRune("-/=T", rune(text[i])) {
				return nil, fmt.Errorf("%q is none of the characters - / = T that may stand in a format", text[i])
			}
			f.layout += text[i : i+1]
			continue
		}
		if i++; i == len(text) {
			return nil, errors.New("it ends in %")
		}
		d, known := directives[text[i]]
		if !known {
			return nil, fmt.Errorf("%%%c is none of %%Y %%m %%d %%j %%H %%M %%S", text[i])
		}
		found = true
		f.layout += d.layout
		f.unit = min(f.unit, d.unit)
	}
	if !found {
		return nil, errors.New("the format names no part of a time, such as %Y-%m-%d")
	}
	for folder := range strings.SplitSeq(f.layout, "/") {
		if folder == "" {
			return nil, errors.New("a folder of the format is empty")
		}
	}
	return f, nil
}

// timeText remembers the text of the time that came last.
type timeText struct {
	format *timeFormat
	text   []byte
	number int64
	valid  bool
}

func (t *timeText) append(dst []byte, micros int64) []byte {
	number := micros / t.format.unit
	if micros%t.format.unit < 0 {
		number--
	}
	if !t.valid || t.number != number {
		t.text = time.UnixMicro(micros).UTC().AppendFormat(t.text[:0], t.format.layout)
		t.number, t.valid = number, true
	}
	return append(dst, t.text...)
}
