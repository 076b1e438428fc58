// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
)

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// audit prints how many rows are in the store, and a sum over their bytes that does not depend on their order.
func audit(dir string, split bool) {
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	check(err)
	it, err := db.NewIter(nil)
	check(err)
	rows, sum := 0, uint64(0)
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		check(err)
		if split {
			value = append(append([]byte(nil), it.Key()...), value...)
		}
		for ; len(value) > 0; value = value[rowBytes:] {
			rows++
			sum += uint64(crc32.ChecksumIEEE(value[:rowBytes]))
		}
	}
	check(it.Close())
	check(db.Close())
	fmt.Printf("%d rows, sum %x\n", rows, sum)
}
