// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a number of bytes. Its text form needs a unit; KB and KiB, MB and MiB, GB and GiB are the same
// powers of 1024.
type Bytes int64

// Units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// Unlimited lifts a limit that a configuration would otherwise set.
const Unlimited = 1<<63 - 1

var byteUnits = []struct {
	name string
	size Bytes
}{
	{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"GB", GiB}, {"MB", MiB}, {"KB", KiB}, {"B", 1},
}

// ParseBytes reads a size such as 64MB, 256KiB or 100B. A number without its unit is an error.
func ParseBytes(text string) (Bytes, error) {
	for _, unit := range byteUnits {
		digits, found := strings.CutSuffix(text, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > int64(Unlimited)/int64(unit.size) {
			return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as 64MB", text)
		}
		return Bytes(n) * unit.size, nil
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return 0, fmt.Errorf("%q has no unit: write %sB, %sKB or %sMB", text, text, text, text)
	}
	return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as 64MB", text)
}

// String prints the size with the largest unit that divides it.
func (b Bytes) String() string {
	if b == 0 {
		return "0B"
	}
	for _, unit := range byteUnits[3:] {
		if b%unit.size == 0 {
			return strconv.FormatInt(int64(b/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
