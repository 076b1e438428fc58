// SPDX-License-Identifier: Apache-2.0

//go:build fault

package kill

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/forebay-io/forebay/internal/fault"
)

func TestRecoverySurvivesKillsInItsMiddle(t *testing.T) {
	eachCampaign(t, func(t *testing.T, s shape, lossy bool) {
		t.Helper()
		const rounds = 3
		c := New(t, Config{
			Binary: binary(), Pipeline: s.pipeline(t, Object{"table": Object{"name": "flights"}}), Table: "flights",
			Lanes: s.lanes, Kills: 3 * rounds, Lossy: lossy,
		})
		for range rounds {
			for _, point := range []string{
				fault.DirectoryLocked, fault.StoreOpened, fault.EpochTaken, fault.EpochTaken, fault.Fenced, fault.Fenced,
				fault.ProgressRead, fault.ProgressRead, fault.Seeked, fault.Seeked,
			} {
				c.Named(point, 1)
			}
			c.Random(1)
		}
		c.Finish()
		auditTable(t, c, must(t, s.ledger()), s.order)
		c.Verdict()
	})
}

func TestJanuaryIntoAKeyTableSurvivesKills(t *testing.T) {
	t.Parallel()
	kills := min(Kills(t), 50) // a month has no batches for more
	path, _ := excerpt(t, func(_ int, line string) bool { return strings.HasPrefix(line, "2013,1,") }, nil)
	january, err := ReadCSV(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := Object{"name": "flights", "key": []string{"time_hour", "carrier", "flight", "origin"}}
	c := New(t, Config{
		Binary: binary(), Pipeline: csvInto(path, Object{"table": sink}), Table: "flights", Kills: kills + 20, Lossy: true,
	})
	c.Random(kills)
	for _, point := range []string{fault.CommitBuilt, fault.CommitApplied, fault.CommitSynced, fault.CommitAcked} {
		c.Named(point, 1)
		c.Named(point, 3)
	}
	c.Finish()
	auditTable(t, c, january, ByKey)
	// A row that is delivered twice overwrites itself: only the change log shows it.
	if changes := c.Changes(); changes != int64(len(january.Rows)) {
		c.find(FindingRepeated, "the change log holds %d changes for %d rows", changes, len(january.Rows))
	}
	c.Verdict()
}

func TestChangeOfTheSchemaSurvivesKills(t *testing.T) {
	t.Parallel()
	path, _ := excerpt(t, first(40_000), nil)
	want, err := ReadCSV(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	pipeline := csvInto(path, Object{"table": Object{"name": "flights"}})
	c := New(t, Config{Binary: binary(), Pipeline: pipeline, Table: "flights", Kills: 12, Lossy: true})
	c.Random(2)
	pipeline["transform"] = []Object{{"set": Object{"route": `origin + "-" + dest`}}}
	c.Rewrite(pipeline)
	c.Named(fault.SchemaChanged, 1)
	c.Random(2)
	c.Finish()
	auditTable(t, c, want, Whole)
	c.Verdict()
}

func TestSecondProcessOnADirectoryNamesTheOwner(t *testing.T) {
	t.Parallel()
	path, _ := excerpt(t, first(40_000), nil)
	want, err := ReadCSV(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := New(t, Config{
		Binary: binary(), Pipeline: csvInto(path, Object{"table": Object{"name": "flights"}}), Table: "flights", Kills: 10,
	})
	owner := c.launch(c.paced())
	if !owner.Await(delivering) {
		t.Fatal(owner.Last())
	}
	second, err := Start(t.Context(), c.config.Binary, []string{"run", c.file, "--state", c.state}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-second.exited
	if code := second.state.ExitCode(); code != 2 {
		t.Errorf("the second process exits %d, expected 2", code)
	}
	pid := strconv.Itoa(owner.cmd.Process.Pid)
	if text := second.Last(); !strings.Contains(text, pid) || !strings.Contains(text, "in use") {
		t.Errorf("the second process does not name process %s as the owner: %s", pid, text)
	}
	if err := owner.Kill(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.ended(owner, "stopped")
	c.Finish()
	auditTable(t, c, want, Whole)
	c.Verdict()
}
