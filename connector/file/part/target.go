// SPDX-License-Identifier: Apache-2.0

package part

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Config says how records become parts.
type Config struct {
	Format      codec.Writable
	Compression Compression
	Bucket      *Pattern
	// Late is the bucket of records behind the watermark; nil: the same as of the others.
	Late *Pattern
	// Prefix and Suffix stand around the name of each part, before its extension.
	Prefix, Suffix string
	Roll           Roll
	// Open bounds the parts of a lane whose records cannot be appended one by one; 0 means DescriptorsDefault.
	Open int
}

// Roll says when a part is complete. 0 means the default, forebay.Unlimited never.
type Roll struct {
	// Size counts the bytes of the records before the compression, with the header: a part is complete with the record
	// that reaches it.
	Size forebay.Bytes
	// Age is since the first record, Inactivity since the last one. They are looked at with each batch and at each
	// barrier.
	Age, Inactivity time.Duration
	// Checkpoint completes parts at each barrier.
	Checkpoint bool
}

// The defaults of Roll.
const (
	SizeDefault       = 128 * forebay.MiB
	AgeDefault        = time.Minute
	InactivityDefault = time.Minute
)

func (r Roll) withDefaults() Roll {
	r.Size = cmp.Or(r.Size, SizeDefault)
	r.Age = cmp.Or(r.Age, AgeDefault)
	r.Inactivity = cmp.Or(r.Inactivity, InactivityDefault)
	return r
}

// due says whether a part is complete by its times.
func (r Roll) due(p *openPart, now time.Time) bool {
	return now.Sub(p.created) >= r.Age || now.Sub(p.touched) >= r.Inactivity
}

// Target takes batches and publishes parts of files.
type Target struct {
	Medium
	config Config
}

// NewTarget makes a target for rows of the schema, which is nil where records are bytes only.
//
// Errors: misconfigured where such rows cannot be written that way.
func NewTarget(config Config, schema *forebay.Schema, medium Medium) (*Target, error) {
	config.Roll = config.Roll.withDefaults()
	config.Compression = cmp.Or(config.Compression, None)
	config.Open = cmp.Or(config.Open, DescriptorsDefault)
	if config.Bucket == nil {
		config.Bucket = &Pattern{}
	}
	t := &Target{Medium: medium, config: config}
	var layout *forebay.Layout
	if schema != nil {
		layout = forebay.NewLayout(schema)
	}
	_, err := t.shape(layout)
	return t, err
}

// OpenLane makes the writer of one lane.
func (t *Target) OpenLane(ctx context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	return t.openLane(ctx, lane)
}

// shape is what decides how the records of one layout are written.
type shape struct {
	encoding *codec.Encoding
	bucketer *bucketer
	late     *bucketer
	// sum tells files apart that cannot go on in each other's way.
	sum uint64
}

// shape fits the configuration to a layout.
func (t *Target) shape(layout *forebay.Layout) (*shape, error) {
	encoding, err := t.config.Format.Encoding(layout)
	if err != nil {
		return nil, err
	}
	if encoding.NewBulk != nil && t.config.Compression != None {
		info, _ := t.config.Format.Info() // Encoding has said what is wrong with it
		return nil, forebay.Errorf("open the file sink", forebay.ClassMisconfigured, "%w", PackedInside(info.Name))
	}
	b, err := t.config.Bucket.bucketer(layout)
	if err != nil {
		return nil, err
	}
	late := b
	if t.config.Late != nil {
		if late, err = t.config.Late.bucketer(layout); err != nil {
			return nil, err
		}
	}
	d := newDigest()
	_, err = fmt.Fprintf(d, "%s\x00%s\x00%s", t.config.Compression, encoding.Extension, encoding.Header)
	return &shape{encoding: encoding, bucketer: b, late: late, sum: d.Sum64()}, err
}

// publish commits what a flush finished.
func (t *Target) publish(ctx context.Context, committables []forebay.Committable) error {
	requests := make([]forebay.CommitRequest, len(committables))
	for i, c := range committables {
		requests[i].Committable = c
	}
	if err := t.Commit(ctx, requests); err != nil {
		return err
	}
	var problems []error
	for i := range requests {
		r := &requests[i]
		switch r.Outcome {
		case forebay.OutcomeDone, forebay.OutcomeAlready:
		case forebay.OutcomeRetry:
			problems = append(problems, forebay.Errorf("publish "+r.Committable.ID, forebay.ClassTransient, "%w", r.Err))
		default:
			problems = append(problems, forebay.Errorf("publish "+r.Committable.ID, forebay.ClassLost, "%w", r.Err))
		}
	}
	return errors.Join(problems...)
}
