// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// fileRecords are in records.ndjson; bentoFileRecords, its first ones, in records-few.ndjson.
	fileRecords      = 1_500_000
	bentoFileRecords = 200_000
	// fileBuckets is how many values the field user has.
	fileBuckets = 10_000
)

// writeRecords writes records of about 200 bytes, numbered from 0 in their first field.
func writeRecords(count int) func(io.Writer) error {
	countries := []string{"de", "fr", "it", "es", "pl"}
	devices := []string{"phone", "tablet", "desktop"}
	words := strings.Fields("time river stone cloud paper green north light wheel water bread glass")
	return func(w io.Writer) error {
		random := rand.New(rand.NewPCG(3, 4))
		start := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
		var line []byte
		for id := range count {
			line = append(line[:0], `{"id":`...)
			line = strconv.AppendInt(line, int64(id), 10)
			line = append(line, `,"time":"`...)
			line = start.Add(time.Duration(id)*time.Millisecond).AppendFormat(line, "2006-01-02T15:04:05.000Z")
			line = fmt.Appendf(line, `","user":%d,"amount":%d.%02d,"ok":%t,"country":"%s","device":"%s","score":%d,"note":"`,
				random.IntN(fileBuckets), random.IntN(1000), random.IntN(100), random.IntN(2) == 0,
				countries[random.IntN(len(countries))], devices[random.IntN(len(devices))], random.IntN(100))
			for k := range 8 {
				if k > 0 {
					line = append(line, ' ')
				}
				line = append(line, words[random.IntN(len(words))]...)
			}
			line = append(line, "\"}\n"...)
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	}
}

// idLedger knows which of the records 0 to n-1 it has seen.
type idLedger struct {
	seen  []uint64
	count int64
	bytes int64
	parts int
}

var idPrefix = []byte(`{"id":`)

func newIDLedger(n int64) *idLedger { return &idLedger{seen: make([]uint64, (n+63)/64)} }

// folder reads every part of a folder and of the buckets in it.
//
// Errors: a record that is none of the input's or is there twice; a file that nobody published.
func (l *idLedger) folder(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return nil
		case strings.HasPrefix(entry.Name(), "part-"):
			if strings.Contains(path, "/_forebay/") {
				return fmt.Errorf("%s was left behind", path)
			}
			l.parts++
			return l.file(path)
		default:
			return nil
		}
	})
}

func (l *idLedger) file(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	lines := bufio.NewScanner(bufio.NewReaderSize(file, 256<<10))
	for lines.Scan() {
		if err := l.line(lines.Bytes()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return lines.Err()
}

func (l *idLedger) line(line []byte) error {
	rest, found := bytes.CutPrefix(line, idPrefix)
	id, digits := uint64(0), 0
	for digits < len(rest) && digits < 18 && rest[digits] >= '0' && rest[digits] <= '9' {
		id = id*10 + uint64(rest[digits]-'0')
		digits++
	}
	if !found || digits == 0 || id/64 >= uint64(len(l.seen)) {
		return fmt.Errorf("the line %q has no number of the input", tail(line))
	}
	if l.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("record %d is there twice", id)
	}
	l.seen[id/64] |= 1 << (id % 64)
	l.count++
	l.bytes += int64(len(line)) + 1
	return nil
}
