// SPDX-License-Identifier: Apache-2.0

//go:build fault

package forebay

// Small batches make many of an input, so that a campaign can kill in the middle of it often.
const batchRecordsMax = 128
