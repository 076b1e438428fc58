// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func TestCheckerJudgesARun(t *testing.T) {
	t.Parallel()
	const passes = `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.01s\n"}
{"Action":"pass","Package":"p"}
`
	tests := []struct {
		name, in string
		ok       bool
		want     string // the whole output
	}{
		{"a pass", passes, true, "ok  \tp\t0.01s\n1 passed, 0 failed, 0 skipped\n"},
		{"nothing ran", "", false, "no test ran\n0 passed, 0 failed, 0 skipped\n"},
		{
			"a package without tests is no skip",
			passes + `{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`, true, "ok  \tp\t0.01s\n?   \tq\t[no test files]\n1 passed, 0 failed, 0 skipped\n",
		},
		{
			"a skipped test fails the run",
			passes + `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:3: no server\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
`, false, "ok  \tp\t0.01s\n    b_test.go:3: no server\n" +
				"skipped: p TestB (here every test must run)\n1 passed, 0 failed, 1 skipped\n",
		},
		{
			"a failed test shows its output",
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.01s\n"}
{"Action":"fail","Package":"p"}
`, false, "    a_test.go:9: wrong\nFAIL\tp\t0.01s\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			"a package that does not build shows the compiler's words",
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1:1: broken\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`, false, "p/a.go:1:1: broken\nFAIL\tp [build failed]\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			"a test that was cut off shows its output",
			`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t9s\n"}
{"Action":"fail","Package":"p"}
`, false, "panic: test timed out\nFAIL\tp\t9s\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			"plain text is passed on",
			"go: downloading x\n" + passes, true,
			"go: downloading x\nok  \tp\t0.01s\n1 passed, 0 failed, 0 skipped\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			c := newChecker(w)
			if err := c.read(strings.NewReader(test.in)); err != nil {
				t.Fatal(err)
			}
			ok := c.finish()
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if ok != test.ok || out.String() != test.want {
				t.Errorf("ok %v, want %v; printed\n%s\nwant\n%s", ok, test.ok, out.String(), test.want)
			}
		})
	}
}
