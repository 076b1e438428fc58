// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"
	"strconv"
	"time"
)

const (
	secondsPerDay    = 24 * 60 * 60
	microsPerSecond  = 1_000_000
	daysPerEra       = 146_097 // 400 years
	daysBeforeEpoch  = 719_468 // from 0000-03-01 to 1970-01-01
	yearDigitsMax    = 7
	timestampSizeMin = len("2006-01-02T15:04:05")
)

const (
	notADate      = "write it as 2006-01-02"
	notATimestamp = "write it as 2006-01-02T15:04:05Z"
)

// daysOf counts the days from 1970-01-01 to a date. Years start in March here, so that the day that comes
// every four years is the last of its year.
func daysOf(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	ofEra := year - era*400
	return era*daysPerEra + ofEra*365 + ofEra/4 - ofEra/100 + (153*(month-3)+2)/5 + day - 1 - daysBeforeEpoch
}

// dateOf is the date that many days after 1970-01-01.
func dateOf(days int64) (year, month, day int64) {
	days += daysBeforeEpoch
	era := floorDiv(days, daysPerEra)
	ofEra := days - era*daysPerEra
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36_524 - ofEra/(daysPerEra-1)) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	year, month = era*400+yearOfEra, (5*ofYear+2)/153
	day = ofYear - (153*month+2)/5 + 1
	if month += 3; month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

var monthDays = [...]int64{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func validDate(year, month, day int64) bool {
	if month < 1 || month > 12 || day < 1 || day > monthDays[month] {
		return false
	}
	return month != 2 || day <= 28 || year%4 == 0 && (year%100 != 0 || year%400 == 0)
}

// twoDigits reads two digits; a wrong one gives a number above any limit.
func twoDigits(text []byte) int64 {
	a, b := text[0]-'0', text[1]-'0'
	if a > 9 || b > 9 {
		return math.MaxInt32
	}
	return int64(a)*10 + int64(b)
}

// cutDate reads a date from the start of text.
func cutDate(text []byte) (days int64, rest []byte, ok bool) {
	var year int64
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		digits, after := cutDigits(text[1:])
		if len(digits) < 4 || len(digits) > yearDigitsMax {
			return 0, nil, false
		}
		year, _ = parseInt(digits)
		if text[0] == '-' {
			year = -year
		}
		text = after
	} else {
		if len(text) < len("2006-01-02") {
			return 0, nil, false
		}
		year = twoDigits(text)*100 + twoDigits(text[2:])
		text = text[4:]
	}
	if len(text) < len("-01-02") || text[0] != '-' || text[3] != '-' {
		return 0, nil, false
	}
	month, day := twoDigits(text[1:]), twoDigits(text[4:])
	if year >= math.MaxInt32 || !validDate(year, month, day) {
		return 0, nil, false
	}
	return daysOf(year, month, day), text[6:], true
}

func parseDate(text []byte) (days int64, why string) {
	days, rest, ok := cutDate(text)
	if !ok || len(rest) > 0 {
		return 0, notADate
	}
	return days, ""
}

// parseTimestamp reads an instant as microseconds since 1970-01-01T00:00:00Z.
func parseTimestamp(text []byte, zone *time.Location) (micros int64, why string) {
	if len(text) < timestampSizeMin {
		return 0, notATimestamp
	}
	days, rest, ok := cutDate(text)
	if !ok || len(rest) < len("T15:04:05") || rest[0] != 'T' && rest[0] != ' ' && rest[0] != 't' ||
		rest[3] != ':' || rest[6] != ':' {
		return 0, notATimestamp
	}
	hour, minute, second := twoDigits(rest[1:]), twoDigits(rest[4:]), twoDigits(rest[7:])
	if hour > 23 || minute > 59 || second > 59 {
		return 0, notATimestamp
	}
	rest = rest[len("T15:04:05"):]
	seconds := days*secondsPerDay + hour*3600 + minute*60 + second
	var fraction int64
	if len(rest) > 0 && rest[0] == '.' {
		if fraction, rest, why = cutFraction(rest[1:]); why != "" {
			return 0, why
		}
	}
	if len(rest) == 1 && rest[0] == 'Z' {
		return microsOf(seconds, fraction)
	}
	if len(rest) == 0 {
		seconds, why = localSeconds(seconds, zone)
	} else {
		var offset int64
		offset, why = zoneOffset(rest)
		seconds -= offset
	}
	if why != "" {
		return 0, why
	}
	return microsOf(seconds, fraction)
}

