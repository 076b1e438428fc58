// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Ledger is what an input holds: its rows in order, as text. Null is the empty text.
//
// Concurrency: safe to read.
type Ledger struct {
	Columns []string
	// Rows are joined with a separator that no value holds.
	Rows []string
	// Splits are the numbers of the splits that the rows belong to; nil for one split.
	Splits []int32

	index map[string]int32 // the first row with this text
	next  []int32          // the next row with the same text; -1 at the end
}

// separator stands between the values of a row.
const separator = "\x1f"

// ReadCSV reads a csv file with a header, plain or as gzip. Rows for which skip is true are left out; nil keeps
// all.
func ReadCSV(path string, skip func(row []string) bool) (*Ledger, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	var in io.Reader = bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	l := &Ledger{}
	for {
		row, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			l.build()
			return l, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", path, err)
		case l.Columns == nil:
			l.Columns = append([]string(nil), row...)
			continue
		case skip != nil && skip(row):
			continue
		}
		for i, value := range row {
			if value == "NA" {
				row[i] = ""
			}
		}
		l.Rows = append(l.Rows, strings.Join(row, separator))
	}
}

// ReadNDJSON reads a file of JSON objects with these columns; grid is the size of the ranges that the pipeline
// reads it in, 0 for none: a row belongs to the range in which it begins.
func ReadNDJSON(path string, columns []string, grid int64) (*Ledger, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewReaderSize(f, 1<<20)
	l := &Ledger{Columns: columns}
	values := make([]string, len(columns))
	for offset := int64(0); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			l.build()
			return l, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if err := fieldsOf(line, columns, values); err != nil {
			return nil, fmt.Errorf("read %s at %d: %w", path, offset, err)
		}
		l.Rows = append(l.Rows, strings.Join(values, separator))
		if grid > 0 {
			l.Splits = append(l.Splits, int32(offset/grid))
		}
		offset += int64(len(line))
	}
}

// fieldsOf reads the fields of one JSON object as text.
func fieldsOf(line []byte, columns, values []string) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return err
	}
	if len(fields) != len(columns) {
		return fmt.Errorf("%d fields, expected %d", len(fields), len(columns))
	}
	for i, name := range columns {
		switch v := fields[name].(type) {
		case nil:
			values[i] = ""
		case string:
			values[i] = v
		case json.Number:
			values[i] = v.String()
		case bool:
			values[i] = strconv.FormatBool(v)
		default:
			return fmt.Errorf("field %q is a %T", name, v)
		}
	}
	return nil
}

func (l *Ledger) build() {
	l.index = make(map[string]int32, len(l.Rows))
	l.next = make([]int32, len(l.Rows))
	// From the end, so that the first of several equal rows is found first.
	for i := len(l.Rows) - 1; i >= 0; i-- {
		l.next[i] = -1
		if later, twice := l.index[l.Rows[i]]; twice {
			l.next[i] = later
		}
		l.index[l.Rows[i]] = int32(i)
	}
}

// show is a row for a message.
func show(row string) string { return strings.ReplaceAll(row, separator, ",") }
