// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// writerField are the knobs of writers; a key that is given wins over the profile. Which of them mean something is the
// sink's matter: pipeline_heeded.go says so. Acks and Idempotence are here to be understood: a pipeline always has the
// strongest of both.
type writerField struct {
	Profile string `yaml:"profile" enum:"throughput|latency|weak-network" doc:"a set of knobs; a key beside it wins"`

	BatchSize    forebay.Bytes `yaml:"batch.size" min:"1B" max:"1GB" doc:"closes a request: 2MB"`
	BatchTimeout time.Duration `yaml:"batch.timeout" min:"1ms" max:"1h" doc:"closes a request that is so old: 500ms"`
	Retries      *int64        `yaml:"retries" unlimited:"true" min:"0" doc:"attempts after the first: 3"`
	MaxInflight  int           `yaml:"max.inflight" min:"1" max:"5" doc:"without an answer: 5 of a tablet, 3 of a lane"`
	Acks         string        `yaml:"acks" enum:"all|1|0" doc:"all: what is confirmed is on disk; nothing else will do"`
	Idempotence  *bool         `yaml:"idempotence" doc:"true: a repeat is known and dropped; nothing else will do"`
	Memory       forebay.Bytes `yaml:"buffer.memory" doc:"the writer's share: 64MB, at most half of memory"`
}

// tuning is the profile with the keys that are given.
func (f *writerField) tuning() writer.Tuning {
	t, _ := writer.Profile(f.Profile) // no profile has no knobs
	if f.BatchSize != 0 {
		t.BatchSize = f.BatchSize
	}
	if f.BatchTimeout != 0 {
		t.BatchTimeout = f.BatchTimeout
	}
	if f.MaxInflight != 0 {
		t.MaxInflight = f.MaxInflight
	}
	if f.Retries != nil {
		t.Retries = int(*f.Retries)
		if t.Retries == 0 {
			t.Retries = writer.NoRetries
		}
	}
	return t
}

// HTTP says where a command shows what it does.
type HTTP struct {
	Listen string `yaml:"listen" default:"" doc:"turns on metrics, health and tuning" example:"127.0.0.1:7878"`
}

// problems says what is wrong with the address.
func (h HTTP) problems(tree *Tree) Problems {
	if h.Listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(h.Listen); err != nil {
		return Problems{tree.Problem("http.listen", "no address and port", "write for example 127.0.0.1:7878")}
	}
	return nil
}
