// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay/connector/file/object"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/test/servers/s3"
)

// bucketName is where the objects of a campaign are.
const bucketName = "data"

// bucketServer is a server of S3 with a bucket.
func bucketServer(t *testing.T) *s3.Server {
	t.Helper()
	server := s3.Start(t)
	server.Bucket(t, bucketName)
	return server
}

// inBucket is a folder of objects.
func inBucket(server *s3.Server, name string) place {
	access := Object{"endpoint": server.URL(), "access_key": s3.AccessKey, "secret_key": s3.SecretKey, "timeout": "5s"}
	return place{
		base: filepath.Join(server.Folder(bucketName), name),
		sink: func(more string) Object {
			return Object{"path": "s3://" + bucketName + "/" + name + more, "s3": access}
		},
		left: func(c *Campaign) { uploadsLeft(c, server, name+"/") },
	}
}

// uploadsLeft looks for uploads that a clean end left.
func uploadsLeft(c *Campaign, server *s3.Server, prefix string) {
	c.t.Helper()
	bucket, err := object.Open(c.t.Context(), bucketName, object.Config{
		Endpoint: server.URL(), AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for upload, err := range bucket.ListUploads(c.t.Context(), prefix) {
		if err != nil {
			c.t.Fatal(err)
		}
		c.find(FindingLeft, "a clean end left the upload for %s", upload.Key)
	}
	if err := bucket.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// inCSV is the year as csv, in one split.
func inCSV(t *testing.T, records int) (source Object, expected string) {
	t.Helper()
	path, _ := excerpt(t, first(records), nil)
	return Object{"file": Object{"path": path, "format": "csv"}}, linesOfYear(t, records)
}

func objectChains() []chain {
	return []chain{
		{name: "csv, gzip", source: inCSV, sink: gzipParts("origin={origin}", "256KiB")},
		{
			name: "ndjson, Parquet", source: inRanges, sink: parquetParts("origin={origin}", "512KiB"),
			lanes: []int{1, 2, 3}, parquet: true,
		},
	}
}

// serverKills kills the server n times while a run delivers; every second time the run is killed before it is back.
func serverKills(c *Campaign, server *s3.Server, n int) {
	c.t.Helper()
	for i := range n {
		p := c.launch(c.paced())
		if !p.Await(delivering) {
			c.t.Fatalf("the run ended by itself: %s%s", p.stdout.String(), p.Last())
		}
		p.Lives(time.Duration(c.random.Int64N(int64(waitMax))))
		server.Kill()
		p.Lives(time.Duration(c.random.Int64N(int64(waitMax))))
		if i%2 == 0 {
			server.Restart(c.t)
			before := p.Progress().Acked
			if !p.Await(func(t fault.Trace) bool { return t.Acked > before }) {
				c.t.Fatalf("the run did not go on with the server: %s%s", p.stdout.String(), p.Last())
			}
		}
		if err := p.Kill(syscall.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
		if i%2 == 1 {
			server.Restart(c.t)
		}
		c.after(p, countUnknown)
	}
	c.t.Logf("%d kills of the server", n)
}

func TestPartsOfObjectsSurviveKills(t *testing.T) {
	t.Parallel()
	kills := Kills(t)
	for _, s := range objectChains() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server := bucketServer(t)
			servers := max(1, kills/20)
			c, out, expected := s.newParts(t, inBucket(server, "out"), Config{Kills: s.planned(t) + servers, Lossy: true})
			c.Random(kills / 2)
			serverKills(c, server, servers)
			s.killEverywhere(c)
			c.Named(fault.OpenedWritten, 1)
			c.Random(kills - kills/2)
			s.finish(c, out, expected)
		})
	}
}