func microsOf(seconds, fraction int64) (micros int64, why string) {
	const secondsMax = math.MaxInt64/microsPerSecond + 1
	micros = seconds*microsPerSecond + fraction
	// Within the first and the last second of the range the sum can still wrap.
	if seconds > secondsMax || seconds < -secondsMax || floorDiv(micros, microsPerSecond) != seconds {
		return 0, "it is too far away"
	}
	return micros, ""
}

// cutFraction reads the digits after a second's point.
func cutFraction(text []byte) (micros int64, rest []byte, why string) {
	digits, rest := cutDigits(text)
	if len(digits) == 0 {
		return 0, nil, notATimestamp
	}
	for i := range 6 {
		micros *= 10
		if i < len(digits) {
			micros += int64(digits[i] - '0')
		}
	}
	for i := 6; i < len(digits); i++ {
		if digits[i] != '0' {
			return 0, nil, "a timestamp holds microseconds, and it has digits beyond them"
		}
	}
	return micros, rest, ""
}

// zoneOffset reads Z, +01:00, +0100 or +01 as seconds east of UTC.
func zoneOffset(text []byte) (seconds int64, why string) {
	if len(text) == 1 && text[0] == 'z' {
		return 0, ""
	}
	if len(text) < 3 || text[0] != '+' && text[0] != '-' {
		return 0, notATimestamp
	}
	hour, minute := twoDigits(text[1:]), int64(0)
	switch rest := text[3:]; {
	case len(rest) == 3 && rest[0] == ':':
		minute = twoDigits(rest[1:])
	case len(rest) == 2:
		minute = twoDigits(rest)
	case len(rest) > 0:
		return 0, notATimestamp
	}
	if hour > 23 || minute > 59 {
		return 0, notATimestamp
	}
	if seconds = hour*3600 + minute*60; text[0] == '-' {
		return -seconds, ""
	}
	return seconds, ""
}

// localSeconds finds the instant at which clocks in the zone show a time, given as if it were UTC.
func localSeconds(local int64, zone *time.Location) (seconds int64, why string) {
	if zone == nil || zone == time.UTC {
		return local, ""
	}
	// The offsets a day before and after are the only two that can hold now, but for zones that change twice
	// within two days; the greater offset gives the earlier instant.
	_, before := time.Unix(local-secondsPerDay, 0).In(zone).Zone()
	_, after := time.Unix(local+secondsPerDay, 0).In(zone).Zone()
	for _, offset := range [...]int{max(before, after), min(before, after)} {
		seconds = local - int64(offset)
		if _, holds := time.Unix(seconds, 0).In(zone).Zone(); holds == offset {
			return seconds, ""
		}
	}
	return 0, "clocks in " + zone.String() + " never show this time"
}

// twoDigitsOf holds 00 to 99.
const twoDigitsOf = "00010203040506070809101112131415161718192021222324" +
	"25262728293031323334353637383940414243444546474849" +
	"50515253545556575859606162636465666768697071727374" +
	"75767778798081828384858687888990919293949596979899"

func putTwo(dst []byte, v int64) {
	_ = dst[1]
	dst[0], dst[1] = twoDigitsOf[2*v], twoDigitsOf[2*v+1]
}

func appendDate(dst []byte, days int64) []byte {
	year, month, day := dateOf(days)
	switch {
	case year >= 0 && year <= 9999:
	case year < 0:
		dst, year = append(dst, '-'), -year
	default:
		dst = append(dst, '+')
	}
	if year > 9999 {
		dst = strconv.AppendInt(dst, year, 10)
	} else {
		dst = append(dst, "0000"...)
		putTwo(dst[len(dst)-4:], year/100)
		putTwo(dst[len(dst)-2:], year%100)
	}
	dst = append(dst, "-00-00"...)
	putTwo(dst[len(dst)-5:], month)
	putTwo(dst[len(dst)-2:], day)
	return dst
}

func appendTimestamp(dst []byte, micros int64) []byte {
	seconds := floorDiv(micros, microsPerSecond)
	fraction := micros - seconds*microsPerSecond
	days := floorDiv(seconds, secondsPerDay)
	clock := seconds - days*secondsPerDay
	dst = appendDate(dst, days)
	dst = append(dst, "T00:00:00.000000Z"...)
	text := dst[len(dst)-len("T00:00:00.000000Z"):]
	putTwo(text[1:], clock/3600)
	putTwo(text[4:], clock/60%60)
	putTwo(text[7:], clock%60)
	if fraction == 0 {
		text[9] = 'Z'
		return dst[:len(dst)-len(".000000")]
	}
	putTwo(text[10:], fraction/10_000)
	putTwo(text[12:], fraction/100%100)
	putTwo(text[14:], fraction%100)
	return dst
}
