// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// jsonMax bounds the JSON of one value.
const jsonMax = 64 << 20

// tooLong is why a nested value is rejected.
const tooLong = "its json is longer than 64MiB"

// jsonWriter turns a nested value into JSON: records and maps become objects, bytes base64, and what has a logical type
// its text.
type jsonWriter struct {
	cursor
	out []byte
	// left bounds the values in it, of which some take no bytes.
	left int
	// why says why there is no JSON; the value is read on to its end.
	why string
}

func (j *jsonWriter) wrong(why string) {
	if j.why == "" {
		j.why = why
	}
}

func (j *jsonWriter) add(text string) {
	if len(j.out)+len(text) > jsonMax {
		j.wrong(tooLong)
		return
	}
	j.out = append(j.out, text...)
}

func (j *jsonWriter) text(p []byte) {
	if !utf8.Valid(p) {
		j.wrong(notUTF8)
		p = nil
	}
	if len(j.out)+len(p) > jsonMax {
		j.wrong(tooLong)
		return
	}
	j.out = forebay.AppendJSONString(j.out, p)
}

func (j *jsonWriter) value(k *kind, depth int) {
	// AV1: a type may contain itself, so depth and number of values are not bounded by the schema.
	if j.left--; depth > nestedMax || j.left < 0 {
		j.fail(errForm)
		return
	}
	switch k.shape {
	case shapeNull:
		j.add("null")
	case shapeRecord:
		j.record(k, depth)
	case shapeArray, shapeMap:
		j.items(k, depth)
	case shapeUnion:
		branch := j.long()
		if branch < 0 || branch >= int64(len(k.parts)) {
			j.fail(errForm)
			return
		}
		j.value(k.parts[branch], depth+1)
	default:
		j.leaf(k)
	}
}

func (j *jsonWriter) record(k *kind, depth int) {
	j.add("{")
	for i, part := range k.parts {
		if i > 0 {
			j.add(",")
		}
		j.text([]byte(k.names[i]))
		j.add(":")
		if j.value(part, depth+1); j.err != nil {
			return
		}
	}
	j.add("}")
}

func (j *jsonWriter) items(k *kind, depth int) {
	open, end := "[", "]"
	if k.shape == shapeMap {
		open, end = "{", "}"
	}
	j.add(open)
	first := true
	for {
		n := j.count()
		if n == 0 || j.err != nil {
			break
		}
		for ; n > 0 && j.err == nil; n-- {
			if !first {
				j.add(",")
			}
			first = false
			if k.shape == shapeMap {
				j.text(j.bytes())
				j.add(":")
			}
			j.value(k.parts[0], depth+1)
		}
	}
	j.add(end)
}

func (j *jsonWriter) leaf(k *kind) {
	switch k.shape {
	case shapeBool:
		p := j.take(1)
		j.add(strconv.FormatBool(p != nil && p[0] == 1))
	case shapeInt, shapeLong:
		j.whole(k, j.long())
	case shapeFloat:
		j.float(forebay.Float32, forebay.Float32Cell(math.Float32frombits(j.bits32())))
	case shapeDouble:
		j.float(forebay.Float64, forebay.Float64Cell(math.Float64frombits(j.bits64())))
	case shapeEnum:
		n := j.long()
		if n < 0 || n >= int64(len(k.symbols)) {
			j.fail(errForm)
			return
		}
		j.text([]byte(k.symbols[n]))
	case shapeString:
		j.text(j.bytes())
	case shapeFixed:
		j.octets(k, j.take(k.size))
	default:
		j.octets(k, j.bytes())
	}
}

func (j *jsonWriter) float(t forebay.Type, cell forebay.Cell) {
	j.out = forebay.AppendCellJSON(j.out, t, cell, nil)
}

func (j *jsonWriter) whole(k *kind, v int64) {
	cell, why := intCell(&field{to: forebay.Int64}, k, v)
	switch {
	case why != "":
		j.wrong(why)
	case k.meaning == date:
		j.out = forebay.AppendCellJSON(j.out, forebay.Date, cell, nil)
	case k.meaning == millis || k.meaning == micros || k.meaning == nanos:
		j.out = forebay.AppendCellJSON(j.out, forebay.Timestamp, cell, nil)
	default:
		j.out = strconv.AppendInt(j.out, v, 10)
	}
}

func (j *jsonWriter) octets(k *kind, p []byte) {
	switch {
	case len(j.out)+2*len(p) > jsonMax:
		j.wrong(tooLong)
	case k.meaning == decimal:
		d, ok := int128(p)
		if !ok || !d.Fits(k.precision) {
			j.wrong(tooMany)
			return
		}
		j.out = d.AppendText(j.out, k.scale)
	case k.meaning == uuid && len(p) == uuidSize:
		j.out = append(appendUUID(append(j.out, '"'), p), '"')
	default:
		j.out = append(base64.StdEncoding.AppendEncode(append(j.out, '"'), p), '"')
	}
}
