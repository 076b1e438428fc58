// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/forebay-io/forebay"
)

// What an upload may consist of.
const (
	// PieceMin is the least size of a piece that is not the last.
	PieceMin = 5 * forebay.MiB
	// PiecesMax is how many pieces an upload has at most.
	PiecesMax = 10_000
)

// Upload is a multipart upload: an object that nobody sees before it is completed.
type Upload struct {
	Key string `json:"key"`
	ID  string `json:"id"`
}

// Piece is one piece of an upload.
type Piece struct {
	Number int32  `json:"n"`
	ETag   string `json:"etag"`
	Size   int64  `json:"size"`
}

// MarkKey is the name of the metadata that tells our objects from those of others.
const MarkKey = "forebay"

// Create begins the upload of an object with our mark.
//
// Errors: ambiguous where it is not known whether it began: ListUploads finds it then.
func (b *Bucket) Create(ctx context.Context, key, mark string) (Upload, error) {
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &b.name, Key: &key, Metadata: map[string]string{MarkKey: mark},
	}, once)
	if err != nil {
		return Upload{}, b.fail(ctx, request{op: "begin the upload of " + URL(b.name, key), write: true}, err)
	}
	return Upload{Key: key, ID: aws.ToString(out.UploadId)}, nil
}

// UploadPiece sends a piece. The same number again replaces it.
func (b *Bucket) UploadPiece(ctx context.Context, u Upload, number int32, data []byte) (Piece, error) {
	out, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &b.name, Key: &u.Key, UploadId: &u.ID, PartNumber: &number, Body: bytes.NewReader(data),
	})
	if err != nil {
		return Piece{}, b.fail(ctx, request{op: fmt.Sprintf("send piece %d of %s", number, URL(b.name, u.Key))}, err)
	}
	return Piece{Number: number, ETag: aws.ToString(out.ETag), Size: int64(len(data))}, nil
}

// Completion is an upload that is to become an object.
type Completion struct {
	Upload Upload
	Pieces []Piece
	// Mark is what Create was given, and Size that of the object: they tell it from another one at its key.
	Mark string
	Size int64
}

// Complete makes the object visible, unless there is one at its key already. An answer is not believed, and a missing
// one is not guessed: the object that is there decides. (There are stores that answer well for an upload which they
// do not have, as long as any object lies at its key.)
//
// The outcomes are those of forebay.CommitRequest: done, already, retry with the cause, lost with the cause where
// neither upload nor object is there, and fatal where another object has taken the key.
func (b *Bucket) Complete(ctx context.Context, c Completion) (forebay.Outcome, error) {
	pieces := make([]types.CompletedPart, len(c.Pieces))
	for i, p := range c.Pieces {
		pieces[i] = types.CompletedPart{ETag: aws.String(p.ETag), PartNumber: aws.Int32(p.Number)}
	}
	_, err := b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &c.Upload.Key, UploadId: &c.Upload.ID, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: pieces},
	}, once)
	if err == nil {
		return b.settle(ctx, c, forebay.OutcomeDone, nil)
	}
	err = b.fail(ctx, request{op: "publish " + URL(b.name, c.Upload.Key), write: true}, err)
	switch code := CodeOf(err); {
	case code == CodeNoUpload:
		return b.settle(ctx, c, forebay.OutcomeAlready, lost(b, c))
	case code == CodeCondition, forebay.ClassOf(err) == forebay.ClassAmbiguous:
		return b.settle(ctx, c, forebay.OutcomeAlready, err)
	case forebay.ClassOf(err) == forebay.ClassLost:
		return forebay.OutcomeLost, err
	case forebay.ClassOf(err) == forebay.ClassMisconfigured:
		return forebay.OutcomeFatal, err
	default:
		return forebay.OutcomeRetry, err
	}
}

func lost(b *Bucket, c Completion) error {
	return &forebay.Error{
		Op: "publish " + URL(b.name, c.Upload.Key), Class: forebay.ClassLost, Code: CodeNoUpload,
		Err:  errors.New("neither its upload nor the object is there: somebody aborted the one or removed the other"),
		Cure: "check the bucket's rules for unfinished uploads: they must be kept longer than a pipeline may stand still",
	}
}

// settle finds out whether an upload became its object: the outcome is there if so. cause is why it is asked.
func (b *Bucket) settle(
	ctx context.Context, c Completion, there forebay.Outcome, cause error,
) (forebay.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.lookupMax())
	defer cancel()
	o, err := b.Head(ctx, c.Upload.Key)
	switch {
	case err == nil && o.Size == c.Size && o.Meta[MarkKey] == c.Mark:
		if cause != nil && forebay.ClassOf(cause) != forebay.ClassLost {
			_ = b.Abort(ctx, c.Upload) // a store that broke down in between may still have both
		}
		return there, nil
	case err == nil:
		return forebay.OutcomeFatal, forebay.Errorf("publish "+URL(b.name, c.Upload.Key), forebay.ClassLost,
			"another object of %d bytes lies there, and ours has %d", o.Size, c.Size)
	case CodeOf(err) != CodeNoObject:
		return forebay.OutcomeRetry, errors.Join(cause, err)
	case forebay.ClassOf(cause) == forebay.ClassLost:
		return forebay.OutcomeLost, cause
	case cause == nil:
		return forebay.OutcomeRetry, forebay.Errorf("publish "+URL(b.name, c.Upload.Key), forebay.ClassTransient,
			"the bucket says that it is done, but the object is not there")
	default:
		return forebay.OutcomeRetry, cause
	}
}

// Abort removes an upload and its pieces. One that is not there is no error.
func (b *Bucket) Abort(ctx context.Context, u Upload) error {
	_, err := b.client.AbortMultipartUpload(ctx,
		&s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &u.Key, UploadId: &u.ID})
	if err == nil {
		return nil
	}
	err = b.fail(ctx, request{op: "abort the upload of " + URL(b.name, u.Key), write: true}, err)
	if code := CodeOf(err); code == CodeNoUpload || code == CodeNoObject {
		return nil
	}
	return err
}

// ListUploads gives the uploads that are under way for keys which begin with the prefix, page by page. Some stores
// list only what has exactly the prefix as its key, so it cannot be relied on alone.
func (b *Bucket) ListUploads(ctx context.Context, prefix string) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		pages := s3.NewListMultipartUploadsPaginator(b.client,
			&s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Upload{}, b.fail(ctx, request{op: "list the uploads to " + URL(b.name, prefix)}, err))
				return
			}
			for _, u := range page.Uploads {
				key := aws.ToString(u.Key)
				if strings.HasPrefix(key, prefix) && !yield(Upload{Key: key, ID: aws.ToString(u.UploadId)}, nil) {
					return
				}
			}
		}
	}
}

// ListPieces gives the pieces of an upload by number.
//
// Errors: lost with CodeNoUpload where there is no such upload.
func (b *Bucket) ListPieces(ctx context.Context, u Upload) ([]Piece, error) {
	var pieces []Piece
	pages := s3.NewListPartsPaginator(b.client, &s3.ListPartsInput{Bucket: &b.name, Key: &u.Key, UploadId: &u.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, b.fail(ctx, request{op: "list the pieces of " + URL(b.name, u.Key)}, err)
		}
		for _, p := range page.Parts {
			pieces = append(pieces, Piece{
				Number: aws.ToInt32(p.PartNumber), ETag: aws.ToString(p.ETag), Size: aws.ToInt64(p.Size),
			})
		}
	}
	return pieces, nil
}
