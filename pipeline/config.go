// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Config describes one pipeline. A pipeline file decodes into the same values.
type Config struct {
	// Name is the identity of the pipeline's state: [a-z0-9][a-z0-9_-]{0,62}.
	Name string
	// State is the state directory; default ./forebay-data. Opened, where it is set, is used instead.
	State  string
	Opened *State

	Source    forebay.Source
	Transform []forebay.Transform
	Sink      forebay.Sink

	// TakeOver makes a two-phase target ours that belongs to a run of another state directory, whose unpublished work is
	// then gone.
	TakeOver bool

	// EventTime says where records have their event time; nil: they have none, and there is no watermark.
	EventTime *EventTime

	// Guarantee is what the run must give; GuaranteeStrongest, the zero value, takes the strongest possible.
	Guarantee Guarantee
	// Lanes is the number of lanes; 0 means the smaller of cores and splits.
	Lanes int
	// Memory bounds every buffer of the process; default 256 MB.
	Memory forebay.Bytes
	// WriterMemory is the writer's share of Memory; default 64 MB, at most half of Memory.
	WriterMemory forebay.Bytes
	// Writer are the knobs of sinks that send requests by a writer. The lanes of our own tables send transactions, whose
	// size and age are those of Checkpoint and which are tried again without limit: of these knobs they heed MaxInflight
	// alone, as the number of transactions of a lane that wait for their answer, up to writer.LaneWindow.
	Writer     writer.Tuning
	Checkpoint CheckpointConfig
	Errors     ErrorsConfig
	Shutdown   ShutdownConfig

	Logger *slog.Logger
	Hooks  forebay.Hooks
	// Limited is called when the lanes of a run begin to write to a table over a network, with a look at what bounds
	// their commits; forget is called at their end. It may be nil.
	Limited func(table string, state func() writer.LimiterState) (forget func())
}

// CheckpointConfig says how often a lane ends its transaction.
type CheckpointConfig struct {
	// Interval is the longest time between two; default 100 ms for targets that hold progress, 10 s for two-phase ones
	// unless they say, else 1 s.
	Interval time.Duration `yaml:"interval" doc:"longest time between two transactions of a lane"`
	// Bytes ends a transaction early; default 4 MB, less where memory is small.
	Bytes forebay.Bytes `yaml:"bytes" doc:"size at which a transaction ends early"`
}

// RejectedPolicy says what becomes of rejected records.
type RejectedPolicy string

// The policies for rejected records.
const (
	RejectedDeadLetter RejectedPolicy = "dead-letter"
	RejectedStop       RejectedPolicy = "stop"
	RejectedDrop       RejectedPolicy = "drop"
)

// ErrorsConfig says what becomes of records that can never be accepted.
type ErrorsConfig struct {
	// Rejected is the policy; default dead-letter.
	Rejected RejectedPolicy
	// Max stops the run when more records were rejected; 0 means unlimited.
	Max int64
}

// ShutdownConfig bounds a graceful stop.
type ShutdownConfig struct {
	// Timeout is how long a drain may take; default 25 s.
	Timeout time.Duration `yaml:"timeout" default:"25s" doc:"how long a drain may take"`
}

