// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package pipeline

import (
	"context"

	"github.com/forebay-io/forebay"
)

// The planted bug fault.BugProgressPerLane exists with the build tag fault only; these are never called.

func (r *run) progressByLane(backend forebay.Backend, _ int) forebay.Backend { return backend }

func (r *run) splitsOfLanes(_ context.Context, held []forebay.SplitProgress) ([]forebay.SplitProgress, error) {
	return held, nil
}
