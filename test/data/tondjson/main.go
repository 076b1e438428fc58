// SPDX-License-Identifier: Apache-2.0

// Command tondjson turns csv with a header on standard input into one JSON object per row on standard
// output. The fields keep the order of the columns, NA and the empty field become null, and what is
// written as a JSON number stays one, so the same input always gives the same bytes.
package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := convert(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tondjson: "+err.Error())
		os.Exit(1)
	}
}

func convert(in io.Reader, out io.Writer) error {
	reader := csv.NewReader(bufio.NewReaderSize(in, 256<<10))
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("read the header: %w", err)
	}
	names := make([][]byte, len(header))
	for i, column := range header {
		if names[i], err = json.Marshal(column); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	writer := bufio.NewWriterSize(out, 256<<10)
	var line []byte
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return writer.Flush()
		}
		if err != nil {
			return fmt.Errorf("read a row: %w", err)
		}
		line = append(line[:0], '{')
		for i, field := range row {
			if i > 0 {
				line = append(line, ',')
			}
			line = append(append(line, names[i]...), ':')
			if line, err = appendValue(line, field); err != nil {
				return err
			}
		}
		if _, err := writer.Write(append(line, '}', '\n')); err != nil {
			return fmt.Errorf("write a row: %w", err)
		}
	}
}

// appendValue renders one field. The field is a number only if it is one in JSON too: 007 and +1 stay text.
func appendValue(line []byte, field string) ([]byte, error) {
	if field == "" || field == "NA" {
		return append(line, "null"...), nil
	}
	if first := field[0]; first == '-' || first >= '0' && first <= '9' {
		if json.Valid([]byte(field)) {
			return append(line, field...), nil
		}
	}
	text, err := json.Marshal(field)
	if err != nil {
		return nil, fmt.Errorf("field %q: %w", field, err)
	}
	return append(line, text...), nil
}
