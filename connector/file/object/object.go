// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/forebay-io/forebay"
)

// Object is what is known of an object without reading it.
type Object struct {
	Key  string
	Size int64
	// ETag is what the bucket calls this content, with its quotes.
	ETag string
	// Meta is what the object was made with. A list does not have it.
	Meta map[string]string
}

// List gives the objects whose keys begin with the prefix, in the order of their keys, page by page. With a delimiter
// it leaves out those that have it behind the prefix.
func (b *Bucket) List(ctx context.Context, prefix, delimiter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix}
		if delimiter != "" {
			in.Delimiter = &delimiter
		}
		pages := s3.NewListObjectsV2Paginator(b.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, b.fail(ctx, request{op: "list " + URL(b.name, prefix)}, err))
				return
			}
			for _, o := range page.Contents {
				if !yield(Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag)}, nil) {
					return
				}
			}
		}
	}
}

// Head asks for one object.
//
// Errors: misconfigured with CodeNoObject where there is none.
func (b *Bucket) Head(ctx context.Context, key string) (Object, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return Object{}, b.fail(ctx, request{op: "look at " + URL(b.name, key)}, err)
	}
	return Object{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Meta: out.Metadata}, nil
}

// smallMax bounds objects that are read whole.
const smallMax = int64(forebay.MiB)

// ReadSmall reads a small object whole.
//
// Errors: misconfigured with CodeNoObject where there is none.
func (b *Bucket) ReadSmall(ctx context.Context, key string) ([]byte, Object, error) {
	r := request{op: "read " + URL(b.name, key)}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, Object{}, b.fail(ctx, r, err)
	}
	defer out.Body.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(out.Body, smallMax+1))
	if err != nil {
		return nil, Object{}, b.fail(ctx, r, err)
	}
	if int64(len(data)) > smallMax {
		return nil, Object{}, forebay.Errorf(r.op, forebay.ClassCorrupt, "it is larger than %s", forebay.Bytes(smallMax))
	}
	return data, Object{Key: key, Size: int64(len(data)), ETag: aws.ToString(out.ETag), Meta: out.Metadata}, nil
}

// Beginning reads the first bytes of an object, at most size.
func (b *Bucket) Beginning(ctx context.Context, o Object, size int64) ([]byte, error) {
	head := make([]byte, min(size, o.Size))
	if len(head) == 0 {
		return head, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	body, err := b.get(ctx, o, 0, int64(len(head)))
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // it was only read
	if _, err := io.ReadFull(body, head); err != nil {
		return nil, b.fail(ctx, request{op: "read " + URL(b.name, o.Key)}, err)
	}
	return head, nil
}

// PutIfAbsent makes a small object if there is none. What became of a request without an answer is looked up: data
// must differ from what anybody else writes there.
//
// Errors: transient with CodeCondition where there is one.
func (b *Bucket) PutIfAbsent(ctx context.Context, key string, data []byte) (etag string, err error) {
	return b.putIf(ctx, &s3.PutObjectInput{Key: &key, IfNoneMatch: aws.String("*")}, data)
}

// PutIfMatch replaces a small object that has the ETag, as PutIfAbsent does.
func (b *Bucket) PutIfMatch(ctx context.Context, old Object, data []byte) (etag string, err error) {
	return b.putIf(ctx, &s3.PutObjectInput{Key: &old.Key, IfMatch: &old.ETag}, data)
}

func (b *Bucket) putIf(ctx context.Context, in *s3.PutObjectInput, data []byte) (string, error) {
	in.Bucket, in.Body = &b.name, bytes.NewReader(data)
	out, err := b.client.PutObject(ctx, in, once)
	if err == nil {
		return aws.ToString(out.ETag), nil
	}
	err = b.fail(ctx, request{op: "write " + URL(b.name, *in.Key), write: true}, err)
	if forebay.ClassOf(err) != forebay.ClassAmbiguous && CodeOf(err) != CodeCondition {
		return "", err
	}
	stored, o, lookup := b.ReadSmall(context.WithoutCancel(ctx), *in.Key)
	switch {
	case lookup == nil && bytes.Equal(stored, data):
		return o.ETag, nil
	case lookup != nil && CodeOf(lookup) != CodeNoObject:
		return "", fmt.Errorf("%w; what became of it is not known: %w", err, lookup)
	default:
		return "", err
	}
}

// Put writes a small object, whatever is there.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(data)})
	if err != nil {
		return b.fail(ctx, request{op: "write " + URL(b.name, key), write: true}, err)
	}
	return nil
}

// Delete removes an object. One that is not there is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	if err == nil {
		return nil
	}
	err = b.fail(ctx, request{op: "delete " + URL(b.name, key), write: true}, err)
	if CodeOf(err) == CodeNoObject {
		return nil
	}
	return err
}

// lookupMax is how long a look-up after an unknown outcome may take, whatever the caller's time is.
func (b *Bucket) lookupMax() time.Duration { return 2 * b.timeout }
