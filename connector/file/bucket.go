// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/forebay-io/forebay/connector/file/object"
)

// checkPlace says what is wrong with a path and with how its bucket is reached.
func checkPlace(path string, config *object.Config) error {
	switch remote := object.IsURL(path); {
	case !remote && schemeOf(path) != "":
		return wrongScheme(path)
	case remote:
		_, _, err := object.Parse(path)
		if err != nil {
			err = fmt.Errorf("path: %w", err)
		}
		if config != nil {
			err = errors.Join(err, config.Check())
		}
		return err
	case config != nil && path != "":
		return fmt.Errorf("s3: belongs to a path in a bucket, and %q is none: write s3://bucket/prefix", path)
	default:
		return nil
	}
}

// schemeOf is what a path begins with that looks like a URL, such as gs in gs://bucket/prefix. A single letter is a
// drive.
func schemeOf(path string) string {
	name, rest, _ := strings.Cut(path, ":")
	if len(name) < 2 || !strings.HasPrefix(rest, "/") {
		return ""
	}
	for i, c := range []byte(name) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+.-", rune(c))) {
			return ""
		}
	}
	return name
}

// wrongScheme says what was meant instead of a folder that is called like a URL.
func wrongScheme(path string) error {
	scheme := schemeOf(path)
	rest := strings.TrimLeft(path[len(scheme)+1:], "/")
	const known = "write a path on this machine, or s3://bucket/prefix"
	switch strings.ToLower(scheme) {
	case "s3", "s3a", "s3n":
		return fmt.Errorf("path: %q is not the address of a bucket; did you mean %q?", path, "s3://"+rest)
	case "file":
		return fmt.Errorf("path: %q is not a path on this machine; did you mean %q?", path, "/"+rest)
	}
	return fmt.Errorf("path: %q begins with the scheme %q, which is not known; %s", path, scheme, known)
}

// openBucket makes the client of the bucket that an address names, and gives the rest of it.
func openBucket(ctx context.Context, address string, config *object.Config) (*object.Bucket, string, error) {
	name, key, err := object.Parse(address)
	if err != nil {
		return nil, "", misconfigured(advice{"find files", codeNoMatch, ""}, "path: %w", err)
	}
	if config == nil {
		config = &object.Config{}
	}
	b, err := object.Open(ctx, name, *config)
	return b, key, err
}

// bucket is a place of objects. What a list said of an object holds until it is read: then it must have the same ETag.
type bucket struct{ *object.Bucket }

// list does for objects what expand does for files: a key that exists is taken as it is, then it is a pattern if it
// looks like one, else a folder.
func (b bucket) list(ctx context.Context, address string) ([]found, error) {
	_, key, err := object.Parse(address)
	if err != nil {
		return nil, misconfigured(advice{"find files", codeNoMatch, ""}, "path: %w", err)
	}
	if key != "" && !strings.HasSuffix(key, "/") {
		o, err := b.Head(ctx, key)
		if err == nil {
			return []found{b.found(o)}, nil
		}
		if object.CodeOf(err) != object.CodeNoObject {
			return nil, err
		}
	}
	files, err := b.match(ctx, key)
	if err == nil && len(files) == 0 {
		return nil, misconfigured(advice{"find files", codeNoMatch, ""},
			"path %q matches no object; those whose name begins with . or _ do not count in a folder", address)
	}
	return files, err
}

// match lists the objects of a pattern or a folder.
func (b bucket) match(ctx context.Context, key string) ([]found, error) {
	prefix, pattern, delimiter := key, "", ""
	if i := strings.IndexAny(key, `*?[`); i >= 0 {
		prefix, pattern = key[:strings.LastIndexByte(key[:i], '/')+1], key
		if literal := key[:i]; !strings.Contains(literal, `\`) {
			prefix = literal
		}
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, misconfigured(advice{"find files", codeNoMatch, ""}, "path %q is not a pattern: %w", key, err)
		}
	} else {
		delimiter = "/"
		if key != "" && !strings.HasSuffix(key, "/") {
			prefix += "/"
		}
	}
	hidden := strings.HasPrefix(path.Base(pattern), ".")
	var files []found
	for o, err := range b.List(ctx, prefix, delimiter) {
		if err != nil {
			return nil, err
		}
		name := path.Base(o.Key)
		if strings.HasSuffix(o.Key, "/") {
			continue // what some tools make for a folder
		}
		if pattern == "" && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			continue
		}
		if pattern != "" {
			fits, err := path.Match(pattern, o.Key)
			if err != nil || !fits || !hidden && strings.HasPrefix(name, ".") {
				continue
			}
		}
		files = append(files, b.found(o))
	}
	slices.SortFunc(files, func(a, b found) int { return strings.Compare(a.name, b.name) }) // not every store sorts
	return files, nil
}

func (b bucket) found(o object.Object) found {
	return found{path: o.Key, name: object.URL(b.Name(), o.Key), size: o.Size, etag: o.ETag}
}

func (b bucket) look(ctx context.Context, f found, head bool) (glance, error) {
	g := glance{size: f.size, etag: f.etag}
	var err error
	if head {
		g.head, err = b.Beginning(ctx, object.Object{Key: f.path, Size: f.size, ETag: f.etag}, headSize)
	}
	return g, err
}

func (b bucket) open(ctx context.Context, in *input) (io.ReadCloser, error) {
	return b.Open(ctx, in.object()), nil
}

func (b bucket) readerAt(ctx context.Context, in *input) (io.ReaderAt, io.Closer, error) {
	r := b.OpenAt(ctx, in.object())
	return r, r, nil
}

func (b bucket) close() error { return b.Close() }

// object is an input in a bucket as its client knows it.
func (in *input) object() object.Object {
	return object.Object{Key: in.path, Size: in.size, ETag: in.etag}
}
