// SPDX-License-Identifier: Apache-2.0

// Package swar looks at eight bytes of text at a time in one machine word, the first byte in the lowest
// bits. The codecs share it.
package swar
