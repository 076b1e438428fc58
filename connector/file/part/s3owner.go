// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/internal/fault"
)

// s3Owner is what the owner object holds.
type s3Owner struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
}

// ownerKey is the owner object of a pipeline. Readers pass over names that begin with an underscore.
func (s *S3) ownerKey(pipeline string) string { return s.base + "_forebay/" + pipeline }

// Owner implements forebay.Fencer.
//
// Errors: corrupt.
func (s *S3) Owner(ctx context.Context, pipeline string) (forebay.Owner, error) {
	owner, _, err := s.readOwner(ctx, pipeline)
	return owner, err
}

// readOwner reads the owner object. Its ETag is empty where there is none.
func (s *S3) readOwner(ctx context.Context, pipeline string) (forebay.Owner, object.Object, error) {
	owner := forebay.Owner{Pipeline: pipeline}
	data, o, err := s.bucket.ReadSmall(ctx, s.ownerKey(pipeline))
	if object.CodeOf(err) == object.CodeNoObject {
		return owner, object.Object{Key: s.ownerKey(pipeline)}, nil
	}
	if err != nil {
		return owner, o, err
	}
	var noted s3Owner
	if err := json.Unmarshal(data, &noted); err != nil || noted.Epoch == 0 {
		return owner, o, forebay.Errorf("read the owner of "+object.URL(s.bucket.Name(), s.base), forebay.ClassCorrupt,
			"%s is no owner object: %.200q", o.Key, data)
	}
	owner.Epoch, owner.Holder = noted.Epoch, noted.Holder
	return owner, o, nil
}

// superseded says fenced where the noted owner is newer than the one that asks.
func (s *S3) superseded(noted, asks forebay.Owner) error {
	if noted.Epoch < asks.Epoch || noted.Epoch == asks.Epoch && noted.Holder == asks.Holder {
		return nil
	}
	return &forebay.Error{
		Op:    "publish under " + object.URL(s.bucket.Name(), s.base) + " for pipeline " + asks.Pipeline,
		Class: forebay.ClassFenced, Code: "fenced", Err: forebay.ErrFenced,
	}
}

// checkOwner fails where another run owns the base by now.
func (s *S3) checkOwner(ctx context.Context) error {
	if s.owner.Epoch == 0 {
		return nil
	}
	noted, err := s.Owner(ctx, s.owner.Pipeline)
	if err != nil {
		return err
	}
	if noted.Epoch < s.owner.Epoch {
		return forebay.Errorf("read the owner of "+object.URL(s.bucket.Name(), s.base), forebay.ClassLost,
			"%s of epoch %d is gone", s.ownerKey(s.owner.Pipeline), s.owner.Epoch)
	}
	return s.superseded(noted, s.owner)
}

// attemptsMax bounds how often the base is asked for while others ask, too.
const attemptsMax = 10

// Fence takes the base, and then aborts what older owners left and nobody holds.
//
// Errors: fenced; misconfigured where the store does not know conditional writes.
func (s *S3) Fence(ctx context.Context, owner forebay.Owner, held []forebay.Committable) error {
	data, err := json.Marshal(s3Owner{Epoch: owner.Epoch, Holder: owner.Holder})
	if err != nil {
		return err
	}
	for range attemptsMax {
		noted, o, err := s.readOwner(ctx, owner.Pipeline)
		if err == nil {
			err = s.superseded(noted, owner)
		}
		if err == nil && noted.Epoch < owner.Epoch {
			err = s.writeOwner(ctx, o, data)
		}
		if object.CodeOf(err) == object.CodeCondition {
			continue // somebody else was faster: look again who
		}
		if err != nil {
			return err
		}
		fault.Hit(fault.OwnerWritten)
		s.owner = owner
		return s.retire(ctx, held)
	}
	return forebay.Errorf("take "+s.ownerKey(owner.Pipeline), forebay.ClassTransient,
		"it changed %d times while it was taken", attemptsMax)
}

// writeOwner replaces the owner object that was read. The same again must be refused: a store which takes it keeps
// nobody out.
func (s *S3) writeOwner(ctx context.Context, old object.Object, data []byte) error {
	write := func(data []byte) error {
		if old.ETag == "" {
			_, err := s.bucket.PutIfAbsent(ctx, old.Key, data)
			return err
		}
		_, err := s.bucket.PutIfMatch(ctx, old, data)
		return err
	}
	if err := write(data); err != nil {
		return err
	}
	err := write(append(data, '\n'))
	switch {
	case err == nil:
		return &forebay.Error{
			Op: "take " + object.URL(s.bucket.Name(), old.Key), Class: forebay.ClassMisconfigured, Code: "no-conditional-writes",
			Err:  fmt.Errorf("the store takes a write whose condition (If-Match, If-None-Match) does not hold"),
			Cure: "set guarantee: at-least-once, or use a store that keeps a second run out",
		}
	case object.CodeOf(err) == object.CodeCondition:
		return nil
	default:
		return err
	}
}

// retire aborts the uploads of older owners that nobody holds.
func (s *S3) retire(ctx context.Context, held []forebay.Committable) error {
	keep := map[string]bool{}
	for _, c := range held {
		_, state, err := decodeS3(c)
		if err != nil {
			return err
		}
		keep[state.Upload] = true
	}
	err := s.eachUpload(ctx, s.owner.Pipeline, func(_ Name, epoch uint64, u object.Upload) error {
		if epoch >= s.owner.Epoch || keep[u.ID] {
			return nil
		}
		return s.bucket.Abort(ctx, u)
	})
	fault.Hit(fault.EpochMovedAway)
	return err
}

// Forget implements forebay.Fencer.
func (s *S3) Forget(ctx context.Context, pipeline string) error {
	err := s.eachUpload(ctx, pipeline, func(_ Name, _ uint64, u object.Upload) error { return s.bucket.Abort(ctx, u) })
	if err != nil {
		return err
	}
	return s.bucket.Delete(ctx, s.ownerKey(pipeline))
}
