// SPDX-License-Identifier: Apache-2.0

package tidy

import (
	"regexp"
	"strings"
)

// The words are put together from pieces, so that this file does not contain them.
var (
	machinePath = regexp.MustCompile(`(?:^|[^A-Za-z0-9_.\-/])/(?:work|root|home)(?:/|["'` + "`" + `\s)]|$)`)
	unfinished  = regexp.MustCompile(`\b(?:TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)
	registries  = []string{
		"proxy.golang" + ".org", "sum.golang" + ".org", "pypi" + ".org", "files.pythonhosted" + ".org",
		"registry.npmjs" + ".org", "crates" + ".io", "repo1.maven" + ".org", "repo.maven.apache" + ".org",
		"deb.debian" + ".org",
	}
)

// checkWords reads every text file; the corpora of fuzz tests are data.
func checkWords(t *tree) []violation {
	var found []violation
	for _, name := range t.names("") {
		if strings.Contains(name, "testdata/fuzz/") {
			continue
		}
		for i, line := range strings.Split(string(t.text[name]), "\n") {
			if text := wrongWord(line); text != "" {
				found = append(found, violation{rule: "words", subject: name, line: i + 1, measure: 1, text: text})
			}
		}
	}
	return found
}

func wrongWord(line string) string {
	if match := machinePath.FindString(line); match != "" {
		return "an absolute path of one machine: write it relative to the repository"
	}
	if match := unfinished.FindString(line); match != "" {
		return match + ": finish it, or say in ARCHITECTURE.md what is next"
	}
	for _, host := range registries {
		if strings.Contains(line, host) {
			return "names the host of a package registry: name the package, its client finds it"
		}
	}
	return ""
}
