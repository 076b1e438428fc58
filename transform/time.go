// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

const (
	microsPerSecond = 1_000_000
	secondsPerDay   = 86_400
)

const zoneNames = "write a name such as UTC, Europe/Berlin or America/New_York"

// zoneCure says which name was probably meant by one that is none, such as +02:00 or utc.
func zoneCure(name string) string {
	if strings.EqualFold(name, "utc") || strings.EqualFold(name, "gmt") || strings.EqualFold(name, "z") {
		return "write UTC"
	}
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		t, err := time.Parse(layout, strings.TrimPrefix(strings.TrimPrefix(name, "UTC"), "GMT"))
		if err != nil {
			continue
		}
		_, east := t.Zone()
		hours := east / 3600
		switch fixed := fmt.Sprintf("Etc/GMT%+d", -hours); {
		case east == 0:
			return "write UTC"
		case east%3600 == 0 && knownZone(fixed):
			return fmt.Sprintf("write %s, whose sign is turned round, or a place such as Europe/Berlin, whose clocks change",
				fixed)
		}
		return zoneNames + "; those that are fixed are whole hours, such as Etc/GMT-2 for +02:00"
	}
	near := []byte(strings.ToLower(name))
	for i, c := range near {
		if c >= 'a' && c <= 'z' && (i == 0 || near[i-1] == '/' || near[i-1] == '_') {
			near[i] = c - 'a' + 'A'
		}
	}
	if string(near) != name && knownZone(string(near)) {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return zoneNames
}

func knownZone(name string) bool {
	_, err := loadZone(name)
	return err == nil
}

// loadZone finds a time zone by its name; empty means UTC. X5: the machine's own zone is refused, as it gives
// other results on another machine.
func loadZone(name string) (*time.Location, error) {
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "Local":
		return nil, fmt.Errorf("the zone Local differs from machine to machine")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("no time zone is called %q", name)
	}
	return zone, nil
}

// zoneArgument is the zone of the argument at i, UTC where it is left out. It must be a constant.
func (c *checker) zoneArgument(in *invocation, i int) (*time.Location, bool) {
	if i >= len(in.args) {
		return time.UTC, true
	}
	name, constant := in.args[i].constant.(string)
	if !constant {
		c.bad(in.args[i].at, `write it in quotes, such as "Europe/Berlin"`, "the zone of %s must be a constant", in.name)
		return nil, false
	}
	zone, err := loadZone(name)
	if err != nil {
		c.bad(in.args[i].at, zoneCure(name), "%s", err)
		return nil, false
	}
	return zone, true
}

// timeArgument is the first argument as a time in the zone.
func timeOf(k kind, v int64, zone *time.Location) time.Time {
	if k == kindDate {
		return time.Unix(v*secondsPerDay, 0).UTC()
	}
	return time.UnixMicro(v).In(zone)
}

var timeParts = map[string]func(t time.Time) int64{
	"year":    func(t time.Time) int64 { return int64(t.Year()) },
	"month":   func(t time.Time) int64 { return int64(t.Month()) },
	"day":     func(t time.Time) int64 { return int64(t.Day()) },
	"weekday": func(t time.Time) int64 { return int64(t.Weekday()) },
	"hour":    func(t time.Time) int64 { return int64(t.Hour()) },
	"minute":  func(t time.Time) int64 { return int64(t.Minute()) },
	"second":  func(t time.Time) int64 { return int64(t.Second()) },
}

// buildTimePart is year, month, day, weekday (0 is Sunday), hour, minute and second.
func (c *checker) buildTimePart(in *invocation) *operand {
	kinds := []kind{kindInstant, kindDate}
	if strings.Contains("hour minute second", in.name) {
		kinds = kinds[:1]
	}
	zone, okZone := c.zoneArgument(in, 1)
	if !c.argument(in, 0, kinds...) || !okZone {
		return badOperand(in.at)
	}
	part := timeParts[in.name]
	result := c.result(in, kindInt, func(args ...any) (any, error) {
		switch v := args[0].(type) {
		case instantValue:
			return int(part(timeOf(kindInstant, int64(v), zone))), nil
		case dateValue:
			return int(part(timeOf(kindDate, int64(v), zone))), nil
		default:
			return nil, wrongArgument(in.name, "timestamp", v)
		}
	})
	get, k := in.args[0].int, in.args[0].kind
	result.int = func(f *frame) (int64, bool) {
		v, ok := get(f)
		if !ok {
			return 0, false
		}
		return part(timeOf(k, v, zone)), true
	}
	return result
}

