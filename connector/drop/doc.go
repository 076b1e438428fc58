// SPDX-License-Identifier: Apache-2.0

// Package drop is a sink that throws records away and keeps their sum: for measuring a source, and for
// checking that each record came once. It takes bytes and typed rows; of rows it sums the bytes that the
// source read.
//
// Each lane adds up its own records (connector.Sum); a flush merges it into the sink's. A
// sink that knows what to expect, such as the closed form of generate, compares at the end (Target.Verify).
//
// Guarantee: at-least-once, and what it holds ends with the process.
package drop
