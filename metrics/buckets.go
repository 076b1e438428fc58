// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/forebay-io/forebay"
)

// sizeBuckets go from 1 KiB to 64 MiB: the sizes of a request, by powers of two.
func sizeBuckets() []float64 { return prometheus.ExponentialBuckets(1024, 2, 17) }

// timeBuckets go from half a millisecond to about 65 s, by powers of two.
func timeBuckets() []float64 { return prometheus.ExponentialBuckets(0.0005, 2, 18) }

// codeWord is an answer's code as the value of a label. M1: the list is closed.
func codeWord(code forebay.Code) string {
	switch code {
	case forebay.CodeOK:
		return "ok"
	case forebay.CodeNotLeader:
		return "moved"
	case forebay.CodeMalformed, forebay.CodeUnauthorized, forebay.CodeForbidden, forebay.CodeNotFound:
		return "misconfigured"
	case forebay.CodeTimeout:
		return "timeout"
	case forebay.CodeDuplicate:
		return "duplicate"
	case forebay.CodeUnknownWriter:
		return "unknown-writer"
	case forebay.CodeFenced:
		return "fenced"
	case forebay.CodeTooLarge:
		return "too-large"
	case forebay.CodeRowsRejected:
		return "rejected"
	case forebay.CodeSequenceGap:
		return "gap"
	case forebay.CodeOverload:
		return "overload"
	case forebay.CodeDiskFull:
		return "disk-full"
	default:
		return "failed"
	}
}

func stageWord(stage forebay.Stage) string {
	switch stage {
	case forebay.StageSource, forebay.StageTransform, forebay.StageSink:
		return string(stage)
	default:
		return "other"
	}
}