// buildDate is date(...) of a text or of a timestamp.
func (c *checker) buildDate(in *invocation) *operand {
	zone, okZone := c.zoneArgument(in, 1)
	open := in.open()
	if open == nil && !c.argument(in, 0, kindText, kindInstant, kindDate) || !okZone {
		return badOperand(in.at)
	}
	machine := c.machine
	fn := func(args ...any) (any, error) {
		f := machine.frame
		switch v := args[0].(type) {
		case string:
			days, _ := f.parsedTime(forebay.Date, v, zone, true)
			return dateValue(days), f.failure()
		case instantValue:
			return dateValue(daysOf(int64(v), zone)), nil
		case dateValue:
			return v, nil
		default:
			return nil, wrongArgument(in.name, "string", v)
		}
	}
	result := c.result(in, kindDate, fn)
	if open != nil {
		return timeAtRunTime(result, open, timeReading{forebay.Date, zone, fn})
	}
	return c.timeResult(in, result, forebay.Date, zone)
}

// timeResult compiles date(...) and timestamp(...).
func (c *checker) timeResult(in *invocation, result *operand, t forebay.Type, zone *time.Location) *operand {
	o := in.args[0]
	switch {
	case o.kind == kindText:
		get := o.text
		if text, constant := o.constant.(string); constant {
			c.checkTime(o, t, text, zone)
		}
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return f.parsedTime(t, v, zone, ok)
		}
	case o.kind == kindInstant && t == forebay.Date:
		get := o.int
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return daysOf(v, zone), ok
		}
	case o.kind == kindDate && t == forebay.Timestamp:
		get := o.int
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return midnight(v, zone), ok
		}
	default:
		result.int = o.int
	}
	return result
}

// timeReading is how date(...) and timestamp(...) read: texts of a type in a zone, and everything else by fn.
type timeReading struct {
	text forebay.Type
	zone *time.Location
	fn   dynamicFunc
}

// timeAtRunTime compiles date(...) and timestamp(...) of what is known at run time only.
func timeAtRunTime(result *operand, open valueFunc, r timeReading) *operand {
	k := result.kind
	result.int = func(f *frame) (int64, bool) {
		v := open(f)
		if v.kind == kindText {
			return f.parsedTime(r.text, v.s, r.zone, true)
		}
		v = f.strict(r.fn, v)
		return v.n, v.kind == k
	}
	return result
}

// checkTime finds a wrong literal before a record does.
func (c *checker) checkTime(o *operand, t forebay.Type, text string, zone *time.Location) {
	if _, err := forebay.ParseTime(t, []byte(text), zone); err != nil {
		c.bad(o.at, "", "%s", err)
	}
}

func (c *checker) buildTimestamp(in *invocation) *operand {
	zone, okZone := c.zoneArgument(in, 1)
	open := in.open()
	if open == nil && !c.argument(in, 0, kindText, kindDate, kindInstant) || !okZone {
		return badOperand(in.at)
	}
	machine := c.machine
	fn := func(args ...any) (any, error) {
		f := machine.frame
		switch v := args[0].(type) {
		case string:
			micros, _ := f.parsedTime(forebay.Timestamp, v, zone, true)
			return instantValue(micros), f.failure()
		case dateValue:
			return instantValue(midnight(int64(v), zone)), nil
		case instantValue:
			return v, nil
		default:
			return nil, wrongArgument(in.name, "string", v)
		}
	}
	result := c.result(in, kindInstant, fn)
	if open != nil {
		return timeAtRunTime(result, open, timeReading{forebay.Timestamp, zone, fn})
	}
	return c.timeResult(in, result, forebay.Timestamp, zone)
}

func (f *frame) parsedTime(t forebay.Type, v string, zone *time.Location, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	start := len(f.scratch)
	f.scratch = append(f.scratch, v...)
	c, err := forebay.ParseTime(t, f.scratch[start:], zone)
	f.scratch = f.scratch[:start]
	if err != nil {
		f.refuse(CodeCast, "%s is not a %s", shown(strings.Clone(v)), t)
		return 0, false
	}
	return c.Int(), true
}

// failure is the frame's failure as an error, nil where there is none.
func (f *frame) failure() error {
	if f.fail == nil {
		return nil
	}
	return f.fail
}

// daysOf is the date of an instant in a zone.
func daysOf(micros int64, zone *time.Location) int64 {
	seconds := floorDiv(micros, microsPerSecond)
	if zone != time.UTC {
		_, offset := time.Unix(seconds, 0).In(zone).Zone()
		seconds += int64(offset)
	}
	return floorDiv(seconds, secondsPerDay)
}

// midnight is the first instant of a date in a zone.
func midnight(days int64, zone *time.Location) int64 {
	if zone == time.UTC {
		return days * secondsPerDay * microsPerSecond
	}
	t := time.Unix(days*secondsPerDay, 0).UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone).UnixMicro()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// buildFormat is format(time, layout, zone); the layout is Go's.
