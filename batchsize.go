// SPDX-License-Identifier: Apache-2.0

//go:build !fault

package forebay

const batchRecordsMax = 1024
