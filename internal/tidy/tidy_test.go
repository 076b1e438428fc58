// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"os"
	"testing"
)

// checks are all rules; each looks at the whole tree.
var checks = []struct {
	name  string
	check func(*tree) []violation
}{
	{"imports", checkImports},
	{"sizes", checkSizes},
	{"calls", checkCalls},
	{"sources", checkSources},
	{"links", checkLinks},
	{"words", checkWords},
	{"invariants", checkInvariants},
}

func TestTree(t *testing.T) {
	t.Parallel()
	tree, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := parseAllowed(tree.text["internal/tidy/allow.txt"])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range allowed.filter(c.check(tree)) {
				t.Error(v)
			}
		})
	}
	for _, unused := range allowed.unused() {
		t.Error(unused)
	}
}
