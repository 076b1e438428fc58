// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
)

// parseJSON reads one JSON value; number reads its numbers.
func parseJSON(text []byte, number func(text string) (any, error)) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.InputOffset() != int64(len(bytes.TrimRight(text, " \t\r\n"))) {
		return nil, rejectf(CodeCast, "%s is not JSON", shown(string(text)))
	}
	return withNumbers(v, number)
}

func withNumbers(v any, number func(text string) (any, error)) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			if v[i], err = withNumbers(v[i], number); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		for key := range v {
			if v[key], err = withNumbers(v[key], number); err != nil {
				return nil, err
			}
		}
		return v, nil
	default:
		return v, nil
	}
}

// jsonNumber reads a whole number as an int, or as a decimal where it needs more than 64 bits; every other one is
// a float.
func jsonNumber(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return int(n), nil
	}
	if !strings.ContainsAny(text, ".eE") {
		whole := forebay.DecimalOf(forebay.DecimalPrecisionMax, 0)
		if v, err := forebay.ParseDecimal(whole, []byte(text)); err == nil {
			return decimalValue{unscaled: v}, nil
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, rejectf(CodeOverflow, "the JSON number %s does not fit a float64", shown(text))
	}
	return n, nil
}

// dynamicOpen is what a json value holds.
func dynamicOpen(args ...any) (any, error) {
	if text, ok := args[0].(jsonText); ok {
		return parseJSON([]byte(text), jsonNumber)
	}
	return args[0], nil
}
func fromJSON(args ...any) (any, error) { return parseJSON([]byte(args[0].(string)), jsonNumber) }

func toJSON(args ...any) (any, error) { return jsonOf(args[0]) }

func asJSON(args ...any) (any, error) {
	text, err := jsonOf(args[0])
	if err != nil {
		return nil, err
	}
	return jsonText(text.(string)), nil
}

// jsonOf is a machine's value as JSON text; the keys of maps are sorted.
func jsonOf(v any) (any, error) {
	text, err := appendJSON(nil, v)
	if err != nil {
		return nil, err
	}
	return string(text), nil
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return dst, rejectf(CodeCast, "JSON has no number for %v", v)
		}
		return forebay.AppendCellJSON(dst, forebay.Float64, forebay.Float64Cell(v), nil), nil
	case string:
		return forebay.AppendJSONString(dst, []byte(v)), nil
	case []byte:
		return fmt.Appendf(dst, "%q", base64.StdEncoding.EncodeToString(v)), nil
	case jsonText:
		return append(dst, v...), nil
	case decimalValue:
		return v.unscaled.AppendText(dst, v.scale), nil
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, item); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range sortedNames(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(forebay.AppendJSONString(dst, []byte(key)), ':')
			if dst, err = appendJSON(dst, v[key]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	default:
		text, err := (&frame{}).dynamicText(v)
		if err != nil {
			return dst, err
		}
		return forebay.AppendJSONString(dst, []byte(text.(string))), nil
	}
}
