// SPDX-License-Identifier: Apache-2.0

package nearest

import (
	"strings"
	"testing"
)

func TestNearestNamesOnlyCloseOnes(t *testing.T) {
	t.Parallel()
	known := []string{"format", "path", "batch.size", "filter", "key", "dead-letter", "ca", "throughput"}
	for name, want := range map[string]string{
		"formt": "format", "fromat": "format", "pat": "path", "PATH": "path", "fliter": "filter",
		"dead_letter": "dead-letter",
		"kye":         "key", "cb": "ca", "xyz": "", "outputs": "", "f": "", "": "", "paht": "path",
		"trouhgput":               "throughput",
		strings.Repeat("x", 5000): "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("%.20q: %q, want %q", name, got, want)
		}
	}
}

func TestNearestColumn(t *testing.T) {
	t.Parallel()
	known := []string{"carrier", "dep_time", "arr_time", "id"}
	for name, want := range map[string]string{
		"carier": "carrier", "Carrier": "carrier", "deptime": "dep_time", "dep_tme": "dep_time", "arr_tmie": "arr_time",
		"price": "", "": "", "ID": "id", "xy": "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}
