// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
)

// readBack says whether a source of files finds what the sink writes: each run would then read what the one before
// has written.
type readBack uint8

const (
	readBackNever readBack = iota
	// readBackMaybe: it depends on the folders that buckets make.
	readBackMaybe
	readBackAlways
)

const (
	wildcards  = "*?["
	partOfName = "part-0-0"
	cureLoop   = "write into a folder that the source does not read"
)

// loop looks whether the source reads what the sink writes, and says so; its problem is at the sink's path.
func (p *Pipeline) loop(source forebay.SourceInfo, sink forebay.SinkInfo) (readBack, Problem) {
	const connector = "file"
	if source.Connector != connector || sink.Connector != connector {
		return readBackNever, Problem{}
	}
	from, to := settingOf(source.Identity, "path"), settingOf(sink.Identity, "path")
	where := joinPath(p.file.Sink.path, "path")
	if strings.Contains(from, "://") != strings.Contains(to, "://") ||
		p.said(joinPath(p.file.Source.path, "s3.endpoint")) != p.said(joinPath(p.file.Sink.path, "s3.endpoint")) {
		return readBackNever, Problem{}
	}
	pattern, found := readPattern(from)
	if !found {
		return readBackNever, Problem{}
	}
	result := readBackNever
	base := p.sinkKey("prefix") + partOfName + p.sinkKey("suffix") + p.extension()
	buckets := []string{p.sinkKey("bucket")}
	if late := p.sinkKey("late"); late != "" {
		buckets = append(buckets, late)
	}
	for _, bucket := range buckets {
		written := slices.Concat(segmentsOf(resolved(to)), segmentsOf(bucket), []string{base})
		result = max(result, matches(pattern, written))
	}
	message := fmt.Sprintf("the source reads %q, where this sink writes: each run would read what the last one wrote",
		from)
	if result == readBackMaybe {
		message = fmt.Sprintf("the source reads %q, which finds what this sink writes where a bucket has such a name", from)
	}
	return result, p.tree.Problem(where, message, cureLoop)
}

func settingOf(all []forebay.Setting, name string) string {
	i := slices.IndexFunc(all, func(s forebay.Setting) bool { return s.Name == name })
	if i < 0 {
		return ""
	}
	return all[i].Value
}

// said is what the file says at a path, empty where it says nothing.
func (p *Pipeline) said(path string) string {
	v, found := p.tree.Value(path)
	if !found || v.Kind() == KindNull {
		return ""
	}
	return v.Text().Value
}

func (p *Pipeline) sinkKey(key string) string { return p.said(joinPath(p.file.Sink.path, key)) }

// extension is that of the sink's parts.
func (p *Pipeline) extension() string {
	format := p.sinkKey("format")
	if v, found := p.tree.Value(joinPath(p.file.Sink.path, "format")); found && len(v.Entries()) == 1 {
		format = v.Entries()[0].Name
	}
	if format == "raw" {
		format = "txt"
	}
	switch p.sinkKey("compression") {
	case "gzip":
		format += ".gz"
	case "zstd":
		format += ".zst"
	}
	return "." + format
}

// readPattern is the pattern of all files that a path means to the source: what is in a folder is read, and not what is
// in folders inside it. It is false for a single file.
func readPattern(from string) (segments []string, several bool) {
	if !strings.Contains(from, "://") {
		switch info, err := os.Stat(from); {
		case err == nil && info.IsDir():
			return append(segmentsOf(resolved(from)), "*"), true
		case err == nil || !strings.ContainsAny(from, wildcards):
			return nil, false
		}
	} else if !strings.ContainsAny(from, wildcards) {
		return append(segmentsOf(from), "*"), true
	}
	all := strings.Split(from, "/")
	first := slices.IndexFunc(all, func(s string) bool { return strings.ContainsAny(s, wildcards) })
	folder := strings.Join(all[:first], "/")
	if folder == "" && strings.HasPrefix(from, "/") {
		folder = "/"
	}
	return append(segmentsOf(resolved(folder)), all[first:]...), true
}

// resolved is a folder's own name, also where links lead to it and where it is not made yet.
func resolved(folder string) string {
	if strings.Contains(folder, "://") {
		return folder
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		return folder
	}
	for at, rest := abs, ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if target, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.ToSlash(filepath.Join(target, rest))
		}
		if at == filepath.Dir(at) {
			return filepath.ToSlash(abs)
		}
	}
}

func segmentsOf(folder string) []string {
	folder = strings.Trim(folder, "/")
	if folder == "" {
		return nil
	}
	return strings.Split(folder, "/")
}

// matches holds what is written against a pattern. A folder with a { in it is made for each bucket.
func matches(pattern, written []string) readBack {
	if len(pattern) != len(written) {
		return readBackNever
	}
	result := readBackAlways
	for i, segment := range pattern {
		ok, err := path.Match(segment, written[i])
		switch {
		case err == nil && ok, segment == written[i]:
		case strings.Contains(written[i], "{"):
			result = readBackMaybe
		default:
			return readBackNever
		}
	}
	return result
}
