// SPDX-License-Identifier: Apache-2.0

// Package stdout is a sink that prints records as lines on the standard output: typed rows as NDJSON or CSV,
// bytes as they are.
//
//	sink.go    Sink and Target, the lanes' writers
//	output.go  the one output that all lanes share
//	errors.go  what a failed write means
//
// Each lane gathers whole lines and hands them over in one piece, so lines of lanes never mix. What was
// written and not flushed may come twice after a restart.
//
// Guarantee: at-least-once.
// Limits: a lane hands over at 64 KiB, and when it is flushed.
package stdout
