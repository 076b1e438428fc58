// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestConvertKeepsNumbersAndTurnsNAIntoNull(t *testing.T) {
	t.Parallel()
	const in = "flight,tailnum,delay,note\n1545,N14228,-2.5,\"a \"\"b\"\", c\"\n007,NA,,+1\n"
	const want = `{"flight":1545,"tailnum":"N14228","delay":-2.5,"note":"a \"b\", c"}
{"flight":"007","tailnum":null,"delay":null,"note":"+1"}
`
	var out strings.Builder
	if err := convert(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestConvertNamesARowThatIsShort(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := convert(strings.NewReader("a,b\n1\n"), &out)
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
}
