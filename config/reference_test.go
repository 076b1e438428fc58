// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
)

func TestReferencesAreReplacedInScalars(t *testing.T) {
	type holder struct {
		S string            `yaml:"s"`
		I int               `yaml:"i"`
		B bool              `yaml:"b"`
		M map[string]string `yaml:"m"`
		L []string          `yaml:"l"`
		X forebay.Bytes     `yaml:"x"`
	}
	for text, want := range map[string]holder{
		"s: ${TABLE}":                    {S: "flights"},
		"s: a-${TABLE}-${LANES}":         {S: "a-flights-7"},
		"i: ${LANES}":                    {I: 7},
		"i: '${LANES}'":                  {I: 7},
		"i: ${file:lanes}":               {I: 3},
		"i: ${UNSET:12}":                 {I: 12},
		"i: 1${LANES}":                   {}, // text that only looks like a number is checked below
		"b: ${WORD}":                     {B: true},
		"s: ${DIGITS}":                   {S: "0123"},
		"s: ${WORD}":                     {S: "true"},
		"s: ${HASH}":                     {S: "a #b: c"},
		"s: ${LIST}":                     {S: "[a, b]"},
		"s: ${UNSET:a b:c}":              {S: "a b:c"},
		"s: ${UNSET:}":                   {},
		"s: ${EMPTY}":                    {},
		"s: x${EMPTY}y":                  {S: "xy"},
		"s: $${TABLE}":                   {S: "${TABLE}"},
		"s: a$${b}${TABLE}$${":           {S: "a${b}flights${"},
		"s: $TABLE $$ }":                 {S: "$TABLE $$ }"},
		"s: ${file:cert.pem}":            {S: "-----BEGIN\nabc\n-----END"},
		"m: { '${TABLE}': 'a${TABLE}' }": {M: map[string]string{"${TABLE}": "aflights"}},
		"l: ['${TABLE}', b]":             {L: []string{"flights", "b"}},
		"x: ${LANES}MB":                  {X: 7 << 20},
	} {
		tree, problems := config.Parse("f", []byte(text), options())
		var got holder
		problems = append(problems, tree.Decode("", &got)...)
		if text == "i: 1${LANES}" {
			if len(problems) != 1 {
				t.Errorf("%s: %v", text, problems)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v\n%s", text, problems, diff)
		}
	}
}

func TestOverriddenReferencesNeedNotBeSet(t *testing.T) {
	s, _, problems := check("f.yaml", "name: ${UNSET}\nsource: { generate: {} }\n", options("name=a${LANES}"))
	if len(problems) > 0 || s.Name != "a7" {
		t.Errorf("%q %v", s.Name, problems)
	}
}

// K1: whatever is wrong, a value from outside is not shown.
func TestK1SecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2-secret"
	for _, key := range []string{
		"name", "source", "transform", "sink", "guarantee", "lanes", "memory", "writer", "writer.batch.size", "errors.max",
		"shutdown.timeout", "http.listen", "log.verbose", "ratio", "small", "count", "tls", "tls.ca", "tls.key", "labels",
		"labels.x",
		"columns", "columns.x", "zone", "any", "source.file", "source.file.format", "source.file.path", "unknown",
		"transform.0.filter",
		"transform.0.set",
	} {
		for _, value := range []string{
			"${PASSWORD}", "x-${PASSWORD}", "'${PASSWORD}'", "[${PASSWORD}]",
			"{ a: '${PASSWORD}' }",
		} {
			s, tree, problems := check("f.yaml", "", options(fmt.Sprintf("%s=%s", key, value)))
			out := problems.Render("f.yaml") + problems.Error() + string(problems.JSON("f.yaml")) + string(tree.Print("", s))
			if strings.Contains(out, secret) {
				t.Errorf("%s=%s shows the secret:\n%s", key, value, out)
			}
		}
	}
}

func TestSecretFieldsAreCoveredInLines(t *testing.T) {
	for _, value := range []string{
		"my-private", "'my-private'", "\"my-private\"", "|\n    my-private\n    my-private",
		"x my-private\n    my-private", "a${LANES}my-private",
	} {
		s, tree, problems := check("f.yaml",
			"name: a\nsource: { generate: {} }\ntls:\n  key: "+value+"\n  ca: []\n  key2: my\n", options())
		_ = tree.Decode("", &shape{}) // its problems are not what is looked at
		problems = append(problems, tree.Problem("tls.key", "cannot use "+s.TLS.Key, ""))
		out := problems.Render("f.yaml")
		if strings.Contains(out, "my-private") {
			t.Errorf("%q is shown:\n%s", value, out)
		}
	}
}

func TestRedactPutsReferencesBack(t *testing.T) {
	_, tree, _ := check("f.yaml", "name: a${SHORT}\nsource: { generate: {} }\nhttp.listen: ${PASSWORD}\n", options())
	got := tree.Redact(`dial hunter2-secret: user "q7" and q7 and "hunter2-secret"`)
	if want := `dial ${PASSWORD}: user "${SHORT}" and q7 and "${PASSWORD}"`; got != want {
		t.Errorf("got %s", got)
	}
}
