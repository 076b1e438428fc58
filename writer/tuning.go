// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"cmp"
	"errors"
	"time"

	"github.com/forebay-io/forebay"
)

// Tuning are the knobs of a running writer. Zero fields are the defaults.
type Tuning struct {
	// BatchSize closes a request; default 2 MB.
	BatchSize forebay.Bytes
	// BatchTimeout closes a request that is this old; default 500 ms.
	BatchTimeout time.Duration
	// Retries is the number of attempts after the first that the target failed or that timed out; default 3.
	// NoRetries stands for none and forebay.Unlimited for no limit.
	Retries int
	// MaxInflight is the number of requests of a tablet that may wait for an answer; default 5, which is the
	// limit with idempotence.
	MaxInflight int
}

// NoRetries is the value of Tuning.Retries for a single attempt.
const NoRetries = -1

// Defaults of Tuning.
const (
	BatchSizeDefault    = 2 * forebay.MiB
	BatchTimeoutDefault = 500 * time.Millisecond
	RetriesDefault      = 3
	MaxInflightDefault  = 5

	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// Profile is a named set of knobs: throughput, latency or weak-network.
func Profile(name string) (Tuning, bool) {
	switch name {
	case "throughput":
		return Tuning{BatchSize: 5 * forebay.MiB, BatchTimeout: time.Second}, true
	case "latency":
		return Tuning{BatchSize: 100 * forebay.KiB, BatchTimeout: 50 * time.Millisecond}, true
	case "weak-network":
		return Tuning{MaxInflight: 1}, true
	default:
		return Tuning{}, false
	}
}

func (t Tuning) withDefaults() Tuning {
	t.BatchSize = cmp.Or(t.BatchSize, BatchSizeDefault)
	t.BatchTimeout = cmp.Or(t.BatchTimeout, BatchTimeoutDefault)
	t.Retries = cmp.Or(t.Retries, RetriesDefault)
	t.MaxInflight = cmp.Or(t.MaxInflight, MaxInflightDefault)
	return t
}

// attempts is the number of failed attempts that give a request up.
func (t Tuning) attempts() int { return max(t.Retries, 0) }

func (t Tuning) validate(idempotent bool) (problems []error) {
	if t.BatchSize < 0 || t.BatchSize > forebay.GiB {
		problems = append(problems, errors.New("writer.batch.size: must be 1B to 1GiB"))
	}
	if t.BatchTimeout < 0 || t.BatchTimeout > time.Hour {
		problems = append(problems, errors.New("writer.batch.timeout: must be at most 1h"))
	}
	if t.Retries < NoRetries {
		problems = append(problems, errors.New("writer.retries: must be at least 0, or unlimited"))
	}
	if t.MaxInflight < 0 || idempotent && t.MaxInflight > MaxInflightDefault {
		problems = append(problems, errors.New("writer.max.inflight: must be 1 to 5 with writer.idempotence, which "+
			"remembers the last 5 requests of a tablet"))
	}
	return problems
}

// backoff is the wait before attempt number attempt + 1: min(100 ms x 2^(attempt-1), 5 s).
func backoff(attempt int) time.Duration {
	if attempt < 1 {
		attempt = 1
	}
	if attempt > 6 {
		return backoffMax // 100 ms x 2^6 is more, and a large shift would overflow
	}
	return min(backoffFirst<<(attempt-1), backoffMax)
}
