// SPDX-License-Identifier: Apache-2.0

// Command cicheck reads the output of `go test -json` on standard input and prints it the way
// `go test` does: one line per package, and the whole output of what failed. It ends with the line
// "N passed, N failed, N skipped" and exits 1 if anything failed, if a test was skipped, or if no
// test ran at all: where the whole suite is demanded, a skip hides that something is missing.
package main
