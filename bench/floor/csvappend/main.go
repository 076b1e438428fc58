// SPDX-License-Identifier: Apache-2.0

// Command csvappend is the floor for csv into a log table: the standard library reads IN (plain or .gz)
// and the fields of each row go through 256 KiB writes into OUT, which is synced once at the end.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"log"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: csvappend IN OUT")
	}
	file, err := os.Open(os.Args[1])
	check(err)
	var in io.Reader = bufio.NewReaderSize(file, 256<<10)
	if strings.HasSuffix(os.Args[1], ".gz") {
		in, err = gzip.NewReader(in)
		check(err)
	}
	out, err := os.Create(os.Args[2])
	check(err)
	writer := bufio.NewWriterSize(out, 256<<10)
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		check(err)
		for i, field := range row {
			if i > 0 {
				check(writer.WriteByte(','))
			}
			_, err = writer.WriteString(field)
			check(err)
		}
		check(writer.WriteByte('\n'))
	}
	check(writer.Flush())
	check(out.Sync())
	check(out.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
