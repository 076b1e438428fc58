// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/internal/fault"
)

// S3 is the medium of a bucket. A part that is not published is a multipart upload for the key at which it will be
// seen; what does not fill a piece of it is kept in memory, and in the state of a part that is held.
//
// S1: an upload is noted through LaneContext.Opened before the first piece is sent, and used only if the base still
// has this owner after the upload was begun: a newer owner, who lists the uploads after it took the base, finds it, or
// its maker stops. S2: nothing is completed by whom the base does not have as its owner. S3: a part is published only
// if nothing lies at its key, and counts as published only if the object there has our mark and size.
type S3 struct {
	bucket   *object.Bucket
	base     string
	pipeline string
	// owner is set by Fence; without it nobody is kept out.
	owner forebay.Owner
}

// S3Config says where parts in a bucket lie. The bucket is closed with the medium.
type S3Config struct {
	Bucket   *object.Bucket
	Base     string
	Pipeline string
}

// OpenS3 looks whether the bucket is there and can be read.
//
// Errors: misconfigured.
func OpenS3(ctx context.Context, c S3Config) (*S3, error) {
	s := &S3{bucket: c.Bucket, base: strings.Trim(c.Base, "/"), pipeline: c.Pipeline}
	if s.base != "" {
		s.base += "/"
	}
	_, err := s.Owner(ctx, c.Pipeline)
	return s, err
}

// tagSize is how many characters of a pipeline's tag are in the names of its parts.
const tagSize = 6

// Tag is what the random word in the names of a pipeline's parts begins with. A list of uploads shows their keys only,
// and several pipelines may share a base.
func Tag(pipeline string) string {
	sum := sha256.Sum256([]byte(pipeline))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:tagSize]
}

// ownName finds the epoch in the names of a pipeline's parts.
func ownName(pipeline string) *regexp.Regexp {
	return regexp.MustCompile(`part-[0-9]+-([0-9]+)-` + Tag(pipeline) + `[a-z2-7]+-[0-9]+`)
}

// s3State is what the medium knows of a part.
type s3State struct {
	// Upload is empty while nothing was sent.
	Upload string         `json:"upload,omitempty"`
	Pieces []object.Piece `json:"pieces,omitempty"`
	// Tail are the bytes behind the pieces; a complete part has none.
	Tail []byte `json:"tail,omitempty"`
	Size int64  `json:"size"`
	// Generation counts how often the part was gone on with.
	Generation int32 `json:"generation,omitempty"`
}

func (s *S3) key(name Name) string { return s.base + name.Path() }

func (s *S3) upload(name Name, id string) object.Upload {
	return object.Upload{Key: s.key(name), ID: id}
}

// requestsAtOnce bounds the requests that one call has under way.
const requestsAtOnce = 16

// runAtOnce calls f for each of n, several at a time.
func runAtOnce(n int, f func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, requestsAtOnce)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	group.Wait()
}

// Commit publishes finished parts.
//
// Errors: fenced.
func (s *S3) Commit(ctx context.Context, requests []forebay.CommitRequest) error {
	if err := s.checkOwner(ctx); err != nil {
		return err
	}
	runAtOnce(len(requests), func(i int) { s.publish(ctx, &requests[i]) })
	fault.Hit(fault.PartDirectorySynced)
	for i := range requests {
		if requests[i].Outcome == forebay.OutcomeLost {
			return s.checkOwner(ctx) // a newer owner aborts what is not published: then nothing is lost
		}
	}
	return nil
}

func (s *S3) publish(ctx context.Context, request *forebay.CommitRequest) {
	request.Outcome, request.Changed, request.Err = forebay.OutcomeFatal, nil, nil
	r, state, err := decodeS3(request.Committable)
	if err == nil && (state.Upload == "" || r.Held != nil) {
		err = forebay.Errorf("publish "+r.Name.Path(), forebay.ClassCorrupt, "the part was never finished")
	}
	if err != nil {
		request.Err = err
		return
	}
	request.Outcome, request.Err = s.bucket.Complete(ctx, object.Completion{
		Upload: s.upload(r.Name, state.Upload), Pieces: state.Pieces, Mark: r.Name.File, Size: state.Size,
	})
	fault.Hit(fault.PartRenamed)
}

func decodeS3(c forebay.Committable) (Record, s3State, error) {
	var state s3State
	r, err := Decode(c)
	if err == nil && r.State != nil {
		if err = json.Unmarshal(r.State, &state); err != nil {
			err = forebay.Errorf("read the state of part "+c.ID, forebay.ClassCorrupt, "%w", err)
		}
	}
	return r, state, err
}

// Abort removes uploads. What is published stays.
func (s *S3) Abort(ctx context.Context, list []forebay.Committable) error {
	problems := make([]error, len(list))
	runAtOnce(len(list), func(i int) {
		r, state, err := decodeS3(list[i])
		if err == nil && state.Upload != "" {
			err = s.bucket.Abort(ctx, s.upload(r.Name, state.Upload))
		}
		problems[i] = err
	})
	return errors.Join(problems...)
}

// ListOpen lists the uploads under the base that the pipeline's owners up to this one began. Stores that list only
// what has exactly the key asked for give none; what was noted as opened is known without a list.
func (s *S3) ListOpen(ctx context.Context, owner forebay.Owner) ([]forebay.Committable, error) {
	var out []forebay.Committable
	err := s.eachUpload(ctx, owner.Pipeline, func(name Name, epoch uint64, u object.Upload) error {
		if epoch > owner.Epoch {
			return nil
		}
		c, err := encodeS3(name, s3State{Upload: u.ID})
		out = append(out, c)
		return err
	})
	return out, err
}

func encodeS3(name Name, state s3State) (forebay.Committable, error) {
	data, err := json.Marshal(state)
	if err != nil {
		return forebay.Committable{}, err
	}
	return Encode(Record{Name: name, State: data}), nil
}

// eachUpload calls f for the pipeline's uploads under the base.
func (s *S3) eachUpload(ctx context.Context, pipeline string, f func(Name, uint64, object.Upload) error) error {
	own := ownName(pipeline)
	for u, err := range s.bucket.ListUploads(ctx, s.base) {
		if err != nil {
			return err
		}
		folder, file := path.Split(strings.TrimPrefix(u.Key, s.base))
		found := own.FindStringSubmatch(file)
		if found == nil {
			continue
		}
		epoch, err := strconv.ParseUint(found[1], 10, 64)
		if err != nil {
			continue
		}
		if err := f(Name{Bucket: strings.TrimSuffix(folder, "/"), File: file}, epoch, u); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Medium.
func (s *S3) Close() error { return s.bucket.Close() }
