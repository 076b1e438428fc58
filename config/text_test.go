// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay/config"
)

type oneText struct {
	X config.Text `yaml:"x"`
}

func textOf(t interface{ Fatalf(string, ...any) }, file string) config.Text {
	tree, problems := config.Parse("f", []byte(file), options())
	var out oneText
	problems = append(problems, tree.Decode("", &out)...)
	if len(problems) > 0 {
		t.Fatalf("%s\n%s", file, problems.Render("f"))
	}
	return out.X
}

// charAt is the character of the file at a place.
func charAt(file string, at config.Position) rune {
	lines := strings.Split(strings.ReplaceAll(file, "\r\n", "\n"), "\n")
	if at.Line < 1 || at.Line > len(lines) {
		return 0
	}
	runes := []rune(lines[at.Line-1])
	if at.Column < 1 || at.Column > len(runes) {
		return 0
	}
	return runes[at.Column-1]
}

// K3: also behind characters of several bytes.
func TestEveryLetterOfATextIsFoundInTheFile(t *testing.T) {
	for name, file := range map[string]string{
		"plain":              "x: abc def",
		"plain, wide":        "x: a\u00e9b\u65e5c def",
		"plain, folded":      "x: abc\n   def\n\n   ghi  \n  jkl # mno\n",
		"plain, in a flow":   "x:    abc > def",
		"single":             "x: 'abc ''def'' ghi'",
		"single, folded":     "x: 'abc\n   def''g\n\n  hij'",
		"double":             "x: \"abc \\\"def\\\" \\u00e9g\\x41h\\tij\\\\k\"",
		"double, folded":     "x: \"abc\n   def \\\n   ghi\n\n  jkl\"",
		"literal":            "x: |\n   abc\n    def\n\n   ghi\n",
		"literal, stripped":  "x: |-\n\n  abc\n  def",
		"folded":             "x: >\n  abc\n  def\n\n  ghi\n   jkl\n  mno\n",
		"anchored":           "x: &a  !!str abc",
		"crlf":               "x: |\r\n  abc\r\n  def\r\n",
		"byte order mark":    "\ufeffx: abc",
		"behind a reference": "x: abc${TABLE}def$${ghi}${LANES}jkl",
		"dotted reference":   "x: 'ab''c${TABLE}''def'",
	} {
		t.Run(name, func(t *testing.T) {
			text := textOf(t, file)
			shown := strings.TrimPrefix(file, "\ufeff")
			value := text.Value
			if i := strings.Index(value, "flights"); i >= 0 {
				at := text.At(i + 3)
				if charAt(shown, at) != '$' {
					t.Errorf("inside the reference: %v", at)
				}
				value = strings.Replace(value, "flights", "       ", 1)
			}
			for i, r := range value {
				if strings.ContainsRune("abcdefghijklmno", r) {
					if at := text.At(i); charAt(shown, at) != r {
						t.Errorf("offset %d is %q, found %q at %v", i, r, charAt(shown, at), at)
					}
				}
			}
		})
	}
}

func TestEscapesAreFoundAtTheirBackslash(t *testing.T) {
	text := textOf(t, `x: "a\tb\u00e9\\c"`)
	for offset, column := range map[int]int{0: 5, 1: 6, 2: 8, 3: 9, 5: 15, 6: 17} {
		if at := text.At(offset); at.Column != column {
			t.Errorf("offset %d is at %v, want column %d", offset, at, column)
		}
	}
}

func TestTextPlacesHoldForAnyStyle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z']{1,5}`), 1, 6).Draw(t, "words")
		value := "q" + strings.Join(words, " ")
		indent := strings.Repeat(" ", rapid.IntRange(1, 4).Draw(t, "indent"))
		joined := strings.Join(words, "\n"+indent)
		var file string
		switch style := rapid.IntRange(0, 4).Draw(t, "style"); style {
		case 0:
			file = "x: q" + strings.ReplaceAll(joined, "\n", " \n")
		case 1:
			file = "x: 'q" + strings.ReplaceAll(joined, "'", "''") + "'"
		case 2:
			file = "x: \"q" + joined + "\""
		case 3:
			file = "x: >-\n" + indent + "q" + joined
		default:
			file = "x: |-\n" + indent + "q" + joined
			value = "q" + strings.Join(words, "\n")
		}
		text := textOf(t, file)
		if text.Value != value {
			t.Fatalf("%s: %q, want %q", file, text.Value, value)
		}
		for i, r := range value {
			if r != ' ' && r != '\n' && charAt(file, text.At(i)) != r {
				t.Fatalf("%q: offset %d is %q, found %q at %v", file, i, r, charAt(file, text.At(i)), text.At(i))
			}
		}
	})
}

func TestAProblemInsideATextMarksIt(t *testing.T) {
	text := textOf(t, "x: 'a + it''s + b'\n")
	p := text.Problem(strings.Index(text.Value, "it's"), 4, "unknown column it's")
	got := config.Problems{p}.Render("f")
	want := "error: unknown column it's\n  --> f:1:9  x\n   |\n" +
		" 1 | x: 'a + it''s + b'\n   |         ^^^^^\n\n1 error in f; nothing was touched\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
	secret := textOf(t, "x: a + ${PASSWORD}\n")
	if got := fmt.Sprint(secret.Problem(4, 3, "bad "+secret.Value)); strings.Contains(got, "hunter2") ||
		!strings.Contains(got, "${PASSWORD}") {
		t.Errorf("K1: %s", got)
	}
}
