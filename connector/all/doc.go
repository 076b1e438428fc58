// SPDX-License-Identifier: Apache-2.0

// Package all is the one list of built-in connectors. A program that needs few of them builds its own
// Registry instead.
package all
