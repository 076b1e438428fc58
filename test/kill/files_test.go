// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

// chain is a way of records into parts of files.
type chain struct {
	name string
	// source makes the source of about so many records, and the file of the lines that are to come out.
	source  func(t *testing.T, records int) (source Object, expected string)
	sink    Object
	parquet bool
	lanes   []int
}

// linesOfYear are the first lines of the year.
func linesOfYear(t *testing.T, records int) string {
	t.Helper()
	in, err := os.Open(year(t, yearNDJSON))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(in)
	return writeLines(t, func(i int) (string, bool) {
		if i >= records || !lines.Scan() {
			return "", false
		}
		return lines.Text(), true
	})
}

// writeLines writes a file.
func writeLines(t *testing.T, line func(i int) (string, bool)) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "lines.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(out)
	for i := 0; ; i++ {
		text, more := line(i)
		if !more {
			break
		}
		_, _ = w.WriteString(text + "\n") // Flush says it again
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

// inRanges is the year as ndjson in many splits.
func inRanges(t *testing.T, records int) (source Object, expected string) {
	t.Helper()
	path := linesOfYear(t, records)
	return Object{"file": Object{"path": path, "format": "ndjson", "range": "2MiB"}}, path
}

// made are records of generate in five splits.
func made(t *testing.T, records int) (source Object, expected string) {
	t.Helper()
	records *= 3
	path := writeLines(t, func(i int) (string, bool) {
		return fmt.Sprintf(`{"n":%d,"m":%d}`, i, 7+3*i), i < records
	})
	return Object{"generate": Object{"count": records, "splits": 5, "fields": []Object{
		{"name": "n", "sequence": Object{}}, {"name": "m", "sequence": Object{"start": 7, "step": 3}},
	}}}, path
}

func gzipParts(bucket, size string) Object {
	return Object{
		"format": "ndjson", "compression": "gzip", "bucket": bucket, "roll": Object{"size": size},
	}
}

func parquetParts(bucket, size string) Object {
	return Object{"format": "parquet", "bucket": bucket, "roll": Object{"size": size}}
}

func chains() []chain {
	lanes := []int{1, 2, 3}
	return []chain{
		{name: "files, gzip", source: inRanges, sink: gzipParts("carrier={carrier}", "256KiB"), lanes: lanes},
		{
			name: "files, Parquet", source: inRanges, sink: parquetParts("origin={origin}", "512KiB"), lanes: lanes,
			parquet: true,
		},
		{name: "generate, gzip", source: made, sink: gzipParts("", "128KiB"), lanes: lanes},
		{name: "generate, Parquet", source: made, sink: parquetParts("", "128KiB"), lanes: lanes, parquet: true},
	}
}

// namedKills are the points that a process which writes parts of files meets.
func (s chain) namedKills() []string {
	points := []string{
		fault.DirectoryLocked, fault.StoreOpened, fault.EpochTaken, fault.CommitsReplayed, fault.OwnerWritten,
		fault.EpochMovedAway, fault.Fenced, fault.LeftoversAborted, fault.Seeked, fault.SourceRead, fault.SourcePosition,
		fault.TransformDone, fault.PartWritten, fault.PartFinished, fault.Prepared, fault.CheckpointBuilt,
		fault.CheckpointWritten, fault.CommitBegun, fault.PartRenamed, fault.PartDirectorySynced, fault.CommitDone,
		fault.CommittedWritten,
	}
	if !s.parquet { // a part of Parquet ends at each barrier
		points = append(points, fault.PartPersisted)
	}
	return points
}

// oncePerStart are the points that each process meets once.
func oncePerStart(point string) bool {
	return slices.Contains([]string{
		fault.DirectoryLocked, fault.StoreOpened, fault.EpochTaken, fault.CommitsReplayed, fault.OwnerWritten,
		fault.EpochMovedAway, fault.Fenced, fault.LeftoversAborted, fault.Seeked,
	}, point)
}

// recordsFor are enough for so many kills.
func recordsFor(kills int) int { return min(yearRows, 20_000+500*kills) }

// newParts is a campaign of the chain into a place, with what is to be there.
func (s chain) newParts(t *testing.T, at place, config Config) (c *Campaign, out *Output, expected string) {
	t.Helper()
	out = &Output{Base: at.base, Parquet: s.parquet}
	if s.parquet {
		out.Python = parquetReader(t)
	}
	source, expected := s.source(t, recordsFor(config.Kills))
	config.Binary, config.Lanes = binary(), s.lanes
	config.Pipeline, config.Measured = s.pipeline(source, at.sink("")), s.pipeline(source, at.sink("-measured"))
	config.AfterKill = out.Watch
	config.AfterEnd = func(c *Campaign) {
		out.Left(c)
		at.left(c)
	}
	return New(t, config), out, expected
}

// pipeline is the pipeline file with the place of the sink.
func (s chain) pipeline(source, at Object) Object {
	sink := maps.Clone(at)
	maps.Copy(sink, s.sink)
	return Object{
		"name": "parts", "source": source, "sink": Object{"file": sink}, "checkpoint": Object{"interval": "60ms"},
	}
}

// place is where parts go.
type place struct {
	// base is the folder, as readers see it.
	base string
	// sink are the settings of that folder, or of another one whose name goes on with more.
	sink func(more string) Object
	// left looks for what a clean end must not leave outside of the base.
	left func(c *Campaign)
}

// onDisk is a folder.
func onDisk(t *testing.T) place {
	t.Helper()
	base := filepath.Join(t.TempDir(), "out")
	return place{
		base: base, left: func(*Campaign) {}, sink: func(more string) Object { return Object{"path": base + more} },
	}
}

func TestPartsOfFilesSurviveKills(t *testing.T) {
	t.Parallel()
	kills := Kills(t)
	for _, s := range chains() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c, out, expected := s.newParts(t, onDisk(t), Config{Kills: s.planned(t), Lossy: true})
			c.Random(kills / 2)
			s.killEverywhere(c)
			c.Random(kills - kills/2)
			s.finish(c, out, expected)
		})
	}
}

// killEverywhere hits every named point of the chain: in full at its first hit and at a later one, else at one of them.
func (s chain) killEverywhere(c *Campaign) {
	full := Kills(c.t) >= KillsFull
	for _, point := range s.namedKills() {
		later := !oncePerStart(point) && (full || c.random.IntN(2) == 0)
		if full || !later {
			c.Named(point, 1)
		}
		if later {
			c.Named(point, 2+c.random.IntN(3))
		}
	}
	c.NamedWhileDraining(fault.DrainBegun)
}

// planned is how many kills of a campaign its pace counts with.
func (s chain) planned(t *testing.T) int {
	t.Helper()
	if Kills(t) >= KillsFull {
		return Kills(t) + namedPlanned
	}
	return Kills(t) + namedPlanned/2
}

// finish ends a campaign and holds everything against what it is to be.
func (s chain) finish(c *Campaign, out *Output, expected string) {
	c.t.Helper()
	c.NamedUnpaced(fault.SplitFinished, 1)
	c.Finish()
	out.Audit(c, expected, nil)
	c.Verdict()
	// Rows are encoded in the lane itself.
	if missed := slices.DeleteFunc(c.hits.Missed(), func(s Stage) bool { return s == StageBatch }); len(missed) > 0 {
		c.t.Errorf("no kill hit the stages %v", missed)
	}
}
