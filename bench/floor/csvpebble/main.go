// SPDX-License-Identifier: Apache-2.0

// Command csvpebble is the floor for csv into a key table: the standard library reads IN and the rows go
// into the Pebble store DIR in synced batches of 1,000; opening and closing the store is part of the job.
package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"log"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

func main() {
	file, err := os.Open(os.Args[1]) // arguments: IN DIR
	check(err)
	db, err := pebble.Open(os.Args[2], &pebble.Options{MemTableSize: 64 << 20})
	check(err)
	rows := csv.NewReader(bufio.NewReaderSize(file, 256<<10))
	rows.ReuseRecord = true
	header, err := rows.Read()
	check(err)
	var keys []int
	for _, name := range []string{"time_hour", "carrier", "flight", "origin"} {
		keys = append(keys, slices.Index(header, name))
	}
	var key, value []byte
	batch := db.NewBatch()
	for row, err := rows.Read(); !errors.Is(err, io.EOF); row, err = rows.Read() {
		check(err)
		key, value = key[:0], value[:0]
		for _, column := range keys {
			key = append(append(key, row[column]...), 0)
		}
		for column, field := range row {
			if !slices.Contains(keys, column) {
				value = append(append(value, field...), ',')
			}
		}
		check(batch.Set(key, value, nil))
		if batch.Count() == 1000 {
			check(batch.Commit(pebble.Sync))
			check(batch.Close())
			batch = db.NewBatch()
		}
	}
	check(batch.Commit(pebble.Sync))
	check(db.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
