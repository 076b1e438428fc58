// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay/config"
)

func TestPrintReadsBackAsTheSame(t *testing.T) {
	file := strings.Replace(valid, "  key: abc\n", "", 1) +
		"http.listen: '${TABLE}:80'\nlog.verbose: ${WORD}\nguarantee: none\n"
	s, tree, problems := check("f.yaml", file, options())
	if len(problems) > 0 {
		t.Fatal(problems.Render("f"))
	}
	printed := string(tree.Print("", s))
	again, tree2, problems := check("g.yaml", printed, options())
	if len(problems) > 0 {
		t.Fatalf("%s\n%s", printed, problems.Render("g"))
	}
	if diff := cmp.Diff(s.Labels, again.Labels); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s, again, cmp.AllowUnexported(zone{}), cmpopts.IgnoreUnexported(config.Text{}),
		cmpopts.IgnoreFields(shape{}, "Transform")); diff != "" {
		t.Errorf("%s\n%s", printed, diff)
	}
	for _, want := range []string{
		"# The name.\nname: flights\n", "lanes: 16\n", "memory: 256MB  # default\n", "  batch.size: 4MB\n",
		"max: unlimited",
		"http.listen: ${TABLE}:80\n", "log.verbose: ${WORD}\n", "      csv:\n        header: true  # default\n",
		"key: [time_hour, carrier]\n",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
	if again := string(tree2.Print("", again)); again != printed {
		t.Errorf("printing what was printed:\n%s", cmp.Diff(printed, again))
	}
}

func TestPrintCoversSecretFields(t *testing.T) {
	s, tree, _ := check("f.yaml", "name: a\nsource: { generate: {} }\ntls: { ca: x, key: abc }\n", options())
	if got := string(tree.Print("", s)); strings.Contains(got, "abc") || !strings.Contains(got, "key: ***") {
		t.Errorf("got\n%s", got)
	}
	s, tree, _ = check("f.yaml", "name: a\nsource: { generate: {} }\ntls: { ca: x, key: '${PASSWORD}' }\n", options())
	if got := string(tree.Print("", s)); !strings.Contains(got, "key: ${PASSWORD}\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestAnyTextPrintsSuchThatItReadsBack(t *testing.T) {
	type holder struct {
		S string            `yaml:"s"`
		L []string          `yaml:"l"`
		M map[string]string `yaml:"m"`
	}
	texts := rapid.OneOf(
		rapid.String(), rapid.StringMatching(`[-a-z0-9:#'"{}$\[\],&*!|>%@~. \n\t\\=?<]{0,9}`),
		rapid.SampledFrom([]string{
			"it's: x", "", "~", "null", "true", "1", "1e3", "---", "...", "a: b", "a #b", "${X}",
			"$${X}",
			"- a", "? a", "<<", "=", "\u0085", "\u2028",
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		want := holder{S: texts.Draw(t, "s")}
		want.L = rapid.SliceOfN(texts, 1, 3).Draw(t, "l")
		want.M = map[string]string{texts.Draw(t, "key"): texts.Draw(t, "value")}
		for _, s := range append([]string{want.S}, want.L...) {
			if strings.ToValidUTF8(s, "") != s {
				t.Skip()
			}
		}
		empty, _ := config.Parse("f", []byte("{}"), config.Options{})
		printed := empty.Print("", want)
		tree, problems := config.Parse("f", printed, config.Options{})
		var got holder
		problems = append(problems, tree.Decode("", &got)...)
		if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
			t.Fatalf("%s\n%s%s", printed, problems.Render("f"), diff)
		}
	})
}

func TestFieldsDescribeTheStruct(t *testing.T) {
	fields := config.Fields(reflect.TypeFor[shape](), choices)
	byKey := map[string]config.Field{}
	for _, f := range fields {
		byKey[f.Key] = f
	}
	for key, want := range map[string]string{
		"name": "text", "source": "sourceUnion", "transform": "list of step", "lanes": "int", "memory": "size",
		"writer":           "keys",
		"shutdown.timeout": "duration", "log.verbose": "bool", "ratio": "number", "labels": "map of int", "zone": "zone",
		"any": "any", "tls": "keys",
	} {
		if byKey[key].Type != want {
			t.Errorf("%s is %q, want %q", key, byKey[key].Type, want)
		}
	}
	memory := config.Field{Key: "memory", Type: "size", Default: "256MB", Min: "16MB"}
	if diff := cmp.Diff(memory, byKey["memory"]); diff != "" {
		t.Error(diff)
	}
	if len(byKey["writer"].Fields) != 4 || byKey["writer"].Fields[0].Doc == "" ||
		byKey["name"].Pattern != "[a-z0-9][a-z0-9_-]{0,62}" {
		t.Errorf("%+v", byKey["writer"])
	}
	file := config.Fields(reflect.TypeFor[*fileShape](), choices)
	if len(file) != 3 || len(file[1].Choices) != 2 || file[1].Type != "format" {
		t.Errorf("%+v", file)
	}
}

func TestQuotesInsideAQuotedTextAreDoubled(t *testing.T) {
	empty, _ := config.Parse("f", []byte("{}"), config.Options{})
	got := string(empty.Print("", struct {
		S string `yaml:"s"`
	}{"it's: x"}))
	if got != "s: 'it''s: x'\n" {
		t.Errorf("got %s", got)
	}
}
