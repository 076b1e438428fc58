// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector/all"
)

func TestASourceThatReadsWhatItsSinkWritesIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, folder := range []string{"in/a", "in/b"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile("in/x.csv", []byte("id\n1\n"), 0o644), os.Symlink("in", "link")); err != nil {
		t.Fatal(err)
	}
	const never, maybe, always = "never", "maybe", "always"
	for _, test := range []struct{ from, to, more, want string }{
		{"in", "in", "", always},
		{"in/", "./in", "", always},
		{"in", "link", "", always},
		{"link", "in", "", always},
		{"in", "in/out", "", never}, // folders in a folder are not read
		{"in", "out", "", never},
		{"in", "in", `, bucket: "{id}"`, never},
		{"in/a", "in", `, bucket: "{id}"`, maybe},
		{"in/a", "in", `, late: a`, always},
		{"in/a", "in", `, bucket: "c/{id}"`, never},
		{"in/x.csv", "in", "", never},
		{"in/*.csv", "in", "", always},
		{"*/*.csv", "in", "", always},
		{"link/*.csv", "in", "", always},
		{"in/*.csv", "in", ", compression: gzip", never},
		{"in/x*.csv", "in", "", never},
		{"in/x*.csv", "in", ", prefix: x", always},
		{"in/*/*.csv", "in", "", never},
		{"in/*/*.csv", "in", `, bucket: "{id}"`, always},
		{"in/a*/*.csv", "in", `, bucket: "{id}"`, maybe},
		{"in/*.csv", "new", "", never},
		{"new/*.csv", "new", "", always},
		{"s3://b/in", "s3://b/in/", s3, always},
		{"s3://b/in", "s3://b/out", s3, never},
		{"s3://b/in/*.csv", "s3://b/in", s3, always},
		{"s3://b/in", "s3://c/in", s3, never},
		{"s3://b/in", "s3://b/in", ", s3: { endpoint: 'http://elsewhere:1' }", never},
	} {
		from := ""
		if strings.HasPrefix(test.from, "s3:") {
			from = s3
		}
		text := fmt.Sprintf("name: a\nsource: { file: { path: %q, format: csv%s } }\n"+
			"sink: { file: { path: %q, format: csv%s } }\n", test.from, from, test.to, test.more)
		p, problems := config.Loader{Registry: all.Registry()}.Load("p.yaml", []byte(text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		plan, problems := p.Plan(t.Context(), config.PlanOptions{})
		got := never
		switch {
		case strings.Contains(problems.Error(), "where this sink writes"):
			got = always
		case strings.Contains(p.Warnings(plan).Error(), "where a bucket has such a name"):
			got = maybe
		}
		if got != test.want {
			t.Errorf("%+v: %s, %v", test, got, problems)
		}
	}
}

const s3 = ", s3: { endpoint: 'http://127.0.0.1:1', access_key: a, secret_key: b }"
