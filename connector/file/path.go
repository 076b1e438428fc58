// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// expand lists the files that a path means, sorted. A path that exists is taken as it is, even if it looks
// like a pattern.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return folder(path)
	case err == nil && info.Mode().IsRegular():
		return []string{filepath.Clean(path)}, nil
	case err == nil:
		return nil, misconfigured(advice{"read " + path, codeUnreadable, ""}, "it is neither a file nor a folder")
	case !errors.Is(err, fs.ErrNotExist):
		return nil, systemError("read "+path, err)
	case !strings.ContainsAny(path, `*?[`):
		return nil, misconfigured(advice{"find files", codeNoMatch, ""}, "path %q does not exist", path)
	}
	names, err := filepath.Glob(path)
	if err != nil {
		return nil, misconfigured(advice{"find files", codeNoMatch, ""}, "path %q is not a pattern: %w", path, err)
	}
	hidden := strings.HasPrefix(filepath.Base(path), ".")
	names = slices.DeleteFunc(names, func(name string) bool {
		return !hidden && strings.HasPrefix(filepath.Base(name), ".") || !regular(name)
	})
	if len(names) == 0 {
		return nil, misconfigured(advice{"find files", codeNoMatch, ""}, "path %q matches nothing", path)
	}
	slices.Sort(names)
	return names, nil
}

// folder lists the files of a folder, but for hidden ones, those that begin with an underscore, and what is
// in folders inside it.
func folder(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, systemError("read "+path, err)
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "_") && regular(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, misconfigured(advice{"find files", codeNoMatch, ""},
			"the folder %q has no files; hidden ones and those that begin with _ do not count", path)
	}
	slices.Sort(names)
	return names, nil
}

func regular(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
