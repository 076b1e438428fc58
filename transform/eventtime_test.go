// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// jsonBatch holds JSON records without rows.
func jsonBatch(records ...string) (forebay.Shape, *forebay.Batch) {
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "s"}, 0)
	for i, r := range records {
		b.Append(int64(i), []byte(r))
	}
	return forebay.Shape{JSON: true}, b
}

func TestEventTimesAreReadByFormatAndZone(t *testing.T) {
	t.Parallel()
	text, number := forebay.String, forebay.Int64
	for name, test := range map[string]struct {
		typ          forebay.Type
		value        string
		format, zone string
		want         string // RFC 3339, or none, or rejected
	}{
		"a timestamp":           {forebay.Timestamp, "2013-01-31T23:30:15.5Z", "", "", "2013-01-31T23:30:15.5Z"},
		"a date":                {forebay.Date, "2013-01-31", "", "", "2013-01-31T00:00:00Z"},
		"a date in a zone":      {forebay.Date, "2013-07-31", "", "Europe/Berlin", "2013-07-30T22:00:00Z"},
		"text with a zone":      {text, "2013-01-31T10:00:00+02:00", "", "", "2013-01-31T08:00:00Z"},
		"text without a zone":   {text, "2013-01-31T10:00:00", "", "America/New_York", "2013-01-31T15:00:00Z"},
		"text that is a date":   {text, "2013-01-31", "", "", "2013-01-31T00:00:00Z"},
		"text of a layout":      {text, "31.01.2013 10:00", "02.01.2006 15:04", "Europe/Berlin", "2013-01-31T09:00:00Z"},
		"seconds":               {number, "1359676800", "unix", "", "2013-02-01T00:00:00Z"},
		"milliseconds":          {number, "1359676800250", "unix_ms", "", "2013-02-01T00:00:00.25Z"},
		"microseconds":          {number, "1359676800250001", "unix_us", "", "2013-02-01T00:00:00.250001Z"},
		"nanoseconds":           {number, "-1", "unix_ns", "", "1969-12-31T23:59:59.999999Z"},
		"text that is seconds":  {text, "1359676800", "unix", "", "2013-02-01T00:00:00Z"},
		"text with nanos":       {text, "2024-06-01T00:00:00.123456789Z", "", "", "2024-06-01T00:00:00.123456Z"},
		"nanos, an offset":      {text, "2024-06-01T02:00:00.123456789+02:00", "", "", "2024-06-01T00:00:00.123456Z"},
		"nanos before 1970":     {text, "1969-12-31T23:59:59.999999999Z", "", "", "1969-12-31T23:59:59.999999Z"},
		"nanos, no zone":        {text, "2024-06-01 02:00:00.1234567", "", "Asia/Tokyo", "2024-05-31T17:00:00.123456Z"},
		"nanos of a layout":     {text, "1 Jun 24 1.02.03.123456789", "2 Jan 06 15.04.05", "", "2024-06-01T01:02:03.123456Z"},
		"a skipped time":        {text, "2024-03-31T02:30:00", "", "Europe/Berlin", "rejected"},
		"skipped, with layout":  {text, "31.03.2024 02:30", "02.01.2006 15:04", "Europe/Berlin", "rejected"},
		"repeated, with layout": {text, "27.10.2024 02:30", "02.01.2006 15:04", "Europe/Berlin", "2024-10-27T00:30:00Z"},
		"a layout with a zone":  {text, "31.03.24 02:30 +00", "02.01.06 15:04 -07", "Europe/Berlin", "2024-03-31T02:30:00Z"},
		"a point and no digits": {text, "2024-06-01T00:00:00.Z", "", "", "rejected"},
		"null":                  {number, null, "unix", "", "none"},
		"text that is no time":  {text, "soon", "", "", "rejected"},
		"text of no layout":     {text, "2013-01-31", "02.01.2006", "", "rejected"},
		"too many seconds":      {number, "9223372036854775807", "unix", "", "rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := EventTimeStep{Expr: "t", Format: test.format, Zone: test.zone}
			var seen []int64
			step.Seen = func(micros int64) { seen = append(seen, micros) }
			in, b := rows(t, []forebay.Column{{Name: "t", Type: test.typ}}, []string{test.value})
			run(t, step, in, b)
			expectTime(t, b, seen, test.want)

			if test.typ == forebay.Timestamp || test.typ == forebay.Date {
				return
			}
			seen = nil
			value := fmt.Sprintf("%q", test.value)
			if test.typ == number {
				value = strings.ReplaceAll(test.value, null, "null")
			}
			in, b = jsonBatch(`{"t":` + value + `,"x":1}`)
			run(t, step, in, b)
			expectTime(t, b, seen, test.want)
		})
	}
}

func TestARefusedEventTimeSaysWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ value, format, zone, want string }{
		{"2024-03-31T02:30:00", "", "Europe/Berlin", "clocks in Europe/Berlin never show it"},
		{"31.03.2024 02:30", "02.01.2006 15:04", "Europe/Berlin", "clocks in Europe/Berlin never show it"},
		{"soon", "", "", "not of the format RFC 3339"},
		{"2024-02-30", "", "", "not of the format RFC 3339"},
		{"soon", "unix_ms", "", "not of the format unix_ms"},
		{"2013-01-31", "02.01.2006", "", `not of the format "02.01.2006"`},
	} {
		in, b := jsonBatch(fmt.Sprintf(`{"t":%q}`, test.value))
		run(t, EventTimeStep{Expr: "t", Format: test.format, Zone: test.zone}, in, b)
		if r := b.Rejects(); len(r) != 1 || !strings.Contains(r[0].Reason, test.want) ||
			!strings.Contains(r[0].Reason, test.value) {
			t.Errorf("%+v: %+v", test, r)
		}
	}
}

func TestAWrongZoneIsToldANameThatWorks(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"utc": "write UTC", "Z": "write UTC", "+00:00": "write UTC",
		"+02:00": "Etc/GMT-2", "-0500": "Etc/GMT+5", "UTC+2": "Europe/Berlin", "GMT+03": "Etc/GMT-3",
		"+05:30": "whole hours", "europe/berlin": `"Europe/Berlin"`, "america/new_york": `"America/New_York"`,
		"Mars/Base": "UTC, Europe/Berlin",
	} {
		_, err := EventTimeStep{Expr: "t", Zone: zone}.Compile(forebay.Shape{JSON: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", zone, err)
		}
	}
}

func expectTime(t *testing.T, b *forebay.Batch, seen []int64, want string) {
	t.Helper()
	got := "rejected"
	if b.Len() == 1 {
		got = "none"
		if micros := b.Record(0).Time; micros != forebay.NoTime {
			got = time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
			if len(seen) != 1 || seen[0] != micros {
				t.Errorf("seen %v", seen)
			}
		}
	}
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if rejects := b.Rejects(); want == "rejected" && (len(rejects) != 1 || rejects[0].Code != CodeTime) {
		t.Errorf("%+v", rejects)
	}
}

func TestWrongEventTimesAreFoundBeforeARecordIs(t *testing.T) {
	t.Parallel()
	in, _ := fixture(t)
	for _, step := range []EventTimeStep{
		{Expr: "nowhere"},
		{Expr: "i"},
		{Expr: "f"},
		{Expr: "yes"},
		{Expr: "s", Format: "nothing"},
		{Expr: "s", Zone: "Mars/Base"},
		{Expr: "s", Zone: "Local"},
		{Expr: ""},
	} {
		if _, err := step.Compile(in); err == nil {
			t.Errorf("%+v is taken", step)
		}
	}
	if _, err := (EventTimeStep{Expr: "s", Zone: "Mars/Base"}).Compile(forebay.Shape{JSON: true}); err == nil {
		t.Error("a zone that is none is taken for JSON")
	}
}

// X4.
func TestReadingEventTimesAllocatesNothing(t *testing.T) {
	in, b := jsonBatch(`{"t":"2013-01-31T10:00:00Z","n":[1,2,3]}`, `{"n":1,"t":"2013-01-31T10:00:01.123456789Z"}`,
		`{"t":"2013-01-31"}`)
	step, err := EventTimeStep{Expr: "t"}.Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = step.Apply(b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
