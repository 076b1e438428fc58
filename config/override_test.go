// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
)

func TestSetsChangeTheFileBeforeItIsChecked(t *testing.T) {
	const file = "name: a\nsource: { file: { path: x } }\nwriter: { batch.size: 2MB }\n" +
		"transform:\n  - filter: a\n  - set: { a.b: c }\nlabels: { x: 1, y.z: 2 }\nlanes: oops\n"
	type result struct {
		Name, Path string
		Size       forebay.Bytes
		Filters    []string
		Labels     map[string]int
	}
	base := func(change func(*result)) result {
		r := result{"a", "x", 2 << 20, []string{"a", "set a.b=c"}, map[string]int{"x": 1, "y.z": 2}}
		change(&r)
		return r
	}
	for name, test := range map[string]struct {
		sets []string
		want result
	}{
		"a scalar":               {[]string{"name=b"}, base(func(r *result) { r.Name = "b" })},
		"the last one wins":      {[]string{"name=b", "name=c"}, base(func(r *result) { r.Name = "c" })},
		"a nested one":           {[]string{"source.file.path=y=z"}, base(func(r *result) { r.Path = "y=z" })},
		"in a dotted key":        {[]string{"writer.batch.size=4MB"}, base(func(r *result) { r.Size = 4 << 20 })},
		"dotted keys as a whole": {[]string{"writer.batch={ size: 8MB }"}, base(func(r *result) { r.Size = 8 << 20 })},
		"an item":                {[]string{"transform.0.filter=b > 1"}, base(func(r *result) { r.Filters[0] = "b > 1" })},
		"an item added": {[]string{"transform.2.filter=c"}, base(func(r *result) {
			r.Filters = append(r.Filters,
				"c")
		})},
		"an item removed":     {[]string{"transform.0=null"}, base(func(r *result) { r.Filters = r.Filters[1:] })},
		"a column with a dot": {[]string{"transform.1.set.a.b=d"}, base(func(r *result) { r.Filters[1] = "set a.b=d" })},
		"a free key removed":  {[]string{"labels.x=null"}, base(func(r *result) { delete(r.Labels, "x") })},
		"a list":              {[]string{"transform=[{filter: z}]"}, base(func(r *result) { r.Filters = []string{"z"} })},
		"a list made": {
			[]string{"transform=null", "transform.0.filter=z"},
			base(func(r *result) { r.Filters = []string{"z"} }),
		},
		"removed, then default":   {[]string{"writer.batch.size=null"}, base(func(*result) {})},
		"a parent that is absent": {[]string{"tls.key=null", "errors.max=null"}, base(func(*result) {})},
		"the longest key wins":    {[]string{"labels.y.z=5"}, base(func(r *result) { r.Labels["y.z"] = 5 })},
		"unicode":                 {[]string{"labels.\u00e9=3"}, base(func(r *result) { r.Labels["\u00e9"] = 3 })},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, problems := check("f.yaml", file, options(append(test.sets, "lanes=1")...))
			if len(problems) > 0 {
				t.Fatal(problems.Render("f.yaml"))
			}
			f, _ := s.Source.Held.(fileShape)
			got := result{s.Name, f.Path, s.Writer.BatchSize, nil, s.Labels}
			for _, step := range s.Transform {
				if step.Set != nil {
					got.Filters = append(got.Filters, "set "+strings.Join(texts(step.Set), ","))
				} else {
					got.Filters = append(got.Filters, step.Filter.Value)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if s.TLS != nil {
				t.Error("removing a key made its parent")
			}
		})
	}
}

func TestSetTakesTheLongestKeyThatFits(t *testing.T) {
	s, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\nlabels: { y: 1, y.z: 2, y.z.w: 3 }\n",
		options("labels.y.z=5"))
	want := map[string]int{"y": 1, "y.z": 5}
	if diff := cmp.Diff(want, s.Labels); diff != "" || len(problems) > 0 {
		t.Errorf("%v %s", problems, diff)
	}
}

func TestSetSwapsTheConnector(t *testing.T) {
	s, _, problems := check("f.yaml", "name: a\nsource: { file: { path: x } }\n", options("source.file=null",
		"source.generate.count=2"))
	if len(problems) > 0 || s.Source.Name != "generate" {
		t.Errorf("%+v %v", s.Source, problems)
	}
}

func TestRemovingAMisspelledKeyIsFound(t *testing.T) {
	_, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\n", options("lannes=null",
		"writer.batch.sise=null"))
	if len(problems) != 2 || problems[0].Nearest != "lanes" || problems[1].Nearest != "size" {
		t.Errorf("%v", problems)
	}
}

func TestStateBeatsFileAndSet(t *testing.T) {
	opts := options("state=b")
	opts.State = "./c: d"
	s, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\nstate: a\n", opts)
	if len(problems) > 0 || s.State != "./c: d" {
		t.Errorf("%q %v", s.State, problems)
	}
	var holder struct{}
	tree, _ := config.Parse("f.yaml", []byte("{}"), opts)
	problems = tree.Decode("", &holder)
	if len(problems) != 2-1 || problems[0].Where() != "--state" {
		t.Errorf("a state that nothing takes: %v", problems)
	}
}

func TestSetProblemsNameTheSet(t *testing.T) {
	_, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\n", options("small=1", "writer.batch.size=x"))
	if len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "--set #2: writer.batch.size: ") {
		t.Errorf("%v", problems)
	}
}
