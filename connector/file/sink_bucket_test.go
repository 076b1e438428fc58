// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/file"
)

// objects reads what lies under a prefix, in the order of the keys, unpacked.
func (r *remote) objects(ctx context.Context, prefix string) (list [][]byte, err error) {
	for o, err := range r.bucket.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		if strings.Contains(o.Key, "/_forebay/") {
			continue
		}
		var in io.Reader = r.bucket.Open(ctx, o)
		if strings.HasSuffix(o.Key, ".gz") {
			if in, err = gzip.NewReader(in); err != nil {
				return nil, err
			}
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
}

func TestSinkConformanceInABucket(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	var systems atomic.Int32
	for name, sink := range map[string]file.Sink{
		"plain": {}, "gzip": {Compression: "gzip"}, "each checkpoint": {Roll: file.Roll{Checkpoint: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSink(t, connectortest.SinkHarness{
				Claims: connectortest.SinkClaims{
					Streams: true, TwoPhase: true, Fences: true, Holds: !sink.Roll.Checkpoint, Notes: true,
				},
				New: func(connectortest.T) connectortest.System {
					base := fmt.Sprintf("out%d", systems.Add(1))
					sink := sink
					sink.Path, sink.S3, sink.Format = "s3://data/"+base, r.config, raw.Format{}
					return connectortest.System{
						Sink: sink,
						Unpublished: func(ctx context.Context) (open []string, err error) {
							for u, err := range r.bucket.ListUploads(ctx, base+"/") {
								if err != nil {
									return nil, err
								}
								open = append(open, u.Key+" "+u.ID)
							}
							return open, nil
						},
						Read: func(ctx context.Context) ([][]connectortest.Stored, error) {
							contents, err := r.objects(ctx, base+"/")
							var lists [][]connectortest.Stored
							for _, content := range contents {
								var list []connectortest.Stored
								for line := range bytes.Lines(content) {
									s, err := connectortest.ParseLine(strings.TrimSuffix(string(line), "\n"))
									if err != nil {
										return nil, err
									}
									list = append(list, s)
								}
								lists = append(lists, list)
							}
							return lists, err
						},
					}
				},
			})
		})
	}
	t.Cleanup(func() {
		for u, err := range r.bucket.ListUploads(context.Background(), "") {
			t.Errorf("left open: %v %v", u, err)
		}
	})
}
