// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
)

var rewrite = flag.Bool("rewrite", false, "write testdata again")

// Every combination of what the ends can do and what is asked for, with the sentences that check prints.
func TestPlanForEveryChain(t *testing.T) {
	t.Parallel()
	ways := []struct {
		name string
		way  forebay.Way
	}{
		{"plain", forebay.WayPlain},
		{"idempotent", forebay.WayIdempotent},
		{"two-phase", forebay.WayTwoPhase},
		{"progress", forebay.WayProgress},
	}
	transforms := []struct {
		name          string
		count         int
		deterministic bool
	}{{"none", 0, true}, {"deterministic", 2, true}, {"other", 1, false}}
	wanted := []Guarantee{GuaranteeStrongest, GuaranteeExactlyOnce, GuaranteeAtLeastOnce, GuaranteeNone}
	var out strings.Builder
	for _, replayable := range []bool{true, false} {
		for _, way := range ways {
			for _, steps := range transforms {
				fmt.Fprintf(&out, "source that can go back: %v, sink: %s, transforms: %s\n", replayable, way.name, steps.name)
				c := chain{
					source:        forebay.SourceInfo{Connector: "the source", Replayable: replayable},
					sink:          forebay.SinkInfo{Connector: "sink", Name: "the target", Way: way.way},
					deterministic: steps.deterministic, transforms: steps.count,
				}
				for _, want := range wanted {
					p, err := plan(c, want)
					if want == GuaranteeStrongest {
						for _, link := range p.Links {
							fmt.Fprintf(&out, "  %s: %s: %s\n", link.Part, link.Gives, link.Says)
						}
					}
					checkPlan(t, p, err, want)
					if err != nil {
						fmt.Fprintf(&out, "  asked for %s: %v\n", want, err)
						continue
					}
					fmt.Fprintf(&out, "  asked for %q: %s\n", want, p.Guarantee)
				}
			}
		}
	}
	golden := filepath.Join("testdata", "plans.txt")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("run the test with -rewrite where this is right:\n%s", diff)
	}
}

// checkPlan holds what is true of every plan.
func checkPlan(t *testing.T, p Plan, err error, want Guarantee) {
	t.Helper()
	lowest := 99
	for _, link := range p.Links[:3] {
		lowest = min(lowest, link.Gives.rank())
	}
	if p.Strongest.rank() != lowest {
		t.Errorf("the strongest is %s: %+v", p.Strongest, p.Links)
	}
	if err == nil {
		if want != GuaranteeStrongest && p.Guarantee != want || p.Guarantee.rank() > p.Strongest.rank() {
			t.Errorf("asked for %q, given %s of %s", want, p.Guarantee, p.Strongest)
		}
		return
	}
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok || e.Code != "guarantee-impossible" || e.Class != forebay.ClassMisconfigured ||
		want.rank() <= p.Strongest.rank() {
		t.Errorf("asked for %s of %s: %v", want, p.Strongest, err)
	}
	// What the message tells the user to write must be something that he can write.
	_, advice, found := strings.Cut(e.Cure, "guarantee: ")
	if advice, _, _ = strings.Cut(advice, ","); found && !Guarantee(advice).valid() {
		t.Errorf("the cure says to write %q", advice)
	}
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	wrong := Config{
		Name: "Flights!", Lanes: -1, Memory: forebay.MiB, WriterMemory: forebay.GiB, Guarantee: "twice",
		Checkpoint: CheckpointConfig{Interval: 2 * time.Hour, Bytes: -1}, Errors: ErrorsConfig{Rejected: "ignore", Max: -1},
		Shutdown: ShutdownConfig{Timeout: -time.Second},
	}
	_, err := New(wrong)
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Fatal(err)
	}
	for _, setting := range []string{
		`name "Flights!"`, "source: missing", "sink: missing", "lanes -1", "memory ", "writer.buffer.memory",
		"checkpoint.interval", "checkpoint.bytes", "errors.max -1", `guarantee "twice"`, `errors.rejected "ignore"`,
		"shutdown.timeout",
	} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%q is not reported in:\n%v", setting, err)
		}
	}
}

func TestValidateBorders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string
	}{
		{"nothing given", func(*Config) {}, ""},
		{"effectively-once cannot be asked for", func(c *Config) { c.Guarantee = GuaranteeEffectiveOnce }, "guarantee"},
		{"a name of 63 bytes", func(c *Config) { c.Name = strings.Repeat("a", 63) }, ""},
		{"a name of 64 bytes", func(c *Config) { c.Name = strings.Repeat("a", 64) }, "name"},
		{"a name that begins with a dash", func(c *Config) { c.Name = "-a" }, "name"},
		{"lanes at the limit", func(c *Config) { c.Lanes = LanesMax }, ""},
		{"lanes above the limit", func(c *Config) { c.Lanes = LanesMax + 1 }, "lanes"},
		{"the writer's memory is half of the default", func(c *Config) { c.WriterMemory = MemoryDefault / 2 }, ""},
		{
			"the writer's memory is more than half of the default",
			func(c *Config) { c.WriterMemory = MemoryDefault/2 + 1 }, "writer",
		},
		{"the writer's memory is negative", func(c *Config) { c.WriterMemory = -1 }, "writer"},
		{"the least memory", func(c *Config) { c.Memory = MemoryMin }, ""},
		{"less than that", func(c *Config) { c.Memory = MemoryMin - 1 }, "memory"},
		{"an hour between checkpoints", func(c *Config) { c.Checkpoint.Interval = time.Hour }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := Config{Name: "p", Source: noSource{}, Sink: noSink{}}
			c.change(&config)
			err := config.Validate()
			if (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

type noSource struct{ forebay.Source }

type noSink struct{ forebay.Sink }

// Four transactions of each lane fit into the writer's memory, and each is at least a batch.
func TestCommitBytesFollowTheMemory(t *testing.T) {
	t.Parallel()
	for _, memory := range []forebay.Bytes{MemoryMin, 64 * forebay.MiB, MemoryDefault, forebay.GiB} {
		for _, lanes := range []int{0, 1, 3, 16, LanesMax} {
			config := Config{Memory: memory}.withDefaults()
			log, keyed := config.commitBytes(lanes, false), config.commitBytes(lanes, true)
			if log < forebay.BatchBytesMax || log > CommitBytesDefault || keyed > log {
				t.Errorf("memory %s, %d lanes: %s, with a key %s", memory, lanes, log, keyed)
			}
			if all := 4 * log * forebay.Bytes(max(lanes, 1)); all > config.WriterMemory && log > forebay.BatchBytesMax {
				t.Errorf("memory %s, %d lanes: %s are more than the writer's %s", memory, lanes, all, config.WriterMemory)
			}
			if table := memTableSize(memory, false); log > table/4 {
				t.Errorf("memory %s: a transaction of %s and a memtable of %s", memory, log, table)
			}
			if table := memTableSize(memory, true); 2*keyed > table/4 && keyed > forebay.BatchBytesMax {
				t.Errorf("memory %s: a keyed transaction of %s and a memtable of %s", memory, keyed, table)
			}
		}
	}
}
