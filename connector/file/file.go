// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/connector"
	"github.com/forebay-io/forebay/connector/file/object"
)

// Source reads a file, the files of a folder (without hidden ones, those that begin with an underscore, and
// folders inside it), or those that a pattern with * ? [a-z] matches. Ranges are for uncompressed files, where
// their format and the order of their records allow them; Order none says that the order does not matter.
//
// A path s3://bucket/prefix is read in the same way: a prefix is a folder, and an object counts as the same one only
// while it has the ETag that it was first seen with.
type Source struct {
	Path        string         `yaml:"path" required:"true" doc:"a file, a folder, or a pattern, also s3://bucket/prefix"`
	Format      codec.Format   `yaml:"format" required:"true" doc:"how bytes become records" example:"csv"`
	Compression string         `yaml:"compression" doc:"auto: by its name" enum:"auto|none|gzip|zstd" default:"auto"`
	Mode        string         `yaml:"mode" doc:"once: what is there at the start" enum:"once" default:"once"`
	Range       forebay.Bytes  `yaml:"range" doc:"size of the ranges that a file is cut into" default:"64MiB" min:"1B"`
	Order       string         `yaml:"order" doc:"none: it does not matter" enum:"file|none" default:"file"`
	S3          *object.Config `yaml:"s3" doc:"how the bucket of a path s3://bucket/prefix is reached"`
	MaxRecord   forebay.Bytes  `yaml:"max_record" doc:"longer records are rejected" default:"16MiB" min:"1B"`
}

// Spec is the connector's entry in a registry.
func Spec() connector.Spec {
	return connector.Spec{
		Name: "file", Doc: "reads files, and writes parts of files, plain or compressed",
		Source: func() any { return &Source{} }, Sink: func() any { return &Sink{} },
	}
}

const (
	rangeDefault = 64 * forebay.MiB
	// recordMaxLimit keeps a batch with one record below 2 GiB.
	recordMaxLimit = forebay.GiB
	// rangesMax bounds the ranges of one file: each has a position in the state.
	rangesMax = 1 << 16
)

// Info describes the source without touching a file.
func (s Source) Info() (forebay.SourceInfo, error) {
	info := forebay.SourceInfo{Connector: "file", Bounded: true, Replayable: true}
	var problems []error
	if s.Path == "" {
		problems = append(problems, errors.New("path: is missing; name a file, a folder or a pattern"))
	}
	problems = append(problems, oneOf("compression", s.Compression, "auto", "none", "gzip", "zstd"),
		oneOf("mode", s.Mode, "once"), oneOf("order", s.Order, "file", "none"), checkPlace(s.Path, s.S3))
	if s.Range < 0 {
		problems = append(problems, fmt.Errorf("range: %d is negative", s.Range))
	}
	if s.MaxRecord < 0 || s.MaxRecord > recordMaxLimit {
		problems = append(problems, fmt.Errorf("max_record: %s is not between 1B and %s", s.MaxRecord, recordMaxLimit))
	}
	info.Identity = []forebay.Setting{
		{Name: "path", Value: splitPath(s.Path)}, {Name: "compression", Value: s.compression()},
	}
	if s.Format == nil {
		problems = append(problems, errors.New("format: is missing; write csv, ndjson, parquet, avro or raw"))
		return info, errors.Join(problems...)
	}
	format, err := s.Format.Info()
	if err != nil {
		problems = append(problems, fmt.Errorf("format: %w", err))
	}
	info.Identity = append(info.Identity, forebay.Setting{Name: "format", Value: format.Name})
	info.Identity = append(info.Identity, format.Identity...)
	if format.Blocks && s.compression() != "auto" && s.compression() != plain {
		problems = append(problems, fmt.Errorf("compression: %s packs its own pages, and cannot be read out of a %s file",
			format.Name, s.compression()))
	}
	info.Typed, info.JSON = format.Typed, format.JSON
	info.Notes = []string{format.Note}
	if format.Ranges {
		info.Notes[0] = fmt.Sprintf("uncompressed files are read in ranges of %s unless the order of their records matters "+
			"to the target; compressed ones are one split each", s.rangeSize())
		if s.Order == "none" {
			info.Notes[0] = fmt.Sprintf("uncompressed files are read in ranges of %s, without order between them (order: "+
				"none); "+
				"compressed ones are one split each", s.rangeSize())
		}
	}
	return info, errors.Join(problems...)
}

func oneOf(field, value string, allowed ...string) error {
	if value == "" {
		return nil
	}
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %q", field, value, allowed)
}

func (s Source) compression() string {
	if s.Compression == "" {
		return "auto"
	}
	return s.Compression
}

func (s Source) rangeSize() forebay.Bytes {
	if s.Range == 0 {
		return rangeDefault
	}
	return s.Range
}

// splitPath is a path as splits name it: the same on every system.
func splitPath(path string) string {
	if object.IsURL(path) {
		return path
	}
	return filepath.ToSlash(filepath.Clean(path))
}

// place is where the path lies.
func (s Source) place(ctx context.Context) (place, error) {
	if !object.IsURL(s.Path) {
		return local{}, nil
	}
	b, _, err := openBucket(ctx, s.Path, s.S3)
	if err != nil {
		return nil, err
	}
	return bucket{b}, nil
}

// Start finds the files and learns the schema.
func (s Source) Start(ctx context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	if _, err := s.Info(); err != nil {
		return nil, misconfigured(advice{"start source file", "", ""}, "%w", err)
	}
	return start(ctx, s, env)
}