// Defaults of Config.
const (
	StateDefault        = "./forebay-data"
	MemoryDefault       = 256 * forebay.MiB
	MemoryMin           = 32 * forebay.MiB
	WriterMemoryDefault = 64 * forebay.MiB
	ShutdownDefault     = 25 * time.Second
	CommitBytesDefault  = 4 * forebay.MiB
	// LanesMax bounds the lanes of a pipeline.
	LanesMax = 1024

	progressInterval = 100 * time.Millisecond
	plainInterval    = time.Second
	twoPhaseInterval = 10 * time.Second
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidName reports whether a pipeline can have the name.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.State == "" {
		c.State = StateDefault
	}
	if c.Memory == 0 {
		c.Memory = MemoryDefault
	}
	if c.WriterMemory == 0 {
		c.WriterMemory = min(WriterMemoryDefault, c.Memory/2)
	}
	if c.Errors.Rejected == "" {
		c.Errors.Rejected = RejectedDeadLetter
	}
	if c.Shutdown.Timeout == 0 {
		c.Shutdown.Timeout = ShutdownDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Effective is the configuration with the defaults that do not depend on the input.
func (c Config) Effective() Config {
	c = c.withDefaults()
	if c.Checkpoint.Interval == 0 && c.Sink != nil {
		info, _ := c.Sink.Info() // what is wrong with it is said elsewhere
		c.Checkpoint.Interval = defaultInterval(info)
	}
	return c
}

// defaultInterval is how often a lane ends its transaction unless the user says.
func defaultInterval(sink forebay.SinkInfo) time.Duration {
	switch {
	case sink.Interval > 0:
		return sink.Interval
	case sink.Way == forebay.WayProgress:
		return progressInterval
	case sink.Way == forebay.WayTwoPhase:
		return twoPhaseInterval
	default:
		return plainInterval
	}
}

// Validate reports everything that is wrong with the configuration itself, at once.
func (c Config) Validate() error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !ValidName(c.Name) {
		report("name %q: use 1 to 63 of a-z, 0-9, _ and -, the first one a letter or digit", c.Name)
	}
	if c.Source == nil {
		report("source: missing; a pipeline needs exactly one")
	}
	if c.Sink == nil {
		report("sink: missing; a pipeline needs exactly one")
	}
	if c.Lanes < 0 || c.Lanes > LanesMax {
		report("lanes %d: must be 0 to %d", c.Lanes, LanesMax)
	}
	if c.Memory != 0 && c.Memory < MemoryMin {
		report("memory %s: must be at least %s", c.Memory, MemoryMin)
	}
	memory := max(c.Memory, MemoryMin)
	if c.Memory == 0 {
		memory = MemoryDefault
	}
	if c.WriterMemory < 0 || c.WriterMemory > memory/2 {
		report("writer.buffer.memory %s: must be at most half of memory (%s)", c.WriterMemory, memory)
	}
	if err := (writer.Config{Tuning: c.Writer}).Validate(); err != nil {
		problems = append(problems, err)
	}
	if c.Checkpoint.Interval < 0 || c.Checkpoint.Interval > time.Hour {
		report("checkpoint.interval %s: must be at most 1h", c.Checkpoint.Interval)
	}
	if c.Checkpoint.Bytes < 0 {
		report("checkpoint.bytes %s: must not be negative", c.Checkpoint.Bytes)
	}
	if c.EventTime != nil {
		problems = append(problems, c.EventTime.validate())
	}
	if c.Shutdown.Timeout < 0 {
		report("shutdown.timeout %s: must not be negative", c.Shutdown.Timeout)
	}
	if c.Errors.Max < 0 {
		report("errors.max %d: must not be negative", c.Errors.Max)
	}
	if !c.Guarantee.valid() {
		report("guarantee %q: use exactly-once, at-least-once or none", c.Guarantee)
	}
	switch c.Errors.Rejected {
	case "", RejectedDeadLetter, RejectedStop, RejectedDrop:
	default:
		report("errors.rejected %q: use dead-letter, stop or drop", c.Errors.Rejected)
	}
	return errors.Join(problems...)
}

// commitBytes is the size at which a lane ends its transaction. Four transactions of each lane fit in the
// writer's memory, and one in a quarter of the store's memtable, where a table with a key writes its rows
// twice: as rows and in its change log.
func (c Config) commitBytes(lanes int, keyed bool) forebay.Bytes {
	if c.Checkpoint.Bytes > 0 {
		return c.Checkpoint.Bytes
	}
	return min(CommitBytesDefault, c.commitBytesMax(lanes, keyed))
}

// commitBytesMax is the largest size that memory allows.
func (c Config) commitBytesMax(lanes int, keyed bool) forebay.Bytes {
	share := c.WriterMemory / forebay.Bytes(4*max(lanes, 1))
	table := memTableSize(c.Memory, keyed) / 4
	if keyed {
		table /= 2
	}
	return max(min(share, table), forebay.BatchBytesMax)
}

// memTableSize is the store's share of the memory for one of its two write buffers. A large one saves rewriting
// the rows of key tables; logs gain nothing from it, and a small budget is needed elsewhere.
func memTableSize(memory forebay.Bytes, upserts bool) forebay.Bytes {
	largest := memTableLog
	if upserts {
		largest = memTableRows
	}
	return max(min(memory/4-8*forebay.MiB, largest), memTableMin)
}

// Sizes of the store's write buffers. A transaction fits in a quarter of the smallest one for logs.
const (
	memTableMin  = 4 * forebay.MiB
	memTableLog  = 16 * forebay.MiB
	memTableRows = 64 * forebay.MiB
)
