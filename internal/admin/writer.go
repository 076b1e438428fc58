// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// TunedWriter is a writer, as far as its knobs go.
type TunedWriter interface {
	Stats() writer.Stats
	Tune(t writer.Tuning) error
}

// Writer gives a writer's knobs a name.
func Writer(name string, w TunedWriter) Tunable { return &writerKnobs{name, w} }

type writerKnobs struct {
	name   string
	writer TunedWriter
}

const (
	batchSize    = "batch.size"
	batchTimeout = "batch.timeout"
	retries      = "retries"
	maxInflight  = "max.inflight"

	inflightMost = 1 << 16
	retriesMost  = 1 << 30
)

func (w *writerKnobs) Name() string { return w.name }

func (w *writerKnobs) Knobs() []Knob {
	t := w.writer.Stats().Tuning
	return []Knob{
		{Key: batchSize, Kind: KindBytes, Value: int64(t.BatchSize), Min: 1, Max: int64(forebay.GiB)},
		{
			Key: batchTimeout, Kind: KindDuration, Value: int64(t.BatchTimeout),
			Min: int64(time.Millisecond), Max: int64(time.Hour),
		},
		{Key: retries, Value: int64(max(t.Retries, 0)), Max: retriesMost, Unlimited: true},
		{Key: maxInflight, Value: int64(t.MaxInflight), Min: 1, Max: inflightMost},
	}
}

func (w *writerKnobs) Tune(values map[string]int64) error {
	t := w.writer.Stats().Tuning
	for key, value := range values {
		switch key {
		case batchSize:
			t.BatchSize = forebay.Bytes(value)
		case batchTimeout:
			t.BatchTimeout = time.Duration(value)
		case retries:
			t.Retries = int(value)
		case maxInflight:
			t.MaxInflight = int(value)
		default:
			return fmt.Errorf("a writer has no knob %s", key)
		}
	}
	if t.Retries == 0 {
		t.Retries = writer.NoRetries // 0 is the default there
	}
	return w.writer.Tune(t)
}