func (c *checker) buildFormat(in *invocation) *operand {
	zone, okZone := c.zoneArgument(in, 2)
	okTime, okLayout := c.argument(in, 0, kindInstant, kindDate), c.argument(in, 1, kindText)
	if !okZone || !okTime || !okLayout {
		return badOperand(in.at)
	}
	result := c.result(in, kindText, func(args ...any) (any, error) {
		layout, err := textArgument(in.name, args[1])
		if err != nil {
			return nil, err
		}
		switch v := args[0].(type) {
		case instantValue:
			return timeOf(kindInstant, int64(v), zone).Format(layout), nil
		case dateValue:
			return timeOf(kindDate, int64(v), zone).Format(layout), nil
		default:
			return nil, wrongArgument(in.name, "timestamp", v)
		}
	})
	get, k, layout := in.args[0].int, in.args[0].kind, in.args[1].text
	result.text = func(f *frame) (string, bool) {
		v, okTime := get(f)
		l, okLayout := layout(f)
		if !okTime || !okLayout {
			return "", false
		}
		start := len(f.scratch)
		f.scratch = timeOf(k, v, zone).AppendFormat(f.scratch, l)
		return f.made(start), true
	}
	return result
}

// buildDuration reads a length of time as Go writes it; below a microsecond is cut off.
func (c *checker) buildDuration(in *invocation) *operand {
	if !c.argument(in, 0, kindText) {
		return badOperand(in.at)
	}
	o := in.args[0]
	if text, constant := o.constant.(string); constant {
		if _, err := time.ParseDuration(text); err != nil {
			return c.bad(o.at, "write one such as 1h30m, 90s or 5ms", "%q is not a duration", text)
		}
	}
	machine := c.machine
	result := c.result(in, kindDuration, func(args ...any) (any, error) {
		text, err := textArgument(in.name, args[0])
		if err != nil {
			return nil, err
		}
		v, _ := machine.frame.parsedDuration(text, true)
		return durationValue(v), machine.frame.failure()
	})
	get := o.text
	result.int = func(f *frame) (int64, bool) {
		v, ok := get(f)
		return f.parsedDuration(v, ok)
	}
	if text, constant := o.constant.(string); constant {
		d, _ := time.ParseDuration(text)
		micros := d.Microseconds()
		result.int = func(*frame) (int64, bool) { return micros, true }
	}
	return result
}

func (f *frame) parsedDuration(v string, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		f.refuse(CodeCast, "%s is not a duration", shown(strings.Clone(v)))
		return 0, false
	}
	return d.Microseconds(), true
}

func (c *checker) buildSeconds(in *invocation) *operand {
	if !c.argument(in, 0, kindDuration) {
		return badOperand(in.at)
	}
	result := c.result(in, kindFloat, func(args ...any) (any, error) {
		v, ok := args[0].(durationValue)
		if !ok {
			return nil, wrongArgument(in.name, "duration", args[0])
		}
		return float64(v) / microsPerSecond, nil
	})
	get := in.args[0].int
	result.float = func(f *frame) (float64, bool) {
		v, ok := get(f)
		return float64(v) / microsPerSecond, ok
	}
	return result
}

// microsPer is the length of the unit that unix and fromUnix count in.
func microsPer(name string) int64 {
	if strings.HasSuffix(name, "Milli") {
		return 1000
	}
	return microsPerSecond
}

func (c *checker) buildUnix(in *invocation) *operand {
	if !c.argument(in, 0, kindInstant) {
		return badOperand(in.at)
	}
	unit := microsPer(in.name)
	result := c.result(in, kindInt, func(args ...any) (any, error) {
		v, ok := args[0].(instantValue)
		if !ok {
			return nil, wrongArgument(in.name, "timestamp", args[0])
		}
		return int(floorDiv(int64(v), unit)), nil
	})
	get := in.args[0].int
	result.int = func(f *frame) (int64, bool) {
		v, ok := get(f)
		return floorDiv(v, unit), ok
	}
	return result
}

func (c *checker) buildFromUnix(in *invocation) *operand {
	if !c.argument(in, 0, kindInt) {
		return badOperand(in.at)
	}
	unit, machine := microsPer(in.name), c.machine
	result := c.result(in, kindInstant, func(args ...any) (any, error) {
		v, ok := args[0].(int)
		if !ok {
			return nil, wrongArgument(in.name, "int", args[0])
		}
		micros, _ := machine.frame.instantOf(int64(v), unit, true)
		return instantValue(micros), machine.frame.failure()
	})
	get := in.args[0].int
	result.int = func(f *frame) (int64, bool) {
		v, ok := get(f)
		return f.instantOf(v, unit, ok)
	}
	return result
}

func (f *frame) instantOf(v, unit int64, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	if v > math.MaxInt64/unit || v < math.MinInt64/unit {
		f.refuse(CodeOverflow, "%d does not fit a timestamp", v)
		return 0, false
	}
	return v * unit, true
}

// buildNow is the time of evaluation; it makes an expression give something else at each replay.
func (c *checker) buildNow(in *invocation) *operand {
	c.impure = true
	result := c.result(in, kindInstant, func(...any) (any, error) { return instantValue(time.Now().UnixMicro()), nil })
	result.int = func(*frame) (int64, bool) { return time.Now().UnixMicro(), true }
	return result
}
