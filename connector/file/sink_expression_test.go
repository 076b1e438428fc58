// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/pipeline"
)

// A pipeline with two lanes writes each record once, into the folder that the expressions say; the one for which they
// fail becomes a dead letter.
func TestPipelineDividesByExpressions(t *testing.T) {
	t.Parallel()
	const records, wrong = 30_000, 17
	dir := t.TempDir()
	config := pipeline.Config{
		Name: "numbers", State: t.TempDir(), Lanes: 2,
		Source: generate.Source{
			Count: records, Splits: 4, Fields: []generate.Field{{Name: "n", Sequence: &generate.Sequence{}}},
		},
		Sink: file.Sink{
			Path: dir, Format: csv.Format{},
			Bucket: fmt.Sprintf(`{=n %% 2 == 0 ? "even" : "odd"}/d={=n %% 10 + 0 %% (n - %d)}`, wrong),
			Roll:   file.Roll{Size: 32 * forebay.KiB},
		},
	}
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if summary.Delivered != records-1 || summary.Rejected != 1 {
		t.Errorf("%+v", summary)
	}
	seen, folders := make([]int, records), map[string]bool{}
	for _, path := range published(t, dir) {
		folder, err := filepath.Rel(dir, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		folders[folder] = true
		for line := range strings.Lines(string(content(t, path))) {
			if line == "n\n" {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			seen[n]++
			if want := filepath.Join([]string{"even", "odd"}[n%2], fmt.Sprintf("d=%d", n%10)); folder != want {
				t.Fatalf("%d lies in %s, want %s", n, folder, want)
			}
		}
	}
	for n, times := range seen {
		if (n == wrong) != (times == 0) || times > 1 {
			t.Fatalf("%d is there %d times", n, times)
		}
	}
	if len(folders) != 10 {
		t.Errorf("the folders are %v", folders)
	}
}
