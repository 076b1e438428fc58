// SPDX-License-Identifier: Apache-2.0

package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/connector/file/part"
)

// Sink writes parts of files into the buckets of a folder: PATH/BUCKET/PREFIXpart-LANE-IDSUFFIX.EXTENSION. Readers see
// a part when it is complete and its checkpoint is durable. A path s3://bucket/prefix is a folder of objects.
type Sink struct {
	Path        string         `yaml:"path" required:"true" doc:"the folder, or s3://bucket/prefix"`
	Format      codec.Format   `yaml:"format" required:"true" doc:"how records become bytes" example:"ndjson"`
	Compression string         `yaml:"compression" doc:"of the parts" enum:"none|gzip|zstd" default:"none"`
	Bucket      string         `yaml:"bucket" doc:"folder of a record, such as dt={@event:%Y-%m-%d}/{=id % 9}" default:""`
	Late        string         `yaml:"late" doc:"folder of late records; left out: as the others" default:""`
	Prefix      string         `yaml:"prefix" doc:"before the name of each part" default:""`
	Suffix      string         `yaml:"suffix" doc:"behind the name of each part, before its extension" default:""`
	Roll        Roll           `yaml:"roll" doc:"when a part is complete"`
	OpenMax     int            `yaml:"open_max" doc:"open files of a lane" default:"256" min:"1" max:"65536"`
	S3          *object.Config `yaml:"s3" doc:"how the bucket of a path s3://bucket/prefix is reached"`
}

// Roll says when a part is complete: at whichever comes first. The zero value has the defaults. Age and inactivity are
// looked at with the records that come, at most once a second, and at each checkpoint.
type Roll struct {
	Size       forebay.Bytes `yaml:"size" doc:"so large, uncompressed" default:"128MiB" min:"1B" unlimited:"true"`
	Age        time.Duration `yaml:"age" doc:"so long after its first record" default:"60s" min:"1ms" unlimited:"true"`
	Inactivity time.Duration `yaml:"inactivity" doc:"so long after its last one" default:"60s" min:"1ms" unlimited:"true"`
	Checkpoint bool          `yaml:"checkpoint" doc:"at each checkpoint" default:"false"`
}

// sinkInterval is how often a lane ends its transaction: what is written is seen so long after it at the earliest.
const sinkInterval = 10 * time.Second

// Info describes the sink without touching the folder.
func (s Sink) Info() (forebay.SinkInfo, error) {
	info := forebay.SinkInfo{
		Connector: "file", Way: forebay.WayTwoPhase, Name: fmt.Sprintf("files under %q", s.Path), Interval: sinkInterval,
		Identity: []forebay.Setting{{Name: "path", Value: splitPath(s.Path)}},
	}
	config, err := s.config()
	if err != nil {
		return info, err
	}
	bytesOnly, unfit := config.Format.Encoding(nil)
	info.JSON = unfit == nil && bytesOnly.JSON
	info.NeedsRows = unfit != nil || config.Bucket.NeedsRows() || config.Late.NeedsRows()
	info.Times = config.Bucket.NeedsTimes() || s.Late != "" // without event time, nothing is ever late
	info.Schema = func(schema *forebay.Schema) error {
		err := errors.Join(at("bucket", config.Bucket.Check(schema)), at("late", config.Late.Check(schema)))
		if schema != nil {
			_, wrong := config.Format.Encoding(forebay.NewLayout(schema))
			err = errors.Join(err, wrong)
		}
		return err
	}
	if config.Compression != part.None {
		info.Notes = append(info.Notes, fmt.Sprintf(
			"each piece of a part is a member of %s by itself, so that it can go on after a crash", config.Compression))
	}
	if object.IsURL(s.Path) {
		info.Name = fmt.Sprintf("objects under %q", s.Path)
		info.Notes = append(info.Notes, "a part is an unfinished upload until it is published: rules of the bucket that "+
			"remove those must leave them longer than the pipeline may stand still")
	}
	return info, nil
}

// at says at which field a problem is.
func at(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

// config checks the settings.
func (s Sink) config() (part.Config, error) {
	out := part.Config{
		Compression: part.Compression(cmp.Or(s.Compression, "none")), Prefix: s.Prefix, Suffix: s.Suffix, Open: s.OpenMax,
		Roll: part.Roll(s.Roll),
	}
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.Path == "" {
		wrong("path: is missing; name a folder")
	}
	problems = append(problems, checkPlace(s.Path, s.S3), oneOf("compression", s.Compression, "none", "gzip", "zstd"))
	var err error
	if out.Bucket, err = part.ParsePattern(s.Bucket); err != nil {
		wrong("bucket: %w", err)
	}
	if s.Late != "" {
		if out.Late, err = part.ParsePattern(s.Late); err != nil {
			wrong("late: %w", err)
		}
	}
	for _, affix := range [][2]string{{"prefix", s.Prefix}, {"suffix", s.Suffix}} {
		name, value := affix[0], affix[1]
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`/\`, r) }) {
			wrong("%s: %q cannot be part of a file's name", name, value)
		}
		if len(value) > affixMax {
			wrong("%s: is longer than %d bytes", name, affixMax)
		}
	}
	if strings.HasPrefix(s.Prefix, "_") || strings.HasPrefix(s.Prefix, ".") {
		wrong("prefix: readers pass over files that begin with _ or a dot")
	}
	if s.Roll.Size < 0 || s.Roll.Age < 0 || s.Roll.Inactivity < 0 {
		wrong("roll: a limit is negative; write unlimited to lift it")
	}
	if s.OpenMax < 0 {
		wrong("open_max: %d is negative", s.OpenMax)
	}
	switch f := s.Format.(type) {
	case nil:
		wrong("format: is missing; write csv, ndjson or raw")
	case codec.Writable:
		out.Format = f
		info, err := f.Info()
		if err != nil {
			wrong("format: %w", err)
		}
		if info.Blocks && out.Compression != part.None {
			problems = append(problems, part.PackedInside(info.Name))
		}
	default:
		info, _ := f.Info()
		wrong("format: %s can be read only", info.Name)
	}
	return out, errors.Join(problems...)
}

// affixMax bounds what stands around a part's name, which has about 60 bytes itself.
const affixMax = 100

// Start makes the folder if it is missing.
func (s Sink) Start(ctx context.Context, env forebay.SinkContext) (forebay.Target, error) {
	config, err := s.config()
	if err != nil {
		return nil, misconfigured(advice{"start sink file", "", ""}, "%w", err)
	}
	// What does not fit the rows is found before anything is made.
	if _, err := part.NewTarget(config, env.Schema, nil); err != nil {
		return nil, err
	}
	medium, err := s.medium(ctx, env.Pipeline)
	if err != nil {
		return nil, err
	}
	return part.NewTarget(config, env.Schema, medium)
}

// medium is where the path lies.
func (s Sink) medium(ctx context.Context, pipeline string) (part.Medium, error) {
	if !object.IsURL(s.Path) {
		return part.OpenLocal(part.LocalConfig{Base: s.Path, Pipeline: pipeline, Descriptors: s.OpenMax})
	}
	b, base, err := openBucket(ctx, s.Path, s.S3)
	if err != nil {
		return nil, err
	}
	medium, err := part.OpenS3(ctx, part.S3Config{Bucket: b, Base: base, Pipeline: pipeline})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return medium, nil
}
