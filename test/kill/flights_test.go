// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"maps"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// shape is one way of the year into the log table.
type shape struct {
	name   string
	file   string
	format Object
	lanes  []int
	ledger func() ledgerOrError
	order  Order
}

// gzipped is one split: all rows stand in one tablet, as in the file. ranges are 25 splits in up to three lanes.
func shapes() (gzipped, ranges shape) {
	gzipped = shape{name: "one gzip", file: yearGzip, format: Object{"format": "csv"}, ledger: yearOfCSV, order: Whole}
	ranges = shape{
		name: "ndjson in ranges", file: yearNDJSON, format: Object{"format": "ndjson", "range": "4MiB"},
		lanes: []int{1, 2, 3}, ledger: yearOfNDJSON, order: BySplit,
	}
	return gzipped, ranges
}

func (s shape) pipeline(t *testing.T, sink Object) Object {
	t.Helper()
	file := Object{"path": year(t, s.file)}
	maps.Copy(file, s.format)
	return Object{"name": "flights", "source": Object{"file": file}, "sink": sink}
}

// eachCampaign runs a campaign with each shape on both file systems.
func eachCampaign(t *testing.T, run func(t *testing.T, s shape, lossy bool)) {
	t.Helper()
	gzipped, ranges := shapes()
	for _, s := range []shape{gzipped, ranges} {
		for name, lossy := range map[string]bool{"plain file system": false, "lossy file system": true} {
			t.Run(s.name+", "+name, func(t *testing.T) {
				t.Parallel()
				run(t, s, lossy)
			})
		}
	}
}

// namedKills are the points that every process with a table sink meets, and the hits that are tried: the first,
// the third and a random one up to most.
func namedKills() []struct {
	point string
	hits  []int
	most  int
} {
	return []struct {
		point string
		hits  []int
		most  int
	}{
		{point: fault.DirectoryLocked, hits: []int{1}},
		{point: fault.StoreOpened, hits: []int{1}},
		{point: fault.EpochTaken, hits: []int{1}},
		{point: fault.Fenced, hits: []int{1, 2}},
		{point: fault.ProgressRead, hits: []int{1}},
		{point: fault.Seeked, hits: []int{1}},
		{point: fault.SourceRead, hits: []int{1, 3}, most: 8},
		{point: fault.SourcePosition, hits: []int{1, 3}, most: 8},
		{point: fault.TransformDone, hits: []int{1, 3}, most: 8},
		{point: fault.BatchEncoded, hits: []int{1, 3}, most: 8},
		{point: fault.CommitBuilt, hits: []int{1, 3}, most: 10},
		{point: fault.CommitApplied, hits: []int{1, 3}, most: 10},
		{point: fault.CommitSynced, hits: []int{1, 3}, most: 10},
		{point: fault.CommitAcked, hits: []int{1, 3}, most: 6},
		{point: fault.CheckpointBuilt, hits: []int{1, 2}},
		{point: fault.CheckpointWritten, hits: []int{1, 2}},
	}
}

// namedPlanned is how many kills every named point costs in pace: those that wait for commits last longer.
const namedPlanned = 50

// killEverywhere hits every named point, and every one of a recovery again after each of them.
func killEverywhere(c *Campaign) {
	for _, k := range namedKills() {
		for _, hit := range k.hits {
			c.Named(k.point, hit)
		}
		if k.most > 0 {
			c.Named(k.point, 4+c.random.IntN(k.most-3))
		}
	}
	c.NamedWhileDraining(fault.DrainBegun)
}

func TestYearSurvivesKills(t *testing.T) {
	kills := Kills(t)
	eachCampaign(t, func(t *testing.T, s shape, lossy bool) {
		t.Helper()
		c := New(t, Config{
			Binary: binary(), Pipeline: s.pipeline(t, Object{"table": Object{"name": "flights"}}), Table: "flights",
			Lanes: s.lanes, Kills: kills + namedPlanned, Lossy: lossy,
		})
		c.Named(fault.TableCreated, 1)
		c.Random(kills / 2)
		killEverywhere(c)
		c.Random(kills - kills/2)
		c.NamedUnpaced(fault.SplitFinished, 1)
		c.Finish()
		auditTable(t, c, must(t, s.ledger()), s.order)
		c.Verdict()
		if missed := c.hits.Missed(); len(missed) > 0 {
			t.Errorf("no kill hit the stages %v", missed)
		}
	})
}

func TestYearIsStoppedAndGoesOn(t *testing.T) {
	stops := max(1, Kills(t)/2)
	if Kills(t) >= KillsFull {
		stops = Kills(t) / 4
	}
	eachCampaign(t, func(t *testing.T, s shape, lossy bool) {
		t.Helper()
		c := New(t, Config{
			Binary: binary(), Pipeline: s.pipeline(t, Object{"table": Object{"name": "flights"}}), Table: "flights",
			Lanes: s.lanes, Kills: stops, Lossy: lossy,
		})
		c.Terminate(stops)
		c.Finish()
		if c.delivered != yearRows {
			t.Errorf("the summaries of all runs add up to %d delivered records, expected %d", c.delivered, yearRows)
		}
		auditTable(t, c, must(t, s.ledger()), s.order)
		c.Verdict()
	})
}
