// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set when a release is built.
var version = ""

type versionCommand struct{}

// Run prints version, commit and Go version.
func (versionCommand) Run(_ context.Context, a *app) error {
	build, known := debug.ReadBuildInfo()
	commit, of := "", ""
	if known {
		for _, s := range build.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				of = " with changes"
			}
		}
		if version == "" && build.Main.Version != "(devel)" {
			version = build.Main.Version
		}
	}
	fmt.Fprintf(a.out, "forebay %s\n", cmp.Or(version, "development"))
	if commit != "" {
		fmt.Fprintf(a.out, "commit  %s%s\n", commit, of)
	}
	_, err := fmt.Fprintf(a.out, "go      %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
