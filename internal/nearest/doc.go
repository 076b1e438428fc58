// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the name that a misspelled one was meant to be, the same way in every message.
package nearest
